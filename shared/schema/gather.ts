/** Columns and batches taken apart and put together: pick rows, join, fill, read one value. */
import { assert } from '#base/assert.ts';
import { fromUtf8 } from '#base/bytes.ts';
import { parseJson, shortFloat32 } from '#base/json.ts';
import { ColumnBuilder, Dictionary, type Stored, type Validity, validity } from './build.ts';
import {
  bitmapOf,
  type Column,
  hasBit,
  isPresent,
  type JsonColumn,
  type Key,
  type KeyColumn,
  type RowBatch,
  type StringColumn,
  setBit,
  type VectorColumn,
} from './column.ts';
import type { Field, Json } from './field.ts';

/** One value outside of its column: a JSON field is parsed, a vector is a view of its column. */
export type Value = Json | Float32Array;

type Numbers = { [index: number]: number; readonly length: number };

/** Rows that the column has. */
export function rowsOf(column: Column): number {
  if (column.type === 'VarChar') return column.codes.length;
  if (column.type === 'JSON') return column.offsets.length - 1;
  return column.type === 'FloatVector' ? column.values.length / column.dim : column.values.length;
}

/** The given rows of a column, in the given order; a row may come more than once. */
export function gatherColumn(column: Column, rows: Uint32Array): Column {
  const valid = gatherValidity(column, rows);
  switch (column.type) {
    case 'Bool':
      return {
        type: 'Bool',
        values: pick(column.values, new Uint8Array(rows.length), rows),
        ...valid,
      };
    case 'Int8':
      return {
        type: 'Int8',
        values: pick(column.values, new Int8Array(rows.length), rows),
        ...valid,
      };
    case 'Int16':
      return {
        type: 'Int16',
        values: pick(column.values, new Int16Array(rows.length), rows),
        ...valid,
      };
    case 'Int32':
      return {
        type: 'Int32',
        values: pick(column.values, new Int32Array(rows.length), rows),
        ...valid,
      };
    case 'Float':
      return {
        type: 'Float',
        values: pick(column.values, new Float32Array(rows.length), rows),
        ...valid,
      };
    case 'Double':
      return {
        type: 'Double',
        values: pick(column.values, new Float64Array(rows.length), rows),
        ...valid,
      };
    case 'Int64': {
      const values = new BigInt64Array(rows.length);
      for (let at = 0; at < rows.length; at++) values[at] = column.values[rows[at] ?? 0] ?? 0n;
      return { type: 'Int64', values, ...valid };
    }
    case 'VarChar':
      return { ...gatherStrings(column, rows), ...valid };
    case 'JSON':
      return { ...gatherTexts(column, rows), ...valid };
    case 'FloatVector':
      return { ...gatherVectors(column, rows), ...valid };
  }
}

function gatherValidity(column: Column, rows: Uint32Array): Validity {
  if (column.valid === undefined) return {};
  const present = bitmapOf(rows.length);
  let presentCount = 0;
  for (let at = 0; at < rows.length; at++) {
    if (!hasBit(column.valid, rows[at] ?? 0)) continue;
    setBit(present, at);
    presentCount += 1;
  }
  return validity(present, presentCount, rows.length);
}

function pick<A extends Numbers>(from: A, into: A, rows: Uint32Array): A {
  const target: Numbers = into;
  for (let at = 0; at < rows.length; at++) target[at] = from[rows[at] ?? 0] ?? 0;
  return into;
}

/** Only the texts in use come along: a few rows must not drag a large dictionary behind them. */
function gatherStrings({ dictionary, codes }: StringColumn, rows: Uint32Array): StringColumn {
  const renumbered = new Map<number, number>();
  const kept: string[] = [];
  const picked = new Uint32Array(rows.length);
  for (let at = 0; at < rows.length; at++) {
    const old = codes[rows[at] ?? 0] ?? 0;
    let code = renumbered.get(old);
    if (code === undefined) {
      code = kept.push(dictionary[old] ?? '') - 1;
      renumbered.set(old, code);
    }
    picked[at] = code;
  }
  return { type: 'VarChar', dictionary: kept, codes: picked };
}

function gatherTexts(column: JsonColumn, rows: Uint32Array): JsonColumn {
  const offsets = new Uint32Array(rows.length + 1);
  let total = 0;
  for (let at = 0; at < rows.length; at++) {
    total += jsonBytesAt(column, rows[at] ?? 0).length;
    offsets[at + 1] = total;
  }
  assertOffsets(total);
  const bytes = new Uint8Array(total);
  for (let at = 0; at < rows.length; at++) {
    bytes.set(jsonBytesAt(column, rows[at] ?? 0), offsets[at] ?? 0);
  }
  return { type: 'JSON', offsets, bytes };
}

const assertOffsets = (total: number): void =>
  assert(total <= 0xffff_ffff, 'the JSON texts of a column fit 32-bit offsets');

function gatherVectors({ dim, values }: VectorColumn, rows: Uint32Array): VectorColumn {
  const picked = new Float32Array(rows.length * dim);
  for (let at = 0; at < rows.length; at++) {
    const from = (rows[at] ?? 0) * dim;
    picked.set(values.subarray(from, from + dim), at * dim);
  }
  return { type: 'FloatVector', dim, values: picked };
}

/** The given rows of every column and their partitions, in the given order. */
export function gatherBatch(batch: RowBatch, rows: Uint32Array): RowBatch {
  const columns = new Map<number, Column>();
  for (const [id, column] of batch.columns) columns.set(id, gatherColumn(column, rows));
  const partitions = pick(batch.partitions, new Uint32Array(rows.length), rows);
  return { count: rows.length, columns, partitions };
}

/** The rows of all columns, one column behind the other. At least one, all of one type and dim. */
export function concatColumns(columns: readonly Column[]): Column {
  const [first] = columns;
  assert(first !== undefined, 'something to concatenate');
  if (columns.length === 1) return first;
  const count = columns.reduce((sum, column) => sum + rowsOf(column), 0);
  const valid = concatValidity(columns, count);
  switch (first.type) {
    case 'Bool':
      return { type: 'Bool', values: join(all(columns, 'Bool'), new Uint8Array(count)), ...valid };
    case 'Int8':
      return { type: 'Int8', values: join(all(columns, 'Int8'), new Int8Array(count)), ...valid };
    case 'Int16':
      return {
        type: 'Int16',
        values: join(all(columns, 'Int16'), new Int16Array(count)),
        ...valid,
      };
    case 'Int32':
      return {
        type: 'Int32',
        values: join(all(columns, 'Int32'), new Int32Array(count)),
        ...valid,
      };
    case 'Int64':
      return {
        type: 'Int64',
        values: join(all(columns, 'Int64'), new BigInt64Array(count)),
        ...valid,
      };
    case 'Float':
      return {
        type: 'Float',
        values: join(all(columns, 'Float'), new Float32Array(count)),
        ...valid,
      };
    case 'Double':
      return {
        type: 'Double',
        values: join(all(columns, 'Double'), new Float64Array(count)),
        ...valid,
      };
    case 'VarChar':
      return { ...concatStrings(all(columns, 'VarChar'), count), ...valid };
    case 'JSON':
      return { ...concatTexts(all(columns, 'JSON'), count), ...valid };
    case 'FloatVector': {
      const { dim } = first;
      const vectors = all(columns, 'FloatVector');
      for (const column of vectors) assert(column.dim === dim, 'vectors of one dimension');
      const values = join(vectors, new Float32Array(count * dim));
      return { type: 'FloatVector', dim, values, ...valid };
    }
  }
}

function all<T extends Column['type']>(
  columns: readonly Column[],
  type: T,
): readonly Extract<Column, { type: T }>[] {
  const ofType = (column: Column): column is Extract<Column, { type: T }> => column.type === type;
  assert(columns.every(ofType), `columns of one type, ${type}`);
  return columns.filter(ofType);
}

type Settable<A> = { set(values: A, at: number): void };

function join<A extends Settable<A> & { readonly length: number }>(
  parts: readonly Readonly<{ values: A }>[],
  into: A,
): A {
  let at = 0;
  for (const { values } of parts) {
    into.set(values, at);
    at += values.length;
  }
  return into;
}

function concatValidity(columns: readonly Column[], count: number): Validity {
  if (columns.every(({ valid }) => valid === undefined)) return {};
  const present = bitmapOf(count);
  let presentCount = 0;
  let base = 0;
  for (const column of columns) {
    const rows = rowsOf(column);
    for (let row = 0; row < rows; row++) {
      if (!isPresent(column, row)) continue;
      setBit(present, base + row);
      presentCount += 1;
    }
    base += rows;
  }
  return validity(present, presentCount, count);
}

function concatStrings(columns: readonly StringColumn[], count: number): StringColumn {
  const dictionary = new Dictionary();
  const codes = new Uint32Array(count);
  let at = 0;
  for (const column of columns) {
    const renumbered = Uint32Array.from(column.dictionary, (text) => dictionary.code(text));
    for (const code of column.codes) codes[at++] = renumbered[code] ?? 0;
  }
  return { type: 'VarChar', dictionary: dictionary.entries, codes };
}

function concatTexts(columns: readonly JsonColumn[], count: number): JsonColumn {
  const total = columns.reduce((sum, column) => sum + textBytes(column).length, 0);
  assertOffsets(total);
  const offsets = new Uint32Array(count + 1);
  const bytes = new Uint8Array(total);
  let at = 0;
  let base = 0;
  for (const column of columns) {
    const texts = textBytes(column);
    const first = column.offsets[0] ?? 0;
    bytes.set(texts, base);
    for (let row = 1; row < column.offsets.length; row++) {
      offsets[++at] = base + (column.offsets[row] ?? 0) - first;
    }
    base += texts.length;
  }
  return { type: 'JSON', offsets, bytes };
}

/** The bytes between a column's first and last offset. */
const textBytes = ({ offsets, bytes }: JsonColumn): Uint8Array =>
  bytes.subarray(offsets[0] ?? 0, offsets[offsets.length - 1] ?? 0);

/** The rows of all batches, one behind the other. At least one, all with the same fields. */
export function concatBatches(batches: readonly RowBatch[]): RowBatch {
  const [first] = batches;
  assert(first !== undefined, 'something to concatenate');
  if (batches.length === 1) return first;
  const columns = new Map<number, Column>();
  for (const id of first.columns.keys()) {
    const parts = batches.map(({ columns: own }) => {
      const column = own.get(id);
      assert(column !== undefined && own.size === first.columns.size, `field ${id} in every batch`);
      return column;
    });
    columns.set(id, concatColumns(parts));
  }
  const count = batches.reduce((sum, batch) => sum + batch.count, 0);
  const partitions = join(
    batches.map((batch) => ({ values: batch.partitions })),
    new Uint32Array(count),
  );
  return { count, columns, partitions };
}

/** What rows hold that were written before the field was added: its default value, else nothing. */
export function emptyColumn(field: Field, count: number): Column {
  const builder = new ColumnBuilder(field, count);
  if (field.defaultValue !== undefined && field.defaultValue !== null) {
    // Only scalar fields other than JSON have defaults, and they are kept in their stored form.
    const value = field.defaultValue as Stored;
    for (let row = 0; row < count; row++) builder.set(row, value);
  }
  return builder.finish();
}

/**
 * One value: Int64 as bigint, JSON parsed, a Float as the double with its shortest decimal (which
 * narrows back to the stored float32), a vector as a view. Null where the row has none.
 */
export function valueAt(column: Column, row: number): Value {
  if (!isPresent(column, row)) return null;
  switch (column.type) {
    case 'Bool':
      return column.values[row] === 1;
    case 'Float':
      return shortFloat32(column.values[row] ?? 0);
    case 'VarChar':
      return stringAt(column, row);
    case 'JSON':
      return parseJson(jsonTextAt(column, row));
    case 'FloatVector':
      return column.values.subarray(row * column.dim, (row + 1) * column.dim);
    default:
      return column.values[row] ?? null;
  }
}

const stringAt = ({ dictionary, codes }: StringColumn, row: number): string =>
  dictionary[codes[row] ?? 0] ?? '';

/** The canonical JSON text of a row as UTF-8, a view; empty where the row has none. */
export const jsonBytesAt = ({ offsets, bytes }: JsonColumn, row: number): Uint8Array =>
  bytes.subarray(offsets[row] ?? 0, offsets[row + 1] ?? 0);

/** The canonical JSON text of a row; empty where the row has none. */
export const jsonTextAt = (column: JsonColumn, row: number): string =>
  fromUtf8(jsonBytesAt(column, row));

/** A row's primary key. */
export const keyAt = (column: KeyColumn, row: number): Key =>
  column.type === 'Int64' ? (column.values[row] ?? 0n) : stringAt(column, row);

/** The primary-key column of a batch. */
export function keyColumn(batch: RowBatch, keyField: Field): KeyColumn {
  const column = batch.columns.get(keyField.id);
  assert(column?.type === 'Int64' || column?.type === 'VarChar', `keys in field ${keyField.id}`);
  return column;
}
