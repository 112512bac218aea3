/**
 * The tail: records that are in the log and not yet in a manifest, one row each.
 *
 * A writer puts the row only after its check (DESIGN 4.1, step 7), before it acknowledges: so every
 * acknowledged write is in the tail or in the manifest (I4). Rows at or below the applied position
 * say nothing new; readers ignore them and collect sweeps them. Rows are never changed: a position
 * belongs to one record for ever.
 *
 * The row is `tail/` + position in the shard's partition of the regional table; its bytes:
 * docs/formats/record.md.
 */
import { StoreError } from '#base/errors.ts';
import { ORIGIN, parsePosition, type RecordPosition } from '#base/position.ts';
import type { Row, RowKey, Table } from '#ports/table.ts';
import { openFrame, readFrame, sealFrame } from './frame.ts';
import { readPayloadRef, writePayloadRef } from './payload-ref.ts';
import { readU32 } from './position-codec.ts';
import type { PayloadRef } from './record.ts';
import { readRecordId, writeRecordId } from './record-codec.ts';
import { type ShardId, shardName } from './shard.ts';

export type TailEntry = Readonly<{
  position: RecordPosition;
  /** The record's. A reader that finds it lower than the gate's waits for the fence to be applied. */
  fenceNumber: number;
  recordId: string;
  schemaVersion: number;
  /** The writer's clock, for admission by age only; apply assigns log times. */
  arrivalMs: number;
  rows: number;
  tombstones: number;
  /** Inline bytes ride in the row. */
  payload: PayloadRef;
}>;

const FORMAT = { magic: 'STAL', version: 1 };
const PREFIX = 'tail/';
const PAGE_ROWS = 1000;
/** 64 pages of 1,000 rows are 512 MiB of inline payloads at worst; admission stops far below. */
const PAGES_MAX = 64;
/** Deletes that share a flush of a local table, or a few milliseconds of a remote one. */
const DELETES_AT_ONCE = 64;

/** Putting the same entry again changes nothing. @throws StoreError `UNCERTAIN` */
export async function putTail(table: Table, shard: ShardId, entry: TailEntry): Promise<void> {
  await table.put(tailKey(shard, entry.position), encodeTailEntry(entry), 'absent');
}

/** The entry of the highest position, covered by the manifest or not; undefined where none is left. */
export async function newestTail(table: Table, shard: ShardId): Promise<TailEntry | undefined> {
  const rows = await table.query(shardName(shard), { prefix: PREFIX, reverse: true, limit: 1 });
  return rows[0] === undefined ? undefined : decodeTailRow(rows[0]);
}

const NONE_KNOWN: ReadonlyMap<RecordPosition, TailEntry> = new Map();

/**
 * All entries behind `after`, in order.
 *
 * @param known entries of this shard from an earlier call; since rows are never changed they need not
 *   be decoded again
 * @throws StoreError `OVERLOADED` where there are more than 64,000: an answer without some of them
 *   would hide acknowledged writes (I4)
 */
export async function readTail(
  table: Table,
  shard: ShardId,
  after: RecordPosition,
  known: ReadonlyMap<RecordPosition, TailEntry> = NONE_KNOWN,
): Promise<TailEntry[]> {
  const entries: TailEntry[] = [];
  let last = PREFIX + after;
  for (let page = 1; page <= PAGES_MAX; page++) {
    const rows = await table.query(shardName(shard), {
      prefix: PREFIX,
      after: last,
      limit: PAGE_ROWS,
    });
    for (const row of rows) {
      entries.push(known.get(row.sort.slice(PREFIX.length)) ?? decodeTailRow(row));
      last = row.sort;
    }
    if (rows.length < PAGE_ROWS) return entries;
  }
  throw new StoreError(
    'OVERLOADED',
    `the tail of ${shardName(shard)} exceeds ${PAGES_MAX * PAGE_ROWS} records: apply is behind`,
  );
}

/** The oldest entries behind `after`, up to `limit` (1 to 1,000): a sample of the tail. */
export async function readTailPage(
  table: Table,
  shard: ShardId,
  after: RecordPosition,
  limit: number,
): Promise<TailEntry[]> {
  const rows = await table.query(shardName(shard), {
    prefix: PREFIX,
    after: PREFIX + after,
    limit,
  });
  return rows.map(decodeTailRow);
}

/**
 * Deletes up to `limit` (1 to 1,000) entries at or below `through` and says how many there were;
 * fewer than the limit means that none is left.
 */
export async function sweepTail(
  table: Table,
  shard: ShardId,
  through: RecordPosition,
  limit: number,
): Promise<number> {
  if (through === ORIGIN) return 0;
  // No record position begins with another, so `~`, above every digit, ends right behind `through`.
  const before = `${PREFIX}${through}~`;
  const rows = await table.query(shardName(shard), { prefix: PREFIX, before, limit });
  for (let at = 0; at < rows.length; at += DELETES_AT_ONCE) {
    const some = rows.slice(at, at + DELETES_AT_ONCE);
    await Promise.all(some.map(({ partition, sort }) => table.delete({ partition, sort })));
  }
  return rows.length;
}

const tailKey = (shard: ShardId, position: RecordPosition): RowKey => ({
  partition: shardName(shard),
  sort: PREFIX + position,
});

export function encodeTailEntry(entry: TailEntry): Uint8Array {
  const writer = openFrame(FORMAT);
  writer.varint(entry.fenceNumber);
  writeRecordId(writer, entry.recordId);
  writer.varint(entry.schemaVersion).varint(entry.arrivalMs);
  writer.varint(entry.rows).varint(entry.tombstones);
  writePayloadRef(writer, entry.payload);
  return sealFrame(writer);
}

/** @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW` */
export function decodeTailEntry(
  bytes: Uint8Array,
  position: RecordPosition,
  what: string,
): TailEntry {
  const { reader } = readFrame(bytes, FORMAT, what);
  const entry = {
    position,
    fenceNumber: reader.varint(),
    recordId: readRecordId(reader),
    schemaVersion: reader.varint(),
    arrivalMs: reader.varint(),
    rows: readU32(reader, 'row count'),
    tombstones: readU32(reader, 'tombstone count'),
    payload: readPayloadRef(reader),
  };
  reader.end();
  return entry;
}

function decodeTailRow({ partition, sort, value }: Row): TailEntry {
  const position = sort.slice(PREFIX.length);
  const what = `tail row ${partition} ${sort}`;
  if (parsePosition(position).ordinal !== undefined) {
    throw new StoreError('DATA_CORRUPT', `${what}: not a record position`);
  }
  return decodeTailEntry(value, position, what);
}
