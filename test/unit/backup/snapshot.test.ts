/** Snapshots: what is in a cut and what is not, who may take one, and what becomes of it later (I5, I6, I7, I9). */
import { beforeEach, describe, expect, test } from 'vitest';
import { readCut } from '#backup/clone.ts';
import { takeSnapshot } from '#backup/snapshot.ts';
import { must } from '#base/assert.ts';
import { changePin, namedPin, readPins } from '#catalog/pins.ts';
import { fenceShard } from '#ingest/fence.ts';
import { collectRound } from '#maintain/collect-round.ts';
import { commitManifest } from '#manifest/commit.ts';
import { readArchive } from '#segment/archive.ts';
import { faultyTable } from '#sim/faults.ts';
import { swapParked } from '#wal/parked.ts';
import { liveRows, manifestOf, verifySums } from '../ingest/world.ts';
import { entryOf } from '../maintain/collected-world.ts';
import {
  apply,
  ask,
  clone,
  collectAll,
  contentOf,
  create,
  drop,
  dropSnapshot,
  erase,
  eraseVersions,
  keysIn,
  LATER,
  MINUTE,
  meanwhile,
  merge,
  numbers,
  openStore,
  processOf,
  restore,
  type Store,
  shardsOf,
  snapshot,
  snapshotWithMore,
  truncate,
  valuesOf,
  write,
} from './world.ts';

let store: Store;
beforeEach(() => {
  store = openStore();
});

const pins = async () => (await readPins(store.disk.table)).map(({ pin }) => pin.state);

describe('the cut', () => {
  test('has what was written and deleted up to its log time behind the manifest it is based on, and no more', async () => {
    const source = await create(store, 'source', { shards: 2 });
    const here = keysIn(source, 0, 0, 30);
    await write(store, source, here, 1);
    await apply(store);
    const fresh = keysIn(source, 0, 5_000, 4);
    const late = keysIn(source, 0, 9_000, 3);
    const { cut } = await snapshotWithMore(
      store,
      source,
      'monday',
      async () => {
        await write(store, source, fresh, 2);
        await write(store, source, here.slice(0, 3), 3);
        await erase(store, source, here.slice(3, 6));
        await eraseVersions(store, source, here.slice(6, 9));
        // The version that this delete read is replaced at once: the new one survives.
        await eraseVersions(store, source, here.slice(9, 10));
        await write(store, source, here.slice(9, 10), 4);
        await erase(store, source, fresh.slice(0, 1));
      },
      async () => {
        // One batch of apply holds all of it, so that the archive object lies across the cut.
        await write(store, source, late, 5);
        await erase(store, source, here.slice(10, 20));
        await write(store, source, here.slice(3, 5), 6);
        await eraseVersions(store, source, fresh.slice(1, 3));
      },
    );
    expect(must(cut.manifests[0], 'shard 0').segments.at(-1)?.key).toMatch(
      /^snapshots\/.*0-segment$/,
    );
    const expected = [
      ...valuesOf(fresh.slice(1), 2),
      ...valuesOf(here.slice(0, 3), 3),
      ...valuesOf(here.slice(9, 10), 4),
      ...valuesOf(here.slice(10), 1),
      ...valuesOf(keysIn(source, 1, 1_000_000, 2), 0),
    ].sort(([a], [b]) => (a < b ? -1 : 1));
    const copy = await restore(store, source, 'monday', 'copy');
    expect(await contentOf(copy)).toEqual(expected);
    await verifySums(copy);
    await merge(store, copy);
    expect(await contentOf(copy)).toEqual(expected);
    await verifySums(copy);
    // The deletes of the copy stay deletes: nothing that the cut had deleted comes back (I5).
    await write(store, copy, late, 7);
    expect(await contentOf(copy)).toHaveLength(expected.length + late.length);
  });

  test('of another batch than its base has the sums that the source had at its position (I7)', async () => {
    const source = await create(store, 'source', { shards: 2 });
    await write(store, source, keysIn(source, 0, 0, 5), 1);
    await apply(store);
    const { cut } = await snapshotWithMore(store, source, 'monday', async () => {
      await write(store, source, keysIn(source, 0, 3, 5), 2);
      await erase(store, source, keysIn(source, 0, 0, 2));
    });
    // Nothing was written behind it in shard 0, and the marker changes no sum.
    const [now, then] = [await manifestOf(source, 0), must(cut.manifests[0], 'shard 0')];
    expect(then.sums.in).toBe(now.sums.in);
    expect(then.rowsApplied).toBe(now.rowsApplied);
    // Its position is that of the last record before the marker.
    const archives = await Promise.all(now.idWindow.map((ref) => readArchive(store.disk, ref)));
    const positions = archives.flat().map(({ position }) => position);
    expect(positions.slice(-2)).toEqual([then.applied, now.applied]);
  });

  test.each([1, 3, 16])(
    'of %i empty shards is taken within a second, and can be restored and written to',
    async (shards) => {
      const source = await create(store, 'source', { shards });
      const beganMs = store.clock.nowMs();
      await snapshot(store, source, 'nothing');
      expect(store.clock.nowMs() - beganMs).toBeLessThan(1_000);
      const copy = await restore(store, source, 'nothing', 'copy');
      expect(await contentOf(copy)).toEqual([]);
      await write(store, copy, numbers(0, 40), 1);
      await apply(store);
      expect(await contentOf(copy)).toHaveLength(40);
      expect(await contentOf(source)).toEqual([]);
    },
  );

  test('of rows in the tail only has them, also where a shard never had a record', async () => {
    const source = await create(store, 'source', { shards: 3 });
    const keys = keysIn(source, 1, 0, 5);
    await write(store, source, keys, 1);
    await snapshot(store, source, 'tail');
    const copy = await restore(store, source, 'tail', 'copy');
    expect(await contentOf(copy)).toEqual(valuesOf(keys, 1));
    await verifySums(copy);
  });

  test('of a collection that had its last write long ago does not wait for another', async () => {
    const source = await create(store, 'source', { shards: 2 });
    await write(store, source, numbers(0, 10), 1);
    await apply(store);
    await store.clock.advance(LATER);
    const beganMs = store.clock.nowMs();
    await snapshot(store, source, 'idle');
    expect(store.clock.nowMs() - beganMs).toBeLessThan(1_000);
    expect(await contentOf(await restore(store, source, 'idle', 'copy'))).toHaveLength(10);
  });

  test('of a thousand segments is one object', async () => {
    const source = await create(store, 'source');
    await write(store, source, [1], 1);
    await apply(store);
    const [shard] = shardsOf(source.collection);
    const more = numbers(0, 1_100).map(
      (number) => `collections/7/0/segment/000000000000-${number}`,
    );
    await commitManifest(store.disk, must(shard, 'a shard'), (current) =>
      current.segments.length > 1
        ? undefined
        : {
            ...current,
            version: current.version + 1,
            segments: [...current.segments, ...more.map(entryOf)],
          },
    );
    await snapshot(store, source, 'many');
    expect(await store.disk.objects.list('snapshots/')).toHaveLength(1);
    const copy = await restore(store, source, 'many', 'copy');
    const { segments } = await manifestOf(copy);
    expect(segments.map(({ key }) => key).slice(1)).toEqual(more);
  });
});

describe('what happens meanwhile', () => {
  test('a truncation that takes effect before the cut ends it, and nothing was made', async () => {
    const source = await create(store, 'source', { shards: 2 });
    await write(store, source, numbers(0, 20), 1);
    await apply(store);
    const fenced = async () => {
      const [first] = shardsOf(source.collection);
      const ports = processOf(store);
      // Not waited for: it is applied with the rest.
      fenceShard(ports, must(first, 'a shard'), { action: 'truncate' }).catch(() => undefined);
      await store.clock.advance(1);
    };
    const taking = snapshotWithMore(store, source, 'monday', fenced);
    await expect(taking).rejects.toMatchObject({ code: 'NOT_READY', advice: { effect: 'none' } });
    expect(await pins()).toEqual([]);
    await meanwhile(store, store.clock.sleep(1_000));
    await snapshot(store, source, 'monday');
    const copy = await restore(store, source, 'monday', 'copy');
    expect(await contentOf(copy)).toEqual(await contentOf(source));
  });

  test('a truncation after the cut is not in it', async () => {
    const source = await create(store, 'source', { shards: 2 });
    await write(store, source, numbers(0, 20), 1);
    await snapshot(store, source, 'full');
    await truncate(store, source);
    const copy = await restore(store, source, 'full', 'copy');
    expect(await contentOf(copy)).toHaveLength(20);
    await verifySums(copy);
  });

  test.each([1, 2])(
    'a drop of the source of %i shards ends it, or it is whole all the same',
    async (shards) => {
      for (const delayMs of [0, 5, 10, 20, 40, 80, 160]) {
        store = openStore(`${shards} ${delayMs}`);
        const source = await create(store, 'source', { shards });
        await write(store, source, numbers(0, 20), 1);
        const name = { name: 'last', description: '' };
        const taking = takeSnapshot(processOf(store), source.collection, name).then(
          () => 'taken',
          ({ code }) => code,
        );
        await store.clock.advance(delayMs);
        await drop(store, source);
        const outcome = await meanwhile(store, taking);
        expect(['taken', 'COLLECTION_NOT_FOUND', 'NOT_READY']).toContain(outcome);
        await collectAll(store);
        const pin = await namedPin(store.disk.table, source.collection.collectionId, 'last');
        expect(pin !== undefined).toBe(outcome === 'taken');
        if (pin === undefined) continue;
        const copy = await restore(store, source, 'last', 'copy');
        expect(await contentOf(copy)).toHaveLength(20);
        await verifySums(copy);
      }
    },
  );

  test('a parked shard is named at once, not after 20 s', async () => {
    const source = await create(store, 'source', { shards: 2 });
    const [shard] = shardsOf(source.collection);
    await swapParked(
      store.disk.table,
      must(shard, 'a shard'),
      { version: 0 },
      {
        ...{ isParked: true, sequence: '7', code: 'DATA_CORRUPT', reason: 'no record', entries: 1 },
        ...{ sinceMs: 1, through: '7', attempts: 0, nextReplayMs: 0 },
      },
    );
    const beganMs = store.clock.nowMs();
    const taking = takeSnapshot(processOf(store), source.collection, {
      name: 'n',
      description: '',
    });
    await expect(meanwhile(store, taking)).rejects.toMatchObject({
      code: 'NOT_READY',
      message: expect.stringContaining('parked'),
    });
    expect(store.clock.nowMs() - beganMs).toBeLessThan(2_000);
    expect(await pins()).toEqual([]);
  });

  test('where apply does not run it gives up, says so and leaves nothing', async () => {
    const source = await create(store, 'source', { shards: 2 });
    await write(store, source, numbers(0, 5), 1);
    const taking = takeSnapshot(processOf(store), source.collection, {
      name: 'n',
      description: '',
    });
    const refused = expect(taking).rejects.toMatchObject({ code: 'NOT_READY' });
    await store.clock.advance(25_000);
    await refused;
    expect(await pins()).toEqual([]);
  });
});

describe('names', () => {
  test('of two who take one name at once, one gets it and the other is told of it', async () => {
    const source = await create(store, 'source', { shards: 2 });
    await write(store, source, numbers(0, 10), 1);
    const take = () =>
      ask(store, 'snapshots/create', { collectionName: 'source', snapshotName: 'one' });
    const first = take();
    await store.clock.advance(3);
    const [a, b] = await meanwhile(store, Promise.allSettled([first, take()]));
    expect(a).toMatchObject({
      status: 'rejected',
      reason: { code: 'NOT_READY', message: expect.stringContaining('another request') },
    });
    expect(b.status).toBe('fulfilled');
    expect(await contentOf(await restore(store, source, 'one', 'copy'))).toHaveLength(10);
    await collectAll(store);
    // The objects of the one that lost are gone.
    expect(await store.disk.objects.list('snapshots/')).toHaveLength(1);
    await expect(take()).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  });

  test('a maker that was killed holds its name for nobody', async () => {
    const source = await create(store, 'source');
    await write(store, source, numbers(0, 10), 1);
    const killed = {
      ...store.disk,
      clock: {
        ...store.clock,
        nowMs: () => store.clock.nowMs(),
        sleep: () => new Promise<void>(() => {}),
      },
    };
    void takeSnapshot(processOf(store, killed), source.collection, {
      name: 'one',
      description: '',
    });
    await store.clock.advance(10);
    expect(await pins()).toEqual(['open']);
    await snapshot(store, source, 'one');
    expect(await pins()).toEqual(['complete']);
  });

  test('two snapshots of different names at once hold the same', async () => {
    const source = await create(store, 'source', { shards: 2 });
    await write(store, source, numbers(0, 10), 1);
    const both = ['one', 'two'].map((name) =>
      takeSnapshot(processOf(store), source.collection, { name, description: '' }),
    );
    await meanwhile(store, Promise.all(both));
    const copies = [
      await restore(store, source, 'one', 'a'),
      await restore(store, source, 'two', 'b'),
    ];
    for (const copy of copies) expect(await contentOf(copy)).toHaveLength(10);
  });

  test('that no row can have are not found', async () => {
    await create(store, 'source');
    for (const snapshotName of ['größe', 'a b', 'x/y', 'n'.repeat(255)]) {
      const named = { collectionName: 'source', snapshotName };
      await expect(ask(store, 'snapshots/describe', named)).rejects.toMatchObject({
        code: 'SNAPSHOT_NOT_FOUND',
      });
    }
  });
});

describe('later', () => {
  test('merged, truncated, collected for days: the snapshot is what it was (I6, I9)', async () => {
    const source = await create(store, 'source', { shards: 2 });
    await write(store, source, numbers(0, 60), 1);
    await erase(store, source, numbers(50, 60));
    await snapshot(store, source, 'monday');
    const { cut: before } = must(
      (await namedPin(store.disk.table, source.collection.collectionId, 'monday'))?.pin,
      'a pin',
    );
    for (let day = 0; day < 3; day++) {
      await write(store, source, numbers(0, 30), 10 + day);
      await apply(store);
      await merge(store, source);
      if (day === 1) await truncate(store, source);
      await collectAll(store);
    }
    const copy = await restore(store, source, 'monday', 'copy');
    expect(await contentOf(copy)).toEqual(valuesOf(numbers(0, 50), 1));
    await verifySums(copy);
    const after = must(
      (await namedPin(store.disk.table, source.collection.collectionId, 'monday'))?.pin.cut,
      'a cut',
    );
    expect(after).toEqual(before);
    await dropSnapshot(store, source, 'monday');
    await collectAll(store);
    expect(await contentOf(copy)).toEqual(valuesOf(numbers(0, 50), 1));
    await drop(store, copy);
    await collectAll(store);
    expect(await store.disk.objects.list('snapshots/')).toEqual([]);
  });

  test('a killed maker holds collect up for a quarter of an hour, and no longer', async () => {
    const source = await create(store, 'source');
    await write(store, source, numbers(0, 10), 1);
    await apply(store);
    await snapshot(store, source, 'done');
    await merge(store, source);
    await dropSnapshot(store, source, 'done');
    await store.clock.advance(LATER);
    const dead = {
      ...store.disk,
      clock: { nowMs: () => store.clock.nowMs(), sleep: () => new Promise<void>(() => {}) },
    };
    await write(store, source, [11], 1);
    void takeSnapshot(processOf(store, dead), source.collection, { name: 'dead', description: '' });
    await store.clock.advance(10);
    const round = () => collectRound(store.disk, store.catalog);
    expect(await round()).toMatchObject({ objects: 0, failures: 0 });
    await store.clock.advance(16 * MINUTE);
    expect((await round()).objects).toBeGreaterThan(0);
    expect(await contentOf(source)).toHaveLength(11);
  });

  test('a snapshot that is dropped while somebody looks at it is not found', async () => {
    const source = await create(store, 'source');
    const { pin } = await snapshot(store, source, 'monday');
    await dropSnapshot(store, source, 'monday');
    await collectAll(store);
    await expect(readCut(store.disk, pin)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
  });

  test('a cut that is missing though its snapshot is not dropped is damage', async () => {
    const source = await create(store, 'source');
    const { pin } = await snapshot(store, source, 'monday');
    await store.disk.objects.delete([must(pin.pin.cut, 'a cut').key]);
    await expect(readCut(store.disk, pin)).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
  });
});

describe('guards', () => {
  const named = { collectionName: 'source', snapshotName: 'monday' };
  const guard = async (ttlSeconds: number): Promise<number> => {
    const { data } = await ask(store, 'snapshots/pin', { ...named, ttlSeconds });
    return (data as unknown as { pinId: number }).pinId;
  };

  test('one that is set while the drop is under way is honoured: either it is refused, or the drop', async () => {
    const source = await create(store, 'source');
    await snapshot(store, source, 'monday');
    // The drop has looked, and the guard comes before it changes anything.
    let guarded = false;
    const table = faultyTable(store.disk.table, {
      clock: store.clock,
      decide: ({ method, key }) =>
        method === 'put' && key.startsWith('pins ') && !guarded ? { delayMs: 100 } : 'ok',
    });
    const dropping = ask(store, 'snapshots/drop', named, { ...store.disk, table });
    await store.clock.advance(10);
    await guard(3600);
    guarded = true;
    const refused = expect(dropping).rejects.toMatchObject({ code: 'SNAPSHOT_PINNED' });
    await store.clock.advance(200);
    await refused;
    expect(await pins()).toEqual(['complete']);
  });

  test('they run out, and there are not more than 64', async () => {
    const source = await create(store, 'source');
    await snapshot(store, source, 'monday');
    for (let each = 0; each < 64; each++) await guard(60);
    await expect(guard(60)).rejects.toMatchObject({ code: 'OVERLOADED' });
    await expect(ask(store, 'snapshots/drop', named)).rejects.toMatchObject({
      code: 'SNAPSHOT_PINNED',
    });
    await store.clock.advance(61_000);
    await guard(60);
    await store.clock.advance(61_000);
    await ask(store, 'snapshots/drop', named);
    await expect(guard(60)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
  });
});

test('where neither the completion nor the giving up is known, the answer says so (I12)', async () => {
  const source = await create(store, 'source');
  await write(store, source, numbers(0, 3), 1);
  let puts = 0;
  const table = faultyTable(store.disk.table, {
    clock: store.clock,
    // The completion arrives a second late, and from then on nothing can be asked.
    decide: ({ method, key }) => {
      if (!key.startsWith('pins ')) return 'ok';
      if (method === 'put') puts += 1;
      if (puts < 2) return 'ok';
      return method === 'put' && puts === 2
        ? { lateMs: 1_000 }
        : method === 'get'
          ? 'ok'
          : 'refuse';
    },
  });
  const taking = takeSnapshot(processOf(store, { ...store.disk, table }), source.collection, {
    name: 'monday',
    description: '',
  });
  await expect(meanwhile(store, taking)).rejects.toMatchObject({ code: 'UNCERTAIN' });
  await store.clock.advance(2_000);
  expect(await pins()).toEqual(['complete']);
});

test('a clone generates no key that its source has, nor the source one of the clone', async () => {
  const source = await create(store, 'source', { autoId: true });
  const keys = [...(await write(store, source, numbers(0, 50), 1))];
  const copy = await clone(store, source, 'copy');
  for (let round = 0; round < 3; round++) {
    for (const world of [copy, source])
      keys.push(...(await write(store, world, numbers(0, 10), 2)));
    await apply(store);
    await store.clock.advance(11 * MINUTE);
  }
  expect(new Set(keys).size).toBe(keys.length);
  expect((await liveRows(copy)).size).toBe(80);
});

test('a RequestId that truncates twice within its time does so once, and the next day again', async () => {
  const source = await create(store, 'source', { shards: 2 });
  const nightly = () =>
    meanwhile(
      store,
      ask(store, 'collections/truncate', { collectionName: 'source' }, store.disk, 'nightly'),
    );
  await write(store, source, numbers(0, 10), 1);
  await nightly();
  await write(store, source, numbers(0, 5), 2);
  await nightly();
  expect(await contentOf(source)).toHaveLength(5);
  await store.clock.advance(24 * 60 * MINUTE);
  await nightly();
  expect(await contentOf(source)).toEqual([]);
});

test('ten thousand collections share a snapshot at most; one more is refused before anything is there', async () => {
  const source = await create(store, 'source');
  const { pin } = await snapshot(store, source, 'monday');
  const holders = numbers(9_000_000_000_000_000, 9_000_000_000_009_999);
  await changePin(store.disk.table, pin, (current) => ({ ...current, holders }));
  await restore(store, source, 'monday', 'last');
  await expect(restore(store, source, 'monday', 'copy')).rejects.toMatchObject({
    code: 'OVERLOADED',
  });
  expect(await store.catalog.findNamed('default', 'copy')).toBeUndefined();
});
