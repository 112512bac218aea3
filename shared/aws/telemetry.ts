/** Events as Powertools log lines, metrics as lines of CloudWatch's embedded metric format. */
import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import type { Facts, Labels, MetricName, Telemetry } from '#ports/telemetry.ts';

/**
 * `service`: which function speaks; a field of each event and a dimension of each metric.
 * `namespace`: CloudWatch's name for the metrics of one deployment. `level`: the least serious event
 * that is written, default `info`; `silent` for none.
 *
 * CloudWatch bills every metric by the month, and every combination of its dimensions is one. So
 * `dimensions` names the labels that become dimensions, default all: over the others counters are
 * summed. `withheld` names metrics that are not published at all.
 */
export type PowertoolsTelemetryOptions = Readonly<{
  service: string;
  namespace: string;
  level?: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  dimensions?: readonly string[];
  withheld?: readonly MetricName[];
}>;

export type PowertoolsTelemetry = Telemetry &
  Readonly<{
    /** Writes what was measured since the last time; called at the end of each invocation. */
    flush: () => void;
  }>;

type Kind = 'counter' | 'gauge' | 'distribution';
type Unit = (typeof MetricUnit)[keyof typeof MetricUnit];
/** What one line will say: metrics that share their labels. */
type Line = Readonly<{ labels: Labels; values: Map<string, number[]> }>;

/**
 * A name made of ids would grow without end, and CloudWatch bills each combination of a name and
 * its labels by the month; the engine has a few hundred. Beyond it a new name is not recorded.
 */
const METRICS_MAX = 1_000;
/** Combinations of labels in the life of an environment; beyond it their values become `other`. */
const LABELINGS_MAX = 1_000;
/**
 * The format takes 100 metrics a line and 100 values each, and Powertools writes a line early, and
 * forgets its labels, where it gets the hundredth. A full line is written before that.
 */
const METRICS_PER_LINE_MAX = 99;
const VALUES_PER_METRIC_MAX = 99;
/** With 99 metrics of 99 values of 20 digits a line has 200 KB: 20 lines are 4 MB of memory. */
const LINES_MAX = 20;
/** CloudWatch takes 30 dimensions of 250 and 1,024 characters; we have three or four short ones. */
const LABELS_MAX = 20;
const NAME_CHARACTERS_MAX = 200;
const LABEL_CHARACTERS_MAX = 250;
/** A line of the log has up to 256 KB; a sentence of ours a few hundred characters. */
const FACT_CHARACTERS_MAX = 4_000;

export function openPowertoolsTelemetry(options: PowertoolsTelemetryOptions): PowertoolsTelemetry {
  const { service, namespace, level = 'info', dimensions } = options;
  const withheld = new Set(options.withheld);
  const logger = new Logger({ serviceName: service, logLevel: LEVELS[level] });
  const metrics = new Metrics({ serviceName: service, namespace });
  const kinds = new Map<string, Kind>();
  const labelings = new Set<string>();
  const lines = new Map<string, Line>();

  const lineOf = (given: Labels): Line => {
    let labels = plainLabels(given, dimensions);
    let key = JSON.stringify(labels);
    if (!labelings.has(key) && labelings.size >= LABELINGS_MAX) {
      labels = Object.fromEntries(Object.keys(labels).map((name) => [name, 'other']));
      key = JSON.stringify(labels);
    } else {
      labelings.add(key);
    }
    const line = lines.get(key) ?? { labels, values: new Map() };
    lines.set(key, line);
    return line;
  };

  const flush = () => {
    for (const line of lines.values()) writeLine(metrics, line);
    lines.clear();
  };

  const record = (kind: Kind, given: MetricName, value: number, labels: Labels = {}) => {
    if (!Number.isFinite(value) || withheld.has(given)) return;
    const name = plainName(given);
    // A metric has one kind for life. To use it otherwise is a mistake in the engine that must not
    // stop the work which is being measured.
    if (!kinds.has(name) && kinds.size < METRICS_MAX) kinds.set(name, kind);
    if (kinds.get(name) !== kind) return;
    const line = lineOf(labels);
    const values = line.values.get(name) ?? [];
    if (kind === 'counter') values[0] = (values[0] ?? 0) + value;
    else if (kind === 'gauge') values[0] = value;
    else values.push(value);
    line.values.set(name, values);
    const isFull =
      values.length >= VALUES_PER_METRIC_MAX ||
      line.values.size >= METRICS_PER_LINE_MAX ||
      lines.size >= LINES_MAX;
    if (isFull) flush();
  };

  return {
    event: (level, name, facts) => logger[level](name, plainFacts(facts)),
    count: (name, by = 1, labels) => {
      if (by >= 0) record('counter', name, by, labels);
    },
    gauge: (name, value, labels) => record('gauge', name, value, labels),
    observe: (name, value, labels) => record('distribution', name, value, labels),
    flush,
  };
}

const LEVELS = {
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARN',
  error: 'ERROR',
  silent: 'SILENT',
} as const;

function writeLine(metrics: Metrics, { labels, values }: Line): void {
  if (Object.keys(labels).length > 0) metrics.addDimensions({ ...labels });
  for (const [name, each] of values) {
    // In the line, names of metrics and of labels are keys of one object.
    let free = name;
    while (Object.hasOwn(labels, free)) free += '_';
    for (const value of each) metrics.addMetric(free, unitOf(name), value);
  }
  metrics.publishStoredMetrics();
}

/** The unit at the end of the name. */
function unitOf(name: string): Unit {
  if (name.endsWith('_ms')) return MetricUnit.Milliseconds;
  if (name.endsWith('_bytes')) return MetricUnit.Bytes;
  return MetricUnit.Count;
}

/** Letters, digits and `_`, and nothing that means something else in the line or in an object. */
function plainName(name: string): string {
  const plain = name
    .replace(/[^a-zA-Z0-9_]/g, '_')
    .replace(/^_+/, '')
    .slice(0, NAME_CHARACTERS_MAX);
  return plain === '' || plain === 'service' || plain in {} ? `${plain}_` : plain;
}

/** CloudWatch takes no empty value, nor one outside printable ASCII. */
function plainLabels(labels: Labels, dimensions: readonly string[] | undefined): Labels {
  const entries = Object.entries(labels)
    .filter(([name]) => dimensions?.includes(name) ?? true)
    .slice(0, LABELS_MAX);
  const plain = entries.map(([name, value]): [string, string] => {
    const printable = value.replace(/[^\x20-\x7e]/g, '?').slice(0, LABEL_CHARACTERS_MAX);
    return [plainName(name), printable.trim() === '' ? 'none' : printable];
  });
  return Object.fromEntries(plain.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const RESERVED_FACTS = new Set(['level', 'message', 'sampling_rate', 'service', 'timestamp']);

/** A fact may not stand in for the line's own fields. */
function plainFacts(facts: Facts = {}): Record<string, string | number | boolean> {
  const plain: Record<string, string | number | boolean> = {};
  for (const [name, fact] of Object.entries(facts)) {
    if (fact === undefined) continue;
    const cut = typeof fact === 'string' ? fact.slice(0, FACT_CHARACTERS_MAX) : fact;
    plain[RESERVED_FACTS.has(name) ? `${name}_` : name] = cut;
  }
  return plain;
}
