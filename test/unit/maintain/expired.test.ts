/** Rows that have expired: gone from reads at once, from storage in time, and never back (I5, I7). */
import { expect, test } from 'vitest';
import { formatSum } from '#base/setsum.ts';
import type { Collection } from '#catalog/collection.ts';
import { TTL_PROPERTY } from '#catalog/ttl.ts';
import { acceptRows } from '#ingest/accept.ts';
import { segmentKey } from '#ingest/product.ts';
import { mergeShard } from '#maintain/compact.ts';
import { DeadRows } from '#maintain/dead-rows.ts';
import { mergeSegments } from '#maintain/merge.ts';
import { COMPACT_POLICY } from '#maintain/pick.ts';
import { commitManifest } from '#manifest/commit.ts';
import { Reader } from '#query/reader.ts';
import { SectionCache } from '#segment/cache.ts';
import type { SegmentEntry } from '#segment/entry.ts';
import { openSegment } from '#segment/reader.ts';
import {
  applyAll,
  liveValues,
  manifestOf,
  openWorld,
  type Process,
  start,
  verifySums,
  type World,
} from '../ingest/world.ts';
import { SHARD, write } from './scrubbed-world.ts';

const EAGER = { ...COMPACT_POLICY, levelZeroSegments: 1, idleMs: Number.POSITIVE_INFINITY };
const MINUTE = 60_000;

const living = (collection: Collection, seconds: number): Collection => ({
  ...collection,
  properties: { [TTL_PROPERTY]: String(seconds) },
});

const counter = (world: World) => {
  const reader = new Reader({ ...world.disk, scratchDir: '/none', cacheBytes: 1_000_000 });
  return async (collection: Collection): Promise<number> => {
    const { count } = await reader.count(collection, { deadlineMs: Number.MAX_SAFE_INTEGER });
    return count;
  };
};

/** Steps of compaction until there is nothing to do. */
async function settle(ports: Process, collection: Collection, deadRows: DeadRows) {
  const steps: string[] = [];
  for (let step = 0; step < 20; step++) {
    const done = await mergeShard({ ...ports, deadRows }, collection, SHARD, EAGER);
    if (done === undefined) return steps;
    steps.push(done.kind);
  }
  throw new Error(`compaction goes on and on: ${steps.join()}`);
}

async function apply(world: World, ports: Process, from: number, count: number) {
  await write(world, ports, from, count);
  await applyAll(ports);
}

test('reads stop seeing a row the moment it expires, in segments and in the tail', async () => {
  const world = await openWorld();
  const ports = start(world);
  const hour = living(world.collection, 3600);
  const count = counter(world);
  await apply(world, ports, 0, 10);
  await world.clock.advance(30 * MINUTE);
  await write(world, ports, 100, 5);
  expect(await count(hour)).toBe(15);
  await world.clock.advance(30 * MINUTE + 1_000);
  expect(await count(hour)).toBe(5);
  expect(await count(world.collection)).toBe(15);
  await world.clock.advance(30 * MINUTE);
  expect(await count(hour)).toBe(0);
});

test('a segment that has expired wholly goes by itself, and the sums tell where it went', async () => {
  const world = await openWorld();
  const ports = start(world);
  const minute = living(world.collection, 60);
  const deadRows = new DeadRows();
  await apply(world, ports, 0, 10);
  expect(await settle(ports, minute, deadRows)).toEqual(['level-zero']);
  await world.clock.advance(2 * MINUTE);
  await apply(world, ports, 100, 10);
  expect(await settle(ports, minute, deadRows)).toEqual(['level-zero', 'dead']);
  const { segments, sums } = await manifestOf(world);
  expect(segments).toMatchObject([{ rows: 10 }]);
  expect(sums.out).not.toBe(formatSum(new Uint32Array(8)));
  await verifySums(world);
  await world.clock.advance(2 * MINUTE);
  expect(await settle(ports, minute, deadRows)).toEqual(['dead']);
  const after = await manifestOf(world);
  expect(after.segments).toEqual([]);
  expect(after.sums.out).toBe(after.sums.in);
});

test('a segment is rewritten when a quarter of it has expired, not before', async () => {
  const world = await openWorld();
  const ports = start(world);
  const ten = living(world.collection, 600);
  const deadRows = new DeadRows();
  // Ten rows a minute, forty minutes in one segment at last.
  for (let minute = 0; minute < 8; minute++) {
    await apply(world, ports, minute * 10, 10);
    await world.clock.advance(MINUTE);
  }
  expect(await settle(ports, ten, deadRows)).toEqual(['level-zero']);
  await world.clock.advance(3 * MINUTE);
  // Expired are the rows of the first minute, then of the second too.
  expect(await settle(ports, ten, deadRows)).toEqual([]);
  await world.clock.advance(MINUTE);
  expect(await settle(ports, ten, deadRows)).toEqual(['dead']);
  expect((await manifestOf(world)).segments).toMatchObject([{ rows: 60 }]);
  await verifySums(world);
});

/** Merges some segments as if there were no others: nothing is left out. */
async function mergeExactly(world: World, inputs: readonly SegmentEntry[]) {
  const cache = new SectionCache({ sectionBytesMax: 1_000_000, graphBytesMax: 1 });
  const readers = inputs.map((entry) => openSegment(world.disk, entry, cache));
  const { version } = await manifestOf(world);
  const { segment } = await mergeSegments(world.collection.schema, readers, [], 1);
  if (segment === undefined) throw new Error('nothing is left');
  const key = segmentKey(world.disk.entropy, SHARD, version, 1);
  await world.disk.objects.put(key, segment.bytes);
  const entry = { ...segment.entry, key, auxiliary: [] };
  const gone = new Set(inputs.map((input) => input.key));
  await commitManifest(world.disk, SHARD, (current) =>
    current.segments.some((one) => one.key === key)
      ? undefined
      : {
          ...current,
          version: current.version + 1,
          segments: [entry, ...current.segments.filter((one) => !gone.has(one.key))],
        },
  );
}

/**
 * Two segments of which the newer holds newer versions of a few keys, all of them expired, and the
 * older one mostly rows that are younger than those: so it is not rewritten for its own sake.
 */
async function hidingVersions() {
  const world = await openWorld();
  const ports = start(world);
  await apply(world, ports, 0, 4);
  await world.clock.advance(MINUTE);
  const again = Array.from({ length: 4 }, (_, id) => ({ id, value: 50, vector: [50, 1, 0, -1] }));
  await acceptRows(ports, world.collection, { kind: 'upsert', rows: again, partitionId: 1 });
  await applyAll(ports);
  await world.clock.advance(10 * MINUTE);
  await apply(world, ports, 100, 40);
  const [oldest, hiding, youngest] = (await manifestOf(world)).segments;
  if (oldest === undefined || hiding === undefined || youngest === undefined) throw new Error('3');
  return { world, ports, oldest, hiding, youngest };
}

test('raising the time to live brings no older version back (I5)', async () => {
  const { world, ports, oldest, hiding, youngest } = await hidingVersions();
  const five = living(world.collection, 300);
  const deadRows = new DeadRows();
  const before = await liveValues(world);
  expect(before.filter(([, value]) => value === 50)).toHaveLength(4);
  // The newer versions alone are rewritten: with their expired rows dropped the older ones would live.
  const cache = new SectionCache({ sectionBytesMax: 1_000_000, graphBytesMax: 1 });
  const open = (entry: SegmentEntry) => openSegment(world.disk, entry, cache);
  const beforeMs = world.clock.nowMs() - 5 * MINUTE;
  const { schema } = world.collection;
  const alone = await mergeSegments(
    schema,
    [open(hiding)],
    [oldest, youngest].map(open),
    1,
    beforeMs,
  );
  expect(alone).toMatchObject({ rows: 4, droppedRows: 0 });
  const together = await mergeSegments(
    schema,
    [open(oldest), open(hiding)],
    [open(youngest)],
    1,
    beforeMs,
  );
  expect(together).toMatchObject({ rows: 0, droppedRows: 8 });
  // And by the ordinary way, whatever it chooses to do: a value is the newest or none.
  await settle(ports, five, deadRows);
  const newest = new Map(before);
  for (const [key, value] of await liveValues(world)) expect(value).toBe(newest.get(key));
  expect(await counter(world)(five)).toBe(40);
  await verifySums(world);
});

test('a rewrite that could drop nothing is not begun, however much has expired', async () => {
  const { world, ports, oldest, hiding, youngest } = await hidingVersions();
  const five = living(world.collection, 300);
  // The versions that are hidden come to lie among young rows, where they are less than a quarter.
  await mergeExactly(world, [oldest, youngest]);
  await mergeExactly(world, [hiding]);
  const levels = (await manifestOf(world)).segments.map(({ level, rows }) => [level, rows]);
  expect(levels).toEqual([
    [1, 4],
    [1, 44],
  ]);
  const deadRows = new DeadRows();
  expect(await settle(ports, five, deadRows)).toEqual([]);
  await world.clock.advance(1_000);
  expect(await settle(ports, five, deadRows)).toEqual([]);
  expect(await counter(world)(five)).toBe(40);
  // Once the others have expired too, everything goes.
  await world.clock.advance(10 * MINUTE);
  await settle(ports, five, deadRows);
  expect((await manifestOf(world)).segments).toEqual([]);
  await verifySums(world);
});
