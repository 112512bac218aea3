/**
 * What snapshots, clones and restores ask of the ports: the same for ten rows and for a hundred thousand,
 * two conditional writes of the pin and no row copied (issue 5).
 */
import { expect, test } from 'vitest';
import type { ObjectStore } from '#ports/object-store.ts';
import { faultyLog, faultyObjectStore, faultyTable } from '#sim/faults.ts';
import type { Disk } from '../ingest/world.ts';
import {
  apply,
  ask,
  create,
  meanwhile,
  merge,
  numbers,
  openStore,
  type Store,
  write,
} from './world.ts';

const WRITES = ['put', 'append', 'delete', 'copy'];

type Bill = Readonly<{
  /** Calls that change something, by port, method and kind of row or object. */
  writes: Readonly<Record<string, number>>;
  /** Objects read, whole or in part. */
  objectReads: number;
  bytesPut: number;
}>;

/** Counts what `act` asks of its ports; `apply` beside it has its own. */
async function billOf(store: Store, act: (disk: Disk) => Promise<unknown>): Promise<Bill> {
  const writes: Record<string, number> = {};
  let objectReads = 0;
  let bytesPut = 0;
  const faults = {
    clock: store.clock,
    decide: ({ port, method, key }: { port: string; method: string; key: string }) => {
      if (port === 'objects' && method === 'get') objectReads += 1;
      if (!WRITES.includes(method)) return 'ok' as const;
      const kind = port === 'objects' ? key.split('/').at(-1) : port === 'log' ? '' : kindOf(key);
      const name = `${port}.${method} ${kind}`;
      writes[name] = (writes[name] ?? 0) + 1;
      return 'ok' as const;
    },
  };
  const { disk } = store;
  const weighed: ObjectStore = {
    ...passed(disk.objects),
    put: (key, bytes) => {
      bytesPut += bytes.length;
      return disk.objects.put(key, bytes);
    },
  };
  await meanwhile(
    store,
    act({
      ...disk,
      objects: faultyObjectStore(weighed, faults),
      log: faultyLog(disk.log, faults),
      table: faultyTable(disk.table, faults),
      global: faultyTable(disk.global, faults, 'global'),
    }),
  );
  return { writes, objectReads, bytesPut };
}

const passed = (store: ObjectStore): ObjectStore => ({
  put: (key, bytes) => store.put(key, bytes),
  get: (key, range) => store.get(key, range),
  head: (key) => store.head(key),
  list: (prefix, options) => store.list(prefix, options),
  delete: (keys) => store.delete(keys),
  copy: (from, to) => store.copy(from, to),
});

/** Of `partition sort`: pins and names by partition, rows of a shard by their own kind. */
function kindOf(key: string): string {
  const [partition = '', sort = ''] = key.split(' ');
  return /^c[0-9]+-[0-9]+$/.test(partition)
    ? (sort.split('/')[0] ?? '')
    : (partition.split('/')[0] ?? '');
}

const PER_WRITE = 10_000;

async function bills(rows: number): Promise<Readonly<Record<string, Bill>>> {
  const store = openStore(rows);
  const source = await create(store, 'source', { shards: 2 });
  for (let at = 0; at < rows; at += PER_WRITE) {
    await write(store, source, numbers(at, Math.min(rows, at + PER_WRITE)), 1);
    await apply(store);
  }
  await merge(store, source);
  await store.clock.advance(60_000);
  const collectionName = 'source';
  const found: Record<string, Bill> = {};
  for (const [verb, body] of [
    ['snapshots/create', { collectionName, snapshotName: 'one' }],
    ['collections/clone', { collectionName, targetCollectionName: 'copy' }],
    [
      'snapshots/restore',
      { sourceCollectionName: collectionName, snapshotName: 'one', targetCollectionName: 'back' },
    ],
  ] as const) {
    found[verb] = await billOf(store, (disk) => ask(store, verb, body, disk));
  }
  return found;
}

test('is the same for 10, 1,000 and 100,000 rows', async () => {
  const few = await bills(10);
  expect(few['snapshots/create']?.writes).toEqual({
    'table.put pins': 2,
    'log.append ': 2,
    'objects.put cut': 1,
  });
  expect(few['collections/clone']?.writes).toEqual({
    'table.put pins': 2,
    'log.append ': 2,
    'objects.put cut': 1,
    'global.put collections': 2,
    'global.put names': 1,
    'table.put head': 2,
    'table.put gate': 2,
  });
  expect(few['snapshots/restore']?.writes).toMatchObject({
    'table.put pins': 1,
    'table.put head': 2,
  });
  for (const rows of [1_000, 100_000]) {
    const many = await bills(rows);
    for (const [verb, bill] of Object.entries(few)) {
      expect(many[verb]?.writes, `${verb} of ${rows} rows`).toEqual(bill.writes);
      expect(many[verb]?.objectReads, `${verb} of ${rows} rows`).toBeLessThanOrEqual(
        bill.objectReads + 4,
      );
      expect(many[verb]?.bytesPut).toBeLessThan(8 * 1024);
    }
  }
}, 60_000);
