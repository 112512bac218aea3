/**
 * Hits of many sources into one answer. Pure.
 *
 * Dead rows are masked before they become hits, so normally a key arrives once. Should two versions
 * of a key meet here all the same, the newest decides, whether or not it is the nearer one (I5).
 */
import type { RowPosition } from '#base/position.ts';
import type { Key } from '#schema/column.ts';
import type { Metric } from '#schema/field.ts';
import { compareScores } from '#segment/distance.ts';
import { compareKeys } from '#segment/key-index.ts';

export type Hit = Readonly<{
  key: Key;
  position: RowPosition;
  /** Squared distance for L2, similarity for IP and COSINE. */
  score: number;
  /** Where the row lies: the number of its source in the answer, and the row's number there. */
  source: number;
  row: number;
}>;

/**
 * One row per key, its newest version; nearest first, equal scores by key; `limit` of them after
 * the first `offset`.
 */
export function mergeHits(
  lists: readonly (readonly Hit[])[],
  { metric, limit, offset }: Readonly<{ metric: Metric; limit: number; offset: number }>,
): Hit[] {
  const newest = new Map<Key, Hit>();
  for (const hits of lists) {
    for (const hit of hits) {
      const rival = newest.get(hit.key);
      if (rival === undefined || rival.position < hit.position) newest.set(hit.key, hit);
    }
  }
  return [...newest.values()]
    .sort((a, b) => compareScores(metric, a.score, b.score) || compareKeys(a.key, b.key))
    .slice(offset, offset + limit);
}
