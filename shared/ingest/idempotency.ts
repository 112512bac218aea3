/**
 * Requests that are sent again under their `RequestId` take effect once (DESIGN 4.1, step 4).
 *
 * Two things make that so. The *record id* is the same for every attempt, and apply makes the
 * second record of an id a duplicate while it remembers the first. The *attempt row* in the global
 * table says whether an attempt is the first, whose record nothing can precede, or a retry, which
 * must wait to learn which record took effect. It also keeps what a retry must repeat: the body's
 * hash and the first generated key.
 *
 *     |<------- attempts -------->|<- deadline ->|
 *     first                       +9 min         +11 min of log time: ids forgotten
 *                last attempt --------- +15 min: row forgotten; a new request from then on
 *
 * A retry later than {@link RETRY_WINDOW_MS} after the first attempt is refused, since the id may be
 * forgotten before the retry's record arrives and would then take effect twice (I2, I5).
 */
import { hash } from 'node:crypto';
import { ByteReader, ByteWriter, toHex } from '#base/bytes.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Row, RowKey, Table } from '#ports/table.ts';
import { DEADLINE_MS, SKEW_MS } from './deadline.ts';
import { ID_WINDOW_MS } from './fold.ts';

export type RequestIdentity = Readonly<{
  user: string;
  route: string;
  requestId: string;
  /** Hexadecimal hash of the request's body. */
  bodyHash: string;
}>;

/** What this attempt knows of the ones before it. */
export type Attempt = Readonly<{
  identity: RequestIdentity;
  number: number;
  /** Nothing was sent under this `RequestId` before. */
  first: boolean;
  /** The first generated key, the same for every attempt. */
  firstKey: bigint | undefined;
  /** Milliseconds since 1970. Its record's deadline counts from here, however slow the writer is. */
  begunMs: number;
}>;

/**
 * 11 min of memory, less the deadline of the retry's record (1 min), less the skew twice: the first
 * attempt's record may have arrived a skew early, the retry's a skew late.
 */
export const RETRY_WINDOW_MS = ID_WINDOW_MS - DEADLINE_MS - 2 * SKEW_MS;
/** Longer than the id window by more than the skew, so that a new row means a forgotten id. */
export const ATTEMPT_ROW_MS = 15 * 60_000;
/** Each lost race is another attempt of the same request: nobody sends that many at once. */
const RACES_MAX = 8;
/** Expired rows are deleted by those who come later: one request in 16 looks at up to 100 rows. */
const SWEEP_CHANCE = 1 / 16;
const SWEEP_ROWS = 100;
const RECORD_ID_DIGITS = 32;
const BODY_HASH_CHARS_MAX = 128;

type Kept = Readonly<{
  bodyHash: string;
  attempt: number;
  firstMs: number;
  lastMs: number;
  firstKey: bigint | undefined;
}>;

type AttemptPorts = Readonly<{ global: Table; clock: Clock; entropy: Entropy }>;

/**
 * Counts this attempt; `takeKeys` is called where a first attempt needs generated keys.
 *
 * @param untilMs when the caller stops listening. An attempt of a process that slept past it is none:
 *   once the row of the request is forgotten, as after a quarter of an hour, it would be a first one
 *   and take effect beside the retry that came in its stead
 * @throws StoreError
 *   - `INVALID_ARGUMENT` where the `RequestId` was used with another body
 *   - `WRITE_UNCERTAIN` where the first attempt is too long ago to be sure of its fate
 *   - `UNCERTAIN`, `NOT_READY` from the global table; nothing was logged
 */
export async function beginAttempt(
  ports: AttemptPorts,
  identity: RequestIdentity,
  takeKeys: () => Promise<bigint | undefined>,
  untilMs = Number.POSITIVE_INFINITY,
): Promise<Attempt> {
  const key = attemptKey(identity);
  let taken: Readonly<{ firstKey: bigint | undefined }> | undefined;
  for (let race = 1; race <= RACES_MAX; race++) {
    const row = await ports.global.get(key);
    const nowMs = ports.clock.nowMs();
    if (nowMs > untilMs) throw overslept();
    const kept = row === undefined ? undefined : decode(row);
    const expired = kept !== undefined && nowMs - kept.lastMs > ATTEMPT_ROW_MS;
    if (kept !== undefined && !expired) {
      refuseUnfit(identity, kept, nowMs);
      const next = { ...kept, attempt: kept.attempt + 1, lastMs: nowMs };
      if (await swap(ports, row, key, next)) return attemptOf(identity, next, false);
      continue;
    }
    taken ??= { firstKey: await takeKeys() };
    // The number goes on from an expired row: an attempt frozen that long ago must not find its own.
    const attempt = (kept?.attempt ?? 0) + 1;
    const { bodyHash } = identity;
    const next = { bodyHash, attempt, firstMs: nowMs, lastMs: nowMs, ...taken };
    if (await swap(ports, row, key, next)) {
      await sweepSome(ports, key, nowMs);
      return attemptOf(identity, next, true);
    }
  }
  throw new StoreError('NOT_READY', `RequestId: ${RACES_MAX} attempts of one request at once`);
}

const overslept = (): StoreError =>
  new StoreError(
    'WRITE_UNCERTAIN',
    'RequestId: nobody waits for this attempt any more, and nothing of it was written; another one may have taken effect',
  );

/** Whether no later attempt of the same request has begun. */
export async function isLatestAttempt(global: Table, attempt: Attempt): Promise<boolean> {
  const row = await global.get(attemptKey(attempt.identity));
  return row !== undefined && decode(row).attempt === attempt.number;
}

/** The record id of a request's part for one shard: equal for every attempt. */
export const recordIdOf = (
  identity: RequestIdentity,
  collectionId: number,
  shard: number,
): string =>
  digest([
    identity.user,
    identity.route,
    identity.requestId,
    identity.bodyHash,
    String(collectionId),
    String(shard),
  ]).slice(0, RECORD_ID_DIGITS);

/** 128 random bits: two writes without a `RequestId` never share an id. */
export const randomRecordId = (entropy: Entropy): string =>
  toHex(entropy.bytes(RECORD_ID_DIGITS / 2));

const attemptOf = (
  identity: RequestIdentity,
  { attempt, firstKey, lastMs }: Kept,
  first: boolean,
): Attempt => ({ identity, number: attempt, first, firstKey, begunMs: lastMs });

/** A hash, since user, route and id are the client's texts and a row key is short and printable. */
function attemptKey({ user, route, requestId }: RequestIdentity): RowKey {
  const name = digest([user, route, requestId]);
  return { partition: `requests/${name.slice(0, 2)}`, sort: name };
}

/** Parts stand behind their lengths: no two lists of parts have the same bytes. */
function digest(parts: readonly string[]): string {
  const writer = new ByteWriter();
  for (const part of parts) writer.string(part);
  return hash('sha256', writer.view(), 'hex');
}

function refuseUnfit({ bodyHash }: RequestIdentity, kept: Kept, nowMs: number): void {
  if (kept.bodyHash !== bodyHash) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      'RequestId: it was used for another body less than 15 minutes ago; a new request needs a new id',
    );
  }
  if (nowMs - kept.firstMs <= RETRY_WINDOW_MS) return;
  const minutes = Math.floor((nowMs - kept.firstMs) / 60_000);
  throw new StoreError(
    'WRITE_UNCERTAIN',
    `RequestId: first sent ${minutes} minutes ago, too long to tell whether it took effect; read, and write again under a new id if need be`,
  );
}

async function swap(
  { global }: AttemptPorts,
  row: Row | undefined,
  key: RowKey,
  next: Kept,
): Promise<boolean> {
  return (await global.put(key, encode(next), row?.version ?? 'absent')) !== undefined;
}

/**
 * Deletes expired rows that share this one's first two digits. On average more than six rows are
 * looked at per new request, so rows are deleted as fast as they come once one in six is expired.
 */
async function sweepSome({ global, entropy }: AttemptPorts, { partition }: RowKey, nowMs: number) {
  if (entropy.random() >= SWEEP_CHANCE) return;
  const after = partition.slice(-2) + toHex(entropy.bytes(4));
  try {
    for (const row of await global.query(partition, { after, limit: SWEEP_ROWS })) {
      if (nowMs - decode(row).lastMs <= ATTEMPT_ROW_MS) continue;
      await global.delete({ partition, sort: row.sort }, row.version);
    }
  } catch (error) {
    // What is not swept now is swept by another request; this one must not fail for it.
    if (!isStoreError(error)) throw error;
  }
}

const VERSION = 1;

function encode({ bodyHash, attempt, firstMs, lastMs, firstKey }: Kept): Uint8Array {
  if (bodyHash.length > BODY_HASH_CHARS_MAX) {
    throw new StoreError('INTERNAL', `a body hash has at most ${BODY_HASH_CHARS_MAX} characters`);
  }
  const writer = new ByteWriter().u8(VERSION).string(bodyHash).varint(attempt);
  writer
    .varint(firstMs)
    .varint(lastMs)
    .u8(firstKey === undefined ? 0 : 1);
  return (firstKey === undefined ? writer : writer.i64(firstKey)).finish();
}

function decode({ partition, sort, value }: Row): Kept {
  const reader = new ByteReader(value, `attempt row ${partition} ${sort}`);
  if (reader.u8() !== VERSION) reader.fail('unknown version');
  const kept = {
    bodyHash: reader.string(),
    attempt: reader.varint(),
    firstMs: reader.varint(),
    lastMs: reader.varint(),
    firstKey: reader.u8() === 0 ? undefined : reader.i64(),
  };
  reader.end();
  return kept;
}
