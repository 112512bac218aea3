/**
 * Two drops of one collection, of which one is slow: what it does last must not free the name of the
 * collection that was made meanwhile (I1). Found by the simulator, seed 5007.
 */
import { expect, test } from 'vitest';
import { parseBody } from '#api/body.ts';
import { CreateCollectionRequest } from '#api/collections.ts';
import { openCatalog } from '#catalog/collections.ts';
import type { Table } from '#ports/table.ts';
import { newCollection } from '#service/definition.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';

const body = parseBody(CreateCollectionRequest, '{"collectionName":"c","dimension":4}');
const wanted = newCollection(body, 'default');

test('a drop that wakes up late leaves the next collection of that name alone', async () => {
  const global = new MemoryTable();
  const clock = new ManualClock();
  const table = new MemoryTable();
  const objects = new MemoryObjectStore(clock);
  const rest = { table, objects, clock, entropy: new SeededEntropy('free name') };
  let wake: () => void = () => undefined;
  const asleep = new Promise<void>((resolve) => {
    wake = resolve;
  });
  let arrived: () => void = () => undefined;
  const atTheName = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  /** Sleeps before the first change of a name row. */
  const sleepy = async <T>(partition: string, change: () => Promise<T>): Promise<T> => {
    if (partition.startsWith('names/')) {
      arrived();
      await asleep;
    }
    return change();
  };
  const slowTable: Table = {
    get: (key) => global.get(key),
    query: (partition, options) => global.query(partition, options),
    put: (key, value, condition) => sleepy(key.partition, () => global.put(key, value, condition)),
    delete: (key, condition) => sleepy(key.partition, () => global.delete(key, condition)),
  };
  const catalog = openCatalog({ ...rest, global });
  const slow = openCatalog({ ...rest, global: slowTable });

  const { collection } = await catalog.createCollection(wanted);
  const dropping = await catalog.markDropping(collection.collectionId);
  const late = slow.finishDrop(dropping);
  await atTheName;
  await catalog.finishDrop(dropping);
  const next = await catalog.createCollection(wanted);
  expect(next.outcome).toBe('created');
  wake();
  await late;

  const found = await catalog.findCollection('default', 'c');
  expect(found.collectionId).toBe(next.collection.collectionId);
  expect(await catalog.listCollections('default')).toEqual(['c']);
});

test('a name that was freed is not listed, and can be given again and again', async () => {
  const clock = new ManualClock();
  const catalog = openCatalog({
    global: new MemoryTable(),
    table: new MemoryTable(),
    objects: new MemoryObjectStore(clock),
    clock,
    entropy: new SeededEntropy('again'),
  });
  for (let round = 1; round <= 3; round++) {
    const { outcome, collection } = await catalog.createCollection(wanted);
    expect(outcome).toBe('created');
    await catalog.finishDrop(await catalog.markDropping(collection.collectionId));
    expect(await catalog.listCollections('default')).toEqual([]);
    expect(await catalog.findNamed('default', 'c')).toBeUndefined();
  }
});
