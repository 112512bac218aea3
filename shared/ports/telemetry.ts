/**
 * What the engine tells the operator: structured events and metrics. Never vectors, metadata, keys
 * or credentials: ids, counts, bytes and milliseconds only.
 */
export interface Telemetry {
  /** A line of the log. `name` is kebab-case, e.g. `apply-batch`. */
  event(level: 'debug' | 'info' | 'warn' | 'error', name: string, facts?: Facts): void;
  /** Adds to a counter. */
  count(name: MetricName, by?: number, labels?: Labels): void;
  /** Sets a gauge. */
  gauge(name: MetricName, value: number, labels?: Labels): void;
  /** Records a duration in milliseconds or a size in bytes, as the metric's unit says. */
  observe(name: MetricName, value: number, labels?: Labels): void;
}

export type Facts = Readonly<Record<string, string | number | boolean | undefined>>;
export type Labels = Readonly<Record<string, string>>;

/** Snake case with the unit last, e.g. `apply_rows_total`, `search_duration_ms`. */
export type MetricName = string;
