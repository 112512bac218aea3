/** One request's rows and tombstones, cut by shard. */
import { assert } from '#base/assert.ts';
import type { RowPosition } from '#base/position.ts';
import type { Column, Key, KeyColumn, RowBatch } from '#schema/column.ts';
import { type CollectionSchema, type Field, primaryField } from '#schema/field.ts';
import { emptyColumn, gatherBatch, keyAt, keyColumn } from '#schema/gather.ts';
import { shardOf } from '#schema/hash.ts';
import type { PayloadTombstones } from '#wal/payload.ts';

/** A version to delete; without `version` every version that is there when the record is applied. */
export type Victim = Readonly<{ key: Key; version?: RowPosition }>;

/** What one request changes in one shard. */
export type ShardPart = Readonly<{
  shard: number;
  rows: RowBatch;
  tombstones: PayloadTombstones;
}>;

/** Parts in shard order; a shard that nothing falls into has none. */
export function splitByShard(
  schema: CollectionSchema,
  shards: number,
  rows: RowBatch,
  victims: readonly Victim[],
): ShardPart[] {
  const rowsOf = rowNumbersByShard(keyColumn(rows, primaryField(schema)), rows.count, shards);
  const victimsOf = new Map<number, Victim[]>();
  for (const victim of victims) append(victimsOf, shardOf(victim.key, shards), victim);
  const used = [...new Set([...rowsOf.keys(), ...victimsOf.keys()])].sort((a, b) => a - b);
  return used.map((shard) => {
    const numbers = rowsOf.get(shard) ?? new Uint32Array(0);
    return {
      shard,
      rows: numbers.length === rows.count ? rows : gatherBatch(rows, numbers),
      tombstones: tombstonesOf(primaryField(schema), victimsOf.get(shard) ?? []),
    };
  });
}

/**
 * A part that changes nothing, for a shard that an earlier attempt may have written to: its record
 * takes the earlier one's place where that never arrived, and else is its duplicate.
 */
export const emptyPart = (schema: CollectionSchema, shard: number): ShardPart => ({
  shard,
  rows: emptyBatch(schema),
  tombstones: tombstonesOf(primaryField(schema), []),
});

export const emptyBatch = (schema: CollectionSchema): RowBatch => ({
  count: 0,
  columns: new Map(schema.fields.map((field) => [field.id, emptyColumn(field, 0)])),
  partitions: new Uint32Array(0),
});

function rowNumbersByShard(
  keys: KeyColumn,
  count: number,
  shards: number,
): ReadonlyMap<number, Uint32Array> {
  const numbers = new Map<number, number[]>();
  for (let row = 0; row < count; row++) append(numbers, shardOf(keyAt(keys, row), shards), row);
  return new Map([...numbers].map(([shard, own]) => [shard, Uint32Array.from(own)]));
}

function append<T>(lists: Map<number, T[]>, shard: number, item: T): void {
  const own = lists.get(shard);
  if (own === undefined) lists.set(shard, [item]);
  else own.push(item);
}

function tombstonesOf(keyField: Field, victims: readonly Victim[]): PayloadTombstones {
  return {
    keys: keyColumnOf(
      keyField,
      victims.map(({ key }) => key),
    ),
    bounds: victims.map(({ version }) => version),
  };
}

/** The keys as a column of the primary field's type. */
function keyColumnOf(field: Field, keys: readonly Key[]): KeyColumn {
  if (field.type === 'Int64') {
    return {
      type: 'Int64',
      values: BigInt64Array.from(keys, (key) => {
        assert(typeof key === 'bigint', 'an Int64 key is a bigint');
        return key;
      }),
    };
  }
  const codes = new Map<string, number>();
  const rows = Uint32Array.from(keys, (key) => {
    assert(typeof key === 'string', 'a VarChar key is a string');
    const code = codes.get(key) ?? codes.size;
    codes.set(key, code);
    return code;
  });
  return { type: 'VarChar', dictionary: [...codes.keys()], codes: rows };
}

/** The keys of a column in row order. */
export const keysOf = (column: Column & KeyColumn, count: number): Key[] =>
  Array.from({ length: count }, (_, row) => keyAt(column, row));
