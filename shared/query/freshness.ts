/**
 * What a shard holds at one moment, without a guess (I4).
 *
 * Gate and tail rows are read first, the head row after them, all consistently. A record that apply
 * moves in between is then in the manifest that we read, and its tail row is at or below the applied
 * position: seen once, never missing, never twice. Read the other way round it could be in neither.
 */
import { StoreError } from '#base/errors.ts';
import type { RecordPosition } from '#base/position.ts';
import type { Collection } from '#catalog/collection.ts';
import type { Manifest } from '#manifest/format.ts';
import { type Head, type ManifestCache, readManifest } from '#manifest/head.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import { readGate } from '#wal/gate.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import { readTail, type TailEntry } from '#wal/tail.ts';
import { decodeToken } from '#wal/token.ts';

export type Observation = Readonly<{
  /** The gate's fence number. */
  gateNumber: number;
  /** All tail rows behind `after`, in order. */
  tail: readonly TailEntry[];
  head: Head;
}>;

/**
 * One gate get, one tail query, then one head get.
 *
 * @param after an applied position of an earlier manifest; rows at or below it are not read
 * @param known tail rows that an earlier observation decoded
 */
export async function observeShard(
  ports: Readonly<{ objects: ObjectStore; table: Table; manifests: ManifestCache }>,
  shard: ShardId,
  after: RecordPosition,
  known?: ReadonlyMap<RecordPosition, TailEntry>,
): Promise<Observation> {
  const [{ gate }, tail] = await Promise.all([
    readGate(ports.table, shard),
    readTail(ports.table, shard, after, known),
  ]);
  const head = await readManifest(ports, shard);
  return { gateNumber: gate.number, tail, head };
}

export type Judgement =
  /** The shard's content is the manifest plus these records. */
  | Readonly<{ is: 'known'; tail: readonly TailEntry[] }>
  /** Whether these tail rows stand before or behind the fence is not known until it is applied. */
  | Readonly<{ is: 'fence-under-way'; fenceNumber: number }>
  /** The gate was raised between our reads: read again. */
  | Readonly<{ is: 'gate-moved' }>;

/** Pure. What the observation means; no case is decided by a guess. */
export function judge({ gateNumber, tail, head }: Observation): Judgement {
  const { applied, fenceNumber } = head.manifest;
  const pending = tail.filter(({ position }) => position > applied);
  if (pending.some((entry) => entry.fenceNumber > Math.max(gateNumber, fenceNumber))) {
    return { is: 'gate-moved' };
  }
  if (fenceNumber < gateNumber && pending.some((entry) => entry.fenceNumber < gateNumber)) {
    return { is: 'fence-under-way', fenceNumber: gateNumber };
  }
  // Behind an applied fence a lower number is a record that the fence voided.
  return { is: 'known', tail: pending.filter((entry) => entry.fenceNumber >= fenceNumber) };
}

/** The last record seen, in the manifest or in the tail. */
export const newestOf = (
  { applied }: Pick<Manifest, 'applied'>,
  tail: readonly Readonly<{ position: RecordPosition }>[],
): RecordPosition => tail.at(-1)?.position ?? applied;

/** Pure. The first position that is neither applied nor in the tail. */
export function missingPosition(
  applied: RecordPosition,
  tail: Pick<ReadonlySet<RecordPosition>, 'has'>,
  wanted: readonly RecordPosition[],
): RecordPosition | undefined {
  return wanted.find((position) => position > applied && !tail.has(position));
}

/** Tokens in one request: as many as a client could reasonably have writes in flight. */
export const TOKENS_MAX = 1024;

/**
 * Positions that a read has to cover, by shard.
 *
 * @throws StoreError `INVALID_ARGUMENT` for a token that is damaged, of another collection, or of a
 *   shard that the collection does not have
 */
export function wantedPositions(
  collection: Collection,
  tokens: readonly string[],
): ReadonlyMap<number, readonly RecordPosition[]> {
  if (tokens.length > TOKENS_MAX) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      `token: at most ${TOKENS_MAX}, found ${tokens.length}`,
    );
  }
  const wanted = new Map<number, RecordPosition[]>();
  for (const text of tokens) {
    const token = decodeToken(text);
    if (token.collectionId !== collection.collectionId) {
      throw new StoreError(
        'INVALID_ARGUMENT',
        `token: it belongs to another collection than ${collection.collectionName}`,
      );
    }
    for (const [shard, position] of token.positions) {
      if (shard >= collection.shards) {
        throw new StoreError(
          'INVALID_ARGUMENT',
          `token: it names shard ${shard}, the collection has ${collection.shards}`,
        );
      }
      wanted.set(shard, [...(wanted.get(shard) ?? []), position]);
    }
  }
  return wanted;
}

/** The refusal of a token that the shard has not reached in time (I4, I12). */
export function tooStale(
  shard: ShardId,
  asked: RecordPosition,
  reached: RecordPosition,
): StoreError {
  return new StoreError(
    'TOO_STALE',
    `shard ${shardName(shard)} has not reached the position of the token: asked for ${asked}, reached ${reached === '' ? 'the beginning' : reached}`,
    { details: { shard: shard.shard, asked, reached } },
  );
}
