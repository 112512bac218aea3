/** Every format of the WAL chapter: what was written is read, what was damaged is refused (I11). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter } from '#base/bytes.ts';
import { ORIGIN } from '#base/position.ts';
import { decodeFenceBody, encodeFenceBody } from '#wal/fence.ts';
import { decodeGate, encodeGate } from '#wal/gate-codec.ts';
import { decodePayload, encodePayload } from '#wal/payload.ts';
import { readRecordPosition, readRowPosition, writePosition } from '#wal/position-codec.ts';
import { decodeRecord, encodeRecord } from '#wal/record-codec.ts';
import { decodeTailEntry, encodeTailEntry } from '#wal/tail.ts';
import {
  fenceBodies,
  gates,
  payloads,
  recordPositions,
  records,
  rowPositions,
  tailEntries,
} from './arbitrary-records.ts';
import {
  checkDamage,
  checkRoundTrip,
  checkTotality,
  expectRefusal,
  withVersion,
} from './codec-checks.ts';

const readGate = (bytes: Uint8Array) => decodeGate(bytes, 'a gate');
const readPayload = (bytes: Uint8Array) => decodePayload(bytes, 'a payload');
const at = '000000010000000101' + '7';
const readEntry = (bytes: Uint8Array) => decodeTailEntry(bytes, at, 'a tail row');
const entries = tailEntries.map((entry) => ({ ...entry, position: at }));

describe('record', () => {
  test('comes back as it went', () => checkRoundTrip(records, encodeRecord, decodeRecord));
  test('damage is refused', () => checkDamage(records, encodeRecord, decodeRecord));
  test('decoding is total', () => checkTotality(records, encodeRecord, decodeRecord));
});

describe('payload', () => {
  test('comes back as it went', () => checkRoundTrip(payloads, encodePayload, readPayload));
  test('damage is refused', () => checkDamage(payloads, encodePayload, readPayload));
  test('decoding is total', () => checkTotality(payloads, encodePayload, readPayload));
});

describe('gate', () => {
  test('comes back as it went', () => checkRoundTrip(gates, encodeGate, readGate));
  test('damage is refused', () => checkDamage(gates, encodeGate, readGate));
  test('decoding is total', () => checkTotality(gates, encodeGate, readGate));
});

describe('tail row', () => {
  test('comes back as it went', () => checkRoundTrip(entries, encodeTailEntry, readEntry));
  test('damage is refused', () => checkDamage(entries, encodeTailEntry, readEntry));
  test('decoding is total', () => checkTotality(entries, encodeTailEntry, readEntry));
});

test('a fence body comes back as it went, and every prefix is refused', () => {
  fc.assert(
    fc.property(fenceBodies, (body) => {
      const bytes = encodeFenceBody(body);
      expect(decodeFenceBody(bytes, 'a fence')).toEqual(body);
      for (let length = 0; length < bytes.length; length++) {
        expectRefusal(() => decodeFenceBody(bytes.slice(0, length), 'a fence'), 'DATA_CORRUPT');
      }
    }),
  );
  expectRefusal(() => decodeFenceBody(Uint8Array.of(2, 0, 0, 1), 'a fence'), 'FORMAT_TOO_NEW');
});

test('positions come back as they went, and keep their kind', () => {
  const written = (position: string) => {
    const writer = new ByteWriter();
    writePosition(writer, position);
    return new ByteReader(writer.finish(), 'a position');
  };
  fc.assert(
    fc.property(recordPositions, rowPositions, (record, row) => {
      expect(readRecordPosition(written(record))).toBe(record);
      expect(readRowPosition(written(row))).toBe(row);
      expectRefusal(() => readRecordPosition(written(row)), 'DATA_CORRUPT');
      expectRefusal(() => readRowPosition(written(record)), 'DATA_CORRUPT');
    }),
  );
  expect(readRecordPosition(written(ORIGIN))).toBe(ORIGIN);
});

test('a whole frame of a newer version is too new, not corrupt', () => {
  fc.assert(
    fc.property(records, fc.integer({ min: 2, max: 255 }), (record, version) => {
      const bytes = withVersion(encodeRecord(record), version);
      expectRefusal(() => decodeRecord(bytes), 'FORMAT_TOO_NEW');
    }),
  );
  fc.assert(
    fc.property(records, (record) => {
      expectRefusal(() => decodeRecord(withVersion(encodeRecord(record), 0)), 'DATA_CORRUPT');
      expectRefusal(() => readGate(encodeRecord(record)), 'DATA_CORRUPT');
    }),
  );
});
