import type { Facts, Labels, MetricName, Telemetry } from '#ports/telemetry.ts';

/** Tells nobody anything. */
export const silentTelemetry: Telemetry = {
  event() {},
  count() {},
  gauge() {},
  observe() {},
};

export type RecordedEvent = Readonly<{
  level: 'debug' | 'info' | 'warn' | 'error';
  name: string;
  facts: Facts;
}>;

/** Enough for every test that looks; older events and observations are dropped beyond it. */
const RECORDED_MAX = 10_000;

/** Remembers what it is told, for a simulation that asserts on it. */
export class RecordingTelemetry implements Telemetry {
  readonly events: RecordedEvent[] = [];
  readonly #counters = new Map<string, number>();
  readonly #gauges = new Map<string, number>();
  readonly #observed = new Map<string, number[]>();

  event(level: RecordedEvent['level'], name: string, facts: Facts = {}): void {
    this.events.push({ level, name, facts });
    if (this.events.length > RECORDED_MAX) this.events.shift();
  }

  count(name: MetricName, by = 1, labels?: Labels): void {
    const key = series(name, labels);
    this.#counters.set(key, (this.#counters.get(key) ?? 0) + by);
  }

  gauge(name: MetricName, value: number, labels?: Labels): void {
    this.#gauges.set(series(name, labels), value);
  }

  observe(name: MetricName, value: number, labels?: Labels): void {
    const key = series(name, labels);
    const values = this.#observed.get(key) ?? [];
    values.push(value);
    if (values.length > RECORDED_MAX) values.shift();
    this.#observed.set(key, values);
  }

  /** A counter's sum; 0 where it was never raised. */
  counted(name: MetricName, labels?: Labels): number {
    return this.#counters.get(series(name, labels)) ?? 0;
  }

  gauged(name: MetricName, labels?: Labels): number | undefined {
    return this.#gauges.get(series(name, labels));
  }

  observed(name: MetricName, labels?: Labels): readonly number[] {
    return this.#observed.get(series(name, labels)) ?? [];
  }
}

const series = (name: MetricName, labels: Labels = {}): string =>
  `${name} ${JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))}`;
