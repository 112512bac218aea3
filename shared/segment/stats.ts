/** Column statistics: made when rows are written, kept in the segment and in the manifest. */
import type { ByteReader, ByteWriter } from '#base/bytes.ts';
import type { ColumnStats } from '#filter/prune.ts';
import { type Column, isPresent, type StringColumn } from '#schema/column.ts';
import { rowsOf } from '#schema/gather.ts';

type Bound = number | bigint | string;

/**
 * Texts longer than this have no bounds: the statistics of 64 fields must stay far below the
 * manifest that they ride in (64 x 2 x 128 bytes = 16 KiB at the very worst).
 */
const TEXT_BYTES_MAX = 128;

const HAS_BOUNDS = 1;
const KIND_NUMBER = 0;
const KIND_BIGINT = 1;
const KIND_TEXT = 2;

/** Counts, and the smallest and largest value where the type has an order. */
export function statsOf(column: Column): ColumnStats {
  const rows = rowsOf(column);
  const nulls = countNulls(column, rows);
  const bounds = nulls === rows ? undefined : boundsOf(column, rows);
  return bounds === undefined ? { rows, nulls } : { rows, nulls, min: bounds[0], max: bounds[1] };
}

function countNulls(column: Column, rows: number): number {
  if (column.valid === undefined) return 0;
  let nulls = 0;
  for (let row = 0; row < rows; row++) if (!isPresent(column, row)) nulls += 1;
  return nulls;
}

function boundsOf(column: Column, rows: number): readonly [Bound, Bound] | undefined {
  switch (column.type) {
    case 'Bool':
    case 'JSON':
    case 'FloatVector':
      return undefined;
    case 'VarChar':
      return textBounds(column, rows);
    case 'Int64':
      return range(column, rows, column.values);
    default:
      return range(column, rows, column.values);
  }
}

function range<T extends number | bigint>(
  column: Column,
  rows: number,
  values: { readonly [row: number]: T },
): readonly [T, T] | undefined {
  let min: T | undefined;
  let max: T | undefined;
  for (let row = 0; row < rows; row++) {
    const value = values[row];
    if (value === undefined || !isPresent(column, row)) continue;
    if (min === undefined || value < min) min = value;
    if (max === undefined || value > max) max = value;
  }
  return min === undefined || max === undefined ? undefined : [min, max];
}

/**
 * None where a text is long, or lies beyond the basic plane: there the order by UTF-16 units and the
 * order by UTF-8 bytes differ, and bounds must hold whichever a reader compares by.
 */
function textBounds(column: StringColumn, rows: number): readonly [string, string] | undefined {
  const used = new Uint8Array(column.dictionary.length);
  for (let row = 0; row < rows; row++) if (isPresent(column, row)) used[column.codes[row] ?? 0] = 1;
  let min: string | undefined;
  let max: string | undefined;
  for (let code = 0; code < used.length; code++) {
    const text = column.dictionary[code];
    if (used[code] === 0 || text === undefined) continue;
    if (/[\ud800-\udfff]/.test(text)) return undefined;
    if (min === undefined || text < min) min = text;
    if (max === undefined || text > max) max = text;
  }
  if (min === undefined || max === undefined) return undefined;
  const longest = Math.max(Buffer.byteLength(min), Buffer.byteLength(max));
  return longest > TEXT_BYTES_MAX ? undefined : [min, max];
}

/** Appends statistics by field id; normative text: docs/formats/segment.md. */
export function writeStats(writer: ByteWriter, stats: ReadonlyMap<number, ColumnStats>): void {
  writer.varint(stats.size);
  for (const [fieldId, { rows, nulls, min, max }] of stats) {
    writer.varint(fieldId).varint(rows).varint(nulls);
    if (min === undefined || max === undefined) {
      writer.u8(0);
      continue;
    }
    writer.u8(HAS_BOUNDS);
    writeBound(writer, min);
    writeBound(writer, max);
  }
}

/** Reads what {@link writeStats} wrote; anything else is `DATA_CORRUPT`. */
export function readStats(reader: ByteReader): ReadonlyMap<number, ColumnStats> {
  const stats = new Map<number, ColumnStats>();
  const count = reader.varint();
  for (let index = 0; index < count; index++) {
    const fieldId = reader.varint();
    const counts = { rows: reader.varint(), nulls: reader.varint() };
    const flags = reader.u8();
    if (flags > HAS_BOUNDS) reader.fail('unknown flags of statistics');
    if (flags === 0) stats.set(fieldId, counts);
    else stats.set(fieldId, { ...counts, min: readBound(reader), max: readBound(reader) });
  }
  return stats;
}

function writeBound(writer: ByteWriter, value: Bound): void {
  if (typeof value === 'number') writer.u8(KIND_NUMBER).f64(value);
  else if (typeof value === 'bigint') writer.u8(KIND_BIGINT).i64(value);
  else writer.u8(KIND_TEXT).string(value);
}

function readBound(reader: ByteReader): Bound {
  const kind = reader.u8();
  if (kind === KIND_NUMBER) return reader.f64();
  if (kind === KIND_BIGINT) return reader.i64();
  if (kind === KIND_TEXT) return reader.string();
  return reader.fail(`unknown kind ${kind} of a bound`);
}
