/**
 * What a function that compacts can finish: Lambda stops it after 15 minutes, and what it was at begins
 * anew in the next run. So segments are kept so small that each graph is built within one run, and no
 * graph is begun that the time left is too short for. Pure arithmetic.
 */
import type { Collection } from '#catalog/collection.ts';
import { COMPACT_POLICY, type CompactPolicy } from '#maintain/pick.ts';
import { type WantedGraph, wantedGraphs } from '#maintain/wanted.ts';
import { GRAPH_ROWS_MIN } from '#segment/build.ts';
import { segmentBytesFor } from './memory.ts';

/** `arch`: as `process.arch` says. */
export type Machine = Readonly<{ arch: string; memoryMb: number }>;

/**
 * Measured: 480 rows a second, one thread, 100,000 rows of 768 dimensions, M 16, efConstruction 200, on
 * x64 with SSE (the addon with AVX2 takes 0.6 of it). Twelve dimensions cost what a sixth of a row does
 * besides: 128 dimensions take a quarter of the time of 768, as if each row had 72 more.
 */
const MS_PER_ROW = 1000 / 480;
const MEASURED = { rows: 100_000, dims: 768 + 72, m: 16, efConstruction: 200 } as const;
const DIMS_PER_ROW = 72;
/** The library has no vector code on arm64: 0.37 of the rows a second. */
const ARM64_SPEED = 0.37;
/** Lambda gives a whole processor at 1,769 MB, below it a share; a build uses no second one. */
const WHOLE_CPU_MB = 1769;

/** How long one graph takes to build. */
export function buildMs(rows: number, want: WantedGraph, { arch, memoryMb }: Machine): number {
  const dims = (want.field.dim ?? 0) + DIMS_PER_ROW;
  const growth = Math.max(1, Math.log2(Math.max(2, rows)) / Math.log2(MEASURED.rows));
  const effort =
    (dims / MEASURED.dims) *
    growth *
    (want.efConstruction / MEASURED.efConstruction) *
    Math.max(1 / 2, want.m / MEASURED.m);
  const speed = (arch === 'arm64' ? ARM64_SPEED : 1) * Math.min(1, memoryMb / WHOLE_CPU_MB);
  return (rows * MS_PER_ROW * effort) / speed;
}

/** A machine may be slower than the one measured, and a set of vectors harder. */
const CAUTION = 1.75;
/** Reading and writing up to 850 MB at 75 MiB a second, through a file, with checksums. */
const AROUND_MS = 45_000;

/** Time that must be left when a graph is begun. */
export const neededMs = (rows: number, want: WantedGraph, machine: Machine): number =>
  buildMs(rows, want, machine) * CAUTION + AROUND_MS;

/** Of a run's 15 minutes, what graphs have at least: merging ends when no more is left. */
export const GRAPHS_MS = 630_000;

/** Rows of the largest segment whose graph is built within {@link GRAPHS_MS}. */
export function rowsWithin(want: WantedGraph, machine: Machine): number {
  const fits = (rows: number): boolean => neededMs(rows, want, machine) <= GRAPHS_MS;
  let low = 0;
  let high: number = COMPACT_POLICY.segmentRows;
  if (fits(high)) return high;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/**
 * The policy for one collection: segments no larger than this function can merge and index. Where not
 * even the smallest graph can be built in time, segments grow as they may and are searched exactly.
 *
 * @param leftMs the time left now
 */
export function compactPolicy(
  collection: Collection,
  machine: Machine,
  leftMs: () => number,
): CompactPolicy {
  const bytesMax = segmentBytesFor(machine.memoryMb);
  const rows = wantedGraphs(collection)
    .map((want) => rowsWithin(want, machine))
    .filter((most) => most >= GRAPH_ROWS_MIN);
  return {
    ...COMPACT_POLICY,
    segmentRows: Math.min(COMPACT_POLICY.segmentRows, ...rows),
    segmentBytes: Math.min(COMPACT_POLICY.segmentBytes, bytesMax),
    graphsPerStep: 1,
    mayBuild: (count, want) =>
      count * (want.field.dim ?? 0) * Float32Array.BYTES_PER_ELEMENT <= bytesMax &&
      neededMs(count, want, machine) <= leftMs(),
  };
}
