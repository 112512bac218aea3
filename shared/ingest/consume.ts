/**
 * Consuming the log: a batch of one stream shard's entries, applied shard by shard.
 *
 * The checkpoint is only a hint where to go on: it is saved after everything up to it is applied, or
 * kept as rows of a parked shard (`parked.ts`), and what is delivered again behind a crash is recognised
 * by apply (I2). A shard that fails for a reason that passes by itself holds the checkpoint at its first
 * entry, and the batch is read again from there; it hinders no other shard of the batch.
 */
import pLimit from 'p-limit';
import { isStoreError } from '#base/errors.ts';
import type { Log, LogEntry, Sequence } from '#ports/log.ts';
import { parseShardName, type ShardId } from '#wal/shard.ts';
import { type EntryPorts, type Taken, takeEntries } from './parked.ts';

export type ConsumePorts = EntryPorts & Readonly<{ log: Log }>;

export type ConsumeBounds = Readonly<{ entries: number; bytes: number }>;

/** Lambda's event source hands out at most 10,000 records of 6 MB; a local log reads faster. */
export const CONSUME_BOUNDS: ConsumeBounds = { entries: 10_000, bytes: 32 * 1024 * 1024 };

/** Shards applied at once: each holds one batch of at most 64 MiB, three times while it encodes. */
const SHARDS_AT_ONCE = 4;

/** What became of a batch of one stream shard's entries. */
export type AppliedEntries = Readonly<{
  /** Entries of the batch. */
  entries: number;
  /** Records and rows that this call committed, over all shards. */
  records: number;
  rows: number;
  /** Entries of collections that no longer exist, or of no shard at all. */
  skipped: number;
  /** Entries that are rows of a parked shard now. */
  parked: number;
  /** Shards that could not be applied yet, with the reason. */
  failed: readonly Readonly<{ shard: string; error: unknown }>[];
  /** Shards that moved, for whoever compacts. */
  touched: readonly ShardId[];
  /** The last entry before the first one of a shard that failed; undefined where that is the first. */
  through: Sequence | undefined;
}>;

export type Consumed = Omit<AppliedEntries, 'through'> &
  Readonly<{
    /** Everything up to here is applied: what the next call reads behind. */
    checkpoint: Sequence | undefined;
    /** The batch was full: more entries may wait. */
    more: boolean;
  }>;

/**
 * Reads one batch behind the consumer's checkpoint and applies it. Streams must be consumed by one
 * caller at a time to save work, parents to their end before their children; correctness does not
 * depend on the former, order does on the latter.
 *
 * @throws StoreError where log or checkpoint cannot be read or saved; calling again is safe
 */
export async function consumeOnce(
  ports: ConsumePorts,
  streamShard: string,
  consumer: string,
  bounds: ConsumeBounds = CONSUME_BOUNDS,
): Promise<Consumed> {
  const { log } = ports;
  const after = await log.checkpoint(consumer, streamShard);
  const from = after === undefined ? {} : { after };
  const entries = await log.read(streamShard, {
    ...from,
    limit: bounds.entries,
    maxBytes: bounds.bytes,
  });
  const { through, ...outcome } = await applyEntries(ports, entries);
  if (through !== undefined) await log.saveCheckpoint(consumer, streamShard, through);
  return {
    ...outcome,
    checkpoint: through ?? after,
    more: isFull(entries, bounds),
  };
}

/**
 * Applies a batch of one stream shard's entries, shard by shard. What fails is said, not thrown: the
 * batch is to be delivered again from the entry behind `through`.
 */
export async function applyEntries(
  ports: EntryPorts,
  entries: readonly LogEntry[],
): Promise<AppliedEntries> {
  const groups = byPartition(entries);
  const limit = pLimit(SHARDS_AT_ONCE);
  const results = await Promise.all(
    [...groups].map(([name, own]) => limit(() => applyGroup(ports, name, own))),
  );
  const sum = (of: (result: GroupResult) => number): number =>
    results.reduce((total, result) => total + of(result), 0);
  const failed = results.flatMap(({ name, failure }) =>
    failure === undefined ? [] : [{ shard: name, error: failure.error }],
  );
  return {
    entries: entries.length,
    records: sum(({ records }) => records),
    rows: sum(({ rows }) => rows),
    skipped: sum(({ skipped }) => skipped),
    parked: sum(({ parked }) => parked),
    failed,
    touched: results.flatMap(({ shard, records }) =>
      shard === undefined || records === 0 ? [] : [shard],
    ),
    through: lastBefore(entries, new Set(failed.map(({ shard }) => shard))),
  };
}

function byPartition(entries: readonly LogEntry[]): ReadonlyMap<string, LogEntry[]> {
  const groups = new Map<string, LogEntry[]>();
  for (const entry of entries) {
    const own = groups.get(entry.partition);
    if (own === undefined) groups.set(entry.partition, [entry]);
    else own.push(entry);
  }
  return groups;
}

type GroupResult = Taken &
  Readonly<{
    name: string;
    shard: ShardId | undefined;
    failure?: Readonly<{ error: unknown }>;
  }>;

async function applyGroup(
  ports: EntryPorts,
  name: string,
  entries: readonly LogEntry[],
): Promise<GroupResult> {
  const { telemetry } = ports;
  const shard = parseShardName(name);
  const nothing = { name, shard, records: 0, rows: 0, parked: 0, skipped: 0 };
  try {
    const taken =
      shard === undefined
        ? { ...nothing, skipped: entries.length }
        : await takeEntries(ports, shard, entries);
    if (taken.skipped > 0) {
      telemetry.count('apply_skipped_total', taken.skipped);
      telemetry.event('warn', 'apply-skipped', { shard: name, records: taken.skipped });
    }
    return { name, shard, ...taken };
  } catch (error) {
    if (isStoreError(error, 'TIMEOUT') && ports.stopMs !== undefined) {
      // No failure: the rest is delivered again, and what was committed is recognised.
      telemetry.event('info', 'apply-out-of-time', { shard: name, records: entries.length });
      return { ...nothing, failure: { error } };
    }
    telemetry.count('apply_failures_total');
    telemetry.event('error', 'apply-failed', {
      shard: name,
      records: entries.length,
      code: isStoreError(error) ? error.code : 'INTERNAL',
      reason: error instanceof Error ? error.message : String(error),
    });
    return { ...nothing, failure: { error } };
  }
}

/** The last entry before the first one of a shard that failed. */
function lastBefore(entries: readonly LogEntry[], held: ReadonlySet<string>): Sequence | undefined {
  const first = entries.findIndex(({ partition }) => held.has(partition));
  const done = first < 0 ? entries : entries.slice(0, first);
  return done.at(-1)?.sequence;
}

function isFull(entries: readonly LogEntry[], bounds: ConsumeBounds): boolean {
  if (entries.length >= bounds.entries) return true;
  return entries.reduce((sum, { data }) => sum + data.length, 0) >= bounds.bytes;
}
