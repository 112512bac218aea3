/**
 * What the log delivered of a parked shard, one row per entry: its bytes as they are and when it
 * arrived, so that it is judged later as it would have been judged at once.
 *
 * The row is `park/` + the sequence behind its length in two digits, which sorts as the log does, in
 * the shard's partition. Records take some 9 KiB at most; only what is no record at all may be larger
 * than a row, and is an object. Bytes: docs/formats/parked.md.
 */
import { crc32 } from '#base/bytes.ts';
import { isStoreError } from '#base/errors.ts';
import { compareSequences, type LogEntry, type Sequence } from '#ports/log.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import { ROW_VALUE_BYTES_MAX, type RowKey, type Table } from '#ports/table.ts';
import { openFrame, readFrame, sealFrame } from './frame.ts';
import { readPayloadRef, writePayloadRef } from './payload-ref.ts';
import type { PayloadRef } from './record.ts';
import { collectionPrefix, type ShardId, shardName } from './shard.ts';

export type ParkedEntry = Readonly<{
  arrivalMs: number;
  /** The entry's bytes. Of an object the CRC-32 is that of all its bytes: it need not be a frame. */
  data: PayloadRef;
}>;

type Ports = Readonly<{ table: Table; objects: ObjectStore }>;

const FORMAT = { magic: 'SPRK', version: 1 };
const PREFIX = 'park/';
/** Frame, arrival and lengths take 30 bytes. */
const INLINE_BYTES_MAX = ROW_VALUE_BYTES_MAX - 64;
/** Calls that share a flush of a local table, or a few milliseconds of a remote one. */
const CALLS_AT_ONCE = 64;

/** Ascending as text as sequences are as numbers: at most 56 digits. */
export const sortableSequence = (sequence: Sequence): string =>
  String(sequence.length).padStart(2, '0') + sequence;

const entryKey = (shard: ShardId, sequence: Sequence): RowKey => ({
  partition: shardName(shard),
  sort: PREFIX + sortableSequence(sequence),
});

const objectKey = ({ collectionId, shard }: ShardId, sequence: Sequence): string =>
  `${collectionPrefix(collectionId)}${shard}/park/${sequence}`;

/** Durable when it returns; putting an entry again changes nothing. @throws StoreError `UNCERTAIN` */
export async function putParkedEntries(
  ports: Ports,
  shard: ShardId,
  entries: readonly LogEntry[],
): Promise<void> {
  for (let at = 0; at < entries.length; at += CALLS_AT_ONCE) {
    const some = entries.slice(at, at + CALLS_AT_ONCE);
    await Promise.all(some.map((entry) => putEntry(ports, shard, entry)));
  }
}

async function putEntry(
  { table, objects }: Ports,
  shard: ShardId,
  { sequence, data, arrivalMs }: LogEntry,
): Promise<void> {
  const isLarge = data.length > INLINE_BYTES_MAX;
  const key = objectKey(shard, sequence);
  if (isLarge) await objects.put(key, data);
  const ref: PayloadRef = isLarge
    ? { at: 'object', key, sizeBytes: data.length, crc32: crc32(data) }
    : { at: 'inline', bytes: data };
  await table.put(entryKey(shard, sequence), encodeParkedEntry({ arrivalMs, data: ref }), 'absent');
}

/**
 * The first `limit` entries (1 to 1,000) up to `through`, in the order of the log.
 *
 * @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW` naming the row
 */
export async function readParkedEntries(
  { table, objects }: Ports,
  shard: ShardId,
  through: Sequence,
  limit: number,
): Promise<readonly LogEntry[]> {
  const partition = shardName(shard);
  const rows = await table.query(partition, { prefix: PREFIX, limit });
  const entries: LogEntry[] = [];
  for (const { sort, value } of rows) {
    const sequence = sort.slice(PREFIX.length + 2);
    // Put by somebody who has not raised `through` yet: there may be gaps before it.
    if (compareSequences(sequence, through) > 0) break;
    const { arrivalMs, data } = decodeParkedEntry(value, `row ${partition} ${sort}`);
    entries.push({ sequence, partition, arrivalMs, data: await bytesOf(objects, data) });
  }
  return entries;
}

/**
 * An object that is gone or damaged counts as no bytes. It held nothing that can be applied, since no
 * record is that large; and nothing is no record either, so its place in the order is kept.
 */
async function bytesOf(objects: ObjectStore, data: PayloadRef): Promise<Uint8Array> {
  if (data.at === 'inline') return data.bytes;
  try {
    const bytes = await objects.get(data.key);
    if (bytes.length === data.sizeBytes && crc32(bytes) === data.crc32) return bytes;
  } catch (error) {
    if (!isStoreError(error, 'OBJECT_NOT_FOUND')) throw error;
  }
  return new Uint8Array(0);
}

/** Forgets entries that the manifest covers; those of objects after their objects. */
export async function deleteParkedEntries(
  { table, objects }: Ports,
  shard: ShardId,
  entries: readonly Pick<LogEntry, 'sequence' | 'data'>[],
): Promise<void> {
  const large = entries
    .filter(({ data }) => data.length > INLINE_BYTES_MAX)
    .map(({ sequence }) => objectKey(shard, sequence));
  if (large.length > 0) await objects.delete(large);
  for (let at = 0; at < entries.length; at += CALLS_AT_ONCE) {
    const some = entries.slice(at, at + CALLS_AT_ONCE);
    await Promise.all(some.map(({ sequence }) => table.delete(entryKey(shard, sequence))));
  }
}

export function encodeParkedEntry({ arrivalMs, data }: ParkedEntry): Uint8Array {
  const writer = openFrame(FORMAT).varint(arrivalMs);
  writePayloadRef(writer, data);
  return sealFrame(writer);
}

/** Inline bytes are a view of `bytes`. @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW` */
export function decodeParkedEntry(bytes: Uint8Array, what: string): ParkedEntry {
  const { reader } = readFrame(bytes, FORMAT, what);
  const entry = { arrivalMs: reader.varint(), data: readPayloadRef(reader) };
  reader.end();
  return entry;
}
