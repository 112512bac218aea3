/**
 * Positions in binary: about a third of their text, and valid by construction when read back.
 *
 *     kind       u8      0 origin, 1 record position, 2 row position
 *     generation varint  (not for the origin)
 *     epoch      varint
 *     sequence   string of decimal digits
 *     ordinal    varint  (row positions only)
 */
import type { ByteReader, ByteWriter } from '#base/bytes.ts';
import {
  ORIGIN,
  parsePosition,
  type RecordPosition,
  type RowPosition,
  recordPosition,
  rowPosition,
} from '#base/position.ts';

const IS_ORIGIN = 0;
const IS_RECORD = 1;
const IS_ROW = 2;
const U32_MAX = 0xffff_ffff;

export function writePosition(writer: ByteWriter, position: RecordPosition | RowPosition): void {
  if (position === ORIGIN) {
    writer.u8(IS_ORIGIN);
    return;
  }
  const { generation, epoch, sequence, ordinal } = parsePosition(position);
  writer.u8(ordinal === undefined ? IS_RECORD : IS_ROW);
  writer.varint(generation).varint(epoch).string(sequence);
  if (ordinal !== undefined) writer.varint(ordinal);
}

/** A record position or `ORIGIN`. */
export function readRecordPosition(reader: ByteReader): RecordPosition {
  const kind = reader.u8();
  if (kind === IS_ORIGIN) return ORIGIN;
  if (kind !== IS_RECORD) reader.fail(`kind ${kind} is no record position`);
  return readRecordParts(reader);
}

export function readRowPosition(reader: ByteReader): RowPosition {
  const kind = reader.u8();
  if (kind !== IS_ROW) reader.fail(`kind ${kind} is no row position`);
  const record = readRecordParts(reader);
  return rowPosition(record, readU32(reader, 'ordinal'));
}

function readRecordParts(reader: ByteReader): RecordPosition {
  const generation = readU32(reader, 'generation');
  const epoch = readU32(reader, 'epoch');
  const sequence = reader.string();
  if (!/^(0|[1-9][0-9]{0,55})$/.test(sequence)) reader.fail('a sequence that is no number');
  return recordPosition(generation, epoch, sequence);
}

/** A varint that must fit 32 bits. */
export function readU32(reader: ByteReader, what: string): number {
  const value = reader.varint();
  return value <= U32_MAX ? value : reader.fail(`${what} ${value} is no u32`);
}
