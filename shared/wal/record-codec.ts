/**
 * WAL records as bytes. Normative text: docs/formats/record.md.
 *
 * Decoding is total: whatever the bytes are, the answer is a record, `DATA_CORRUPT` or
 * `FORMAT_TOO_NEW`, so that apply can park a shard on a bad record instead of falling over (I11).
 */

import { assert } from '#base/assert.ts';
import { type ByteReader, type ByteWriter, fromHex, toHex } from '#base/bytes.ts';
import { decodeFenceBody, encodeFenceBody } from './fence.ts';
import { nameCode, openFrame, readFrame, readName, sealFrame } from './frame.ts';
import { readPayloadRef, writePayloadRef } from './payload-ref.ts';
import { readRecordPosition, readU32, writePosition } from './position-codec.ts';
import { type FenceBody, type Origin, VERDICTS, type WalRecord, type WriteBody } from './record.ts';

const FORMAT = { magic: 'SREC', version: 1 };
const FLAG_FENCE = 1;
const FLAG_ORIGIN = 2;
const FLAGS_KNOWN = FLAG_FENCE | FLAG_ORIGIN;
export const RECORD_ID_BYTES = 16;

export function encodeRecord(record: WalRecord): Uint8Array {
  const { body, origin } = record;
  const writer = openFrame(FORMAT);
  writer.u8((body.kind === 'fence' ? FLAG_FENCE : 0) | (origin === undefined ? 0 : FLAG_ORIGIN));
  writeRecordId(writer, record.recordId);
  writer.varint(record.collectionId).varint(record.shard);
  writer.varint(record.deadlineMs).varint(record.epoch).varint(record.fenceNumber);
  writer.varint(record.schemaVersion);
  if (body.kind === 'fence') writer.bytes(encodeFenceBody(body));
  else {
    writer.varint(body.rows).varint(body.tombstones);
    writePayloadRef(writer, body.payload);
  }
  if (origin !== undefined) writeOrigin(writer, origin);
  return sealFrame(writer);
}

/**
 * An inline payload in the result is a view of `bytes`, which must not change.
 *
 * @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW`
 */
export function decodeRecord(bytes: Uint8Array, what = 'a WAL record'): WalRecord {
  const { reader } = readFrame(bytes, FORMAT, what);
  const flags = reader.u8();
  if ((flags & ~FLAGS_KNOWN) !== 0) reader.fail(`unknown flags ${flags}`);
  const head = {
    recordId: readRecordId(reader),
    collectionId: reader.varint(),
    shard: readU32(reader, 'shard'),
    deadlineMs: reader.varint(),
    epoch: readU32(reader, 'epoch'),
    fenceNumber: reader.varint(),
    schemaVersion: reader.varint(),
  };
  const body = (flags & FLAG_FENCE) !== 0 ? readFence(reader, what) : readWrite(reader);
  const origin = (flags & FLAG_ORIGIN) !== 0 ? { origin: readOrigin(reader) } : {};
  reader.end();
  return { ...head, body, ...origin };
}

export function writeRecordId(writer: ByteWriter, recordId: string): void {
  assert(/^[0-9a-f]{32}$/.test(recordId), 'a record id has 32 hexadecimal digits');
  writer.raw(fromHex(recordId));
}

export const readRecordId = (reader: ByteReader): string => toHex(reader.raw(RECORD_ID_BYTES));

const readFence = (reader: ByteReader, what: string): FenceBody =>
  decodeFenceBody(reader.bytes(), `${what}: fence`);

function readWrite(reader: ByteReader): WriteBody {
  const rows = readU32(reader, 'row count');
  const tombstones = readU32(reader, 'tombstone count');
  return { kind: 'write', rows, tombstones, payload: readPayloadRef(reader) };
}

function writeOrigin(writer: ByteWriter, origin: Origin): void {
  writePosition(writer, origin.position);
  writePosition(writer, origin.previous);
  writer.varint(origin.logTimeMs).u8(nameCode(VERDICTS, origin.verdict));
}

function readOrigin(reader: ByteReader): Origin {
  return {
    position: readRecordPosition(reader),
    previous: readRecordPosition(reader),
    logTimeMs: reader.varint(),
    verdict: readName(reader, VERDICTS, 'verdict'),
  };
}
