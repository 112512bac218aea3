/**
 * One shard's entries of a batch: applied, or kept as rows while the shard is parked (DESIGN 4.2).
 *
 * A record that cannot be applied parks its shard: it and everything behind it becomes durable rows
 * before this returns, so that the log's checkpoint may pass, no other shard waits and the log may
 * forget (I1). Nothing is skipped, and nothing behind it is applied before it (I2).
 *
 * The order makes it so, whoever else consumes the same entries, replays or died half-way. A batch is
 * delivered behind a checkpoint, the checkpoint was saved behind the row `parked`, and we read that row
 * after the batch was delivered. So where the row says that the shard is not parked, everything before
 * the batch is applied, and the batch may be; where it is parked, everything before the batch is
 * applied or has a row, so the batch may follow. Both are decided by a compare-and-set on the row that
 * was read: entry rows first, then `through`.
 *
 * Readers need nothing of this: whatever was acknowledged has its tail row (I4), and those stay until
 * the manifest covers them.
 */
import { compareBytes } from '#base/bytes.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import type { Collection } from '#catalog/collection.ts';
import { compareSequences, type LogEntry, type Sequence } from '#ports/log.ts';
import type { Table } from '#ports/table.ts';
import {
  encodeParked,
  listParked,
  type Parked,
  type ParkedRow,
  readParked,
  swapParked,
} from '#wal/parked.ts';
import { deleteParkedEntries, putParkedEntries } from '#wal/parked-entries.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import { type ApplyPorts, applyUntil, isPassing, type Stop } from './apply.ts';

export type EntryPorts = ApplyPorts &
  Readonly<{
    /** What the catalog knows of a collection, in whatever state; undefined where it is gone. */
    collections: Readonly<{
      getCollection(collectionId: number): Promise<Collection | undefined>;
    }>;
  }>;

/** What became of one shard's entries. */
export type Taken = Readonly<{
  records: number;
  rows: number;
  /** Entries that are rows of the parked shard now. */
  parked: number;
  /** Entries that nobody needs any more: their collection is gone or going. */
  skipped: number;
}>;

/** Each lost race means that another consumer or a replay got on. */
const ATTEMPTS_MAX = 16;
/**
 * Entries of a parked shard. Acknowledged writes stop at 20,000 tail rows or ten minutes (admission);
 * what comes beyond are attempts that nobody acknowledged, one in ten seconds per client that repeats.
 * 1,000,000 rows of 300 bytes are 300 MB. A shard that has more holds its stream shard's checkpoint.
 */
export const PARKED_ENTRIES_MAX = 1_000_000;
/** A shard is replayed for the first time after this, and then after twice as long each time, up to: */
export const REPLAY_MS_FIRST = 60_000;
export const REPLAY_MS_MAX = 15 * 60_000;

const NOTHING: Taken = { records: 0, rows: 0, parked: 0, skipped: 0 };

/**
 * Applies the entries, or keeps them where the shard is parked, or gets parked by one of them.
 *
 * @throws StoreError what passes by itself: the entries are to be delivered again
 */
export async function takeEntries(
  ports: EntryPorts,
  shard: ShardId,
  entries: readonly LogEntry[],
): Promise<Taken> {
  let applied = { records: 0, rows: 0 };
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const { collection, row, stop: lost } = await look(ports, shard);
    if (lost === undefined && collection === undefined)
      return { ...NOTHING, skipped: entries.length };
    let kept = entries;
    let stop = lost;
    const isParked = row.parked?.isParked === true;
    if (collection !== undefined && (!isParked || isLeaving(collection))) {
      const tried = await tryToApply(ports, shard, collection, entries);
      applied = { records: applied.records + tried.records, rows: applied.rows + tried.rows };
      stop = tried.stop;
      if (stop !== undefined && isLeaving(collection)) {
        return { ...NOTHING, ...applied, skipped: entries.length };
      }
      if (stop === undefined) {
        // Rows of an attempt that a replay came before: the manifest covers them now.
        if (attempt > 1) await deleteParkedEntries(ports, shard, entries);
        return { ...NOTHING, ...applied };
      }
    }
    kept = isParked ? beyond(row, entries) : from(stop?.sequence, entries);
    if (kept.length === 0) return { ...NOTHING, ...applied };
    if (await keep(ports, shard, row, kept, stop)) {
      return { ...NOTHING, ...applied, parked: kept.length };
    }
  }
  throw new StoreError('UNCERTAIN', `${shardName(shard)}: lost ${ATTEMPTS_MAX} races to park`);
}

type Look = Readonly<{ collection: Collection | undefined; row: ParkedRow; stop?: Stop }>;

/** A catalog row that cannot be read is no reason to forget entries, nor to hold up other shards. */
async function look({ collections, table }: EntryPorts, shard: ShardId): Promise<Look> {
  const [row, found] = await Promise.all([
    readParked(table, shard),
    settled(collections.getCollection(shard.collectionId)),
  ]);
  return 'error' in found
    ? { row, collection: undefined, stop: { sequence: undefined, error: found.error } }
    : { row, collection: found.value };
}

async function settled<T>(
  work: Promise<T>,
): Promise<Readonly<{ value: T }> | Readonly<{ error: unknown }>> {
  try {
    return { value: await work };
  } catch (error) {
    if (isPassing(error)) throw error;
    return { error };
  }
}

/** As `applyUntil`; also a shard that fails as a whole comes back as a stop. */
export async function tryToApply(
  ports: ApplyPorts,
  shard: ShardId,
  { schema }: Collection,
  entries: readonly LogEntry[],
): Promise<Readonly<{ records: number; rows: number; stop?: Stop }>> {
  try {
    return await applyUntil(ports, shard, schema, entries);
  } catch (error) {
    if (isPassing(error)) throw error;
    return { records: 0, rows: 0, stop: { sequence: undefined, error } };
  }
}

/**
 * Whether it does not matter any more that entries cannot be applied. What is damaged in a collection
 * that is being dropped would else keep the drop's fence behind it for ever. Skipped with the rest, the
 * fence is appended again by the drop that waits for it, and applied alone.
 */
export const isLeaving = ({ state }: Pick<Collection, 'state'>): boolean =>
  state === 'dropping' || state === 'dropped';

const beyond = ({ parked }: ParkedRow, entries: readonly LogEntry[]): readonly LogEntry[] =>
  parked === undefined
    ? entries
    : entries.filter(({ sequence }) => compareSequences(sequence, parked.through) > 0);

/** From the first entry that is not applied. */
const from = (first: Sequence | undefined, entries: readonly LogEntry[]): readonly LogEntry[] =>
  first === undefined
    ? entries
    : entries.filter(({ sequence }) => compareSequences(sequence, first) >= 0);

/** Rows first, `through` second: a crash in between leaves rows that the next delivery puts again. */
async function keep(
  ports: EntryPorts,
  shard: ShardId,
  row: ParkedRow,
  entries: readonly LogEntry[],
  stop: Stop | undefined,
): Promise<boolean> {
  const { table, clock, telemetry } = ports;
  const before = row.parked?.isParked === true ? row.parked : undefined;
  const count = (before?.entries ?? 0) + entries.length;
  if (count > PARKED_ENTRIES_MAX) {
    const message = `${shardName(shard)} is parked with ${before?.entries ?? 0} entries`;
    throw new StoreError('OVERLOADED', message);
  }
  if (before === undefined) await listParked(table, shard);
  await putParkedEntries(ports, shard, entries);
  const through = newestOf(entries);
  if (before !== undefined) {
    telemetry.count('parked_entries_total', entries.length);
    return await swapParked(table, shard, row, { ...before, through, entries: count });
  }
  const nowMs = clock.nowMs();
  const next: Parked = {
    isParked: true,
    ...causeOf(stop),
    sinceMs: nowMs,
    through,
    entries: count,
    attempts: 0,
    nextReplayMs: nowMs + REPLAY_MS_FIRST,
  };
  // Where our answer was lost the row tells that it is ours: nobody else would say that it is parked.
  const isDone = (await swapParked(table, shard, row, next)) || (await says(table, shard, next));
  if (!isDone) return false;
  const { sequence, code, reason } = next;
  const facts = { shard: shardName(shard), sequence, code, reason, entries: count };
  telemetry.event('error', 'shard-parked', facts);
  telemetry.count('shards_parked_total');
  telemetry.count('parked_entries_total', entries.length);
  return true;
}

async function says(table: Table, shard: ShardId, next: Parked): Promise<boolean> {
  const { parked } = await readParked(table, shard);
  return parked !== undefined && compareBytes(encodeParked(parked), encodeParked(next)) === 0;
}

const newestOf = (entries: readonly LogEntry[]): Sequence =>
  entries.reduce(
    (newest, { sequence }) => (compareSequences(sequence, newest) > 0 ? sequence : newest),
    '0',
  );

/** What a stop says in the row `parked`. */
export function causeOf(stop: Stop | undefined): Pick<Parked, 'sequence' | 'code' | 'reason'> {
  const error = stop?.error;
  return {
    sequence: stop?.sequence,
    code: isStoreError(error) ? error.code : 'INTERNAL',
    reason: error instanceof Error ? error.message : String(error),
  };
}
