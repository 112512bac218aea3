/**
 * A payload: the rows and tombstones of one write to one shard, columnar and immutable.
 *
 * The same bytes are the log's content, what reads scan in the tail, and the unit of replication.
 * Rows have the ordinals 0 to n - 1, tombstones n to n + m - 1. Normative text:
 * docs/formats/payload.md.
 */
import { assert } from '#base/assert.ts';
import { type ByteReader, type ByteWriter, toHex } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import { parsePosition, type RowPosition, recordOf, rowPosition } from '#base/position.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Column, KeyColumn, RowBatch } from '#schema/column.ts';
import { decodeColumn, encodeColumn } from '#schema/column-codec.ts';
import { rowsOf } from '#schema/gather.ts';
import { frameChecksum, openFrame, readFrame, sealFrame } from './frame.ts';
import { readRecordPosition, readU32, writePosition } from './position-codec.ts';
import { INLINE_BYTES_MAX, type PayloadRef } from './record.ts';
import { payloadKey, type ShardId } from './shard.ts';

export type Payload = Readonly<{
  schemaVersion: number;
  rows: RowBatch;
  tombstones: PayloadTombstones;
}>;

export type PayloadTombstones = Readonly<{
  keys: KeyColumn;
  /** Per key: nothing newer than this is killed; undefined: everything older than the tombstone. */
  bounds: readonly (RowPosition | undefined)[];
}>;

const FORMAT = { magic: 'SPAY', version: 1 };
/** Columns start at a multiple of this, so that they decode to views of an aligned buffer. */
const COLUMN_ALIGN = 8;
const ONE_PARTITION = 0;
const PARTITION_PER_ROW = 1;
/** 64 random bits after the mint time: two puts of one shard and millisecond never meet. */
const KEY_ENTROPY_BYTES = 8;

export function encodePayload({ schemaVersion, rows, tombstones }: Payload): Uint8Array {
  const tombstoneCount = tombstones.bounds.length;
  const columns = [...rows.columns].sort(([a], [b]) => a - b);
  assert(rowsOf(tombstones.keys) === tombstoneCount, 'every tombstone has a key and a bound');
  const encoded = columns.map(([fieldId, column]) => {
    assert(rowsOf(column) === rows.count, `field ${fieldId} has a value for every row`);
    return { fieldId, bytes: encodeColumn(column) };
  });
  const keys = encodeColumn(tombstones.keys);
  const columnBytes = encoded.reduce((sum, { bytes }) => sum + bytes.length + 24, keys.length);
  assert(rows.count <= columnBytes, 'every row takes a byte at least');
  const writer = openFrame(FORMAT, columnBytes + rows.count + 64);
  writer.varint(schemaVersion).varint(rows.count).varint(tombstoneCount);
  writePartitions(writer, rows);
  writer.varint(encoded.length);
  for (const { fieldId, bytes } of encoded) {
    writer.varint(fieldId);
    writeColumn(writer, bytes);
  }
  writeColumn(writer, keys);
  writeBounds(writer, tombstones.bounds);
  return sealFrame(writer);
}

/**
 * The columns in the result may be views of `bytes`, which must not change.
 *
 * @param what the name of the thing being read, for the message of the error
 * @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW`
 */
export function decodePayload(bytes: Uint8Array, what: string): Payload {
  const { reader } = readFrame(bytes, FORMAT, what);
  const schemaVersion = reader.varint();
  const count = readU32(reader, 'row count');
  const tombstoneCount = readU32(reader, 'tombstone count');
  const partitions = readPartitions(reader, count);
  const columns = new Map<number, Column>();
  let last = -1;
  for (let left = reader.varint(); left > 0; left--) {
    const fieldId = reader.varint();
    if (fieldId <= last) reader.fail('fields out of order');
    last = fieldId;
    columns.set(fieldId, readColumn(reader, count, `${what}: field ${fieldId}`));
  }
  const keys = readColumn(reader, tombstoneCount, `${what}: tombstone keys`);
  if (keys.type !== 'Int64' && keys.type !== 'VarChar') reader.fail(`keys of type ${keys.type}`);
  const bounds = readBounds(reader, tombstoneCount);
  reader.end();
  return {
    schemaVersion,
    rows: { count, columns, partitions },
    // A string or 64-bit integer column is a key column: the check above lets no other through.
    tombstones: { keys: keys as KeyColumn, bounds },
  };
}

/**
 * Puts an encoded payload where records refer to it: inline up to {@link INLINE_BYTES_MAX}, else
 * durable as an object before this returns. An object that no record comes to name is garbage that
 * collect finds by the mint time in its key.
 */
export async function storePayload(
  { objects, clock, entropy }: Readonly<{ objects: ObjectStore; clock: Clock; entropy: Entropy }>,
  shard: ShardId,
  bytes: Uint8Array,
): Promise<PayloadRef> {
  if (bytes.length <= INLINE_BYTES_MAX) return { at: 'inline', bytes };
  const key = payloadKey(shard, clock.nowMs(), toHex(entropy.bytes(KEY_ENTROPY_BYTES)));
  await objects.put(key, bytes);
  return { at: 'object', key, sizeBytes: bytes.length, crc32: frameChecksum(bytes) };
}

/** @throws StoreError `DATA_CORRUPT` naming the object, `OBJECT_NOT_FOUND`, `FORMAT_TOO_NEW` */
export async function loadPayload(objects: ObjectStore, ref: PayloadRef): Promise<Payload> {
  if (ref.at === 'inline') return decodePayload(ref.bytes, 'an inline payload');
  const bytes = await objects.get(ref.key);
  const corrupt = (message: string): never => {
    throw new StoreError('DATA_CORRUPT', `payload ${ref.key}: ${message}`);
  };
  if (bytes.length !== ref.sizeBytes) {
    corrupt(`${bytes.length} bytes, the record says ${ref.sizeBytes}`);
  }
  const found = frameChecksum(bytes);
  if (found !== ref.crc32) {
    corrupt(`checksum ${found.toString(16)}, the record says ${ref.crc32.toString(16)}`);
  }
  return decodePayload(bytes, `payload ${ref.key}`);
}

/** Nearly every write goes to one partition: one number says it for all rows. */
function writePartitions(writer: ByteWriter, { count, partitions }: RowBatch): void {
  assert(partitions.length === count, 'every row has a partition');
  const first = partitions[0] ?? 0;
  if (partitions.every((partition) => partition === first)) {
    writer.u8(ONE_PARTITION).varint(first);
    return;
  }
  writer.u8(PARTITION_PER_ROW);
  for (const partition of partitions) writer.varint(partition);
}

function readPartitions(reader: ByteReader, count: number): Uint32Array {
  const mode = reader.u8();
  // Every row takes a byte of its columns at least: no count makes us allocate more than was read.
  if (count > reader.remaining) reader.fail(`${count} rows cannot fit what follows`);
  if (mode === ONE_PARTITION) {
    return new Uint32Array(count).fill(readU32(reader, 'partition'));
  }
  if (mode !== PARTITION_PER_ROW) reader.fail(`unknown partition mode ${mode}`);
  return Uint32Array.from({ length: count }, () => readU32(reader, 'partition'));
}

function writeColumn(writer: ByteWriter, bytes: Uint8Array): void {
  writer.u32(bytes.length).align(COLUMN_ALIGN).raw(bytes);
}

function readColumn(reader: ByteReader, count: number, what: string): Column {
  const sizeBytes = reader.u32();
  reader.align(COLUMN_ALIGN);
  const column = decodeColumn(reader.raw(sizeBytes), what);
  if (rowsOf(column) !== count) {
    reader.fail(`a column of ${rowsOf(column)} values where ${count} are due`);
  }
  return column;
}

/** Bounds as (record, ordinal) over the distinct records: a delete by filter names few of them. */
function writeBounds(writer: ByteWriter, bounds: PayloadTombstones['bounds']): void {
  const records = new Map<string, number>();
  for (const bound of bounds) {
    if (bound !== undefined && !records.has(recordOf(bound))) {
      records.set(recordOf(bound), records.size);
    }
  }
  writer.varint(records.size);
  for (const record of records.keys()) writePosition(writer, record);
  for (const bound of bounds) {
    if (bound === undefined) writer.varint(0);
    else {
      writer.varint((records.get(recordOf(bound)) ?? 0) + 1);
      writer.varint(parsePosition(bound).ordinal ?? 0);
    }
  }
}

function readBounds(reader: ByteReader, count: number): (RowPosition | undefined)[] {
  const recordCount = reader.varint();
  if (recordCount > count) reader.fail(`${recordCount} records for ${count} bounds`);
  const records = Array.from({ length: recordCount }, () => readRecordPosition(reader));
  const bounds: (RowPosition | undefined)[] = [];
  for (let index = 0; index < count; index++) {
    const record = reader.varint();
    if (record === 0) bounds.push(undefined);
    else {
      const position = records[record - 1] ?? reader.fail(`unknown record ${record}`);
      bounds.push(rowPosition(position, readU32(reader, 'ordinal')));
    }
  }
  return bounds;
}
