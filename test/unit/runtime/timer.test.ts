/** A run of compaction: merges, graphs within the time, and no shard that waits for ever. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, type TestContext, test } from 'vitest';
import type { Collection } from '#catalog/collection.ts';
import { acceptRows } from '#ingest/accept.ts';
import { ManifestCache } from '#manifest/head.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import { KEY_ONLY } from '#query/output.ts';
import { Reader } from '#query/reader.ts';
import { compactTimer, type TimerEngine } from '#runtime/timer.ts';
import { vectorFields } from '#schema/field.ts';
import { graphSupport } from '#segment/graph.ts';
import type { ManualClock } from '#sim/manual-clock.ts';
import { RecordingTelemetry } from '#sim/silent-telemetry.ts';
import { shardName } from '#wal/shard.ts';
import { applyAll, manifestOf, openWorld, row, start, verifySums } from '../ingest/world.ts';

const scratchDir = await mkdtemp(join(tmpdir(), 'sterna-timer-'));
afterAll(() => rm(scratchDir, { recursive: true, force: true }));

const MINUTE_MS = 60_000;
/** More than half as many again as the smallest segment that gets a graph, in each of two shards. */
const ROWS = 13_000;

/** Without the addon there is nothing to build; with `CI` set its absence fails. */
beforeEach(async (context: TestContext) => {
  if ((await graphSupport()).available) return;
  expect(process.env['CI']).toBeUndefined();
  context.skip('hnswlib-node is not installed: no graph can be built');
});

/** Lets time pass, a little with each turn of the event loop, for as long as `work` takes. */
async function whileTimePasses<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  let done = false;
  const finished = work.finally(() => {
    done = true;
  });
  finished.catch(() => undefined);
  while (!done) {
    await clock.advance(5);
    // Files are written and read outside of the microtask queue.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return await finished;
}

/** Two shards of rows in level 0, old enough to be merged, and an index that wants graphs. */
async function openRuns(seed: number) {
  const telemetry = new RecordingTelemetry();
  const world = await openWorld({ shards: 2, seed, telemetry });
  const indexes = [
    { indexName: 'v', fieldId: 102, fieldName: 'vector', indexType: 'AUTOINDEX', params: {} },
  ];
  const collection: Collection = {
    ...world.collection,
    indexes: indexes.map((index) => ({ ...index, metric: 'COSINE' as const })),
  };
  const ports = { ...start(world), manifests: new ManifestCache() };
  const rows = Array.from({ length: ROWS }, (_, id) => row(id, id));
  await acceptRows(ports, collection, { kind: 'insert', rows, partitionId: 1 });
  await applyAll(ports);
  await world.clock.advance(MINUTE_MS);
  const engine: TimerEngine = {
    ports,
    catalog: {
      allCollections: async () => [collection],
      getCollection: async () => collection,
    },
    config: { memoryMb: 3008 },
    scratchDir,
    flush: () => {},
  };
  const handler = compactTimer(async () => engine);
  const run = (leftMs: () => number) =>
    whileTimePasses(world.clock, handler({}, { getRemainingTimeInMillis: leftMs }));
  const indexed = async (): Promise<readonly boolean[]> =>
    Promise.all(
      world.shards.map(async (shard) => {
        const { segments } = await manifestOf(world, shard.shard);
        return segments.length === 1 && segments[0]?.auxiliary.length === 1;
      }),
    );
  return { world, telemetry, collection, run, indexed };
}

test('merges, builds the graphs of what it merged, and says that nothing is left', async () => {
  const { world, run, indexed } = await openRuns(1);
  const report = await run(() => 15 * MINUTE_MS);
  expect(report).toEqual({ replays: 0, merges: 2, graphs: 2, failures: 0, complete: true });
  expect(await indexed()).toEqual([true, true]);
  expect(await run(() => 15 * MINUTE_MS)).toMatchObject({ merges: 0, graphs: 0, complete: true });
  expect(await readdir(scratchDir)).toEqual([]);
  await verifySums(world);
});

test('a door that keeps no graphs asks for none, and knows that they are built', async () => {
  const { world, telemetry, collection, run } = await openRuns(6);
  await run(() => 15 * MINUTE_MS);
  const keys: string[] = [];
  const { objects: stored } = world.disk;
  const objects: ObjectStore = {
    put: (...put) => stored.put(...put),
    get: (key, range) => {
      keys.push(key);
      return stored.get(key, range);
    },
    head: (...head) => stored.head(...head),
    list: (...list) => stored.list(...list),
    delete: (...gone) => stored.delete(...gone),
    copy: (...copy) => stored.copy(...copy),
  };
  const reads = { ...world.disk, objects, scratchDir, cacheBytes: 1024 * 1024 };
  const [field] = vectorFields(collection.schema);
  if (field === undefined) throw new Error('no vector field');
  const deadlineMs = world.clock.nowMs() + MINUTE_MS;
  const search = {
    field,
    metric: 'COSINE' as const,
    vectors: [Float32Array.from([5, 1, 0, -1])],
    limit: 1,
    offset: 0,
    output: KEY_ONLY,
    deadlineMs,
  };
  for (const graphBytes of [0, 1024 * 1024 * 1024]) {
    keys.length = 0;
    const reader = new Reader({ ...reads, graphBytes, graphsAreBuilt: true });
    await whileTimePasses(world.clock, reader.search(collection, search));
    await reader.settle();
    expect(keys.some((key) => key.includes('/graph/'))).toBe(graphBytes > 0);
    const { fields } = await reader.coverage(collection, deadlineMs);
    const [covered] = fields.filter(({ fieldId }) => fieldId === field.id);
    expect(covered).toMatchObject({ graphs: 2, pendingRows: 0 });
    await reader.close();
  }
  expect(telemetry.events.filter(({ name }) => name === 'graph-not-loaded')).toEqual([]);
});

test('begins nothing that it has no time for, and says so', async () => {
  const { run, indexed } = await openRuns(2);
  expect(await run(() => MINUTE_MS)).toEqual({
    replays: 0,
    merges: 0,
    graphs: 0,
    failures: 0,
    complete: false,
  });
  expect(await indexed()).toEqual([false, false]);
});

test('looks at no shard any more where its time is over', async () => {
  const { telemetry, run } = await openRuns(7);
  telemetry.events.length = 0;
  const none = { replays: 0, merges: 0, graphs: 0, failures: 0, complete: false };
  expect(await run(() => 10_000)).toEqual(none);
  expect(telemetry.events).toEqual([]);
});

test('no shard waits for ever behind another where each run has time for one graph', async () => {
  const { telemetry, run, indexed } = await openRuns(3);
  const built = (): number => telemetry.events.filter(({ name }) => name === 'index').length;
  let runs = 0;
  for (; runs < 40 && (await indexed()).includes(false); runs++) {
    const before = built();
    await run(() => (built() > before ? 30_000 : 15 * MINUTE_MS));
  }
  expect(await indexed()).toEqual([true, true]);
  expect(runs).toBeGreaterThan(1);
});

test('each shard is the first one in some run', async () => {
  const { world, telemetry, run } = await openRuns(4);
  const firsts = new Set<unknown>();
  for (let runs = 0; runs < 40 && firsts.size < 2; runs++) {
    telemetry.events.length = 0;
    await run(() => 15 * MINUTE_MS);
    for (const { name, facts } of telemetry.events) {
      if (name !== 'compact') continue;
      firsts.add(facts['shard']);
      break;
    }
    const rows = [row(runs * 2, 1), row(runs * 2 + 1, 1)];
    const ports = start(world);
    await acceptRows(ports, world.collection, { kind: 'upsert', rows, partitionId: 1 });
    await applyAll(ports);
    await world.clock.advance(MINUTE_MS);
  }
  expect(firsts).toEqual(new Set(world.shards.map(shardName)));
});

test('a graph that takes longer than was thought is given up, and leaves nothing behind', async () => {
  const { world, telemetry, run, indexed } = await openRuns(5);
  // The clock of Lambda jumps as soon as the folder of a build is there.
  let building = false;
  const watch = setInterval(() => {
    void readdir(scratchDir).then((names) => {
      building ||= names.length > 0;
    });
  }, 1);
  const report = await run(() => (building ? 10_000 : 15 * MINUTE_MS));
  clearInterval(watch);
  expect(report).toMatchObject({ merges: 2, graphs: 0, failures: 1, complete: false });
  expect(telemetry.events).toContainEqual(
    expect.objectContaining({
      name: 'maintenance-failed',
      facts: expect.objectContaining({ code: 'TIMEOUT' }),
    }),
  );
  expect(await indexed()).toEqual([false, false]);
  expect(await readdir(scratchDir)).toEqual([]);
  building = false;
  expect(await run(() => 15 * MINUTE_MS)).toMatchObject({ graphs: 2, complete: true });
  await verifySums(world);
});
