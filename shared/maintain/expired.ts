/** Which rows of a segment a rewrite may leave out because they have expired (`catalog/ttl`). */
import { bitmapOf, hasBit, setBit } from '#schema/column.ts';
import { joinKeys, keysOverlap } from '#segment/key-index.ts';
import type { SegmentReader } from '#segment/reader.ts';
import type { RowStamps } from '#segment/source.ts';
import { logTimeAt, positionAt } from '#segment/stamps.ts';

const NONE = new Uint32Array(0);

/**
 * Rows of an earlier log time, ascending, that hide no older version in a segment which stays: without
 * such a row an older one would come to light if the time to live were raised (I5). It stays, unseen,
 * until the older one is gone.
 *
 * @param others the segments of the manifest that are not rewritten with `source`
 */
export async function expiredRows(
  source: SegmentReader,
  others: readonly SegmentReader[],
  beforeMs: number | undefined,
): Promise<Uint32Array> {
  if (beforeMs === undefined || source.rows === 0) return NONE;
  if (source.entry.logTimeRangeMs.min >= beforeMs) return NONE;
  const stamps = await source.stamps();
  const late = rowsBefore(stamps, beforeMs);
  if (late.length === 0) return NONE;
  const keys = await source.keys();
  const expired = bitmapOf(source.rows);
  for (const row of late) setBit(expired, row);
  const hiding = bitmapOf(source.rows);
  for (const other of others) {
    if (other.rows === 0 || !keysOverlap(source.keyRange, other.keyRange)) continue;
    const [otherKeys, otherStamps] = await Promise.all([other.keys(), other.stamps()]);
    joinKeys(keys, otherKeys, (from, to, otherFrom) => {
      let oldest: string | undefined;
      for (let place = from; place < to; place++) {
        const row = keys.order[place] ?? 0;
        if (!hasBit(expired, row)) continue;
        // Versions of a key are ordered by age.
        oldest ??= positionAt(otherStamps, otherKeys.order[otherFrom] ?? 0);
        if (oldest < positionAt(stamps, row)) setBit(hiding, row);
      }
    });
  }
  return late.filter((row) => !hasBit(hiding, row));
}

/** Numbers of the rows of an earlier log time, ascending. */
export function rowsBefore(stamps: RowStamps, beforeMs: number): Uint32Array {
  const late = new Uint32Array(stamps.record.length);
  let count = 0;
  for (let row = 0; row < late.length; row++) {
    if (logTimeAt(stamps, row) < beforeMs) late[count++] = row;
  }
  return late.subarray(0, count);
}
