/** A shard that holds an object of every kind, and ways to hurt each. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Collection } from '#catalog/collection.ts';
import { encodeCollection } from '#catalog/collections-codec.ts';
import { completePin, openPin } from '#catalog/pins.ts';
import { acceptDelete, acceptRows } from '#ingest/accept.ts';
import { mergeShard } from '#maintain/compact.ts';
import { indexShard } from '#maintain/graphs.ts';
import { COMPACT_POLICY } from '#maintain/pick.ts';
import { scrubShard } from '#maintain/scrub.ts';
import { cutKey, encodeCut } from '#manifest/cut.ts';
import type { Manifest } from '#manifest/format.ts';
import { readManifest } from '#manifest/head.ts';
import type { SegmentEntry } from '#segment/entry.ts';
import { graphSupport } from '#segment/graph.ts';
import { applyAll, openWorld, type Process, row, start, type World } from '../ingest/world.ts';

export const SHARD = { collectionId: 7, shard: 0 };
export const EAGER = { ...COMPACT_POLICY, levelZeroSegments: 1, graphRows: 10 };
export const UNBOUNDED = {
  bytesMax: Number.POSITIVE_INFINITY,
  untilMs: Number.POSITIVE_INFINITY,
};

export async function write(world: World, ports: Process, from: number, count: number) {
  const rows = Array.from({ length: count }, (_, at) => row(from + at, from + at));
  await acceptRows(ports, world.collection, { kind: 'insert', rows, partitionId: 1 });
}

export const withIndex = (collection: Collection): Collection => ({
  ...collection,
  indexes: [
    {
      ...{ indexName: 'v', fieldId: 102, fieldName: 'vector' },
      ...{ metric: 'L2', indexType: 'AUTOINDEX', params: {} },
    },
  ],
});

/**
 * A compacted segment (with its graph, where graphs can be built), two of level 0, archives whose rows
 * moved on, and two records in the tail, one of them with a payload object.
 */
export async function furnished(): Promise<Readonly<{ world: World; ports: Process }>> {
  const opened = await openWorld();
  const world = { ...opened, collection: withIndex(opened.collection) };
  const ports = start(world);
  for (let batch = 0; batch < 3; batch++) {
    await write(world, ports, batch * 20, 30);
    await applyAll(ports);
  }
  await mergeShard(ports, world.collection, SHARD, EAGER);
  if ((await graphSupport()).available) {
    const scratchDir = await mkdtemp(join(tmpdir(), 'sterna-scrub-'));
    await indexShard({ ...ports, scratchDir }, world.collection, SHARD, EAGER);
    await rm(scratchDir, { recursive: true, force: true });
  }
  await write(world, ports, 10, 5);
  await acceptDelete(ports, world.collection, { victims: [{ key: 1n }, { key: 2n }] });
  await applyAll(ports);
  await write(world, ports, 200, 5);
  await applyAll(ports);
  // 8 KiB and more become an object.
  await write(world, ports, 300, 600);
  await write(world, ports, 1_000, 1);
  return { world, ports };
}

export const scrub = (world: World, bounds = UNBOUNDED) =>
  scrubShard(world.disk, world.collection, SHARD, bounds);

/** Exchanges an object's bytes for others, as a disk or a mistaken hand would. */
export async function flip(world: World, key: string, at: number, bit: number): Promise<void> {
  const bytes = await world.disk.objects.get(key);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
  await world.disk.objects.put(key, bytes);
}

export async function headOf(world: World): Promise<Manifest> {
  return (await readManifest(world.disk, SHARD)).manifest;
}

/** A complete pin of what the head names, and what is to be found below it. */
export async function pinHead(world: World, name: string, only?: readonly SegmentEntry[]) {
  const { collectionId, dbName, collectionName } = world.collection;
  const source = { collectionId, dbName, collectionName };
  const open = await openPin(world.disk, { source, name, description: '' });
  const manifest = await headOf(world);
  const { logTimeMs } = manifest;
  const bare = { ...manifest, segments: only ?? manifest.segments, idWindow: [], retired: [] };
  const key = cutKey(collectionId, open.pin.pinId);
  const definition = encodeCollection(world.collection);
  await world.disk.objects.put(key, encodeCut({ definition, logTimeMs, manifests: [bare] }));
  return { key, pin: await completePin(world.disk, open, { key, logTimeMs }) };
}
