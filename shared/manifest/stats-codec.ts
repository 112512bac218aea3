/**
 * Column statistics as bytes: part of a segment's entry in the manifest.
 *
 *     count varint; per field, in order of ids:
 *     field id, rows, nulls: varints
 *     kind u8: 0 no bounds, 1 numbers (f64), 2 Int64 (i64), 3 strings; then min and max
 */
import type { ByteReader, ByteWriter } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import type { ColumnStats } from '#filter/prune.ts';
import { readU32 } from '#wal/position-codec.ts';

const NO_BOUNDS = 0;
const NUMBERS = 1;
const INT64S = 2;
const STRINGS = 3;

export function writeStats(writer: ByteWriter, stats: ReadonlyMap<number, ColumnStats>): void {
  writer.varint(stats.size);
  for (const [fieldId, entry] of [...stats].sort(([a], [b]) => a - b)) {
    writer.varint(fieldId).varint(entry.rows).varint(entry.nulls);
    writeBounds(writer, fieldId, entry);
  }
}

export function readStats(reader: ByteReader): ReadonlyMap<number, ColumnStats> {
  const stats = new Map<number, ColumnStats>();
  let last = -1;
  for (let left = reader.varint(); left > 0; left--) {
    const fieldId = reader.varint();
    if (fieldId <= last) reader.fail('statistics out of order');
    last = fieldId;
    const counts = { rows: readU32(reader, 'row count'), nulls: readU32(reader, 'null count') };
    stats.set(fieldId, { ...counts, ...readBounds(reader) });
  }
  return stats;
}

function writeBounds(writer: ByteWriter, fieldId: number, { min, max }: ColumnStats): void {
  if (min === undefined && max === undefined) writer.u8(NO_BOUNDS);
  else if (typeof min === 'number' && typeof max === 'number') {
    writer.u8(NUMBERS).f64(min).f64(max);
  } else if (typeof min === 'bigint' && typeof max === 'bigint') {
    writer.u8(INT64S).i64(min).i64(max);
  } else if (typeof min === 'string' && typeof max === 'string') {
    writer.u8(STRINGS).string(min).string(max);
  } else {
    throw new StoreError('INTERNAL', `statistics of field ${fieldId}: bounds of different types`);
  }
}

function readBounds(reader: ByteReader): Pick<ColumnStats, 'min' | 'max'> {
  const kind = reader.u8();
  switch (kind) {
    case NO_BOUNDS:
      return {};
    case NUMBERS:
      return { min: reader.f64(), max: reader.f64() };
    case INT64S:
      return { min: reader.i64(), max: reader.i64() };
    case STRINGS:
      return { min: reader.string(), max: reader.string() };
    default:
      return reader.fail(`unknown kind of bounds ${kind}`);
  }
}
