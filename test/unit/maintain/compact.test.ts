import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, type TestContext, test } from 'vitest';
import type { Collection } from '#catalog/collection.ts';
import { acceptDelete, acceptRows } from '#ingest/accept.ts';
import { compactShard, mergeShard } from '#maintain/compact.ts';
import { DeadRows } from '#maintain/dead-rows.ts';
import { indexShard } from '#maintain/graphs.ts';
import { COMPACT_POLICY } from '#maintain/pick.ts';
import { SectionCache } from '#segment/cache.ts';
import { graphSupport, openGraph } from '#segment/graph.ts';
import {
  applyAll,
  liveValues,
  manifestOf,
  openWorld,
  type Process,
  row,
  start,
  verifySums,
  type World,
} from '../ingest/world.ts';

const scratchDir = await mkdtemp(join(tmpdir(), 'sterna-compact-'));
afterAll(() => rm(scratchDir, { recursive: true, force: true }));

const EAGER = { ...COMPACT_POLICY, levelZeroSegments: 1, graphRows: 10 };
const SHARD = { collectionId: 7, shard: 0 };

async function load(world: World, ports: Process, from: number, count: number): Promise<void> {
  const rows = Array.from({ length: count }, (_, index) => row(from + index, from + index));
  await acceptRows(ports, world.collection, { kind: 'insert', rows, partitionId: 1 });
  await applyAll(ports);
}

const indexed = (collection: Collection, metric: 'COSINE' | 'L2', params = {}): Collection => ({
  ...collection,
  indexes: [
    { indexName: 'v', fieldId: 102, fieldName: 'vector', metric, indexType: 'AUTOINDEX', params },
  ],
});

test('level 0 becomes one segment, its objects are retired, and content and sums stay', async () => {
  const world = await openWorld();
  const ports = start(world);
  for (let batch = 0; batch < 4; batch++) await load(world, ports, batch * 5, 10);
  const before = await manifestOf(world);
  expect(before.segments).toHaveLength(4);
  const done = await mergeShard(ports, world.collection, SHARD, EAGER);
  expect(done).toEqual({ kind: 'level-zero', inputs: 4, rows: 25, committed: true });
  const after = await manifestOf(world);
  expect(after.segments).toMatchObject([{ level: 1, rows: 25, tombstones: 0 }]);
  expect(after.retired.map(({ key }) => key)).toEqual(before.segments.map(({ key }) => key));
  // The ids of the archive are still needed.
  expect(after.idWindow).toEqual(before.idWindow);
  expect(after.sums.in).toBe(before.sums.in);
  expect(await liveValues(world)).toHaveLength(25);
  await verifySums(world);
  expect(await mergeShard(ports, world.collection, SHARD, EAGER)).toBeUndefined();
});

test('what is all dead leaves no segment', async () => {
  const world = await openWorld();
  const ports = start(world);
  await load(world, ports, 0, 3);
  await acceptDelete(ports, world.collection, { victims: [{ key: 0n }, { key: 1n }, { key: 2n }] });
  await applyAll(ports);
  expect(await mergeShard(ports, world.collection, SHARD, EAGER)).toMatchObject({
    rows: 0,
    committed: true,
  });
  const { segments, sums } = await manifestOf(world);
  expect(segments).toEqual([]);
  expect(sums.out).toBe(sums.in);
  await verifySums(world);
});

test('a segment is rewritten when newer versions have killed a quarter of it', async () => {
  const world = await openWorld();
  const ports = { ...start(world), deadRows: new DeadRows() };
  const policy = { ...EAGER, idleMs: Number.POSITIVE_INFINITY };
  await load(world, ports, 0, 40);
  await mergeShard(ports, world.collection, SHARD, policy);
  await load(world, ports, 0, 9);
  await mergeShard(ports, world.collection, SHARD, policy);
  expect(await mergeShard(ports, world.collection, SHARD, policy)).toBeUndefined();
  await load(world, ports, 9, 4);
  await mergeShard(ports, world.collection, SHARD, policy);
  const done = await mergeShard(ports, world.collection, SHARD, policy);
  expect(done).toMatchObject({ kind: 'dead', inputs: 1, rows: 27 });
  expect(await mergeShard(ports, world.collection, SHARD, policy)).toBeUndefined();
  expect(await liveValues(world)).toHaveLength(40);
  await verifySums(world);
});

test('somebody who holds the lease is not disturbed', async () => {
  const world = await openWorld();
  const ports = start(world);
  await load(world, ports, 0, 3);
  const { acquireLease } = await import('#catalog/leases.ts');
  const lease = await acquireLease(
    world.disk.table,
    world.clock,
    world.disk.entropy,
    'compact/c7-0',
    10_000,
  );
  expect(lease).toBeDefined();
  expect(await mergeShard(ports, world.collection, SHARD, EAGER)).toBeUndefined();
  await world.clock.advance(10_001);
  expect(await mergeShard(ports, world.collection, SHARD, EAGER)).toMatchObject({
    committed: true,
  });
});

/** Without the addon there is nothing to build; with `CI` set its absence fails. */
async function requireGraphs(context: TestContext): Promise<void> {
  if ((await graphSupport()).available) return;
  expect(process.env['CI']).toBeUndefined();
  context.skip('hnswlib-node is not installed: no graph can be built');
}

test('graphs are built, replaced when the index changes, and taken away with it', async (context) => {
  await requireGraphs(context);
  const world = await openWorld();
  const ports = { ...start(world), scratchDir };
  const cosine = indexed(world.collection, 'COSINE');
  await load(world, ports, 0, 50);
  const steps: string[] = [];
  for (let done = await compactShard(ports, cosine, SHARD, EAGER); done !== undefined; ) {
    steps.push(done.kind);
    done = await compactShard(ports, cosine, SHARD, EAGER);
  }
  expect(steps).toEqual(['level-zero', 'graphs']);
  const [segment] = (await manifestOf(world)).segments;
  const [graph] = segment?.auxiliary ?? [];
  expect(graph).toMatchObject({
    kind: 'graph',
    fieldId: 102,
    facts: { metric: 'COSINE', m: 16, rows: 50 },
  });
  if (graph === undefined) return;
  const cache = new SectionCache({ sectionBytesMax: 1_000_000, graphBytesMax: 1_000_000 });
  const opened = await openGraph(world.disk, graph, scratchDir, cache);
  const found = opened.search(Float32Array.from([17, 1, 0, -1]), 1, 50);
  expect([...found.rows]).toEqual([17]);

  const squared = indexed(world.collection, 'L2', { M: '8', efConstruction: 'x' });
  expect(await indexShard(ports, squared, SHARD, EAGER)).toMatchObject({
    kind: 'graphs',
    committed: true,
  });
  const changed = await manifestOf(world);
  expect(changed.segments[0]?.auxiliary).toMatchObject([
    { facts: { metric: 'L2', m: 8, efConstruction: 200 } },
  ]);
  expect(changed.retired.map(({ key }) => key)).toContain(graph.key);

  expect(await indexShard(ports, world.collection, SHARD, EAGER)).toMatchObject({
    committed: true,
  });
  expect((await manifestOf(world)).segments[0]?.auxiliary).toEqual([]);
  expect(await indexShard(ports, world.collection, SHARD, EAGER)).toBeUndefined();
  expect(await readdir(scratchDir)).toEqual([]);
});

test('of two builders of one graph the second adds nothing', async (context) => {
  await requireGraphs(context);
  const world = await openWorld();
  const { buildGraphFile } = await import('#segment/graph-worker.ts');
  const ports = start(world);
  const cosine = indexed(world.collection, 'COSINE');
  await load(world, ports, 0, 50);
  await mergeShard(ports, cosine, SHARD, EAGER);
  // While the first builds its lease runs out, as that of a thread without a pause does.
  let second: unknown;
  const done = await indexShard(
    {
      ...ports,
      scratchDir,
      runGraph: async (payload) => {
        await world.disk.table.delete({ partition: 'leases', sort: 'index/c7-0' });
        second = await indexShard({ ...ports, scratchDir }, cosine, SHARD, EAGER);
        return buildGraphFile(payload);
      },
    },
    cosine,
    SHARD,
    EAGER,
  );
  expect(second).toMatchObject({ kind: 'graphs', committed: true });
  expect(done).toMatchObject({ kind: 'graphs', committed: false });
  expect((await manifestOf(world)).segments[0]?.auxiliary).toHaveLength(1);
});

test('one graph a step where that is asked for, and none that may not be begun', async (context) => {
  await requireGraphs(context);
  const world = await openWorld();
  const ports = { ...start(world), scratchDir };
  const cosine = indexed(world.collection, 'COSINE');
  await load(world, ports, 0, 50);
  await mergeShard(ports, cosine, SHARD, EAGER);
  const asked: number[] = [];
  const mayBuild = (rows: number): boolean => {
    asked.push(rows);
    return false;
  };
  expect(await indexShard(ports, cosine, SHARD, { ...EAGER, mayBuild })).toBeUndefined();
  expect(asked).toEqual([50]);
  const policy = { ...EAGER, graphsPerStep: 1 };
  expect(await indexShard(ports, cosine, SHARD, policy)).toMatchObject({ committed: true });
});

test('a graph that comes too late for its segment is abandoned', async (context) => {
  await requireGraphs(context);
  const world = await openWorld();
  const { buildGraphFile } = await import('#segment/graph-worker.ts');
  const ports = start(world);
  const cosine = indexed(world.collection, 'COSINE');
  await load(world, ports, 0, 50);
  await mergeShard(ports, cosine, SHARD, EAGER);
  const late = {
    ...ports,
    scratchDir,
    runGraph: async (payload: Parameters<typeof buildGraphFile>[0]) => {
      const file = await buildGraphFile(payload);
      await load(world, ports, 100, 60);
      await mergeShard(ports, cosine, SHARD, EAGER);
      await world.clock.advance(1);
      await mergeShard(ports, cosine, SHARD, { ...EAGER, idleMs: 0 });
      return file;
    },
  };
  expect(await indexShard(late, cosine, SHARD, EAGER)).toMatchObject({ committed: false });
  const { segments } = await manifestOf(world);
  expect(segments).toMatchObject([{ rows: 110, auxiliary: [] }]);
  expect(await liveValues(world)).toHaveLength(110);
});
