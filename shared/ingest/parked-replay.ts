/**
 * Replaying parked shards: their entries are applied in order, and the shard goes on.
 *
 * What held a shard up may pass: an object that was late, a service that answered nonsense, a version
 * that could not read a record. So each parked shard is tried again by itself, with growing pauses, and
 * at once when somebody asks. Replays may run twice, beside consumers, and die anywhere: the manifest
 * says what is applied, an entry row goes only behind it, and the row `parked` is moved by
 * compare-and-set on what was read before its entries were looked for (I2).
 */
import { isStoreError } from '#base/errors.ts';
import type { LogEntry } from '#ports/log.ts';
import {
  listedShards,
  type Parked,
  type ParkedRow,
  readParked,
  swapParked,
  unlistParked,
} from '#wal/parked.ts';
import { deleteParkedEntries, readParkedEntries } from '#wal/parked-entries.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import type { Stop } from './apply.ts';
import { settleAside } from './aside.ts';
import {
  causeOf,
  type EntryPorts,
  isLeaving,
  REPLAY_MS_FIRST,
  REPLAY_MS_MAX,
  tryToApply,
} from './parked.ts';

export type Replayed = Readonly<{
  /** Where the shard stands still, and why; undefined where it goes on. */
  parked: Parked | undefined;
  records: number;
  rows: number;
  /** Time ran out (`stopMs`): calling again goes on. */
  isUnfinished: boolean;
}>;

/** Entries at a time: 64 MB of the largest, 3 MB of ordinary ones. */
const PAGE_ENTRIES = 256;
/** Pages, and lost races between them: more than `PARKED_ENTRIES_MAX` make. */
const STEPS_MAX = 8_192;

/**
 * Applies what a parked shard holds until nothing is left or a record cannot be applied.
 *
 * @throws StoreError what passes by itself; calling again is safe
 */
export async function replayShard(ports: EntryPorts, shard: ShardId): Promise<Replayed> {
  const total = { records: 0, rows: 0 };
  for (let step = 1; step <= STEPS_MAX; step++) {
    const row = await readParked(ports.table, shard);
    if (row.parked?.isParked !== true) {
      return { parked: undefined, ...total, isUnfinished: false };
    }
    // Before anything moves log time on: what a died set-aside left is told by the newest archives.
    await settleAside(ports, shard);
    const { parked } = row;
    const page = await readParkedEntries(ports, shard, parked.through, PAGE_ENTRIES);
    if (page.length === 0) {
      if (await swapParked(ports.table, shard, row, { ...parked, isParked: false })) {
        const facts = { shard: shardName(shard), entries: parked.entries };
        ports.telemetry.event('info', 'shard-replayed', facts);
      }
      continue;
    }
    const { stop, isLate, ...applied } = await applyPage(ports, shard, page);
    total.records += applied.records;
    total.rows += applied.rows;
    if (isLate) return { parked, ...total, isUnfinished: true };
    await deleteParkedEntries(ports, shard, coveredBy(stop, page));
    if (stop !== undefined) {
      return { parked: await stayParked(ports, shard, row, stop), ...total, isUnfinished: false };
    }
  }
  const { parked } = await readParked(ports.table, shard);
  return { parked, ...total, isUnfinished: true };
}

type AppliedPage = Readonly<{ records: number; rows: number; stop?: Stop; isLate: boolean }>;

async function applyPage(
  ports: EntryPorts,
  shard: ShardId,
  page: readonly LogEntry[],
): Promise<AppliedPage> {
  try {
    const collection = await ports.collections.getCollection(shard.collectionId);
    // Its drop takes its own way past what is parked, and its rows go with it.
    if (collection === undefined || isLeaving(collection)) {
      return { records: 0, rows: 0, isLate: true };
    }
    return { ...(await tryToApply(ports, shard, collection, page)), isLate: false };
  } catch (error) {
    if (isStoreError(error, 'TIMEOUT') && ports.stopMs !== undefined) {
      return { records: 0, rows: 0, isLate: true };
    }
    throw error;
  }
}

/** All of them, or those before the one that stands still; none where the shard itself fails. */
function coveredBy(stop: Stop | undefined, page: readonly LogEntry[]): readonly LogEntry[] {
  if (stop === undefined) return page;
  const end = page.findIndex(({ sequence }) => sequence === stop.sequence);
  return page.slice(0, Math.max(0, end));
}

/** Says where it stands now, and when it is tried again. Somebody else's word is as good as ours. */
async function stayParked(
  { table, clock, telemetry }: EntryPorts,
  shard: ShardId,
  row: ParkedRow & Readonly<{ parked?: Parked | undefined }>,
  stop: Stop,
): Promise<Parked | undefined> {
  if (row.parked === undefined) return undefined;
  const attempts = row.parked.attempts + 1;
  const pauseMs = Math.min(REPLAY_MS_FIRST * 2 ** Math.min(attempts, 10), REPLAY_MS_MAX);
  const next = {
    ...row.parked,
    ...causeOf(stop),
    attempts,
    nextReplayMs: clock.nowMs() + pauseMs,
  };
  const { sequence, code, reason } = next;
  telemetry.event('warn', 'replay-failed', { shard: shardName(shard), sequence, code, reason });
  if (await swapParked(table, shard, row, next)) return next;
  const { parked } = await readParked(table, shard);
  // `next` is what this replay saw; a consumer that was faster changed only how far the rows reach.
  return parked?.isParked === true ? { ...parked, ...causeOf(stop) } : undefined;
}

/** What a round over the parked shards found. */
export type ReplayRound = Readonly<{
  /** Shards that are still parked. */
  parked: number;
  replayed: number;
  failures: number;
}>;

/**
 * Replays every parked shard whose time has come, sets the gauge `parked_shards`, and says so with each
 * round (`shards-parked`) while there are any. A shard that fails hinders no other.
 *
 * @throws StoreError where the list of shards cannot be read
 */
export async function replayDue(ports: EntryPorts): Promise<ReplayRound> {
  const { table, clock, telemetry } = ports;
  const round = { parked: 0, replayed: 0, failures: 0 };
  const listed = await listedShards(table);
  for (const shard of listed) {
    if (clock.nowMs() >= (ports.stopMs ?? Number.POSITIVE_INFINITY)) break;
    try {
      const { parked } = await readParked(table, shard);
      if (parked?.isParked === false) continue;
      const collection = await ports.collections.getCollection(shard.collectionId);
      if (collection === undefined) await unlistParked(table, shard);
      // Without a row it is just being parked; in a collection that goes nobody waits for it.
      if (parked === undefined || collection === undefined || isLeaving(collection)) continue;
      const isDue = parked.nextReplayMs <= clock.nowMs();
      const after = isDue ? (await replayShard(ports, shard)).parked : parked;
      if (after === undefined) round.replayed += 1;
      else round.parked += 1;
    } catch (error) {
      round.parked += 1;
      round.failures += 1;
      telemetry.event('error', 'replay-failed', {
        shard: shardName(shard),
        code: isStoreError(error) ? error.code : 'INTERNAL',
        reason: error instanceof Error ? error.message : String(error),
      });
    }
  }
  // Where nothing was ever parked nothing is measured: on AWS each metric that is used costs.
  if (listed.length > 0) telemetry.gauge('parked_shards', round.parked);
  if (round.parked > 0) telemetry.event('warn', 'shards-parked', { shards: round.parked });
  return round;
}
