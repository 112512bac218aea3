/**
 * Canonical bytes of rows and the set-sums over them (I7).
 *
 * What is summed is the same in every region, clone and restore: key, position and the values that
 * are present, by field id. No region, collection or partition id, no schema version. Normative text
 * and test vectors: docs/formats/canonical-row.md, test/golden/setsum.json.
 */
import { assert } from '#base/assert.ts';
import { ByteWriter, bytesOf, utf8 } from '#base/bytes.ts';
import type { RowPosition } from '#base/position.ts';
import { addSum, emptySum, itemSum, type SetSum } from '#base/setsum.ts';
import { type Column, isPresent, type Key, type RowBatch } from './column.ts';
import { type CollectionSchema, primaryField } from './field.ts';
import { jsonBytesAt, keyAt, keyColumn } from './gather.ts';

const ROW_ITEM = 1;
const TOMBSTONE_ITEM = 2;
const INT64_KEY = 1;
const VARCHAR_KEY = 2;

/** A type's number in canonical bytes; never changed, never reused. */
const TYPE_TAGS = {
  Bool: 1,
  Int8: 2,
  Int16: 3,
  Int32: 4,
  Int64: 5,
  Float: 6,
  Double: 7,
  VarChar: 8,
  JSON: 9,
  FloatVector: 10,
} as const satisfies Record<Column['type'], number>;

/** Tag and 8 bytes little-endian, or tag and UTF-8 behind its length. */
export function writeKey(writer: ByteWriter, key: Key): void {
  if (typeof key === 'bigint') writer.u8(INT64_KEY).i64(key);
  else writer.u8(VARCHAR_KEY).string(key);
}

/** The values of one row that are present, by ascending field id. */
export function canonicalRow(batch: RowBatch, row: number): Uint8Array {
  const writer = new ByteWriter();
  for (const write of valueWriters(batch)) write(writer, row);
  return writer.finish();
}

/** The sum of one row version. */
export function rowSum(position: RowPosition, key: Key, canonical: Uint8Array): SetSum {
  const writer = new ByteWriter();
  writer.u8(ROW_ITEM).string(position);
  writeKey(writer, key);
  return itemSum(writer.raw(canonical).view());
}

/** The sum of one tombstone; `bound` is the position up to which it kills, itself included. */
export function tombstoneSum(position: RowPosition, key: Key, bound?: RowPosition): SetSum {
  const writer = new ByteWriter();
  writer.u8(TOMBSTONE_ITEM).string(position);
  writeKey(writer, key);
  if (bound === undefined) writer.u8(0);
  else writer.u8(1).string(bound);
  return itemSum(writer.view());
}

/** The sum of all rows of a batch. */
export const batchSum = (
  schema: CollectionSchema,
  batch: RowBatch,
  positionOf: (row: number) => RowPosition,
): SetSum => rowsSum(schema, batch, positionOf, allRows(batch.count));

function* allRows(count: number): Iterable<number> {
  for (let row = 0; row < count; row++) yield row;
}

/** The sum of some rows of a batch: what {@link rowSum} gives for each, added up. */
export function rowsSum(
  schema: CollectionSchema,
  batch: RowBatch,
  positionOf: (row: number) => RowPosition,
  rows: Iterable<number>,
): SetSum {
  const keys = keyColumn(batch, primaryField(schema));
  const writers = valueWriters(batch);
  const writer = new ByteWriter(4096);
  const total = emptySum();
  for (const row of rows) {
    writer.clear().u8(ROW_ITEM).string(positionOf(row));
    writeKey(writer, keyAt(keys, row));
    for (const write of writers) write(writer, row);
    addSum(total, itemSum(writer.view()));
  }
  return total;
}

type ValueWriter = (writer: ByteWriter, row: number) => void;

/** Per field, by ascending id, what writes (id, type, value) of a row that has a value. */
function valueWriters(batch: RowBatch): readonly ValueWriter[] {
  const columns = [...batch.columns].sort(([a], [b]) => a - b);
  return columns.map(([id, column]) => {
    const tag = TYPE_TAGS[column.type];
    const value = valueWriter(column);
    return (writer, row) => {
      if (!isPresent(column, row)) return;
      writer.varint(id).u8(tag);
      value(writer, row);
    };
  });
}

function valueWriter(column: Column): ValueWriter {
  switch (column.type) {
    case 'Bool':
    case 'Int8':
      return (writer, row) => writer.u8(at(column.values, row));
    case 'Int16':
      return (writer, row) => writer.u8(at(column.values, row)).u8(at(column.values, row) >> 8);
    case 'Int32':
      return (writer, row) => writer.u32(at(column.values, row));
    case 'Int64':
      return (writer, row) => writer.i64(column.values[row] ?? 0n);
    case 'Float':
      return (writer, row) => writer.f32(at(column.values, row));
    case 'Double':
      return (writer, row) => writer.f64(at(column.values, row));
    case 'VarChar':
      return (writer, row) => writer.bytes(utf8(column.dictionary[at(column.codes, row)] ?? ''));
    case 'JSON':
      return (writer, row) => writer.bytes(jsonBytesAt(column, row));
    case 'FloatVector': {
      assert(LITTLE_ENDIAN, 'a little-endian machine: vectors are summed as they lie in memory');
      const bytes = bytesOf(column.values);
      const stride = column.dim * 4;
      return (writer, row) =>
        writer.varint(column.dim).raw(bytes.subarray(row * stride, (row + 1) * stride));
    }
  }
}

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

const at = (values: { readonly [index: number]: number }, row: number): number => values[row] ?? 0;
