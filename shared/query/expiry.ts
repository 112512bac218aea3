/**
 * Sources without the rows that have expired (`catalog/ttl`). To a read an expired row is a dead one.
 *
 * Within a shard log times never fall with positions, so when a version has expired all older ones of
 * its key have too: nothing older comes to light in its place (I5).
 */
import { bitmapOf, setBit } from '#schema/column.ts';
import { logTimeAt, stampCount } from '#segment/stamps.ts';
import { countBits } from './bits.ts';
import type { SourceView } from './view.ts';

type Expired = Readonly<{ beforeMs: number; view: SourceView }>;

/** What was found last: the same until the second is over or the view is replaced. */
const known = new WeakMap<SourceView, Expired>();

/** @param beforeMs from {@link expiredBeforeMs}; undefined changes nothing */
export async function withoutExpired(
  view: SourceView,
  beforeMs: number | undefined,
): Promise<SourceView> {
  const { segment } = view;
  if (beforeMs === undefined || view.source.rows === 0) return view;
  if (segment !== undefined && segment.entry.logTimeRangeMs.min >= beforeMs) return view;
  const last = known.get(view);
  if (last?.beforeMs === beforeMs) return last.view;
  const expired = await expire(view, beforeMs);
  known.set(view, { beforeMs, view: expired });
  return expired;
}

async function expire(view: SourceView, beforeMs: number): Promise<SourceView> {
  const { source } = view;
  const stamps = await source.stamps();
  const dead = bitmapOf(source.rows);
  if (view.dead !== undefined) dead.set(view.dead);
  for (let row = 0; row < stampCount(stamps); row++) {
    if (logTimeAt(stamps, row) < beforeMs) setBit(dead, row);
  }
  return { ...view, dead, deadRows: countBits(dead) };
}
