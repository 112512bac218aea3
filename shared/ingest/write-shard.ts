/**
 * One request's part for one shard: gate, admission, payload, append, check, tail row, check
 * (DESIGN 4.1, steps 3 and 5 to 8).
 *
 * Up to the append nothing has an effect: whatever fails there is refused with effect none. From the
 * append on nothing is retried and no error is passed on as it is: either the checks hold, or
 * `outcome.ts` finds out what became of the record.
 */
import { isStoreError, StoreError } from '#base/errors.ts';
import { parsePosition, type RecordPosition, recordPosition } from '#base/position.ts';
import type { ManifestCache } from '#manifest/head.ts';
import type { Entropy } from '#ports/entropy.ts';
import { compareSequences, type Log, type Sequence } from '#ports/log.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import type { Gate } from '#wal/gate.ts';
import { encodePayload, storePayload } from '#wal/payload.ts';
import type { WalRecord, WriteBody } from '#wal/record.ts';
import { encodeRecord } from '#wal/record-codec.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import { newestTail, putTail } from '#wal/tail.ts';
import type { Admission } from './admission.ts';
import { type CheckPorts, findObstacle, refuseUnfit } from './check.ts';
import { DEADLINE_MS } from './deadline.ts';
import { FENCE_WAIT_MS, settledGate } from './fence.ts';
import { type Attempt, randomRecordId, recordIdOf } from './idempotency.ts';
import type { KeyAllocator } from './keys.ts';
import { awaitOutcome } from './outcome.ts';
import type { RecordIds } from './record-ids.ts';
import type { ShardPart } from './split.ts';

/** The last four live as long as the process and are shared by all its writes. */
export type WritePorts = CheckPorts &
  Readonly<{
    objects: ObjectStore;
    log: Log;
    entropy: Entropy;
    telemetry: Telemetry;
    admission: Admission;
    keys: KeyAllocator;
    recordIds: RecordIds;
    manifests?: ManifestCache | undefined;
  }>;

/** What all parts of one request share. */
export type WriteContext = Readonly<{
  /** Of the schema that the rows were checked against. */
  schemaVersion: number;
  attempt: Attempt | undefined;
  /** When the caller stops listening; no wait lasts longer. */
  answerByMs: number;
}>;

/** The record that took effect for one part: this attempt's or an earlier one's. */
export type Written = Readonly<{
  shard: number;
  position: RecordPosition;
  rows: number;
  tombstones: number;
}>;

/** A record on its way. */
export type SentRecord = Readonly<{
  shard: ShardId;
  record: WalRecord & Readonly<{ body: WriteBody }>;
  /** Whether the topology had a lease when the record was sent. */
  lease: boolean;
  context: WriteContext;
  /** Where it stands; undefined where the log's answer was lost or cannot be right. */
  position: RecordPosition | undefined;
}>;

/**
 * Writes one part and returns when it is durable and visible.
 *
 * @throws StoreError with effect none: `OVERLOADED`, `NOT_READY`, `NOT_PRIMARY`,
 *   `COLLECTION_NOT_FOUND`; with effect unknown: `WRITE_UNCERTAIN`
 */
export async function writeShard(
  ports: WritePorts,
  shard: ShardId,
  part: ShardPart,
  context: WriteContext,
): Promise<Written> {
  const { attempt } = context;
  let sent: SentRecord;
  try {
    sent = await send(ports, shard, part, context);
  } catch (error) {
    throw nothingLogged(error, attempt);
  }
  const { record, position } = sent;
  if (position !== undefined && attempt?.first !== false) {
    const obstacle = await acknowledge(ports, sent, position);
    if (obstacle === undefined) {
      const { rows, tombstones } = record.body;
      return { shard: shard.shard, position, rows, tombstones };
    }
    ports.telemetry.event('info', 'write-check-failed', { shard: shardName(shard), obstacle });
  }
  return await awaitOutcome(ports, sent);
}

/** Steps 3, 5 and 6: everything up to the log's answer. */
async function send(
  ports: WritePorts,
  shard: ShardId,
  part: ShardPart,
  context: WriteContext,
): Promise<SentRecord> {
  const { schemaVersion, attempt, answerByMs } = context;
  const waitMs = Math.min(FENCE_WAIT_MS, answerByMs - ports.clock.nowMs());
  const [gate, newest] = await Promise.all([
    settledGate(ports, shard, waitMs),
    newestTail(ports.table, shard),
  ]);
  await refuseUnfit(ports, gate, schemaVersion);
  const { rows, tombstones } = part;
  const counts = { rows: rows.count, tombstones: tombstones.bounds.length };
  const bytes = encodePayload({ schemaVersion, rows, tombstones });
  await ports.admission.admit(ports, shard, newest, {
    rows: counts.rows + counts.tombstones,
    bytes: bytes.length,
  });
  // Minted before the payload is put, which collect keeps for ten deadlines only, and for an attempt
  // when it began, since its record must not arrive after the request's id is forgotten.
  const deadlineMs = (attempt?.begunMs ?? ports.clock.nowMs()) + DEADLINE_MS;
  const payload = await storePayload(ports, shard, bytes);
  const record = {
    recordId:
      attempt === undefined
        ? randomRecordId(ports.entropy)
        : recordIdOf(attempt.identity, shard.collectionId, shard.shard),
    ...shard,
    deadlineMs,
    epoch: gate.epoch,
    fenceNumber: gate.number,
    schemaVersion,
    body: { kind: 'write', ...counts, payload },
  } as const;
  const floor = newest === undefined ? undefined : floorIn(gate, newest.position);
  const position = await append(ports.log, shard, record, gate, floor);
  return { shard, record, lease: gate.lease, context, position };
}

/**
 * The sequence that the new record's must exceed: the newest tail position's, so that of two writes,
 * one begun after the other was acknowledged, the later one is the newer one. A position of another
 * generation or epoch may come from another log and says nothing about this one's sequences.
 */
export function floorIn(gate: Gate, newest: RecordPosition): Sequence | undefined {
  const { generation, epoch, sequence } = parsePosition(newest);
  return generation === gate.generation && epoch === gate.epoch ? sequence : undefined;
}

/** One append, never repeated: a record that is sent twice may arrive twice, the second time late. */
async function append(
  log: Log,
  shard: ShardId,
  record: WalRecord,
  gate: Gate,
  floor: Sequence | undefined,
): Promise<RecordPosition | undefined> {
  const options = floor === undefined ? {} : { after: floor };
  try {
    const { sequence } = await log.append(shardName(shard), encodeRecord(record), options);
    if (floor !== undefined && compareSequences(sequence, floor) <= 0) return undefined;
    return recordPosition(gate.generation, gate.epoch, sequence);
  } catch (error) {
    if (isStoreError(error, 'UNCERTAIN')) return undefined;
    throw error;
  }
}

/**
 * Steps 7 and 8: check, tail row, check. Returns why the write cannot be acknowledged on the spot.
 * Only a record that passed the first check gets a tail row, so that readers see no void record.
 */
async function acknowledge(
  ports: WritePorts,
  { shard, record, lease, context: { attempt } }: SentRecord,
  position: RecordPosition,
): Promise<string | undefined> {
  try {
    const before = await findObstacle(ports, shard, record, lease, attempt);
    if (before !== undefined) return before;
    const { recordId, fenceNumber, schemaVersion, body } = record;
    const { rows, tombstones, payload } = body;
    const arrivalMs = ports.clock.nowMs();
    const row = { position, fenceNumber, recordId, schemaVersion, arrivalMs };
    await putTail(ports.table, shard, { ...row, rows, tombstones, payload });
    return await findObstacle(ports, shard, record, lease, attempt);
  } catch (error) {
    if (!isStoreError(error)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

/** What the caller may conclude from an error before the append. */
export function nothingLogged(error: unknown, attempt: Attempt | undefined): unknown {
  if (!isStoreError(error)) return error;
  const { code, message } = error;
  if (attempt?.first === false && error.advice.effect === 'none') {
    return new StoreError(
      'WRITE_UNCERTAIN',
      `this attempt wrote nothing (${message}), but an earlier one under the same RequestId may have taken effect`,
      { cause: error },
    );
  }
  if (code !== 'UNCERTAIN') return error;
  return new StoreError('NOT_READY', `nothing was written: ${message}`, { cause: error });
}
