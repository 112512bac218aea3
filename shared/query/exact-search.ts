/**
 * Exact search of one source for several queries at once: each run of vectors is read once and
 * compared with all of them.
 *
 * Equal scores are ordered by key, also where the limit cuts through them, so that an answer depends
 * on the rows and not on how they happen to lie in segments.
 */
import { must } from '#base/assert.ts';
import { type Bitmap, bitmapOf, hasBit, setBit } from '#schema/column.ts';
import type { Field } from '#schema/field.ts';
import type { Scorer } from '#segment/distance.ts';
import { type Ranked, scanExact, TopK } from '#segment/exact.ts';
import type { VectorSource } from '#segment/source.ts';
import { rowsOf } from './bits.ts';

/** Up to so many allowed rows are fetched one by one instead of with their whole column. */
const SCATTERED_ROWS_MAX = 64;
/** Columns below 4 MiB are read whole in any case: one read instead of many. */
const SCATTERED_COLUMN_BYTES_MIN = 4 * 1024 * 1024;
/** Multiplications between two pauses: 8 million take about 10 ms. */
const WORK_BETWEEN_PAUSES = 8_000_000;

export type ExactSearch = Readonly<{
  source: VectorSource;
  field: Field;
  /** Undefined: every row. */
  allowed: Bitmap | undefined;
  allowedCount: number;
  scorers: readonly Scorer[];
  /** Best rows wanted for each query, at least 1. */
  wanted: number;
  /** Of a range search; rows outside do not count towards `wanted`. */
  accepts: ((score: number) => boolean) | undefined;
  /** Lets other requests in; awaited every few milliseconds of work. */
  pause: () => Promise<void>;
}>;

/** For each query its best rows, nearest first. */
export async function searchExact(search: ExactSearch): Promise<Ranked[]> {
  // One more than wanted shows whether the limit cuts through equal scores.
  const tops = search.scorers.map(
    ({ metric }) => new TopK(Math.min(search.wanted, search.allowedCount) + 1, metric),
  );
  const { accepts } = search;
  const takers = tops.map((top): Taker => {
    if (accepts === undefined) return top;
    return { offer: (row, score) => accepts(score) && top.offer(row, score) };
  });
  await eachScore(search, takers);
  return await settleTies(
    search,
    tops.map((top) => top.finish()),
  );
}

/** Cuts each ranking to what is wanted; where equal scores are cut through, the smallest keys stay. */
async function settleTies(search: ExactSearch, rankings: readonly Ranked[]): Promise<Ranked[]> {
  const { wanted, source, scorers } = search;
  const tied = rankings.map(({ rows, scores }) =>
    rows.length > wanted && scores[wanted] === scores[wanted - 1] ? scores[wanted] : undefined,
  );
  if (tied.every((score) => score === undefined)) return rankings.map((all) => cut(all, wanted));
  const equals = tied.map(() => bitmapOf(source.rows));
  const again = [...tied.keys()].filter((query) => tied[query] !== undefined);
  await eachScore(
    { ...search, scorers: scorers.filter((_, query) => tied[query] !== undefined) },
    again.map((query) => ({
      offer: (row, score) => {
        if (score === tied[query]) setBit(equals[query] ?? bitmapOf(source.rows), row);
      },
    })),
  );
  const { order } = await source.keys();
  return rankings.map((ranking, query) => {
    const score = tied[query];
    const equal = equals[query];
    if (score === undefined || equal === undefined) return cut(ranking, wanted);
    const nearer = ranking.scores.indexOf(score);
    const rows = ranking.rows.slice(0, wanted);
    let at = nearer;
    for (const row of order) {
      if (at >= wanted) break;
      if (hasBit(equal, row)) rows[at++] = row;
    }
    return { rows, scores: ranking.scores.slice(0, wanted) };
  });
}

const cut = ({ rows, scores }: Ranked, wanted: number): Ranked => ({
  rows: rows.subarray(0, wanted),
  scores: scores.subarray(0, wanted),
});

/** What is offered rows and their scores. */
type Taker = Pick<TopK, 'offer'>;

/** Offers every allowed row's score to the taker of each query. */
async function eachScore(search: ExactSearch, takers: readonly Taker[]): Promise<void> {
  const { source, field, allowed, allowedCount, scorers } = search;
  const dim = field.dim ?? 0;
  const valid = await source.vectorValidity(field);
  let work = 0;
  const compare = async (count: number, one: (scorer: Scorer, taker: Taker) => void) => {
    for (const [query, taker] of takers.entries()) {
      one(must(scorers[query], 'a scorer for each taker'), taker);
      work += count * dim;
      if (work < WORK_BETWEEN_PAUSES) continue;
      work = 0;
      await search.pause();
    }
  };
  const scattered =
    allowed !== undefined &&
    allowedCount <= SCATTERED_ROWS_MAX &&
    source.rows * dim * 4 >= SCATTERED_COLUMN_BYTES_MIN;
  if (scattered) {
    const rows = rowsOf(allowed).filter((row) => valid === undefined || hasBit(valid, row));
    const values = await source.vectorsAt(field, rows);
    await compare(rows.length, (scorer, taker) => {
      for (const [at, row] of rows.entries()) taker.offer(row, scorer.score(values, at * dim));
    });
    return;
  }
  const share = allowedCount / Math.max(1, source.rows);
  await source.scanVectors(field, (values, firstRow) =>
    compare((values.length / dim) * share, (scorer, taker) => {
      scanExact(scorer, values, firstRow, [allowed, valid], taker);
    }),
  );
}
