/**
 * Fences: raise the gate, then append the fence, then wait until it is applied.
 *
 * The order matters. Behind the raise every writer's check fails, so no write with the old number is
 * acknowledged any more; behind the fence in the log every such record is void. A crash between the
 * two leaves a gate that says which fence is under way, and whoever waits for it appends it: record
 * id and number are in the gate, so that any number of appends has one effect.
 */
import { isStoreError, StoreError } from '#base/errors.ts';
import { parsePosition } from '#base/position.ts';
import { readManifest } from '#manifest/head.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Log, Sequence } from '#ports/log.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import { fenceRecord, type Gate, type Raise, raiseGate, readGate, settleGate } from '#wal/gate.ts';
import { refuseParked, whyParked } from '#wal/parked.ts';
import { encodeRecord } from '#wal/record-codec.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import { newestTail } from '#wal/tail.ts';
import { randomRecordId } from './idempotency.ts';

export type GatePorts = Readonly<{ objects: ObjectStore; log: Log; table: Table; clock: Clock }>;

/** What a fence changes; what is left out stays as the gate has it. */
export type FenceRequest = Omit<Raise, 'recordId'> &
  Readonly<{
    /** Give one where the caller may repeat the call: the same id is the same fence. */
    recordId?: string;
  }>;

/**
 * How long anyone waits for a fence: applying takes about a second (the event source's poll), and an
 * HTTP request lives 30 s.
 */
export const FENCE_WAIT_MS = 15_000;
/**
 * After this long without the fence, whoever waits appends it (again): twice what an apply takes, so
 * that it happens only where somebody died.
 */
const APPEND_AFTER_MS = 2_000;
const POLL_MS_FIRST = 5;
const POLL_MS_MAX = 100;
/**
 * A fence has no deadline. Its number already makes a late or repeated one harmless, and a deadline
 * would let a fast clock void every fence of a shard for ever.
 */
const NEVER = Number.MAX_SAFE_INTEGER;
/** Fences of others that may be under way when one of ours is due. */
const RIVALS_MAX = 8;

/**
 * Fences a shard and returns its gate behind the fence. Repeating the call with the same record id,
 * after a crash or a lost answer, goes on where it stood. A fence of a dropped shard has no effect.
 *
 * @throws StoreError `NOT_READY` where the fence was not seen to be applied within
 *   {@link FENCE_WAIT_MS}: it is under way and will be applied; or where the shard is parked: then it
 *   was not raised. `COLLECTION_NOT_FOUND`; `UNCERTAIN`
 */
export async function fenceShard(
  ports: GatePorts & Readonly<{ entropy: Entropy }>,
  shard: ShardId,
  request: FenceRequest,
): Promise<Gate> {
  const recordId = request.recordId ?? randomRecordId(ports.entropy);
  const raise: Raise = { ...request, recordId };
  // Behind a record that cannot be applied it would shut the writers out for as long. A drop goes past.
  const isDrop = request.action === 'drop';
  if (!isDrop) await refuseParked(ports.table, shard, `fence (${request.action})`);
  const settled = (): Promise<Gate> => settledGate(ports, shard, FENCE_WAIT_MS, isDrop);
  for (let rival = 1; rival <= RIVALS_MAX; rival++) {
    await settled();
    try {
      const { gate } = await raiseGate(ports.table, shard, ({ state }) =>
        state === 'dropped' ? undefined : raise,
      );
      if (gate.underWay === undefined) return gate;
      await appendFence(ports, shard, gate);
      return await settled();
    } catch (error) {
      // Another fence was raised between our look and our raise: its turn comes first.
      if (!isStoreError(error, 'NOT_READY') || rival === RIVALS_MAX) throw error;
    }
  }
  throw new StoreError('NOT_READY', `shard ${shardName(shard)}: ${RIVALS_MAX} other fences`);
}

/**
 * The shard's gate with no fence under way: waits for one that is, and sees to it that it comes.
 *
 * @param isDropping the shard's collection is on its way out, and what is parked holds no fence up
 * @throws StoreError `NOT_READY` after `waitMs`; `COLLECTION_NOT_FOUND`
 */
export async function settledGate(
  ports: GatePorts,
  shard: ShardId,
  waitMs = FENCE_WAIT_MS,
  isDropping = false,
): Promise<Gate> {
  const { clock, table } = ports;
  const startMs = clock.nowMs();
  let lookedMs = startMs;
  let pollMs = POLL_MS_FIRST;
  for (;;) {
    const { gate } = await readGate(table, shard);
    if (gate.underWay === undefined) return gate;
    const nowMs = clock.nowMs();
    if (nowMs - startMs >= waitMs) {
      const { action, number } = gate.underWay;
      const why = (await whyParked(table, shard)) ?? 'try again';
      throw new StoreError(
        'NOT_READY',
        `shard ${shardName(shard)}: fence ${number} (${action}) is not applied yet; ${why}`,
      );
    }
    if (nowMs - lookedMs >= APPEND_AFTER_MS) {
      lookedMs = nowMs;
      await ensureFence(ports, shard, gate, isDropping);
    }
    await clock.sleep(pollMs);
    pollMs = Math.min(pollMs * 2, POLL_MS_MAX);
  }
}

/**
 * Does what is left of the fence under way: settles the gate where the fence is applied (apply died
 * before it could), else appends the fence (whoever raised the gate may have died).
 *
 * @throws StoreError `NOT_READY` where the shard is parked: another fence would only wait with the rest,
 *   and everybody who waits would add to them
 */
export async function ensureFence(
  ports: GatePorts,
  shard: ShardId,
  gate: Gate,
  isDropping: boolean,
): Promise<void> {
  if (gate.underWay === undefined) return;
  const { manifest } = await readManifest(ports, shard);
  if (manifest.fenceNumber >= gate.underWay.number) {
    await settleGate(ports.table, shard, manifest.fenceNumber);
  } else {
    const { action, number } = gate.underWay;
    const isPast = isDropping || action === 'drop';
    if (!isPast) await refuseParked(ports.table, shard, `fence ${number} (${action})`);
    await appendFence(ports, shard, gate);
  }
}

async function appendFence(ports: GatePorts, shard: ShardId, gate: Gate): Promise<void> {
  const record = fenceRecord(gate, shard, NEVER);
  if (record === undefined) return;
  const after = await floorOf(ports, shard, gate);
  try {
    const options = after === undefined ? {} : { after };
    await ports.log.append(shardName(shard), encodeRecord(record), options);
  } catch (error) {
    // Whether it is in the log or not, the wait that follows finds out and appends it again.
    if (!isStoreError(error, 'UNCERTAIN', 'OVERLOADED')) throw error;
  }
}

/**
 * Behind every write that was acknowledged and is not applied yet: a fence must not void one. The
 * first fence in another log knows nothing of that log's sequences.
 */
async function floorOf(
  { table }: GatePorts,
  shard: ShardId,
  { underWay }: Gate,
): Promise<Sequence | undefined> {
  if (underWay?.action === 'promote' || underWay?.action === 'generation') return undefined;
  const newest = await newestTail(table, shard);
  return newest === undefined ? undefined : parsePosition(newest.position).sequence;
}
