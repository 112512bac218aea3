/** A collection on memory ports, a process that writes and applies, and what is to be read in it. */
import { expect } from 'vitest';
import type { JsonObject } from '#base/json.ts';
import { addSum, emptySum, equalSums, formatSum, parseSum, sumOf } from '#base/setsum.ts';
import type { Collection } from '#catalog/collection.ts';
import { Admission } from '#ingest/admission.ts';
import { type Consumed, type ConsumePorts, consumeOnce } from '#ingest/consume.ts';
import { KeyAllocator } from '#ingest/keys.ts';
import { contentSum } from '#ingest/level-zero.ts';
import { RecordIds } from '#ingest/record-ids.ts';
import type { WritePorts } from '#ingest/write-shard.ts';
import type { Manifest } from '#manifest/format.ts';
import { createHead, initialManifest, ManifestCache, readManifest } from '#manifest/head.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Log } from '#ports/log.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import { judge, observeShard } from '#query/freshness.ts';
import type { Column, Key, RowBatch } from '#schema/column.ts';
import { defineCollection } from '#schema/define.ts';
import { primaryField } from '#schema/field.ts';
import { keyAt, keyColumn, valueAt } from '#schema/gather.ts';
import { SectionCache } from '#segment/cache.ts';
import type { SegmentEntry } from '#segment/entry.ts';
import { killsBetween } from '#segment/kills.ts';
import { memorySource } from '#segment/memory.ts';
import { openSegment } from '#segment/reader.ts';
import type { RowSource } from '#segment/source.ts';
import { buildStamps, positionAt } from '#segment/stamps.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryLog } from '#sim/memory-log.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { silentTelemetry } from '#sim/silent-telemetry.ts';
import { createGate } from '#wal/gate.ts';
import { loadPayload } from '#wal/payload.ts';
import type { ShardId } from '#wal/shard.ts';
import type { TailEntry } from '#wal/tail.ts';

export const DIM = 4;
export const STREAM = 'shard-0';

/** What survives a process. */
export type Disk = Readonly<{
  objects: ObjectStore;
  log: Log;
  table: Table;
  global: Table;
  clock: Clock;
  entropy: Entropy;
  telemetry: Telemetry;
}>;

export type World = Readonly<{
  disk: Disk;
  clock: ManualClock;
  collection: Collection;
  shards: readonly ShardId[];
}>;

export type WorldOptions = Readonly<{
  shards?: number;
  autoId?: boolean;
  keyType?: 'Int64' | 'VarChar';
  seed?: number | string;
  telemetry?: Telemetry;
  /** What the ports go by; default: a clock that the test moves. */
  clock?: Clock;
}>;

export async function openWorld(options: WorldOptions = {}): Promise<World> {
  const manual = new ManualClock();
  const clock = options.clock ?? manual;
  const entropy = new SeededEntropy(options.seed ?? 1);
  const disk: Disk = {
    objects: new MemoryObjectStore(clock),
    log: new MemoryLog({ clock, entropy: new SeededEntropy(`${options.seed ?? 1} log`) }),
    table: new MemoryTable(),
    global: new MemoryTable(),
    clock,
    entropy,
    telemetry: options.telemetry ?? silentTelemetry,
  };
  const collection = collectionOf(options);
  const shards = Array.from({ length: collection.shards }, (_, shard) => ({
    collectionId: collection.collectionId,
    shard,
  }));
  for (const shard of shards) {
    const start = { generation: 1, epoch: 1, fenceNumber: 1, schemaVersion: 1 };
    await createHead(disk, shard, initialManifest(shard, start));
    await createGate(disk.table, shard, {
      number: 1,
      epoch: 1,
      generation: 1,
      lease: false,
      schemaVersion: 1,
      shardMapVersion: 1,
      state: 'open',
      past: [],
    });
  }
  return { disk, clock: manual, collection, shards };
}

function collectionOf({ shards = 1, autoId = false, keyType = 'Int64' }: WorldOptions): Collection {
  return {
    collectionId: 7,
    dbName: 'default',
    collectionName: 'c',
    description: '',
    schema: defineCollection({
      fields: [
        { name: 'id', type: keyType, primaryKey: true, autoId, maxLength: 64 },
        { name: 'value', type: 'Int64', nullable: true },
        { name: 'vector', type: 'FloatVector', dim: DIM },
      ],
      enableDynamic: true,
    }),
    shards,
    consistencyLevel: 'Bounded',
    loaded: true,
    indexes: [],
    properties: {},
    partitions: [{ partitionId: 1, partitionName: '_default' }],
    nextFieldId: 110,
    nextPartitionId: 2,
    createdMs: 0,
    state: 'open',
  };
}

export type Process = WritePorts & ConsumePorts;

/** A process on these ports: its caches are its own. */
export function start(world: World, disk: Disk = world.disk): Process {
  return {
    ...disk,
    admission: new Admission(),
    keys: new KeyAllocator(disk),
    recordIds: new RecordIds(),
    collections: { getCollection: async () => world.collection },
  };
}

/** Applies whatever the log holds. */
export async function applyAll(ports: ConsumePorts, consumer = 'apply'): Promise<Consumed> {
  let last = await consumeOnce(ports, STREAM, consumer);
  while (last.entries > 0 && last.failed.length === 0) {
    last = await consumeOnce(ports, STREAM, consumer);
  }
  return last;
}

/** Lets time pass while `work` waits for it; gives up after a minute. */
export async function passTime<T>(clock: ManualClock, work: Promise<T>, stepMs = 50): Promise<T> {
  let done = false;
  const finished = work.finally(() => {
    done = true;
  });
  finished.catch(() => undefined);
  for (let passedMs = 0; !done && passedMs < 60_000; passedMs += stepMs) {
    await clock.advance(stepMs);
    // Work that hashes or compresses settles outside of the microtask queue.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return await finished;
}

export const row = (id: number | bigint | string, value: number): JsonObject => ({
  id,
  value,
  vector: [value, 1, 0, -1],
});

export type Live = ReadonlyMap<Key, Readonly<{ value: unknown; position: string }>>;

/** Every live row version as a reader of gate, tail and head sees it; a key twice is a failure. */
export async function liveRows(world: World): Promise<Live> {
  const live = new Map<Key, { value: unknown; position: string }>();
  for (const shard of world.shards) {
    const all = await sourcesOf(world, shard);
    for (const source of all) {
      const dead = new Set<number>();
      for (const killer of all) for (const one of await killsBetween(source, killer)) dead.add(one);
      const { schema } = world.collection;
      const keys = keyColumn(await batchOf(world, source), primaryField(schema));
      const stamps = await source.stamps();
      const value = await source.column(fieldOf(world, 'value'));
      const vector = await source.column(fieldOf(world, 'vector'));
      for (let index = 0; index < source.rows; index++) {
        if (dead.has(index)) continue;
        const key = keyAt(keys, index);
        expect(live.has(key), `key ${key} is alive once`).toBe(false);
        const own = valueAt(value, index);
        expect(valueAt(vector, index)).toEqual(Float32Array.from([Number(own), 1, 0, -1]));
        live.set(key, { value: own, position: positionAt(stamps, index) });
      }
    }
  }
  return live;
}

/** Key and value only, ordered by key. */
export async function liveValues(world: World): Promise<[string, number][]> {
  const live = [...(await liveRows(world))].map(([key, { value }]): [string, number] => [
    String(key),
    Number(value),
  ]);
  return live.sort(([a], [b]) => (a < b ? -1 : 1));
}

export async function sourcesOf(world: World, shard: ShardId): Promise<RowSource[]> {
  const { objects, table } = world.disk;
  const ports = { objects, table, manifests: new ManifestCache() };
  const observation = await observeShard(ports, shard, '');
  const judgement = judge(observation);
  const tail = judgement.is === 'known' ? judgement.tail : [];
  const cache = cacheOf();
  return [
    ...observation.head.manifest.segments.map((entry) => openSegment({ objects }, entry, cache)),
    ...(await Promise.all(tail.map((entry) => tailSource(world, entry)))),
  ];
}

const cacheOf = (): SectionCache =>
  new SectionCache({ sectionBytesMax: 1024 * 1024, graphBytesMax: 1 });

async function tailSource(world: World, entry: TailEntry): Promise<RowSource> {
  const { rows: batch, tombstones } = await loadPayload(world.disk.objects, entry.payload);
  const count = tombstones.bounds.length;
  const run = { record: entry.position, logTimeMs: entry.arrivalMs };
  return memorySource(
    entry.position,
    { batch, stamps: buildStamps([{ ...run, count: batch.count }]) },
    {
      count,
      keys: tombstones.keys,
      bounds: tombstones.bounds,
      stamps: buildStamps([{ ...run, count, firstOrdinal: batch.count }]),
    },
    primaryField(world.collection.schema),
  );
}

const fieldOf = (world: World, name: string) => {
  const field = world.collection.schema.fields.find((candidate) => candidate.name === name);
  if (field === undefined) throw new Error(`no field ${name}`);
  return field;
};

async function batchOf(world: World, source: RowSource): Promise<RowBatch> {
  const columns = new Map<number, Column>();
  for (const field of world.collection.schema.fields) {
    columns.set(field.id, await source.column(field));
  }
  return { count: source.rows, columns, partitions: await source.partitions() };
}

/** Held is what the segments hold, and held + out = in (I7), in every shard. */
export async function verifySums(world: World): Promise<void> {
  for (const shard of world.shards) {
    const { manifest } = await readManifest(world.disk, shard);
    const held = emptySum();
    for (const entry of manifest.segments) addSum(held, await segmentSum(world, entry));
    expect(formatSum(held)).toBe(manifest.sums.held);
    const { sums } = manifest;
    const total = sumOf(parseSum(sums.held), parseSum(sums.out));
    expect(equalSums(total, parseSum(sums.in))).toBe(true);
  }
}

async function segmentSum(world: World, entry: SegmentEntry) {
  const source = openSegment(world.disk, entry, cacheOf());
  const batch = await batchOf(world, source);
  const rows = { batch, stamps: await source.stamps() };
  return contentSum(world.collection.schema, rows, await source.tombstones());
}

export const manifestOf = async (world: World, shard = 0): Promise<Manifest> => {
  const id = world.shards[shard];
  if (id === undefined) throw new Error(`no shard ${shard}`);
  return (await readManifest(world.disk, id)).manifest;
};
