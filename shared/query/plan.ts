/**
 * How each source of a search is answered: not at all, by exact scan, or by graph. Pure: counts in,
 * decision out, so that it can be argued about and tested without a byte of data.
 *
 * The yardstick is one comparison of two vectors in our own scan. A graph search visits about
 * {@link COMPARISONS_PER_EF} times `ef` vectors in native code, which costs as much as
 * {@link SCANS_PER_EF} times `ef` comparisons of ours (measured at 768 dimensions: ef 64 takes 0.8 ms,
 * our scan 0.9 million vectors a second, so 720 comparisons, or 11 for each unit of ef).
 */

/** Width of a graph search where the request names none: recall@10 >= 0.95 on the measured sets. */
export const EF_DEFAULT = 64;
/** A wider search than this costs more than scanning the largest segment (262,144 / 11 = 23,831). */
export const EF_MAX = 24_576;
/** `level` 1 to 10 as a width, about a factor of 1.4 each; 1 is the default. */
export const EF_BY_LEVEL = [64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536] as const;
/** What one unit of ef costs, in comparisons of the exact scan. */
export const SCANS_PER_EF = 11;
/**
 * Below this share of allowed rows a graph walks mostly through rows it may not return, and finds
 * too few; the rows that are left are scanned instead.
 */
export const SELECTIVITY_MIN = 0.1;
/**
 * Below this share the graph is told which rows are allowed, which costs a call per visited row;
 * above it is cheaper to fetch up to twice as many and take out the others.
 */
export const FILTERED_BELOW = 0.5;
/** Each further attempt reaches so many times as far; four of them exceed {@link EF_MAX}. */
const WIDEN_FACTOR = 4;
/** Candidates beyond those asked for, so that a few dead rows cost no second search: 1/8 and 8. */
const OVERFETCH_SHARE = 1 / 8;
const OVERFETCH_ROWS = 8;

export type Method = 'exact' | 'graph' | 'skipped';

/** Why a source needs no look at its rows. */
export type SkipReason = 'empty' | 'statistics' | 'partitions' | 'dead' | 'filter';

export type SourceFacts = Readonly<{
  rows: number;
  deadRows: number;
  /** False where the column statistics exclude every row. */
  mayMatch: boolean;
  /** False where no row lies in a wanted partition. */
  inPartitions: boolean;
}>;

/** @returns undefined where the source has to be looked at. */
export function skipReason(facts: SourceFacts): SkipReason | undefined {
  if (facts.rows === 0) return 'empty';
  if (facts.deadRows >= facts.rows) return 'dead';
  if (!facts.mayMatch) return 'statistics';
  return facts.inPartitions ? undefined : 'partitions';
}

export type SearchFacts = Readonly<{
  rows: number;
  /** Rows that are alive and pass filter and partitions. */
  allowedRows: number;
  /** True where a graph of the field is loaded now. */
  graph: boolean;
  /** Best rows wanted from this source: limit + offset. */
  wanted: number;
  /** The width asked for. */
  ef: number;
  /** True where near rows are cut off too, which a graph cannot do. */
  exactOnly: boolean;
}>;

export type SearchPlan =
  | Readonly<{ method: 'skipped'; reason: SkipReason }>
  | Readonly<{ method: 'exact' }>
  /**
   * Ask the graph for `candidates` with width `ef`. With `filtered` it returns allowed rows only;
   * without, rows that are not allowed are taken out afterwards.
   */
  | GraphPlan;

export type GraphPlan = Readonly<{
  method: 'graph';
  candidates: number;
  ef: number;
  filtered: boolean;
}>;

/** Decides for one source whose allowed rows are counted. */
export function planSearch(facts: SearchFacts): SearchPlan {
  const { rows, allowedRows, wanted } = facts;
  if (allowedRows === 0) return { method: 'skipped', reason: 'filter' };
  if (!facts.graph || facts.exactOnly) return { method: 'exact' };
  const share = allowedRows / rows;
  if (share < SELECTIVITY_MIN) return { method: 'exact' };
  const filtered = share < FILTERED_BELOW;
  const candidates = filtered ? Math.min(wanted, allowedRows) : candidatesFor(wanted, share, rows);
  const visits = Math.max(Math.ceil(facts.ef / share), candidates);
  if (isDearerThanScan(visits, allowedRows)) return { method: 'exact' };
  return { method: 'graph', candidates, ef: filtered ? facts.ef : visits, filtered };
}

/** A graph returned too few rows that may be shown: what to do next. */
export function widen(plan: GraphPlan, facts: SearchFacts): SearchPlan {
  const candidates = Math.min(facts.rows, plan.candidates * WIDEN_FACTOR);
  const ef = Math.max(plan.ef * WIDEN_FACTOR, candidates);
  // A graph that found too few although it knew what is allowed would find too few again.
  if (plan.filtered || isDearerThanScan(ef, facts.allowedRows)) return { method: 'exact' };
  return { ...plan, candidates, ef };
}

const isDearerThanScan = (ef: number, allowedRows: number): boolean =>
  ef > EF_MAX || ef * SCANS_PER_EF >= allowedRows;

function candidatesFor(wanted: number, share: number, rows: number): number {
  const expected = Math.ceil(wanted / share);
  if (share === 1) return Math.min(rows, expected);
  return Math.min(rows, expected + Math.ceil(expected * OVERFETCH_SHARE) + OVERFETCH_ROWS);
}

export type WidthRequest = Readonly<{
  ef?: number | undefined;
  level?: number | undefined;
  limit: number;
  offset: number;
}>;

/** The width of a graph search; smaller than what it must return is raised silently (API.md 3.2). */
export function widthOf({ ef, level, limit, offset }: WidthRequest): number {
  const steps = EF_BY_LEVEL.length;
  const byLevel =
    level === undefined
      ? undefined
      : EF_BY_LEVEL[Math.min(Math.max(Math.trunc(level), 1), steps) - 1];
  return Math.max(ef ?? byLevel ?? EF_DEFAULT, limit + offset);
}
