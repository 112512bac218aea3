/**
 * Snapshots: a pinned cut of a collection at one log time, taken beside running writes (ADR 0013, I9).
 *
 * The pin is opened first; whatever is looked at from then on is not deleted. A crash anywhere leaves
 * an open pin, which collect gives up after a while together with what was put for it.
 */

import { isStoreError, StoreError } from '#base/errors.ts';
import type { RecordPosition } from '#base/position.ts';
import type { Collection } from '#catalog/collection.ts';
import { encodeCollection } from '#catalog/collections-codec.ts';
import { completePin, dropPin, openPin, type PinRow } from '#catalog/pins.ts';
import { settledGate } from '#ingest/fence.ts';
import { appendMarker } from '#ingest/marker.ts';
import { type Cut, cutKey, cutSegmentKey, encodeCut } from '#manifest/cut.ts';
import type { Manifest } from '#manifest/format.ts';
import { type ManifestCache, readManifest } from '#manifest/head.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Log } from '#ports/log.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import type { CollectionSchema } from '#schema/field.ts';
import { refuseParked } from '#wal/parked.ts';
import type { ShardId } from '#wal/shard.ts';
import { newestTail } from '#wal/tail.ts';
import { cutShard } from './cut-shard.ts';

export type SnapshotPorts = Readonly<{
  objects: ObjectStore;
  log: Log;
  table: Table;
  clock: Clock;
  entropy: Entropy;
  manifests?: ManifestCache | undefined;
}>;

/** Applying takes about a second, a request lives 30 s. */
const WAIT_MS = 20_000;
const POLL_MS_FIRST = 5;
const POLL_MS_MAX = 200;
/** A shard that does not pass the log time by itself gets a marker at once, and another after this. */
const MARK_AGAIN_MS = 3_000;

/**
 * Takes a snapshot: everything acknowledged before the call, and for each write in it everything
 * that was acknowledged before that write began, in whatever shard.
 *
 * @param name absent for a pin that only `holders` keep
 * @param holders collections that will share the objects
 * @throws StoreError `ALREADY_EXISTS`; `NOT_READY` where apply does not come up, a shard is parked, a
 *   fence takes effect meanwhile, or somebody else takes a snapshot of that name: nothing was made,
 *   try again; `COLLECTION_NOT_FOUND` where it is dropped meanwhile; `UNCERTAIN`
 */
export async function takeSnapshot(
  ports: SnapshotPorts,
  collection: Collection,
  wanted: Readonly<{ name?: string; description: string }>,
  holders: readonly number[] = [],
): Promise<Readonly<{ pin: PinRow; cut: Cut }>> {
  const { collectionId, dbName, collectionName } = collection;
  const source = { collectionId, dbName, collectionName };
  const open = await openPin(ports, { source, ...wanted });
  try {
    const { pinId } = open.pin;
    const cut = await takeCut(ports, collection, pinId);
    const key = cutKey(collectionId, pinId);
    await ports.objects.put(key, encodeCut(cut));
    const { logTimeMs } = cut;
    return { pin: await completePin(ports, open, { key, logTimeMs }, holders), cut };
  } catch (error) {
    throw await givenUp(ports.table, open, error);
  }
}

/** Gives the pin up at once, so that collect goes on, and says what became of the snapshot. */
async function givenUp(table: Table, open: PinRow, error: unknown): Promise<unknown> {
  try {
    await dropPin(table, open);
    if (!isStoreError(error, 'UNCERTAIN')) return error;
    // Whatever had no answer: nobody can complete the pin any more.
    const message = `the snapshot was not taken (${error.message}); try again`;
    return new StoreError('NOT_READY', message, { cause: error });
  } catch {
    // Its completion may be on its way: then the snapshot is taken all the same.
    if (!isStoreError(error) || error.advice.effect !== 'none') return error;
    const message = `whether the snapshot was taken is not known (${error.message}); look for it`;
    return new StoreError('UNCERTAIN', message, { cause: error });
  }
}

async function takeCut(ports: SnapshotPorts, collection: Collection, pinId: string): Promise<Cut> {
  const { collectionId, schema } = collection;
  const shards = Array.from({ length: collection.shards }, (_, shard) => ({ collectionId, shard }));
  const untilMs = ports.clock.nowMs() + WAIT_MS;
  const bases = await Promise.all(shards.map((shard) => caughtUp(ports, shard, untilMs)));
  const logTimeMs = Math.max(...bases.map((base) => base.logTimeMs));
  const manifests = await Promise.all(
    bases.map(async (base) => {
      // With one shard there is nothing to be consistent with.
      const later =
        shards.length === 1 ? base : await passed(ports, schema, base, logTimeMs, untilMs);
      const key = cutSegmentKey(collectionId, pinId, base.shard);
      const archives = later.applied === base.applied ? [] : later.idWindow;
      return await cutShard(ports, schema, base, archives, logTimeMs, key);
    }),
  );
  return { definition: encodeCollection(collection), logTimeMs, manifests };
}

/** The shard's manifest once it holds every write that was acknowledged before the call. */
async function caughtUp(ports: SnapshotPorts, shard: ShardId, untilMs: number): Promise<Manifest> {
  await settledGate(ports, shard, Math.max(0, untilMs - ports.clock.nowMs()));
  const newest: RecordPosition | undefined = (await newestTail(ports.table, shard))?.position;
  return await pollHead(
    ports,
    shard,
    untilMs,
    ({ applied }) => newest === undefined || applied >= newest,
  );
}

/** The shard's manifest once its log time is later: no record of that time or before can come any more. */
async function passed(
  ports: SnapshotPorts,
  schema: CollectionSchema,
  base: Manifest,
  logTimeMs: number,
  untilMs: number,
): Promise<Manifest> {
  let markedMs = Number.NEGATIVE_INFINITY;
  return await pollHead(ports, base, untilMs, async (manifest) => {
    if (manifest.logTimeMs > logTimeMs) return true;
    const nowMs = ports.clock.nowMs();
    // One of the same millisecond would not get past it.
    if (nowMs !== logTimeMs && nowMs - markedMs >= MARK_AGAIN_MS) {
      markedMs = nowMs;
      await appendMarker(ports, schema, base);
    }
    return false;
  });
}

async function pollHead(
  ports: SnapshotPorts,
  shard: ShardId,
  untilMs: number,
  isThere: (manifest: Manifest) => boolean | Promise<boolean>,
): Promise<Manifest> {
  let pollMs = POLL_MS_FIRST;
  for (;;) {
    const { manifest } = await readManifest(ports, shard);
    if (manifest.state === 'dropped') {
      throw new StoreError('COLLECTION_NOT_FOUND', 'the collection was dropped meanwhile');
    }
    if (await isThere(manifest)) return manifest;
    await refuseParked(ports.table, shard, 'snapshot');
    if (ports.clock.nowMs() >= untilMs) {
      throw new StoreError(
        'NOT_READY',
        `shard ${shard.shard} was not applied within ${WAIT_MS / 1000} s; nothing was made, try again`,
      );
    }
    await ports.clock.sleep(pollMs);
    pollMs = Math.min(pollMs * 2, POLL_MS_MAX);
  }
}
