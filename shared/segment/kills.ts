/** Which row versions are dead because of newer ones and of tombstones (I5). */

import { recordOf } from '#base/position.ts';
import type { Key } from '#schema/column.ts';
import { buildKeyIndex, joinKeys, keysOverlap } from './key-index.ts';
import type { KeyIndex, RowSource, RowStamps, StampedTombstones } from './source.ts';
import { placeAt, placeOf } from './stamps.ts';

const NONE = new Uint32Array(0);

/**
 * Rows of `victim`, ascending, that are dead because of what `killer` holds: a newer version of the
 * same key, or a tombstone of that key that is newer and whose bound, if any, is not older than the
 * row. `killer` may be `victim` itself, for older versions inside one source.
 *
 * Every row must be checked against every source that can hold something newer, itself included.
 * Nothing is loaded where key ranges or positions already say that nothing dies.
 */
export async function killsBetween(victim: RowSource, killer: RowSource): Promise<Uint32Array> {
  if (!mayKill(victim, killer)) return NONE;
  const [keys, stamps] = await Promise.all([victim.keys(), victim.stamps()]);
  const dead: number[] = [];
  const cut = cutterOf(keys, stamps, dead);
  if (killer.rows > 0) {
    const [killerKeys, killerStamps] = await Promise.all([killer.keys(), killer.stamps()]);
    const places = placesOf(killerStamps, stamps);
    joinKeys(keys, killerKeys, (from, to, _, killerTo) => {
      // Equal keys are ordered by position: the last one is the newest.
      cut(from, to, places(killerKeys.order[killerTo - 1] ?? 0));
    });
  }
  if (killer.tombstoneCount > 0) {
    const tombstones = await killer.tombstones();
    const index = tombstoneIndex(tombstones);
    const limits = tombstoneLimits(tombstones, stamps);
    joinKeys(keys, index, (from, to, killerFrom, killerTo) => {
      let limit = 0;
      for (let place = killerFrom; place < killerTo; place++) {
        limit = Math.max(limit, limits[index.order[place] ?? 0] ?? 0);
      }
      cut(from, to, limit);
    });
  }
  return ascendingDistinct(dead);
}

/** False where ranges alone show that `killer` kills nothing in `victim`. */
export function mayKill(victim: RowSource, killer: RowSource): boolean {
  if (victim.rows === 0 || killer.rows + killer.tombstoneCount === 0) return false;
  if (!keysOverlap(victim.keyRange, killer.keyRange)) return false;
  const oldest = victim.positionRange?.min;
  const newest = killer.positionRange?.max;
  return oldest !== undefined && newest !== undefined && oldest < newest;
}

/**
 * Marks the rows of a key that are older than a place. Each killer's effect on a key is one such
 * limit, and versions of a key are ordered by age, so the dead are always the first ones.
 */
const cutterOf =
  ({ order }: KeyIndex, stamps: RowStamps, dead: number[]) =>
  (from: number, to: number, limit: number): void => {
    for (let place = from; place < to; place++) {
      const row = order[place] ?? 0;
      if (placeAt(stamps, row) >= limit) return;
      dead.push(row);
    }
  };

/** The places of the killer's rows among the victim's. */
function placesOf(killer: RowStamps, victim: RowStamps): (row: number) => number {
  if (killer === victim) return (row) => placeAt(victim, row);
  const starts = Float64Array.from(killer.records, (record) => placeOf(victim, record, 0));
  const known = Uint8Array.from(killer.records, (record, index) =>
    placeOf(victim, record, 1) === starts[index] ? 0 : 1,
  );
  return (row) => {
    const record = killer.record[row] ?? 0;
    return (starts[record] ?? 0) + (known[record] === 1 ? (killer.ordinal[row] ?? 0) : 0);
  };
}

/** Per tombstone the place below which the victim's rows are dead. */
function tombstoneLimits({ stamps, bounds }: StampedTombstones, victim: RowStamps): Float64Array {
  const places = placesOf(stamps, victim);
  return Float64Array.from(bounds, (bound, index) => {
    const own = places(index);
    if (bound === undefined) return own;
    const ordinal = Number.parseInt(bound.slice(-8), 16);
    // Not newer than the bound: the bound itself dies too.
    return Math.min(own, placeOf(victim, recordOf(bound), ordinal + 1));
  });
}

/** Tombstones are few and immutable; they are sorted once, when first asked for. */
const tombstoneIndexes = new WeakMap<StampedTombstones, KeyIndex>();

export function tombstoneIndex(tombstones: StampedTombstones): KeyIndex {
  let index = tombstoneIndexes.get(tombstones);
  if (index === undefined) {
    index = buildKeyIndex(tombstones.keys, tombstones.stamps);
    tombstoneIndexes.set(tombstones, index);
  }
  return index;
}

function ascendingDistinct(rows: readonly number[]): Uint32Array {
  const sorted = Uint32Array.from(rows).sort();
  return sorted.filter((row, index) => index === 0 || row !== sorted[index - 1]);
}

/** True where a key may be in the source, judging by its range. */
export const mayHoldKey = (source: RowSource, key: Key): boolean =>
  keysOverlap(source.keyRange, { min: key, max: key });
