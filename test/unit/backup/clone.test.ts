/** Clones and restored snapshots: what they begin with, and how little they care for each other afterwards. */
import { beforeEach, expect, test } from 'vitest';
import { manifestOf, verifySums } from '../ingest/world.ts';
import {
  apply,
  clone,
  collectAll,
  contentOf,
  create,
  drop,
  dropSnapshot,
  erase,
  eraseVersions,
  keysIn,
  merge,
  numbers,
  openStore,
  restore,
  type Store,
  snapshot,
  snapshotWithMore,
  valuesOf,
  write,
} from './world.ts';

let store: Store;
beforeEach(() => {
  store = openStore();
});

const STATES = ['creating', 'open', 'dropping', 'dropped'] as const;

const objects = async (prefix = ''): Promise<string[]> =>
  (await store.disk.objects.list(prefix)).map(({ key }) => key);

test('a clone has rows, sums and counts of its source, and a higher generation (I7)', async () => {
  const source = await create(store, 'source', { shards: 2 });
  await write(store, source, numbers(0, 40), 1);
  await erase(store, source, [3, 4]);
  await eraseVersions(store, source, [5]);
  const copy = await clone(store, source, 'copy');
  expect(await contentOf(copy)).toEqual(await contentOf(source));
  for (const shard of [0, 1]) {
    const [from, to] = [await manifestOf(source, shard), await manifestOf(copy, shard)];
    expect([to.sums, to.rowsApplied]).toEqual([from.sums, from.rowsApplied]);
    expect([from.generation, to.generation]).toEqual([1, 2]);
  }
  await verifySums(copy);
});

test('source, clone and clone of the clone change the same keys, each for itself (I5)', async () => {
  const source = await create(store, 'source', { shards: 2 });
  await write(store, source, numbers(0, 20), 1);
  const child = await clone(store, source, 'child');
  const grandchild = await clone(store, child, 'grandchild');
  await write(store, grandchild, numbers(0, 5), 3);
  await erase(store, grandchild, [10]);
  await eraseVersions(store, child, numbers(0, 10));
  await write(store, child, [0], 2);
  await write(store, source, [1], 4);
  const own = {
    source: [...valuesOf([0, ...numbers(2, 20)], 1), ...valuesOf([1], 4)].sort(),
    child: [...valuesOf([0], 2), ...valuesOf(numbers(10, 20), 1)].sort(),
    grandchild: [
      ...valuesOf(numbers(0, 5), 3),
      ...valuesOf([...numbers(5, 10), ...numbers(11, 20)], 1),
    ].sort(),
  };
  const look = async () => ({
    source: (await contentOf(source)).sort(),
    child: (await contentOf(child)).sort(),
    grandchild: (await contentOf(grandchild)).sort(),
  });
  expect(await look()).toEqual(own);
  await apply(store);
  expect(await look()).toEqual(own);
  for (const each of [grandchild, source, child]) await merge(store, each);
  expect(await look()).toEqual(own);
  for (const each of [source, child, grandchild]) await verifySums(each);
  expect((await manifestOf(grandchild)).generation).toBe(3);
});

const ORDERS = [
  ['source', 'child', 'grandchild'],
  ['child', 'source', 'grandchild'],
  ['grandchild', 'child', 'source'],
  ['child', 'grandchild', 'source'],
] as const;

/** What was written beside a cut lies below the pin of that cut, and copies of the copy name it too. */
test.each(ORDERS)(
  'dropped in the order %s, %s, %s: what is left is whole, and at last nothing is (I6)',
  async (...order) => {
    const source = await create(store, 'source', { shards: 2 });
    await write(store, source, numbers(0, 30), 1);
    await apply(store);
    await snapshotWithMore(store, source, 'monday', () =>
      write(store, source, keysIn(source, 0, 30, 20), 2),
    );
    const child = await restore(store, source, 'monday', 'child');
    expect((await objects('snapshots/')).some((key) => key.endsWith('/0-segment'))).toBe(true);
    await dropSnapshot(store, source, 'monday');
    await write(store, child, numbers(60, 70), 3);
    const grandchild = await clone(store, child, 'grandchild');
    const worlds = { source, child, grandchild };
    const left = new Set(order);
    for (const name of order) {
      const before = new Map<string, unknown>();
      for (const each of left) before.set(each, await contentOf(worlds[each]));
      await drop(store, worlds[name]);
      left.delete(name);
      await collectAll(store);
      for (const each of left) {
        expect(await contentOf(worlds[each]), `${each} without ${name}`).toEqual(before.get(each));
        await verifySums(worlds[each]);
      }
      for (const each of left) await merge(store, worlds[each]);
      await collectAll(store);
      for (const each of left) {
        expect(await contentOf(worlds[each]), `${each}, merged`).toEqual(before.get(each));
        await verifySums(worlds[each]);
      }
    }
    expect(await objects()).toEqual([]);
    expect(await store.catalog.allCollections(STATES)).toEqual([]);
  },
);

test('a snapshot of a copy holds what was written beside the cut that the copy came from (I6, I9)', async () => {
  const source = await create(store, 'source', { shards: 2 });
  await write(store, source, numbers(0, 10), 1);
  await apply(store);
  await snapshotWithMore(store, source, 'monday', () =>
    write(store, source, keysIn(source, 0, 30, 20), 2),
  );
  const child = await restore(store, source, 'monday', 'child');
  const before = await contentOf(child);
  await snapshot(store, child, 'tuesday');
  await dropSnapshot(store, source, 'monday');
  await drop(store, source);
  await drop(store, child);
  await collectAll(store);
  const again = await restore(store, child, 'tuesday', 'again');
  expect(await contentOf(again)).toEqual(before);
  await verifySums(again);
});
