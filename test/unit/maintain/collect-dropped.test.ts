/** A dropped collection goes piece by piece, the catalog's row last; a crash anywhere changes nothing (I6). */
import { expect, test } from 'vitest';
import type { Collection } from '#catalog/collection.ts';
import { dropPin, readPins } from '#catalog/pins.ts';
import { collectDropped } from '#maintain/collect-dropped.ts';
import { collectRound } from '#maintain/collect-round.ts';
import { HeldCuts } from '#maintain/held.ts';
import { faultyObjectStore, faultyTable } from '#sim/faults.ts';
import { objectPrefix } from '#wal/shard.ts';
import {
  begin,
  catalogOf,
  contain,
  keysIn,
  LATER,
  MINUTE,
  openOne,
  type Ports,
  pinHead,
  portsOf,
  product,
  put,
  SHARD,
  START_MS,
} from './collected-world.ts';

const DROPPED: Partial<Collection> = {
  ...{ collectionId: 7, shards: 2, state: 'dropped', droppedMs: START_MS },
};

async function droppedWorld() {
  const ports = portsOf();
  const collections = new Map<number, Partial<Collection>>([[7, DROPPED]]);
  await begin(ports);
  await begin(ports, { collectionId: 7, shard: 1 });
  const key = await product(ports, 0, '1-segment');
  await contain(ports, [key]);
  await put(ports, `${objectPrefix(SHARD, 'payload')}00000000000001-aa`);
  await put(ports, `${objectPrefix(SHARD, 'manifest')}000000000000-bb`);
  return { ports, collections, catalog: catalogOf(collections), key };
}

type World = Awaited<ReturnType<typeof droppedWorld>>;

const collect = ({ ports, catalog }: World, faulty: Partial<Ports> = {}) => {
  const all = { ...ports, ...faulty };
  const held = new HeldCuts({ ...all, collections: catalog });
  // Only what the test's collection has is looked at.
  return collectDropped({ ...all, held }, catalog, DROPPED as Collection);
};

const rowsOf = async ({ ports }: World) =>
  (await Promise.all(['c7-0', 'c7-1', 'pins'].map((name) => ports.table.query(name)))).flat();

test('it is left alone for as long as the longest read, then wholly deleted and forgotten', async () => {
  const world = await droppedWorld();
  await world.ports.clock.advance(15 * MINUTE);
  expect(await collect(world)).toBeUndefined();
  expect(world.collections.size).toBe(1);
  await world.ports.clock.advance(MINUTE);
  expect(await collect(world)).toBe(3);
  expect(await keysIn(world.ports)).toEqual([]);
  expect(await rowsOf(world)).toEqual([]);
  expect(world.collections.size).toBe(0);
});

test('what a snapshot holds stays, with the rows and the name in the catalog, until it is dropped', async () => {
  const world = await droppedWorld();
  const pin = await pinHead(world.ports, 'monday');
  await world.ports.clock.advance(LATER);
  expect(await collect(world)).toBe(2);
  expect(await keysIn(world.ports, 'collections/')).toEqual([world.key]);
  expect((await rowsOf(world)).length).toBeGreaterThan(2);
  expect(world.collections.size).toBe(1);
  await dropPin(world.ports.table, pin);
  expect(await collect(world)).toBe(1);
  expect(world.collections.size).toBe(0);
  expect(await rowsOf(world)).toEqual([]);
});

test('an open pin of anybody stops it', async () => {
  const world = await droppedWorld();
  await world.ports.clock.advance(LATER);
  await openOne(world.ports, 'elsewhere');
  expect(await collect(world)).toBeUndefined();
  expect(await keysIn(world.ports)).toHaveLength(3);
});

test('a dropped clone lets go of what it holds of others', async () => {
  const world = await droppedWorld();
  await pinHead(world.ports, 'monday', [7]);
  await world.ports.clock.advance(LATER);
  await collect(world);
  const pins = await readPins(world.ports.table);
  expect(pins.map(({ pin }) => pin.holders)).toEqual([[]]);
});

test('killed at any call of a port and called again, it ends in the same state', async () => {
  let calls = 0;
  let reached = true;
  for (let fatal = 1; reached; fatal++) {
    const world = await droppedWorld();
    await world.ports.clock.advance(LATER);
    calls = 0;
    reached = false;
    const faults = {
      clock: world.ports.clock,
      decide: () => {
        calls += 1;
        if (calls === fatal) reached = true;
        // A process that was killed does nothing more.
        return calls >= fatal ? ('fail' as const) : ('ok' as const);
      },
    };
    const objects = faultyObjectStore(world.ports.objects, faults);
    const table = faultyTable(world.ports.table, faults);
    await collect(world, { objects, table }).catch(() => undefined);
    if (world.collections.size > 0) await collect(world);
    expect(await keysIn(world.ports), `killed at call ${fatal}`).toEqual([]);
    expect(await rowsOf(world)).toEqual([]);
    expect(world.collections.size).toBe(0);
  }
  expect(calls).toBeGreaterThan(10);
});

test('a round visits everything, and one that fails hinders no other', async () => {
  const world = await droppedWorld();
  const { ports, collections, catalog } = world;
  const open = { collectionId: 9, shard: 0 };
  collections.set(9, { collectionId: 9, shards: 1, state: 'open' });
  collections.set(10, { collectionId: 10, shards: 1, state: 'creating' });
  await begin(ports, open);
  const orphan = await product(ports, 0, 'orphan', open);
  const key = await product(ports, 0, '1-segment', open);
  await contain(ports, [key], open);
  await ports.clock.advance(LATER);
  const round = await collectRound(ports, catalog);
  expect(round).toEqual({ shards: 1, objects: 4, forgotten: 1, failures: 0, complete: true });
  expect(await keysIn(ports)).toEqual([key]);
  expect(await keysIn(ports)).not.toContain(orphan);
  const none = await collectRound(ports, catalog, () => false);
  expect(none).toMatchObject({ shards: 0, complete: false });
});
