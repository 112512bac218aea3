/**
 * Records that an operator set aside: what is known of each, and where its content is kept.
 *
 * The row is `aside/` + the sequence behind its length in two digits, in the shard's partition; the
 * entry's bytes and its payload are objects below `collections/<collection>/<shard>/aside/`, copied
 * before the row is put. They stay until the collection is dropped: its drop deletes what lies below
 * its prefix and in its partitions. Bytes: docs/formats/parked.md.
 */
import type { RecordPosition } from '#base/position.ts';
import type { Sequence } from '#ports/log.ts';
import type { Table } from '#ports/table.ts';
import { nameCode, openFrame, readFrame, readName, sealFrame } from './frame.ts';
import { sortableSequence } from './parked-entries.ts';
import { readRecordPosition, readU32, writePosition } from './position-codec.ts';
import { RECORD_ID_BYTES, readRecordId, writeRecordId } from './record-codec.ts';
import { collectionPrefix, type ShardId, shardName } from './shard.ts';

/**
 * - `copied`: its content is kept and nothing is decided; it may still be applied.
 * - `void`: it is set aside for good.
 * - `unknown`: whoever set it aside died, and the archive that would tell is out of the id window.
 */
export const ASIDE_STATES = ['copied', 'void', 'unknown'] as const;

/** What can be known of a record without its rows; counts of a write that was never decoded are 0. */
export type AsideFacts = Readonly<{
  /** Undefined where neither record nor tail row can be read. */
  recordId: string | undefined;
  rows: number;
  tombstones: number;
  schemaVersion: number;
}>;

export type Aside = AsideFacts &
  Readonly<{
    state: (typeof ASIDE_STATES)[number];
    sequence: Sequence;
    position: RecordPosition;
    /** At the log. */
    arrivalMs: number;
    setAsideMs: number;
    /** Why it could not be applied. */
    code: string;
    reason: string;
    /** It had a tail row, so its writer may have been told that it is durable. */
    wasVisible: boolean;
    /** Bytes of the entry as the log had it. */
    recordBytes: number;
    /** Bytes of its payload; undefined where there is none, or its object is gone. */
    payloadBytes: number | undefined;
  }>;

const FORMAT = { magic: 'SASD', version: 1 };
const PREFIX = 'aside/';
const FLAG_VISIBLE = 1;
const FLAG_PAYLOAD = 2;
const FLAG_RECORD_ID = 4;
const FLAGS_KNOWN = FLAG_VISIBLE | FLAG_PAYLOAD | FLAG_RECORD_ID;
/** Each takes an operator's word: a shard with more has another problem. */
const ROWS_MAX = 1_000;

/** Objects that hold a record's content. */
export const asideKey = (
  { collectionId, shard }: ShardId,
  sequence: Sequence,
  part: 'record' | 'payload',
): string => `${collectionPrefix(collectionId)}${shard}/aside/${sequence}/${part}`;

const rowKey = (shard: ShardId, sequence: Sequence) => ({
  partition: shardName(shard),
  sort: PREFIX + sortableSequence(sequence),
});

export async function putAside(table: Table, shard: ShardId, aside: Aside): Promise<void> {
  await table.put(rowKey(shard, aside.sequence), encodeAside(aside));
}

export async function deleteAside(table: Table, shard: ShardId, sequence: Sequence): Promise<void> {
  await table.delete(rowKey(shard, sequence));
}

/** The first 1,000 of a shard, in the order of the log. */
export async function readAsides(table: Table, shard: ShardId): Promise<readonly Aside[]> {
  const partition = shardName(shard);
  const rows = await table.query(partition, { prefix: PREFIX, limit: ROWS_MAX });
  return rows.map(({ sort, value }) => {
    const sequence = sort.slice(PREFIX.length + 2);
    return decodeAside(value, sequence, `row ${partition} ${sort}`);
  });
}

export function encodeAside(aside: Aside): Uint8Array {
  const { recordId, payloadBytes, wasVisible } = aside;
  const flags =
    (wasVisible ? FLAG_VISIBLE : 0) |
    (payloadBytes === undefined ? 0 : FLAG_PAYLOAD) |
    (recordId === undefined ? 0 : FLAG_RECORD_ID);
  const writer = openFrame(FORMAT).u8(nameCode(ASIDE_STATES, aside.state)).u8(flags);
  writePosition(writer, aside.position);
  writer.varint(aside.arrivalMs).varint(aside.setAsideMs);
  writer.string(aside.code).string(aside.reason);
  writer.varint(aside.recordBytes).varint(payloadBytes ?? 0);
  writeRecordId(writer, recordId ?? '0'.repeat(2 * RECORD_ID_BYTES));
  return sealFrame(writer.varint(aside.rows).varint(aside.tombstones).varint(aside.schemaVersion));
}

/** @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW` */
export function decodeAside(bytes: Uint8Array, sequence: Sequence, what: string): Aside {
  const { reader } = readFrame(bytes, FORMAT, what);
  const state = readName(reader, ASIDE_STATES, 'state');
  const flags = reader.u8();
  if ((flags & ~FLAGS_KNOWN) !== 0) reader.fail(`unknown flags ${flags}`);
  const position = readRecordPosition(reader);
  const [arrivalMs, setAsideMs] = [reader.varint(), reader.varint()];
  const [code, reason] = [reader.string(), reader.string()];
  const [recordBytes, payloadBytes] = [reader.varint(), reader.varint()];
  const recordId = readRecordId(reader);
  const counts = {
    rows: readU32(reader, 'row count'),
    tombstones: readU32(reader, 'tombstone count'),
    schemaVersion: reader.varint(),
  };
  reader.end();
  return {
    state,
    sequence,
    position,
    arrivalMs,
    setAsideMs,
    code,
    reason,
    wasVisible: (flags & FLAG_VISIBLE) !== 0,
    recordBytes,
    payloadBytes: (flags & FLAG_PAYLOAD) === 0 ? undefined : payloadBytes,
    recordId: (flags & FLAG_RECORD_ID) === 0 ? undefined : recordId,
    ...counts,
  };
}
