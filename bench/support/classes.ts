/** Reads by what the server was at while they were under way. */
import { quantile } from './report.ts';
import type { Interval } from './watch.ts';

export type Sample = Readonly<{
  kind: 'search' | 'get';
  fromMs: number;
  toMs: number;
  /** Whether writes went on; undefined in the moments between. */
  writing: boolean | undefined;
  cycle: number;
}>;

export const BUSY = ['nothing', 'merge', 'build'] as const;
export type Busy = (typeof BUSY)[number];

type Span = Readonly<{ fromMs: number; toMs: number }>;

/** Spans with what they met: a merge, else a build of a graph, else nothing. */
export function classify<T extends Span>(
  samples: readonly T[],
  intervals: readonly Interval[],
): readonly (T & Readonly<{ busy: Busy }>)[] {
  const merges = ordered(intervals, 'merge');
  const builds = ordered(intervals, 'build');
  return samples.map((sample) => ({
    ...sample,
    busy: overlaps(merges, sample) ? 'merge' : overlaps(builds, sample) ? 'build' : 'nothing',
  }));
}

const ordered = (intervals: readonly Interval[], kind: Interval['kind']): readonly Interval[] =>
  intervals.filter((interval) => interval.kind === kind).sort((a, b) => a.fromMs - b.fromMs);

/** Intervals of one kind do not overlap one another: one loop makes them. */
function overlaps(intervals: readonly Interval[], { fromMs, toMs }: Span): boolean {
  let low = 0;
  let high = intervals.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((intervals[middle]?.toMs ?? 0) < fromMs) low = middle + 1;
    else high = middle;
  }
  const first = intervals[low];
  return first !== undefined && first.fromMs <= toMs;
}

export const latencies = (samples: readonly Sample[]): number[] =>
  samples.map(({ fromMs, toMs }) => toMs - fromMs);

/** One p99 per cycle that has enough samples for one. */
export function p99ByCycle(samples: readonly Sample[], samplesMin = 200): number[] {
  const cycles = Map.groupBy(samples, ({ cycle }) => cycle);
  return [...cycles.values()]
    .filter((own) => own.length >= samplesMin)
    .map((own) => quantile(latencies(own), 0.99));
}
