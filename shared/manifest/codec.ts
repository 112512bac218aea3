/**
 * Manifests as bytes. Normative text: docs/formats/manifest.md.
 *
 * Compact rather than extensible: one manifest is written per commit, and one of up to 4 KiB rides in
 * its head row. What may grow without a new version are the kinds and facts of auxiliary objects.
 */

import { assert } from '#base/assert.ts';
import { type ByteReader, fromHex, toHex } from '#base/bytes.ts';
import { nameCode, openFrame, readFrame, readName, sealFrame } from '#wal/frame.ts';
import { readRecordPosition, readU32, writePosition } from '#wal/position-codec.ts';
import { SHARD_STATES } from '#wal/record.ts';
import {
  KeyReader,
  KeyWriter,
  readArchiveRef,
  readMany,
  readSegment,
  writeArchiveRef,
  writeSegment,
} from './entry-codec.ts';
import type { Manifest } from './format.ts';

const FORMAT = { magic: 'SMAN', version: 1 };
const SUM_BYTES = 32;

export function encodeManifest(manifest: Manifest): Uint8Array {
  const writer = openFrame(FORMAT, 1024);
  writer.varint(manifest.collectionId).varint(manifest.shard).varint(manifest.version);
  writer.varint(manifest.generation).varint(manifest.epoch).varint(manifest.fenceNumber);
  writer.u8(nameCode(SHARD_STATES, manifest.state)).varint(manifest.schemaVersion);
  writePosition(writer, manifest.applied);
  writer.varint(manifest.logTimeMs);
  for (const sum of [manifest.sums.in, manifest.sums.held, manifest.sums.out]) {
    assert(/^[0-9a-f]{64}$/.test(sum), 'a set-sum has 64 hexadecimal digits');
    writer.raw(fromHex(sum));
  }
  writer.varint(manifest.rowsApplied).varint(manifest.collectedBelow);
  const keys = new KeyWriter(writer);
  writer.varint(manifest.segments.length);
  for (const segment of manifest.segments) writeSegment(keys, segment);
  writer.varint(manifest.idWindow.length);
  for (const archive of manifest.idWindow) writeArchiveRef(keys, archive);
  writer.varint(manifest.retired.length);
  for (const { key, atMs } of manifest.retired) {
    keys.key(key);
    writer.varint(atMs);
  }
  return sealFrame(writer);
}

/**
 * @param what the name of the thing being read, for the message of the error
 * @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW`
 */
export function decodeManifest(bytes: Uint8Array, what: string): Manifest {
  const { reader } = readFrame(bytes, FORMAT, what);
  const head = {
    collectionId: reader.varint(),
    shard: reader.varint(),
    version: reader.varint(),
    generation: readU32(reader, 'generation'),
    epoch: readU32(reader, 'epoch'),
    fenceNumber: reader.varint(),
    state: readName(reader, SHARD_STATES, 'shard state'),
    schemaVersion: reader.varint(),
    applied: readRecordPosition(reader),
    logTimeMs: reader.varint(),
    sums: { in: readSum(reader), held: readSum(reader), out: readSum(reader) },
    rowsApplied: reader.varint(),
    collectedBelow: reader.varint(),
  };
  const keys = new KeyReader(reader);
  const segments = readMany(reader, () => readSegment(keys));
  const idWindow = readMany(reader, () => readArchiveRef(keys));
  const retired = readMany(reader, () => ({ key: keys.key(), atMs: reader.varint() }));
  reader.end();
  return { ...head, segments, idWindow, retired };
}

const readSum = (reader: ByteReader): string => toHex(reader.raw(SUM_BYTES));
