/** Tombstones in a segment's object, and the helpers that compaction needs to carry them on. */
import { assert, must } from '#base/assert.ts';
import { ByteReader, ByteWriter } from '#base/bytes.ts';
import { type RowPosition, recordOf } from '#base/position.ts';
import { bitmapOf, type Column, hasBit, type KeyColumn, setBit } from '#schema/column.ts';
import { decodeColumn, encodeColumn } from '#schema/column-codec.ts';
import { concatColumns, gatherColumn, rowsOf } from '#schema/gather.ts';
import type { StampedTombstones } from './source.ts';
import {
  buildStamps,
  concatStamps,
  gatherStamps,
  NO_STAMPS,
  positionAt,
  readStamps,
  stampCount,
  writeStamps,
} from './stamps.ts';

/** No tombstones, for keys of the given type. */
export const noTombstones = (keyType: KeyColumn['type']): StampedTombstones => ({
  count: 0,
  keys: emptyKeys(keyType),
  stamps: NO_STAMPS,
  bounds: [],
});

const emptyKeys = (type: KeyColumn['type']): KeyColumn =>
  type === 'Int64'
    ? { type, values: new BigInt64Array(0) }
    : { type, dictionary: [], codes: new Uint32Array(0) };

/** The given tombstones in the given order. */
export function gatherTombstones(all: StampedTombstones, picked: Uint32Array): StampedTombstones {
  return {
    count: picked.length,
    keys: asKeys(gatherColumn(all.keys, picked)),
    stamps: gatherStamps(all.stamps, picked),
    bounds: Array.from(picked, (index) => all.bounds[index]),
  };
}

/** All tombstones, one list behind the other. At least one list. */
export function concatTombstones(all: readonly StampedTombstones[]): StampedTombstones {
  return {
    count: all.reduce((sum, { count }) => sum + count, 0),
    keys: asKeys(concatColumns(all.map(({ keys }) => keys))),
    stamps: concatStamps(all.map(({ stamps }) => stamps)),
    bounds: all.flatMap(({ bounds }) => bounds),
  };
}

/** Gathering and joining keep the type. */
function asKeys(column: Column): KeyColumn {
  assert(column.type === 'Int64' || column.type === 'VarChar', 'keys are Int64 or VarChar');
  return column;
}

/** Keys as a column, own stamps, a bitmap of those with a bound, and the bounds as stamps. */
export function encodeTombstones({ count, keys, stamps, bounds }: StampedTombstones): Uint8Array {
  assert(rowsOf(keys) === count, `${count} tombstones have ${rowsOf(keys)} keys`);
  assert(stampCount(stamps) === count && bounds.length === count, 'every tombstone has a position');
  const bounded = bitmapOf(count);
  const runs = bounds.flatMap((bound, index) => {
    if (bound === undefined) return [];
    setBit(bounded, index);
    return [{ record: recordOf(bound), logTimeMs: 0, count: 1, firstOrdinal: ordinalOf(bound) }];
  });
  const column = encodeColumn(keys);
  const writer = new ByteWriter(column.length + 64);
  writer.u32(count).u32(column.length).raw(column);
  writeStamps(writer, stamps);
  writer.raw(bounded);
  writeStamps(writer, buildStamps(runs));
  return writer.finish();
}

const ordinalOf = (position: RowPosition): number => Number.parseInt(position.slice(-8), 16);

/** @throws StoreError `DATA_CORRUPT` for whatever are no tombstones */
export function decodeTombstones(bytes: Uint8Array, what: string): StampedTombstones {
  const reader: ByteReader = new ByteReader(bytes, what);
  const count = reader.u32();
  const keys = decodeColumn(reader.raw(reader.u32()), `${what}: keys`);
  if (keys.type !== 'Int64' && keys.type !== 'VarChar') reader.fail(`keys of type ${keys.type}`);
  const stamps = readStamps(reader);
  const bounded = reader.raw((count + 7) >> 3);
  const boundStamps = readStamps(reader);
  reader.end();
  if (rowsOf(keys) !== count || stampCount(stamps) !== count) {
    reader.fail(`${count} tombstones with ${rowsOf(keys)} keys and ${stampCount(stamps)} stamps`);
  }
  const bounds: (RowPosition | undefined)[] = [];
  let next = 0;
  for (let index = 0; index < count; index++) {
    bounds.push(hasBit(bounded, index) ? boundAt(next++) : undefined);
  }
  if (next !== stampCount(boundStamps)) reader.fail(`${next} bounds`);
  return { count, keys, stamps, bounds };

  function boundAt(index: number): RowPosition {
    if (index >= stampCount(boundStamps)) reader.fail('fewer bounds than the bitmap says');
    return must(positionAt(boundStamps, index), 'a bound');
  }
}
