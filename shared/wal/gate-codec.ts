/** The gate's row as bytes; normative text: docs/formats/record.md. */
import type { ByteReader, ByteWriter } from '#base/bytes.ts';
import { nameCode, openFrame, readFrame, readName, sealFrame } from './frame.ts';
import type { Gate, RaisedFence } from './gate.ts';
import { readU32 } from './position-codec.ts';
import { FENCE_ACTIONS, SHARD_STATES } from './record.ts';
import { readRecordId, writeRecordId } from './record-codec.ts';

/**
 * A raise whose answer was lost recognises itself among this many later fences. Each fence waits
 * for a round trip through the log, and the raise looks again within one call of the table.
 */
export const FENCES_REMEMBERED = 16;

const FORMAT = { magic: 'SGAT', version: 1 };
const FLAG_LEASE = 1;
const FLAG_UNDER_WAY = 2;
const FLAGS_KNOWN = FLAG_LEASE | FLAG_UNDER_WAY;

export function encodeGate(gate: Gate): Uint8Array {
  const writer = openFrame(FORMAT);
  writer.u8((gate.lease ? FLAG_LEASE : 0) | (gate.underWay === undefined ? 0 : FLAG_UNDER_WAY));
  writer.varint(gate.number).varint(gate.epoch).varint(gate.generation);
  writer.varint(gate.schemaVersion).varint(gate.shardMapVersion);
  writer.u8(nameCode(SHARD_STATES, gate.state));
  if (gate.underWay !== undefined) writeFence(writer, gate.underWay);
  writer.varint(gate.past.length);
  for (const fence of gate.past) writeFence(writer, fence);
  return sealFrame(writer);
}

/** @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW` */
export function decodeGate(bytes: Uint8Array, what: string): Gate {
  const { reader } = readFrame(bytes, FORMAT, what);
  const flags = reader.u8();
  if ((flags & ~FLAGS_KNOWN) !== 0) reader.fail(`unknown flags ${flags}`);
  const gate = {
    number: reader.varint(),
    epoch: readU32(reader, 'epoch'),
    generation: readU32(reader, 'generation'),
    lease: (flags & FLAG_LEASE) !== 0,
    schemaVersion: reader.varint(),
    shardMapVersion: reader.varint(),
    state: readName(reader, SHARD_STATES, 'shard state'),
  };
  const underWay = (flags & FLAG_UNDER_WAY) !== 0 ? { underWay: readFence(reader) } : {};
  const count = reader.varint();
  if (count > FENCES_REMEMBERED) reader.fail(`${count} past fences`);
  const past = Array.from({ length: count }, () => readFence(reader));
  reader.end();
  return { ...gate, ...underWay, past };
}

function writeFence(writer: ByteWriter, { action, number, recordId }: RaisedFence): void {
  writer.u8(nameCode(FENCE_ACTIONS, action)).varint(number);
  writeRecordId(writer, recordId);
}

const readFence = (reader: ByteReader): RaisedFence => ({
  action: readName(reader, FENCE_ACTIONS, 'fence action'),
  number: reader.varint(),
  recordId: readRecordId(reader),
});
