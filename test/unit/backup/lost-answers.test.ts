/** Each call of a port while a copy is made fails, or loses its answer, or takes effect late. */
import { describe, expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { openCatalog } from '#catalog/collections.ts';
import { namedPin } from '#catalog/pins.ts';
import { type Fault, faultyLog, faultyObjectStore, faultyTable } from '#sim/faults.ts';
import { type Disk, verifySums, type World } from '../ingest/world.ts';
import {
  ask,
  collectAll,
  contentOf,
  create,
  drop,
  dropSnapshot,
  meanwhile,
  numbers,
  openStore,
  restore,
  type Store,
  snapshot,
  worldOf,
  write,
} from './world.ts';

/** The n-th call of any port suffers the fault; counts the calls. */
function faulty(store: Store, nth: number, fault: Fault): { disk: Disk; calls: () => number } {
  let calls = 0;
  const faults = { decide: () => (++calls === nth ? fault : 'ok'), clock: store.clock } as const;
  const { disk } = store;
  return {
    disk: {
      ...disk,
      objects: faultyObjectStore(disk.objects, faults),
      log: faultyLog(disk.log, faults),
      table: faultyTable(disk.table, faults),
      global: faultyTable(disk.global, faults, 'global'),
    },
    calls: () => calls,
  };
}

type Scenario = Readonly<{
  name: string;
  verb: string;
  body: Readonly<Record<string, unknown>>;
  /** How it stands now: it was done, in part, or not at all. */
  look: (store: Store, source: World) => Promise<'done' | 'part' | 'not done'>;
}>;

const COPY = { dbName: 'default', collectionName: 'copy' };

/** The copy is there whole, or not at all. */
async function lookForCopy(store: Store, source: World): Promise<'done' | 'not done'> {
  const found = await openCatalog(store.disk).findNamed(COPY.dbName, COPY.collectionName);
  if (found?.state !== 'open') return 'not done';
  const copy = worldOf(store, found);
  expect(await contentOf(copy)).toEqual(await contentOf(source));
  await verifySums(copy);
  return 'done';
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a snapshot',
    verb: 'snapshots/create',
    body: { collectionName: 'source', snapshotName: 'fresh' },
    look: async (store, source) => {
      const { collectionId } = source.collection;
      if ((await namedPin(store.disk.table, collectionId, 'fresh')) === undefined)
        return 'not done';
      const copy = await restore(store, source, 'fresh', 'tried');
      expect(await contentOf(copy)).toEqual(await contentOf(source));
      await drop(store, copy);
      return 'done';
    },
  },
  {
    name: 'the drop of a snapshot with a clone',
    verb: 'snapshots/drop',
    body: { collectionName: 'source', snapshotName: 'old' },
    look: async (store, source) => {
      const { collectionId } = source.collection;
      const found = await namedPin(store.disk.table, collectionId, 'old');
      return found === undefined ? 'done' : 'not done';
    },
  },
  {
    name: 'a clone',
    verb: 'collections/clone',
    body: { collectionName: 'source', targetCollectionName: 'copy' },
    look: lookForCopy,
  },
  {
    name: 'a restored snapshot',
    verb: 'snapshots/restore',
    body: {
      sourceCollectionName: 'source',
      snapshotName: 'old',
      targetCollectionName: 'copy',
    },
    look: lookForCopy,
  },
  {
    name: 'a truncation',
    verb: 'collections/truncate',
    body: { collectionName: 'emptied' },
    look: async (store) => {
      const emptied = worldOf(store, await store.catalog.findCollection('default', 'emptied'));
      const left = (await contentOf(emptied)).length;
      return left === 0 ? 'done' : left === 20 ? 'not done' : 'part';
    },
  },
];

async function prepare(): Promise<Readonly<{ store: Store; source: World; held: World }>> {
  const store = openStore();
  const source = await create(store, 'source', { shards: 2 });
  const emptied = await create(store, 'emptied', { shards: 2 });
  await write(store, source, numbers(0, 20), 1);
  await write(store, emptied, numbers(0, 20), 1);
  await snapshot(store, source, 'old');
  const held = await restore(store, source, 'old', 'held');
  return { store, source, held };
}

const FAULTS: readonly Fault[] = ['fail', 'refuse', 'lose-answer', { lateMs: 700 }];
/** More calls than any of them makes; a run that ends before its fault came is the last. */
const CALLS_MAX = 400;

describe.each(SCENARIOS)('$name', ({ verb, body, look }) => {
  test.each(FAULTS)('whichever call suffers %j', async (fault) => {
    const seen = new Set<string>();
    for (let nth = 1; nth <= CALLS_MAX; nth++) {
      const { store, source, held } = await prepare();
      const { disk, calls } = faulty(store, nth, fault);
      const about = `call ${nth}`;
      let outcome = 'done';
      try {
        await meanwhile(store, ask(store, verb, body, disk));
      } catch (error) {
        if (!isStoreError(error)) throw error;
        outcome = error.advice.effect;
        expect(error.advice.retry, `${about}: ${error.message}`).toBe('later');
      }
      seen.add(outcome);
      const isOver = calls() < nth;
      // What is late has arrived by then.
      if (typeof fault === 'object') await meanwhile(store, store.clock.sleep(1_000));
      const found = await look(store, source);
      if (outcome === 'done') expect(found, about).toBe('done');
      if (outcome === 'none') expect(found, about).toBe('not done');
      // Asked again it is done, unless it is already.
      if (found !== 'done') await meanwhile(store, ask(store, verb, body));
      expect(await look(store, source), about).toBe('done');
      expect(await contentOf(held)).toEqual(await contentOf(source));
      if (isOver) {
        expect([...seen]).toContain('done');
        await nothingStays(store);
        return;
      }
      if (nth % 10 === 0) await nothingStays(store);
    }
    throw new Error(`more than ${CALLS_MAX} calls`);
  });
});

/** Dies at its n-th call, before or behind its effect: no call of it is answered from then on. */
function mortal(store: Store, nth: number, isDone: boolean): { disk: Disk; calls: () => number } {
  let calls = 0;
  const never = new Promise<never>(() => undefined);
  const wrap = <Port extends object>(port: Port): Port =>
    new Proxy(port, {
      get(target, property) {
        const member: unknown = Reflect.get(target, property);
        if (typeof member !== 'function') return member;
        return async (...parameters: unknown[]) => {
          calls += 1;
          if (calls > nth || (calls === nth && !isDone)) return await never;
          const answer: unknown = await member.apply(target, parameters);
          return calls >= nth ? await never : answer;
        };
      },
    });
  const { objects, log, table, global, ...rest } = store.disk;
  const disk = { objects: wrap(objects), log: wrap(log), table: wrap(table), global: wrap(global) };
  return { disk: { ...rest, ...disk }, calls: () => calls };
}

describe.each(SCENARIOS)('$name, whose process dies', ({ verb, body, look }) => {
  test.each([
    { at: 'before', isDone: false },
    { at: 'behind', isDone: true },
  ])('$at any of its calls: nothing is hurt, and it can be asked for again', async ({ isDone }) => {
    for (let nth = 1; nth <= CALLS_MAX; nth++) {
      const { store, source, held } = await prepare();
      const { disk, calls } = mortal(store, nth, isDone);
      const about = `call ${nth}`;
      let isOver = false;
      void ask(store, verb, body, disk).then(() => {
        isOver = true;
      });
      const ending = async () => {
        while (!isOver && calls() < nth) await store.clock.sleep(20);
      };
      await meanwhile(store, ending());
      const found = await look(store, source);
      if (isOver) expect(found, about).toBe('done');
      if (found !== 'done') await meanwhile(store, ask(store, verb, body));
      expect(await look(store, source), about).toBe('done');
      expect(await contentOf(held), about).toEqual(await contentOf(source));
      if (isOver || nth % 10 === 0) await nothingStays(store);
      if (isOver && calls() < nth) return;
    }
    throw new Error(`more than ${CALLS_MAX} calls`);
  });
});

/** Once everything is dropped, nothing of it is left: whatever was half made has an owner. */
async function nothingStays(store: Store): Promise<void> {
  for (const name of await store.catalog.listCollections('default')) {
    const world = worldOf(store, await store.catalog.findCollection('default', name));
    for (const snapshotName of ['old', 'fresh']) {
      const pin = await namedPin(store.disk.table, world.collection.collectionId, snapshotName);
      if (pin !== undefined) await dropSnapshot(store, world, snapshotName);
    }
    await drop(store, world);
  }
  await collectAll(store);
  expect((await store.disk.objects.list('')).map(({ key }) => key)).toEqual([]);
  expect(await store.disk.table.query('pins')).toEqual([]);
  expect(await store.catalog.allCollections(['creating', 'open', 'dropping', 'dropped'])).toEqual(
    [],
  );
}
