/** Scrub of snapshots: what only pins hold is read too, and what is gone or damaged is named (I9). */
import { expect, test } from 'vitest';
import { dropPin, openPin } from '#catalog/pins.ts';
import { mergeShard } from '#maintain/compact.ts';
import { unknownCollections } from '#maintain/scrub-orphans.ts';
import { beginPins, lastPins, scrubPins } from '#maintain/scrub-pins.ts';
import { scrubRound } from '#maintain/scrub-round.ts';
import { RecordingTelemetry } from '#sim/silent-telemetry.ts';
import { applyAll, type World } from '../ingest/world.ts';
import {
  EAGER,
  flip,
  furnished,
  headOf,
  pinHead,
  SHARD,
  UNBOUNDED,
  write,
} from './scrubbed-world.ts';

const scrub = (world: World, bounds = UNBOUNDED) => scrubPins(world.disk, bounds);

/** A snapshot whose segments of level 0 have been merged away since. */
async function pinned() {
  const { world, ports } = await furnished();
  const { key, pin } = await pinHead(world, 'monday');
  const before = await headOf(world);
  await applyAll(ports);
  await mergeShard(ports, world.collection, SHARD, EAGER);
  const now = new Set((await headOf(world)).segments.map((entry) => entry.key));
  const only = before.segments.filter((entry) => !now.has(entry.key));
  expect(only.length).toBeGreaterThan(1);
  return { world, ports, cut: key, pin, only };
}

test('a whole snapshot has no finding; what the head names too is not read again', async () => {
  const { world, only } = await pinned();
  const report = await scrub(world);
  expect(report).toMatchObject({ pins: 1, complete: true, damaged: [], missing: [] });
  expect(report.objects).toBe(1 + only.length);
  expect(report.orphans).toEqual({ objects: 0, bytes: 0 });
  expect(await lastPins(world.disk.table)).toMatchObject({ complete: true });
});

test('a cut that is gone or damaged is named', async () => {
  const { world, cut } = await pinned();
  const original = await world.disk.objects.get(cut);
  for (const at of [0, 9, original.length >> 1, original.length - 1]) {
    await flip(world, cut, at, at % 8);
    expect((await scrub(world)).damaged.map(({ key }) => key)).toEqual([cut]);
    await world.disk.objects.put(cut, original);
  }
  await world.disk.objects.delete([cut]);
  expect(await scrub(world)).toMatchObject({ missing: [{ key: cut }], damaged: [] });
});

test('an object that only a snapshot holds is named when it is gone, damaged or exchanged', async () => {
  const { world, only } = await pinned();
  const [first, second] = only.map(({ key }) => key);
  if (first === undefined || second === undefined) throw new Error('two objects');
  const original = await world.disk.objects.get(first);
  await flip(world, first, 200, 3);
  expect((await scrub(world)).damaged.map(({ key }) => key)).toContain(first);
  await world.disk.objects.put(first, await world.disk.objects.get(second));
  expect((await scrub(world)).damaged.map(({ key }) => key)).toContain(first);
  await world.disk.objects.delete([first]);
  expect(await scrub(world)).toMatchObject({ missing: [{ key: first }], damaged: [] });
  await world.disk.objects.put(first, original);
  expect(await scrub(world)).toMatchObject({ missing: [], damaged: [] });
});

test('an object that two snapshots share is read once, an open pin and a dropped one not at all', async () => {
  const { world, only, pin } = await pinned();
  await pinHead(world, 'tuesday', only);
  const { collectionId, dbName, collectionName } = world.collection;
  const source = { collectionId, dbName, collectionName };
  await openPin(world.disk, { source, name: 'open', description: '' });
  const both = await scrub(world);
  expect(both).toMatchObject({ pins: 2, damaged: [], missing: [] });
  expect(both.objects).toBe(2 + only.length);
  await dropPin(world.disk.table, pin);
  const one = await scrub(world);
  expect(one.objects).toBe(1 + only.length);
  // Its cut is for collect now.
  expect(one.orphans).toMatchObject({ objects: 1 });
});

test('a pass over many small runs reads every object once and ends', async () => {
  const { world, only } = await pinned();
  await pinHead(world, 'tuesday', only);
  const whole = await scrub(world);
  await beginPins(world.disk);
  let runs = 1;
  let last = await scrub(world, { bytesMax: 1, untilMs: 0 });
  for (; !last.complete && runs < 30; runs++)
    last = await scrub(world, { bytesMax: 1, untilMs: 0 });
  expect(last).toMatchObject({ complete: true, damaged: [], missing: [] });
  expect(runs).toBeGreaterThan(2);
  // Cuts are read again by each run that goes on with their pin.
  expect(last.rows).toBe(whole.rows);
});

test('objects below an id that nobody knows are counted, in two listings an id', async () => {
  const { world } = await furnished();
  const { objects } = world.disk;
  for (const key of ['collections/70/0/segment/a-1', 'collections/8/0/segment/a-1']) {
    for (let copy = 0; copy < 3; copy++) await objects.put(`${key}${copy}`, new Uint8Array(10));
  }
  const catalog = {
    getCollection: async (id: number) => (id === 7 ? world.collection : undefined),
  };
  const unknown = await unknownCollections(objects, catalog);
  expect(unknown).toMatchObject([
    { collectionId: 70, objects: 3, bytes: 30 },
    { collectionId: 8, objects: 3, bytes: 30 },
  ]);
});

test('a round reads what was not read for longest, once a week, within its bytes', async () => {
  const { world, ports } = await furnished();
  const telemetry = new RecordingTelemetry();
  const catalog = {
    allCollections: async () => [world.collection],
    getCollection: async () => world.collection,
  };
  const round = (bytesMax = Number.POSITIVE_INFINITY) =>
    scrubRound({ ...world.disk, telemetry }, catalog, { ...UNBOUNDED, bytesMax });
  expect(await round(1)).toMatchObject({ shards: 0, complete: false });
  expect(await round()).toEqual({ shards: 1, findings: 0, failures: 0, complete: true });
  expect(telemetry.counted('scrub_passes_total')).toBe(1);
  await write(world, ports, 2_000, 10);
  await applyAll(ports);
  expect(await round()).toMatchObject({ shards: 0, complete: true });
  await world.clock.advance(8 * 24 * 60 * 60_000);
  const [victim] = (await headOf(world)).segments;
  await flip(world, victim?.key ?? '', 100, 1);
  expect(await round()).toMatchObject({ shards: 1, complete: true });
  expect(telemetry.events.map(({ name }) => name)).toContain('scrub-damaged');
});
