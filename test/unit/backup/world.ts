/** Collections made by the catalog on memory ports, processes over them, and what copies of them hold. */
import type { Reply } from '#api/envelope.ts';
import { BASE_PATH } from '#api/routes.ts';
import { cloneCollection, restoreSnapshot } from '#backup/clone.ts';
import { takeSnapshot } from '#backup/snapshot.ts';
import { must } from '#base/assert.ts';
import type { Collection } from '#catalog/collection.ts';
import { type Catalog, openCatalog } from '#catalog/collections.ts';
import { dropPin, namedPin, type PinRow } from '#catalog/pins.ts';
import { acceptDelete, acceptRows } from '#ingest/accept.ts';
import { fenceShard } from '#ingest/fence.ts';
import { type CollectRound, collectRound } from '#maintain/collect-round.ts';
import { mergeShard } from '#maintain/compact.ts';
import { COMPACT_POLICY } from '#maintain/pick.ts';
import type { Cut } from '#manifest/cut.ts';
import type { ManifestCache } from '#manifest/head.ts';
import type { Clock } from '#ports/clock.ts';
import type { Reader } from '#query/reader.ts';
import { openBase } from '#runtime/engine.ts';
import type { Key } from '#schema/column.ts';
import { defineCollection } from '#schema/define.ts';
import { shardOf } from '#schema/hash.ts';
import { adminRoutes } from '#service/admin.ts';
import { dropCollection, finishDrops } from '#service/drop.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryLog } from '#sim/memory-log.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { silentTelemetry } from '#sim/silent-telemetry.ts';
import {
  applyAll,
  DIM,
  type Disk,
  liveRows,
  liveValues,
  type Process,
  passTime,
  row,
  type World,
} from '../ingest/world.ts';

export type Store = Readonly<{ disk: Disk; clock: ManualClock; catalog: Catalog }>;
export type Copy = World;

export const MINUTE = 60_000;
/** Longer than anything is kept only because somebody may be slow. */
export const LATER = 20 * MINUTE;

export function openStore(seed: number | string = 1, ticking?: Clock, streamShards = 1): Store {
  const clock = new ManualClock();
  const time = ticking ?? clock;
  const disk: Disk = {
    objects: new MemoryObjectStore(time),
    log: new MemoryLog({ clock: time, entropy: new SeededEntropy(`${seed} log`), streamShards }),
    table: new MemoryTable(),
    global: new MemoryTable(),
    clock: time,
    entropy: new SeededEntropy(seed),
    telemetry: silentTelemetry,
  };
  return { disk, clock, catalog: openCatalog(disk) };
}

type Made = Readonly<{ shards?: number; autoId?: boolean; properties?: Record<string, string> }>;

export async function create(
  store: Store,
  collectionName: string,
  { shards = 1, autoId = false, properties = {} }: Made = {},
): Promise<World> {
  const { collection } = await store.catalog.createCollection({
    dbName: 'default',
    collectionName,
    description: '',
    schema: defineCollection({
      fields: [
        { name: 'id', type: 'Int64', primaryKey: true, autoId },
        { name: 'value', type: 'Int64', nullable: true },
        { name: 'vector', type: 'FloatVector', dim: DIM },
      ],
      enableDynamic: true,
    }),
    shards,
    consistencyLevel: 'Bounded',
    loaded: true,
    indexes: [],
    properties,
    partitions: [{ partitionId: 1, partitionName: '_default' }],
    nextFieldId: 110,
    nextPartitionId: 2,
  });
  return worldOf(store, collection);
}

export const worldOf = ({ disk, clock }: Store, collection: Collection): World => ({
  disk,
  clock,
  collection,
  shards: shardsOf(collection),
});

export const shardsOf = ({ collectionId, shards }: Collection) =>
  Array.from({ length: shards }, (_, shard) => ({ collectionId, shard }));

/** A process for all collections; its caches are its own. */
export function processOf(
  store: Store,
  disk: Disk = store.disk,
): Process & Readonly<{ manifests: ManifestCache }> {
  const { ports, catalog } = openBase(disk);
  return { ...ports, collections: catalog };
}

/** Lets time pass, and somebody apply, while `work` goes on. */
export async function meanwhile<T>(store: Store, work: Promise<T>): Promise<T> {
  const applier = processOf(store);
  let settled = false;
  const done = work.finally(() => {
    settled = true;
  });
  done.catch(() => undefined);
  const applying = (async () => {
    while (!settled) {
      await applyAll(applier);
      await store.clock.sleep(100);
    }
  })();
  const settling = Promise.allSettled([done, applying]);
  const [outcome] = await passTime(store.clock, settling, 20);
  if (outcome.status === 'rejected') throw outcome.reason;
  return outcome.value;
}

/** Rows of these keys, all of one value. Answers with their keys. */
export async function write(
  store: Store,
  { collection }: World,
  keys: readonly number[],
  value: number,
): Promise<readonly Key[]> {
  const rows = keys.map((key) => row(key, value));
  const given = collection.schema.fields.some(({ autoId }) => autoId)
    ? rows.map(({ id: _, ...rest }) => rest)
    : rows;
  const ports = processOf(store);
  const { ids } = await acceptRows(ports, collection, {
    kind: 'insert',
    rows: given,
    partitionId: 1,
  });
  return ids;
}

export const erase = async (
  store: Store,
  { collection }: World,
  keys: readonly number[],
): Promise<void> => {
  const victims = keys.map((key) => ({ key: BigInt(key) }));
  await acceptDelete(processOf(store), collection, { victims });
};

/** As a delete by filter does: bounded by the versions that are there now. */
export async function eraseVersions(
  store: Store,
  world: World,
  keys: readonly number[],
): Promise<void> {
  const live = await liveRows(world);
  const victims = keys.map((key) => {
    const version = must(live.get(BigInt(key)), `key ${key} is there`).position;
    return { key: BigInt(key), version };
  });
  await acceptDelete(processOf(store), world.collection, { victims, found: true });
}

export const apply = (store: Store) => applyAll(processOf(store));

export const snapshot = (
  store: Store,
  { collection }: World,
  name: string,
): Promise<Readonly<{ pin: PinRow; cut: Cut }>> =>
  meanwhile(store, takeSnapshot(processOf(store), collection, { name, description: '' }));

export async function clone(store: Store, { collection }: World, to: string): Promise<Copy> {
  const target = { dbName: 'default', collectionName: to };
  const ports = processOf(store);
  const made = cloneCollection(ports, openCatalog(store.disk), collection, target);
  return worldOf(store, await meanwhile(store, made));
}

export async function restore(
  store: Store,
  { collection }: World,
  name: string,
  to: string,
): Promise<Copy> {
  const pin = must(await namedPin(store.disk.table, collection.collectionId, name), name);
  const target = { dbName: 'default', collectionName: to };
  return worldOf(store, await restoreSnapshot(store.disk, openCatalog(store.disk), pin, target));
}

export async function dropSnapshot(
  { disk }: Store,
  { collection }: World,
  name: string,
): Promise<void> {
  const pin = must(await namedPin(disk.table, collection.collectionId, name), name);
  await dropPin(disk.table, pin);
}

export const drop = (store: Store, { collection }: World): Promise<void> =>
  meanwhile(store, dropCollection({ catalog: store.catalog, ports: processOf(store) }, collection));

export async function truncate(store: Store, world: World): Promise<void> {
  const ports = processOf(store);
  const fences = world.shards.map((shard) => fenceShard(ports, shard, { action: 'truncate' }));
  await meanwhile(store, Promise.all(fences));
}

/** Merges whatever can be merged. */
export async function merge(store: Store, world: World): Promise<void> {
  const eager = { ...COMPACT_POLICY, levelZeroSegments: 1, idleMs: 0 };
  const ports = processOf(store);
  for (const shard of world.shards) {
    for (let step = 0; step < 8; step++) {
      if ((await mergeShard(ports, world.collection, shard, eager)) === undefined) break;
    }
  }
}

/** Finishes what is half done, and collects, until nothing is left to do; an hour later each time. */
export async function collectAll(store: Store): Promise<CollectRound> {
  const { disk, catalog, clock } = store;
  let total = 0;
  for (;;) {
    await clock.advance(60 * MINUTE);
    const parts = { catalog, ports: processOf(store) };
    await meanwhile(store, finishDrops(parts));
    const round = await collectRound(disk, catalog);
    if (round.failures > 0) throw new Error(`collect: ${round.failures} failures`);
    total += round.objects;
    if (round.objects + round.forgotten === 0) return { ...round, objects: total };
  }
}

/** Keys from `from` up that fall into a shard. */
export function keysIn(
  { collection }: World,
  shard: number,
  from: number,
  count: number,
): number[] {
  const found = numbers(from, from + 64 * count).filter(
    (key) => shardOf(BigInt(key), collection.shards) === shard,
  );
  return found.slice(0, count);
}

/**
 * A snapshot whose cut holds, in shard 0, what `behind` writes there behind the manifest it is based on,
 * and nothing of what `later` writes. Shard 1 is written to, so that its log time is the cut's.
 */
export async function snapshotWithMore(
  store: Store,
  source: World,
  name: string,
  behind: () => Promise<unknown>,
  later: () => Promise<unknown> = async () => undefined,
): Promise<Readonly<{ pin: PinRow; cut: Cut }>> {
  const [first, second] = keysIn(source, 1, 1_000_000, 2);
  await write(store, source, [must(first, 'a key')], 0);
  const ports = processOf(store);
  const taking = takeSnapshot(ports, source.collection, { name, description: '' });
  // The base of shard 0 is read; shard 1 waits for what was just written.
  await store.clock.advance(2);
  await behind();
  await store.clock.advance(2);
  await write(store, source, [must(second, 'a key')], 0);
  await store.clock.advance(2);
  await later();
  return await meanwhile(store, taking);
}

/** Rows by key as text, and their values. */
export const contentOf = liveValues;

export const valuesOf = (keys: readonly number[], value: number): [string, number][] =>
  keys.map((key): [string, number] => [String(key), value]).sort(([a], [b]) => (a < b ? -1 : 1));

export const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, index) => from + index);

/** What the control plane answers on these ports. @throws StoreError */
export async function ask(
  store: Store,
  verb: string,
  body: Readonly<Record<string, unknown>>,
  disk: Disk = store.disk,
  requestId?: string,
): Promise<Reply> {
  // None of the routes that are asked here reads rows.
  const engine = { ...openBase(disk), reader: undefined as unknown as Reader };
  const route = must(adminRoutes(engine)[`POST ${BASE_PATH}/${verb}`], verb);
  const text = JSON.stringify(body);
  return await route.answer(text, {
    user: 'root',
    route: verb,
    int64AsText: false,
    deadlineMs: store.clock.nowMs() + 30_000,
    ...(requestId === undefined ? {} : { idempotency: { requestId, bodyHash: text } }),
  });
}
