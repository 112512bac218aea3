/**
 * A creation or drop that the table refuses half-way (I12): a code that promises that nothing was changed
 * is told only where nothing was.
 */
import { expect, test } from 'vitest';
import { isStoreError, StoreError } from '#base/errors.ts';
import { type NewCollection, openCatalog } from '#catalog/collections.ts';
import type { Condition, QueryOptions, Row, RowKey, Table } from '#ports/table.ts';
import { defineCollection } from '#schema/define.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';

const DEFINITION: NewCollection = {
  ...{ dbName: 'default', collectionName: 'docs', description: '', shards: 1, loaded: true },
  schema: defineCollection({
    fields: [
      { name: 'id', type: 'Int64', primaryKey: true },
      { name: 'v', type: 'FloatVector', dim: 4 },
    ],
    enableDynamic: false,
  }),
  consistencyLevel: 'Bounded',
  indexes: [],
  properties: {},
  partitions: [{ partitionId: 1, partitionName: '_default' }],
  ...{ nextFieldId: 102, nextPartitionId: 2 },
};

/** A table that refuses its calls from the `from`-th on, and may lose the answer of the one before. */
class Refusing implements Table {
  readonly #inner: Table;
  readonly #from: number;
  readonly #loses: boolean;
  #calls = 0;

  constructor(inner: Table, from: number, loses: boolean) {
    this.#inner = inner;
    this.#from = from;
    this.#loses = loses;
  }

  get(key: RowKey): Promise<Row | undefined> {
    return this.#call(() => this.#inner.get(key), false);
  }
  query(partition: string, options?: QueryOptions): Promise<readonly Row[]> {
    return this.#call(() => this.#inner.query(partition, options), false);
  }
  put(key: RowKey, value: Uint8Array, condition?: Condition): Promise<number | undefined> {
    return this.#call(() => this.#inner.put(key, value, condition), true);
  }
  delete(key: RowKey, condition?: Condition): Promise<boolean> {
    return this.#call(() => this.#inner.delete(key, condition), true);
  }

  async #call<T>(act: () => Promise<T>, mutates: boolean): Promise<T> {
    this.#calls += 1;
    if (this.#calls >= this.#from) throw new StoreError('OVERLOADED', 'too many requests');
    const result = await act();
    if (this.#loses && mutates && this.#calls === this.#from - 1) {
      throw new StoreError('UNCERTAIN', 'the answer was lost');
    }
    return result;
  }
}

test.each([false, true])('a creation, at any call, an answer lost before it: %s', async (loses) => {
  let created = 0;
  let unclear = 0;
  for (let from = 1; created === 0; from++) {
    const global = new MemoryTable();
    const clock = new ManualClock();
    const open = (on: Table) =>
      openCatalog({
        ...{ global: on, table: new MemoryTable(), objects: new MemoryObjectStore(clock), clock },
        entropy: new SeededEntropy(`creation ${from}`),
      });
    let effect: string = 'done';
    try {
      await open(new Refusing(global, from, loses)).createCollection(DEFINITION);
    } catch (error) {
      if (!isStoreError(error)) throw error;
      effect = error.advice.effect;
    }
    const found = await open(global).findNamed('default', 'docs');
    if (effect === 'none') expect(found, `refused from call ${from} on`).toBeUndefined();
    if (effect === 'unknown') unclear += 1;
    if (effect === 'done') created += 1;
  }
  expect(unclear).toBeGreaterThan(0);
});

test('the mark of a drop, at any call behind a lost answer', async () => {
  let unclear = 0;
  for (let from = 1, done = false; !done; from++) {
    const global = new MemoryTable();
    const clock = new ManualClock();
    const open = (on: Table) =>
      openCatalog({
        ...{ global: on, table: new MemoryTable(), objects: new MemoryObjectStore(clock), clock },
        entropy: new SeededEntropy(`drop ${from}`),
      });
    const { collection } = await open(global).createCollection(DEFINITION);
    let effect: string = 'done';
    try {
      await open(new Refusing(global, from, true)).markDropping(collection.collectionId);
      done = true;
    } catch (error) {
      if (!isStoreError(error)) throw error;
      effect = error.advice.effect;
    }
    const found = await open(global).findNamed('default', 'docs');
    if (effect === 'none') expect(found?.state, `refused from call ${from} on`).toBe('open');
    if (effect === 'unknown') unclear += 1;
  }
  expect(unclear).toBeGreaterThan(0);
});
