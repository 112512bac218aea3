/**
 * The write path: from a request's rows or keys to durable, visible, acknowledged (DESIGN 4.1).
 *
 * Everything that can be wrong with a request is found before anything is logged (I11). A request is
 * atomic per shard, not across shards: where some parts were written and others not, the error says
 * which rows.
 */
import { isStoreError, StoreError } from '#base/errors.ts';
import type { JsonObject } from '#base/json.ts';
import type { Collection } from '#catalog/collection.ts';
import type { Key } from '#schema/column.ts';
import { primaryField } from '#schema/field.ts';
import { gatherBatch, keyColumn } from '#schema/gather.ts';
import { shardOf } from '#schema/hash.ts';
import { lastWins, rowsToBatch } from '#schema/row.ts';
import { encodeToken } from '#wal/token.ts';
import { placeholderKeys, replacedKeys, withKeys } from './generated.ts';
import { type Attempt, beginAttempt, type RequestIdentity } from './idempotency.ts';
import {
  emptyBatch,
  emptyPart,
  keysOf,
  type ShardPart,
  splitByShard,
  type Victim,
} from './split.ts';
import {
  nothingLogged,
  type WriteContext,
  type WritePorts,
  type Written,
  writeShard,
} from './write-shard.ts';

/** HTTP requests end at 30 s; a writer without a deadline of its own stops waiting before that. */
const ANSWER_MS_MAX = 25_000;
/** Row numbers that an error names. */
const ROWS_NAMED_MAX = 20;

type Request = Readonly<{
  /** Where the client gave a `RequestId`. */
  identity?: RequestIdentity;
  /** When the caller stops listening, milliseconds since 1970; default 25 s from now. */
  deadlineMs?: number;
}>;

export type RowsRequest = Request &
  Readonly<{ kind: 'insert' | 'upsert'; rows: readonly JsonObject[]; partitionId: number }>;

export type DeleteRequest = Request &
  Readonly<{
    victims: readonly Victim[];
    /** A read found the victims: another attempt of the request may find others. */
    found?: boolean;
  }>;

/**
 * Inserts or upserts rows. Of equal keys in one request the last row wins; a row replaces what the
 * collection holds under its key, for insert as for upsert. Where keys are generated an upsert's key
 * selects the row to replace, and the new row gets a new key.
 *
 * @returns per given row the key under which it (or the row that won over it) is stored, and a token
 * @throws StoreError with effect none: `INVALID_ROW`, `INVALID_ARGUMENT`, `NOT_READY`,
 *   `OVERLOADED`, `NOT_PRIMARY`, `COLLECTION_NOT_FOUND`; with effect unknown: `WRITE_UNCERTAIN`
 */
export async function acceptRows(
  ports: WritePorts,
  collection: Collection,
  request: RowsRequest,
): Promise<Readonly<{ ids: readonly Key[]; count: number; token: string }>> {
  const { schema } = collection;
  const keyField = primaryField(schema);
  const { kind, partitionId } = request;
  const replaced =
    kind === 'upsert' && keyField.autoId ? replacedKeys(keyField, request.rows) : undefined;
  const rows = replaced?.rows ?? request.rows;
  const options = keyField.autoId ? { generatedKeys: placeholderKeys(keyField, rows.length) } : {};
  const checked = rowsToBatch(schema, rows, { partitionId, ...options });

  const takeKeys = async () => (keyField.autoId ? await ports.keys.take(rows.length) : undefined);
  const attempt = await begin(ports, request, takeKeys);
  const firstKey =
    attempt === undefined ? await beforeLog(takeKeys(), undefined) : attempt.firstKey;
  const given = firstKey === undefined ? checked : withKeys(checked, keyField, firstKey);

  const batch =
    replaced === undefined ? lastWins(given, keyField) : gatherBatch(given, replaced.kept);
  const ids = keysOf(keyColumn(given, keyField), given.count);
  const parts = splitByShard(schema, collection.shards, batch, replaced?.victims ?? []);
  const written = await writeParts(
    ports,
    collection,
    parts,
    contextOf(ports, collection, request, attempt),
    ids,
  );
  return {
    ids: replaced?.standIns.map((row) => ids[row] ?? '') ?? ids,
    count: request.rows.length,
    token: tokenOf(collection, written),
  };
}

/**
 * Deletes versions of keys: with a version up to that one, without one whatever is there.
 *
 * @returns the number of tombstones that took effect (a retry's answer is the first attempt's), and
 *   a token
 * @throws StoreError as {@link acceptRows}
 */
export async function acceptDelete(
  ports: WritePorts,
  collection: Collection,
  request: DeleteRequest,
): Promise<Readonly<{ count: number; token: string }>> {
  const { schema, shards } = collection;
  const attempt = await begin(ports, request, async () => undefined);
  const victims = [...new Map(request.victims.map((victim) => [victim.key, victim])).values()];
  const parts = splitByShard(schema, shards, emptyBatch(schema), victims);
  if (attempt !== undefined && request.found === true) addMissing(parts, collection);
  const context = contextOf(ports, collection, request, attempt);
  const written = await writeParts(ports, collection, parts, context, []);
  const count = written.reduce((sum, { tombstones }) => sum + tombstones, 0);
  return { count, token: tokenOf(collection, written) };
}

/**
 * Another attempt's filter may find victims in shards where this one's finds none: an earlier one's,
 * because that attempt deleted them; a later one's, because rows were written since, which are not
 * the request's to delete. A part for every shard learns what was done there, or takes the place of
 * whatever still comes: so each shard is decided once, also where nothing is deleted.
 */
function addMissing(parts: ShardPart[], { schema, shards }: Collection): void {
  const known = new Set(parts.map(({ shard }) => shard));
  for (let shard = 0; shard < shards; shard++) {
    if (!known.has(shard)) parts.push(emptyPart(schema, shard));
  }
}

async function begin(
  ports: WritePorts,
  { identity, deadlineMs }: Request,
  takeKeys: () => Promise<bigint | undefined>,
): Promise<Attempt | undefined> {
  if (identity === undefined) return undefined;
  return await beforeLog(beginAttempt(ports, identity, takeKeys, deadlineMs), undefined);
}

async function beforeLog<T>(work: Promise<T>, attempt: Attempt | undefined): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw nothingLogged(error, attempt);
  }
}

const contextOf = (
  { clock }: WritePorts,
  { schema }: Collection,
  { deadlineMs }: Request,
  attempt: Attempt | undefined,
): WriteContext => ({
  schemaVersion: schema.version,
  attempt,
  answerByMs: deadlineMs ?? clock.nowMs() + ANSWER_MS_MAX,
});

/** All shards at once: at most 16, each a stream of its own. */
async function writeParts(
  ports: WritePorts,
  { collectionId, shards }: Collection,
  parts: readonly ShardPart[],
  context: WriteContext,
  keys: readonly Key[],
): Promise<readonly Written[]> {
  const results = await Promise.allSettled(
    parts.map((part) => writeShard(ports, { collectionId, shard: part.shard }, part, context)),
  );
  const failed = results.flatMap((result, index) => {
    const part = parts[index];
    if (result.status === 'fulfilled' || part === undefined) return [];
    // What a promise was rejected with may be anything.
    return [{ part, error: result.reason as unknown }];
  });
  if (failed.length > 0) throw failureOf(failed, parts, keys, shards);
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

type Failure = Readonly<{ part: ShardPart; error: unknown }>;

/** One error for the request: the shards' own where they agree, else one that names what was written. */
function failureOf(
  failed: readonly Failure[],
  parts: readonly ShardPart[],
  keys: readonly Key[],
  shards: number,
): unknown {
  const [first] = failed;
  const bug = failed.find(({ error }) => !isStoreError(error));
  if (bug !== undefined) return bug.error;
  const nothing = failed.every(
    ({ error }) => isStoreError(error) && error.advice.effect === 'none',
  );
  if (failed.length === parts.length && (nothing || failed.length === 1)) return first?.error;
  const lost = new Set(failed.map(({ part }) => part.shard));
  const reason = first?.error instanceof Error ? first.error.message : '';
  return new StoreError(
    'WRITE_UNCERTAIN',
    `${failed.length} of ${parts.length} parts of the request ${nothing ? 'were not' : 'may not have been'} written ` +
      `(shards ${[...lost].join(', ')} of ${shards}${namedRows(keys, lost, shards)}), the others were: ${reason}`,
    { cause: first?.error, details: { shardsFailed: [...lost].join(',') } },
  );
}

/** Rows by number, as the client counts them; never their keys. */
function namedRows(keys: readonly Key[], lost: ReadonlySet<number>, shards: number): string {
  const rows = keys.flatMap((key, row) => (lost.has(shardOf(key, shards)) ? [row] : []));
  if (rows.length === 0) return '';
  const named = rows.slice(0, ROWS_NAMED_MAX).join(', ');
  const more = rows.length > ROWS_NAMED_MAX ? ` and ${rows.length - ROWS_NAMED_MAX} more` : '';
  return `; rows ${named}${more}`;
}

const tokenOf = ({ collectionId }: Collection, written: readonly Written[]): string =>
  encodeToken({
    collectionId,
    positions: new Map(written.map(({ shard, position }) => [shard, position])),
  });
