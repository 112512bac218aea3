/**
 * Columns: the values of one field for a run of rows, typed.
 *
 * One representation serves payloads, segments, filters and answers. `valid` is a bitmap (bit
 * `row & 7` of byte `row >> 3`, 1 = present); undefined means that every row has a value. Where a row
 * has none its slot holds zero, the empty string's code, or an empty text.
 */
import type { FieldType } from './field.ts';

export type Bitmap = Uint8Array;

export type Column =
  | Readonly<{ type: 'Bool'; values: Uint8Array; valid?: Bitmap }>
  | Readonly<{ type: 'Int8'; values: Int8Array; valid?: Bitmap }>
  | Readonly<{ type: 'Int16'; values: Int16Array; valid?: Bitmap }>
  | Readonly<{ type: 'Int32'; values: Int32Array; valid?: Bitmap }>
  | Readonly<{ type: 'Int64'; values: BigInt64Array; valid?: Bitmap }>
  | Readonly<{ type: 'Float'; values: Float32Array; valid?: Bitmap }>
  | Readonly<{ type: 'Double'; values: Float64Array; valid?: Bitmap }>
  | StringColumn
  | JsonColumn
  | VectorColumn;

/** Row `i` holds `dictionary[codes[i]]`. The dictionary has no order and no duplicates. */
export type StringColumn = Readonly<{
  type: 'VarChar';
  dictionary: readonly string[];
  codes: Uint32Array;
  valid?: Bitmap;
}>;

/** Row `i` holds the canonical JSON text `bytes[offsets[i]..offsets[i+1]]` (UTF-8). */
export type JsonColumn = Readonly<{
  type: 'JSON';
  offsets: Uint32Array;
  bytes: Uint8Array;
  valid?: Bitmap;
}>;

/** Row `i` holds `values[i*dim .. (i+1)*dim]`. */
export type VectorColumn = Readonly<{
  type: 'FloatVector';
  dim: number;
  values: Float32Array;
  valid?: Bitmap;
}>;

/** A primary-key column. */
export type KeyColumn = Extract<Column, { type: 'Int64' }> | StringColumn;
/** A primary key: bigint for Int64, string for VarChar. */
export type Key = bigint | string;

/** Rows of one collection, columnar. Every field of the schema version has a column. */
export type RowBatch = Readonly<{
  count: number;
  /** By field id. */
  columns: ReadonlyMap<number, Column>;
  /** Per row, the id of its partition. */
  partitions: Uint32Array;
}>;

export const bitmapOf = (count: number): Bitmap => new Uint8Array((count + 7) >> 3);
export const hasBit = (bitmap: Bitmap, row: number): boolean =>
  ((bitmap[row >> 3]! >> (row & 7)) & 1) === 1;
export const setBit = (bitmap: Bitmap, row: number): void => {
  bitmap[row >> 3]! |= 1 << (row & 7);
};
export const isPresent = (column: Column, row: number): boolean =>
  column.valid === undefined || hasBit(column.valid, row);

export const typeOf = (column: Column): FieldType => column.type;
