/** Events as JSON lines (pino), metrics as Prometheus text (prom-client). */
import { type DestinationStream, destination, pino, stdTimeFunctions } from 'pino';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Facts, Labels, MetricName, Telemetry } from '#ports/telemetry.ts';

/**
 * `level`: the least serious event that is written, default `info`; `silent` for none.
 * `lines`: where events go, standard error by default. `processMetrics`: also the process's memory,
 * CPU and event loop, default off.
 */
export type TelemetryOptions = Readonly<{
  level?: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  lines?: DestinationStream;
  processMetrics?: boolean;
}>;

export type LocalTelemetry = Telemetry &
  Readonly<{ metricsText: () => Promise<string>; metricsContentType: string }>;

type Kind = 'counter' | 'gauge' | 'histogram';
type Recorder = Readonly<{
  kind: Kind;
  labelNames: readonly string[];
  series: Set<string>;
  record: (labels: Record<string, string>, value: number) => void;
}>;

/** A name made of ids would grow without end; the engine has a few hundred metrics. */
const METRICS_MAX = 1_000;
/** Combinations of label values of one metric; beyond it values become `other`. */
const SERIES_MAX = 1_000;
const NAME_CHARACTERS_MAX = 200;

export function openTelemetry(options: TelemetryOptions = {}): LocalTelemetry {
  const registry = new Registry();
  if (options.processMetrics === true) collectDefaultMetrics({ register: registry });
  const logger = pino(
    { level: options.level ?? 'info', base: null, timestamp: stdTimeFunctions.isoTime },
    options.lines ?? destination({ dest: 2, sync: true }),
  );
  const recorders = new Map<string, Recorder>();

  const record = (kind: Kind, name: MetricName, value: number, labels: Labels = {}) => {
    if (!Number.isFinite(value)) return;
    const fullName = promName(name);
    let recorder = recorders.get(fullName);
    if (recorder === undefined) {
      if (recorders.size >= METRICS_MAX) return;
      recorder = openRecorder(registry, kind, fullName, Object.keys(labels).sort());
      recorders.set(fullName, recorder);
    }
    // A metric has one kind and one set of labels for life. To use it otherwise is a mistake in the
    // engine that must not stop the work which is being measured.
    if (recorder.kind !== kind) return;
    recorder.record(boundedLabels(recorder, labels), value);
  };

  return {
    event: (level, name, facts) => logger[level]({ event: name, ...safeFacts(facts) }),
    count: (name, by = 1, labels) => {
      if (by >= 0) record('counter', name, by, labels);
    },
    gauge: (name, value, labels) => record('gauge', name, value, labels),
    observe: (name, value, labels) => record('histogram', name, value, labels),
    metricsText: () => registry.metrics(),
    metricsContentType: registry.contentType,
  };
}

/** Prometheus's names: letters, digits and `_`, not beginning with a digit; ours begin `sterna_`. */
function promName(name: MetricName): string {
  return `sterna_${name.replace(/[^a-zA-Z0-9_]/g, '_').slice(0, NAME_CHARACTERS_MAX)}`;
}

const labelName = (name: string): string =>
  name.replace(/[^a-zA-Z0-9_]/g, '_').replace(/^_*(?=[0-9])/, 'l');

function openRecorder(
  registry: Registry,
  kind: Kind,
  name: string,
  labels: readonly string[],
): Recorder {
  const common = {
    name,
    help: name.replaceAll('_', ' '),
    labelNames: labels.map(labelName),
    registers: [registry],
  };
  const shared = { kind, labelNames: labels, series: new Set<string>() };
  if (kind === 'counter') {
    const counter = new Counter(common);
    return { ...shared, record: (at, value) => counter.inc(at, value) };
  }
  if (kind === 'gauge') {
    const gauge = new Gauge(common);
    return { ...shared, record: (at, value) => gauge.set(at, value) };
  }
  const histogram = new Histogram({ ...common, buckets: bucketsFor(name) });
  return { ...shared, record: (at, value) => histogram.observe(at, value) };
}

const powers = (first: number, factor: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => first * factor ** index);

/** The unit at the end of the name decides the buckets. */
function bucketsFor(name: string): number[] {
  if (name.endsWith('_ms')) return powers(0.25, 2, 19); // 0.25 ms to 65 s
  if (name.endsWith('_bytes')) return powers(256, 4, 13); // 256 bytes to 4 GiB
  return powers(1, 4, 12); // 1 to 4 million rows, records, segments
}

function boundedLabels(recorder: Recorder, labels: Labels): Record<string, string> {
  const values = recorder.labelNames.map((name) => labels[name] ?? '');
  const key = JSON.stringify(values);
  const known = recorder.series.has(key);
  const full = !known && recorder.series.size >= SERIES_MAX;
  if (!known && !full) recorder.series.add(key);
  return Object.fromEntries(
    recorder.labelNames.map((name, index) => [
      labelName(name),
      full ? 'other' : (values[index] ?? ''),
    ]),
  );
}

const RESERVED_FACTS = new Set(['event', 'level', 'time', 'msg']);

/** A fact may not stand in for the line's own fields. */
function safeFacts(facts: Facts = {}): Facts {
  return Object.fromEntries(
    Object.entries(facts).map(([name, fact]) => [
      RESERVED_FACTS.has(name) ? `${name}_` : name,
      fact,
    ]),
  );
}
