/**
 * How long functions run, and how much memory they need. Lambda is paid for both.
 *
 * A function's time is the engine's, which `bench/results/cost.md` measures at 100,000 x 768, and its
 * waiting, which is the number of calls that wait for one another (metered) times what a service takes
 * to answer. The latter cannot be measured without an account: {@link WAITS} says what is assumed.
 */
import { readMemory } from '#runtime/memory.ts';
import type { Requests } from './cost-counts.ts';

export type Architecture = 'x86_64' | 'arm64';

/** The template's defaults; `test/unit/cli/cost-deployment.test.ts` compares them with serverless.yml. */
export const DEPLOYMENT = {
  memoryMb: { write: 1024, read: 3008, apply: 1769, compact: 3008, collect: 512, scrub: 1769 },
  scratchMb: { read: 2048, compact: 2048 },
  /** Runs in an hour. */
  runs: { compact: 60, collect: 4, scrub: 1 },
  retentionHours: 24,
  /** Stage `prod`. */
  retentionHoursProd: 168,
  alarms: 11,
  /** An alarm over a formula is billed for each metric in it. */
  alarmMetrics: 14,
  /** Seconds that the event source gathers records before it calls `apply`. */
  batchSeconds: 1,
} as const;

/** Medians of `bench/results/cost.md`, in milliseconds. */
export const MEASURED = {
  shape: { rows: 100_000, dim: 768 },
  searchFew: 0.39,
  searchByGraph: 1.0,
  insertOne: 1.38,
  insertHundred: 14.7,
  passwordVerified: 45,
  /** Processor time of apply, merges and graph for each row of one load. */
  rowIndexed: 1.86,
} as const;

/**
 * Assumed: what Lambda bills for the start of an environment. A run each minute finds the one of the
 * minute before; one each quarter of an hour may not.
 */
export const START_MS = 500;

/** Of FACTS about the library: its scalar build, as on arm64, against SSE as on x86. */
const SCALAR = { search: 1 / 0.49, build: 1 / 0.37 } as const;

/** Assumed: milliseconds until a service has answered, in the same region. */
export const WAITS = {
  /** DynamoDB says "single-digit". */
  tableMs: 5,
  /** S3: 27 for a GET, 40 for a PUT, as measured by others. */
  objectMs: 30,
  /** Kinesis writes to three zones. */
  logMs: 15,
} as const;

export type Waits = Readonly<{ tableMs: number; objectMs: number; logMs: number }>;

export const waitingMs = (
  { tableSteps, objectSteps, logSteps }: Requests,
  { tableMs, objectMs, logMs }: Waits,
): number => tableSteps * tableMs + objectSteps * objectMs + logSteps * logMs;

/** A function of less memory has less than one processor. */
const ONE_PROCESSOR_MB = 1769;
export const stretchedMs = (engineMs: number, memoryMb: number): number =>
  engineMs * Math.max(1, ONE_PROCESSOR_MB / memoryMb);

/** Rows of a segment that is merged no further (`maintain/pick`). */
export const SEGMENT_ROWS_MAX = 262_144;

export const segmentsOf = (rowsPerShard: number, shards: number): number =>
  rowsPerShard === 0 ? 0 : shards * Math.ceil(rowsPerShard / SEGMENT_ROWS_MAX);

/**
 * One warm search of a collection. Extrapolated from one segment of 100,000 rows: every segment is
 * searched in turn, for a time that grows with the dimensions and with the logarithm of its rows.
 */
export function searchMs(
  rows: number,
  dim: number,
  segments: number,
  architecture: Architecture,
): number {
  const { shape, searchFew, searchByGraph } = MEASURED;
  if (segments === 0) return searchFew;
  const depth = Math.log(Math.max(2, rows / segments)) / Math.log(shape.rows);
  const each = (searchByGraph - searchFew) * (dim / shape.dim) * depth;
  return searchFew + segments * each * (architecture === 'arm64' ? SCALAR.search : 1);
}

export function insertMs(rows: number, dim: number): number {
  const { insertOne, insertHundred, shape } = MEASURED;
  const each = (insertHundred - insertOne) / 99;
  return insertOne - each + rows * each * (dim / shape.dim);
}

export const indexMs = (rows: number, dim: number, architecture: Architecture): number =>
  rows *
  MEASURED.rowIndexed *
  (dim / MEASURED.shape.dim) *
  (architecture === 'arm64' ? SCALAR.build : 1);

/** Links of a point, its label and its share of the upper layers, with 16 links: 322 MB per 100,000 x 768. */
const GRAPH_ROW_BYTES = 148;
export const graphBytes = (rows: number, dim: number): number => rows * (dim * 4 + GRAPH_ROW_BYTES);

/** Key, place, log time, partition and checksums of a row beside its vector. */
const DATA_ROW_BYTES = 40;
export const storedBytes = (rows: number, dim: number): number =>
  graphBytes(rows, dim) + rows * (dim * 4 + DATA_ROW_BYTES);

export const MEMORY_MB_MAX = 10_240;
const MEMORY_STEP_MB = 64;

/** The least memory of a function that keeps graphs of so many bytes; beyond the most, several functions. */
export function memoryFor(bytes: number): Readonly<{ memoryMb: number; workers: number }> {
  const workers = Math.max(1, Math.ceil(bytes / readMemory(MEMORY_MB_MAX).graphBytes));
  let memoryMb = MEMORY_STEP_MB;
  while (memoryMb < MEMORY_MB_MAX && readMemory(memoryMb).graphBytes < bytes / workers) {
    memoryMb += MEMORY_STEP_MB;
  }
  return { memoryMb, workers };
}

/** Reading everything to prove it: 75 MiB/s, and 15 ms of hashing for each piece of 4 MiB. */
export const SCRUB_PIECE_BYTES = 4 * 2 ** 20;
export const scrubMs = (bytes: number): number =>
  bytes / (75 * 1.048_576e3) + (bytes / SCRUB_PIECE_BYTES) * 15;
/** `maintain/scrub-round`: everything once a week. */
export const SCRUB_HOURS = 168;

/** Filling a fresh environment: the network gives 300 MiB at 1.2 GiB/s and then 75 MiB/s, whatever the memory. */
export function loadSeconds(bytes: number): number {
  const mib = bytes / 2 ** 20;
  return Math.min(mib, 300) / 1229 + Math.max(0, mib - 300) / 75;
}

/** Pieces that a graph is read in (`segment/graph`). */
export const PIECE_BYTES = 8 * 2 ** 20;
