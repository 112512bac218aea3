/**
 * Parked shards: one row per shard says whether a record of it cannot be applied.
 *
 * While it says so nothing of the shard is applied from the log directly. What the log delivers becomes
 * entry rows (`parked-entries.ts`), so that the log's checkpoint may pass and no other shard waits. The
 * row's promise, by which everybody goes on who finds it: every entry of the shard up to `through` is
 * applied or has a row. Hence an entry row is put before `through` is raised above it, and deleted only
 * once the manifest covers it.
 *
 * The row is `parked` in the shard's partition of the regional table. It is changed by compare-and-set
 * and never deleted while the shard has a collection: versions that began again at 1 would let a frozen
 * process take an old state for the present one. A shard that was ever parked is also listed in the
 * partition `parked`, before its row says so. Bytes: docs/formats/parked.md.
 */
import { isStoreError, StoreError } from '#base/errors.ts';
import type { Sequence } from '#ports/log.ts';
import type { RowKey, Table } from '#ports/table.ts';
import { openFrame, readFrame, sealFrame } from './frame.ts';
import { parseShardName, type ShardId, shardName } from './shard.ts';

export type Parked = Readonly<{
  /** False once everything up to `through` is applied; the rest then tells of the last time. */
  isParked: boolean;
  /** The first record that is not applied; undefined where the shard itself fails, whatever the record. */
  sequence: Sequence | undefined;
  /** Of the error table; a newer Sterna may know more codes. */
  code: string;
  reason: string;
  sinceMs: number;
  /** Every entry up to here is applied or has a row. */
  through: Sequence;
  /** Rows that were put since `sinceMs`: entries that were delivered twice at once may count twice. */
  entries: number;
  /** Replays since then that ended at a record that cannot be applied. */
  attempts: number;
  /** Not before this time is it replayed by itself again. */
  nextReplayMs: number;
}>;

/** Version 0: there is no row yet. */
export type ParkedRow = Readonly<{ parked: Parked | undefined; version: number }>;

const FORMAT = { magic: 'SPKD', version: 1 };
const FLAG_PARKED = 1;
const FLAG_RECORD = 2;
const FLAGS_KNOWN = FLAG_PARKED | FLAG_RECORD;
/** Error messages name an object's key (512 characters) and little more. */
const REASON_CHARACTERS_MAX = 1_000;
const REGISTRY = 'parked';
const PAGE_ROWS = 1_000;
/** 16,000 shards that were ever parked: by then something else is wrong. */
const PAGES_MAX = 16;

const parkedKey = (shard: ShardId): RowKey => ({ partition: shardName(shard), sort: 'parked' });

/** One consistent get. @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW` */
export async function readParked(table: Table, shard: ShardId): Promise<ParkedRow> {
  const row = await table.get(parkedKey(shard));
  if (row === undefined) return { parked: undefined, version: 0 };
  const what = `parked row of ${shardName(shard)}`;
  return { parked: decodeParked(row.value, what), version: row.version };
}

/** What holds the shard up; undefined where nothing does. */
export async function whyParked(table: Table, shard: ShardId): Promise<string | undefined> {
  const { parked } = await readParked(table, shard);
  return parked?.isParked === true ? parkedSentence(shard, parked) : undefined;
}

/** @throws StoreError `NOT_READY` with the cause, where the shard is parked */
export async function refuseParked(table: Table, shard: ShardId, act: string): Promise<void> {
  const why = await whyParked(table, shard);
  if (why !== undefined) throw new StoreError('NOT_READY', `${act}: ${why}`);
}

export function parkedSentence(shard: ShardId, { sequence, code, reason }: Parked): string {
  const where = sequence === undefined ? '' : ` at record ${sequence}`;
  return `shard ${shardName(shard)} is parked${where} (${code}: ${reason}); it goes on when that is mended, or the record is set aside`;
}

/**
 * Moves the row from the version read to `next`. False where somebody else was faster, or the table did
 * not say: read it again.
 */
export async function swapParked(
  table: Table,
  shard: ShardId,
  { version }: Pick<ParkedRow, 'version'>,
  next: Parked,
): Promise<boolean> {
  try {
    const condition = version === 0 ? 'absent' : version;
    return (await table.put(parkedKey(shard), encodeParked(next), condition)) !== undefined;
  } catch (error) {
    if (isStoreError(error, 'UNCERTAIN')) return false;
    throw error;
  }
}

/** Lists the shard among those to look after; before it is parked, and for as long as it lives. */
export async function listParked(table: Table, shard: ShardId): Promise<void> {
  await table.put({ partition: REGISTRY, sort: shardName(shard) }, new Uint8Array(1), 'absent');
}

/** Takes a shard off the list whose collection is gone. */
export async function unlistParked(table: Table, shard: ShardId): Promise<void> {
  await table.delete({ partition: REGISTRY, sort: shardName(shard) });
}

/** Every shard that was ever parked, also those that go on by now. */
export async function listedShards(table: Table): Promise<readonly ShardId[]> {
  const found: ShardId[] = [];
  let after: string | undefined;
  for (let page = 1; page <= PAGES_MAX; page++) {
    const from = after === undefined ? {} : { after };
    const rows = await table.query(REGISTRY, { limit: PAGE_ROWS, ...from });
    for (const { sort } of rows) {
      const shard = parseShardName(sort);
      if (shard !== undefined) found.push(shard);
      after = sort;
    }
    if (rows.length < PAGE_ROWS) break;
  }
  return found;
}

export function encodeParked(parked: Parked): Uint8Array {
  const { isParked, sequence, code, reason, ...rest } = parked;
  const flags = (isParked ? FLAG_PARKED : 0) | (sequence === undefined ? 0 : FLAG_RECORD);
  const writer = openFrame(FORMAT).u8(flags);
  if (sequence !== undefined) writer.string(sequence);
  writer.string(code).string(reason.slice(0, REASON_CHARACTERS_MAX));
  writer.varint(rest.sinceMs).string(rest.through).varint(rest.entries);
  return sealFrame(writer.varint(rest.attempts).varint(rest.nextReplayMs));
}

/** @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW` */
export function decodeParked(bytes: Uint8Array, what: string): Parked {
  const { reader } = readFrame(bytes, FORMAT, what);
  const flags = reader.u8();
  if ((flags & ~FLAGS_KNOWN) !== 0) reader.fail(`unknown flags ${flags}`);
  const parked = {
    isParked: (flags & FLAG_PARKED) !== 0,
    sequence: (flags & FLAG_RECORD) !== 0 ? reader.string() : undefined,
    code: reader.string(),
    reason: reader.string(),
    sinceMs: reader.varint(),
    through: reader.string(),
    entries: reader.varint(),
    attempts: reader.varint(),
    nextReplayMs: reader.varint(),
  };
  reader.end();
  return parked;
}
