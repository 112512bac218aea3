/**
 * The gate: one small row per shard that writers read before they append and again after it.
 *
 * Raising the gate's number is the first half of every fence, appending the fence to the log the
 * second. A writer that was frozen in between either sees the new number in its check, or its record
 * stands behind the fence and is void. The gate says everything the fence says, so whoever waits for
 * a fence that does not appear appends it: its record id and number make that idempotent.
 *
 * The row is `gate` in the shard's partition of the regional table; its bytes: docs/formats/record.md.
 */
import { assert } from '#base/assert.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import type { RowKey, Table } from '#ports/table.ts';
import { decodeGate, encodeGate, FENCES_REMEMBERED } from './gate-codec.ts';
import type { FenceAction, ShardState, WalRecord } from './record.ts';
import { type ShardId, shardName } from './shard.ts';

export type Gate = Readonly<{
  /** The fence number: grows with every fence, never falls. */
  number: number;
  epoch: number;
  generation: number;
  /** True where the topology has a lease, which a writer then has to hold. */
  lease: boolean;
  schemaVersion: number;
  shardMapVersion: number;
  state: ShardState;
  /** The fence that raised the gate to `number`, until it is known to be applied. */
  underWay?: RaisedFence;
  /** The fences before it, oldest first, at most {@link FENCES_REMEMBERED}. */
  past: readonly RaisedFence[];
}>;

/** A fence that the gate was raised for. Everything else it says is in the gate itself. */
export type RaisedFence = Readonly<{ action: FenceAction; number: number; recordId: string }>;

/** What a fence changes; what is left out stays. */
export type Raise = Readonly<{
  action: FenceAction;
  /** 32 hexadecimal digits, the same for every attempt: how a raise recognises its own effect. */
  recordId: string;
  /** At least this number; promotion passes one above the manifest's. Default: one more. */
  numberMin?: number;
  epoch?: number;
  generation?: number;
  lease?: boolean;
  schemaVersion?: number;
  shardMapVersion?: number;
  state?: ShardState;
}>;

export type GateRow = Readonly<{ gate: Gate; version: number }>;

/** Sixteen lost races in a row mean a runaway, not bad luck. */
const ATTEMPTS_MAX = 16;

const gateKey = (shard: ShardId): RowKey => ({ partition: shardName(shard), sort: 'gate' });

/** @throws StoreError `COLLECTION_NOT_FOUND` where the shard has no gate; `DATA_CORRUPT` */
export async function readGate(table: Table, shard: ShardId): Promise<GateRow> {
  const row = await table.get(gateKey(shard));
  if (row === undefined) {
    throw new StoreError('COLLECTION_NOT_FOUND', `shard ${shardName(shard)} has no gate`);
  }
  return { gate: decodeGate(row.value, `gate of ${shardName(shard)}`), version: row.version };
}

/** The gate of a new shard, at its manifest's number. False where there is one already. */
export async function createGate(table: Table, shard: ShardId, gate: Gate): Promise<boolean> {
  return (await table.put(gateKey(shard), encodeGate(gate), 'absent')) !== undefined;
}

/**
 * Raises the gate by what `decide` makes of the gate as it is; `decide` is called again after a lost
 * race. The fence itself is appended by the caller ({@link fenceRecord}). Where `decide` returns
 * undefined, or the fence of its record id was raised already, the gate is returned as it is.
 *
 * @throws StoreError
 *   - `NOT_READY` while another fence is under way: append it, wait for it, settle it, try again
 *   - `COLLECTION_NOT_FOUND` where the shard is dropped or has no gate
 *   - `UNCERTAIN` after {@link ATTEMPTS_MAX} lost races or answers; the raise may be in effect,
 *     and calling again with the same record id is safe
 */
export async function raiseGate(
  table: Table,
  shard: ShardId,
  decide: (gate: Gate) => Raise | undefined,
): Promise<GateRow> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const current = await readGate(table, shard);
    const raise = decide(current.gate);
    if (raise === undefined || wasRaised(current.gate, raise.recordId)) return current;
    const gate = raised(current.gate, raise, shard);
    const version = await swapped(table, shard, gate, current.version);
    if (version !== undefined) return { gate, version };
  }
  throw new StoreError('UNCERTAIN', `gate of ${shardName(shard)}: lost ${ATTEMPTS_MAX} races`);
}

/** Says that the fence of `number` is applied; nothing to do where it is no longer under way. */
export async function settleGate(table: Table, shard: ShardId, number: number): Promise<GateRow> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const current = await readGate(table, shard);
    const { underWay, ...rest } = current.gate;
    if (underWay === undefined || underWay.number > number) return current;
    const gate = { ...rest, past: [...rest.past, underWay].slice(-FENCES_REMEMBERED) };
    const version = await swapped(table, shard, gate, current.version);
    if (version !== undefined) return { gate, version };
  }
  throw new StoreError('UNCERTAIN', `gate of ${shardName(shard)}: lost ${ATTEMPTS_MAX} races`);
}

/** The record of the fence under way, to be appended by anyone; undefined where there is none. */
export function fenceRecord(gate: Gate, shard: ShardId, deadlineMs: number): WalRecord | undefined {
  if (gate.underWay === undefined) return undefined;
  const { action, number, recordId } = gate.underWay;
  return {
    recordId,
    collectionId: shard.collectionId,
    shard: shard.shard,
    deadlineMs,
    epoch: gate.epoch,
    fenceNumber: number,
    schemaVersion: gate.schemaVersion,
    body: { kind: 'fence', action, generation: gate.generation, state: gate.state },
  };
}

const wasRaised = ({ underWay, past }: Gate, recordId: string): boolean =>
  underWay?.recordId === recordId || past.some((fence) => fence.recordId === recordId);

function raised(gate: Gate, raise: Raise, shard: ShardId): Gate {
  const name = shardName(shard);
  if (gate.state === 'dropped') {
    throw new StoreError('COLLECTION_NOT_FOUND', `shard ${name} is dropped`);
  }
  if (gate.underWay !== undefined) {
    const { action, number } = gate.underWay;
    throw new StoreError('NOT_READY', `shard ${name}: fence ${number} (${action}) is under way`);
  }
  const { action, recordId, numberMin = 0, ...changes } = raise;
  const next = { ...gate, ...changes, number: Math.max(gate.number + 1, numberMin) };
  for (const field of ['epoch', 'generation', 'schemaVersion', 'shardMapVersion'] as const) {
    assert(next[field] >= gate[field], `gate of ${name}: ${field} never falls`);
  }
  return { ...next, underWay: { action, number: next.number, recordId } };
}

/** An uncertain swap counts as lost: the next round reads what really happened. */
async function swapped(
  table: Table,
  shard: ShardId,
  gate: Gate,
  ifVersion: number,
): Promise<number | undefined> {
  try {
    return await table.put(gateKey(shard), encodeGate(gate), ifVersion);
  } catch (error) {
    if (isStoreError(error, 'UNCERTAIN')) return undefined;
    throw error;
  }
}
