/**
 * Where a payload is, as bytes: part of WAL records and tail rows.
 *
 *     place  u8  0 inline, 1 object
 *     inline: the payload, behind a varint length
 *     object: key (string), size (varint), CRC-32 of the object (u32)
 */
import type { ByteReader, ByteWriter } from '#base/bytes.ts';
import type { PayloadRef } from './record.ts';

const INLINE = 0;
const OBJECT = 1;

export function writePayloadRef(writer: ByteWriter, ref: PayloadRef): void {
  if (ref.at === 'inline') writer.u8(INLINE).bytes(ref.bytes);
  else writer.u8(OBJECT).string(ref.key).varint(ref.sizeBytes).u32(ref.crc32);
}

/** Inline bytes are a view of what the reader reads. */
export function readPayloadRef(reader: ByteReader): PayloadRef {
  const place = reader.u8();
  if (place === INLINE) return { at: 'inline', bytes: reader.bytes() };
  if (place !== OBJECT) reader.fail(`unknown payload place ${place}`);
  return { at: 'object', key: reader.string(), sizeBytes: reader.varint(), crc32: reader.u32() };
}
