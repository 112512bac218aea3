/**
 * Collect beside committers and snapshotters, in every order that a scheduler can think of: nothing that
 * a head or a complete pin names is ever deleted (I6).
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { completePin, openPin, readPins } from '#catalog/pins.ts';
import { collectShard } from '#maintain/collect.ts';
import { collectCuts } from '#maintain/collect-dropped.ts';
import { HeldCuts } from '#maintain/held.ts';
import { isOutdated } from '#manifest/commit.ts';
import { cutContentKeys, cutKey, decodeCut, encodeCut } from '#manifest/cut.ts';
import { readManifest } from '#manifest/head.ts';
import { productKey } from '#wal/shard.ts';
import {
  begin,
  contain,
  LATER,
  overObjects,
  overTable,
  type Ports,
  portsOf,
  put,
  SHARD,
  SOURCE,
} from './collected-world.ts';

/** The ports such that each call waits for its turn. */
function takingTurns(ports: Ports, scheduler: fc.Scheduler): Ports {
  const { table, objects } = ports;
  const turn = (what: string): Promise<unknown> => scheduler.schedule(Promise.resolve(), what);
  return {
    ...ports,
    table: overTable(table, {
      get: (key) => turn(`get ${key.sort}`).then(() => table.get(key)),
      query: (...asked) => turn('query').then(() => table.query(...asked)),
      put: (...given) => turn(`put ${given[0].sort}`).then(() => table.put(...given)),
      delete: (...given) => turn('delete row').then(() => table.delete(...given)),
    }),
    objects: overObjects(objects, {
      put: (...given) => turn('put object').then(() => objects.put(...given)),
      list: (...asked) => turn('list').then(() => objects.list(...asked)),
      delete: (keys) => turn('delete').then(() => objects.delete(keys)),
    }),
  };
}

/** What must be there: the head's content, and what complete pins list, their cuts included. */
async function needed(ports: Ports): Promise<ReadonlySet<string>> {
  const { manifest } = await readManifest(ports, SHARD);
  const keys = new Set(manifest.segments.map(({ key }) => key));
  for (const { pin } of await readPins(ports.table)) {
    if (pin.cut === undefined) continue;
    keys.add(pin.cut.key);
    const cut = decodeCut(await ports.objects.get(pin.cut.key), 'a cut');
    for (const key of cutContentKeys(cut)) keys.add(key);
  }
  return keys;
}

/** Makes an object, takes its time, and commits it in the place of what was there. */
async function compactor(ports: Ports, name: string, patience: number): Promise<void> {
  const { manifest } = await readManifest(ports, SHARD);
  const key = await put(ports, productKey(SHARD, 'segment', manifest.version, name));
  if (patience > 0) await ports.clock.advance(patience * LATER);
  try {
    await contain(ports, [key]);
  } catch (error) {
    if (!isOutdated(error)) throw error;
  }
}

async function snapshotter(ports: Ports, name: string): Promise<void> {
  const { collectionId } = SOURCE;
  const open = await openPin(ports, { source: SOURCE, name, description: '' });
  const { manifest } = await readManifest(ports, SHARD);
  const key = cutKey(collectionId, open.pin.pinId);
  const bare = { ...manifest, idWindow: [], retired: [], collectedBelow: 0 };
  const cut = { definition: new Uint8Array(1), logTimeMs: 0, manifests: [bare] };
  await ports.objects.put(key, encodeCut(cut));
  try {
    await completePin(ports, open, { key, logTimeMs: 0 });
  } catch (error) {
    if (!isStoreError(error, 'NOT_READY')) throw error;
  }
}

async function collector(ports: Ports): Promise<void> {
  for (let round = 0; round < 2; round++) {
    const held = new HeldCuts(ports);
    await collectShard({ ...ports, held }, SHARD);
    await collectCuts({ ...ports, held });
  }
}

const RUNS = 300;

test('no order of committers, snapshotters and collectors deletes what is needed', async () => {
  let [deleted, pinned] = [0, 0];
  // Mostly none: a pin that is open for so long is given up.
  const patience = fc.array(fc.constantFrom(0, 0, 0, 0, 1, 2), { minLength: 4, maxLength: 4 });
  // Some begin when others are half done.
  const starts = fc.array(fc.integer({ min: 0, max: 25 }), { minLength: 6, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), patience, starts, async (scheduler, waits, late) => {
      const bare = portsOf();
      await begin(bare);
      const lost: string[] = [];
      const { objects } = bare;
      const watched = {
        ...bare,
        objects: overObjects(objects, {
          delete: async (keys) => {
            const live = await needed(bare);
            lost.push(...keys.filter((key) => live.has(key)));
            deleted += keys.length;
            return objects.delete(keys);
          },
        }),
      };
      // An orphan, and something retired long ago, so that there is work from the beginning.
      for (const name of ['orphan', 'first'])
        await put(bare, productKey(SHARD, 'segment', 0, name));
      await contain(bare, [productKey(SHARD, 'segment', 0, 'first')]);
      await contain(bare, [await put(bare, productKey(SHARD, 'segment', 1, 'second'))]);
      await bare.clock.advance(LATER);
      const ports = takingTurns(watched, scheduler);
      const [first = 0, second = 0, third = 0, idle = 0] = waits;
      const passing = async () => {
        for (let step = 0; step < idle; step++) {
          await scheduler.schedule(Promise.resolve(), 'time');
          await bare.clock.advance(LATER);
        }
      };
      const actors: (() => Promise<void>)[] = [
        () => compactor(ports, 'a', first),
        () => compactor(ports, 'b', second).then(() => compactor(ports, 'c', third)),
        () => snapshotter(ports, 'monday'),
        () => snapshotter(ports, 'tuesday'),
        () => collector(ports),
        () => collector(ports),
        passing,
      ];
      const started = actors.map(async (actor, index) => {
        for (let turn = late[index] ?? 0; turn > 0; turn--) {
          await scheduler.schedule(Promise.resolve(), 'waits');
        }
        await actor();
      });
      await scheduler.waitFor(Promise.all(started));
      const live = await needed(bare);
      pinned += live.size > 1 ? 1 : 0;
      const there = new Set((await objects.list('')).map(({ key }) => key));
      expect([...live].filter((key) => !there.has(key))).toEqual([]);
      expect(lost).toEqual([]);
    }),
    { numRuns: RUNS },
  );
  // It did delete things, and there was something to be lost.
  expect(deleted).toBeGreaterThan(RUNS / 4);
  expect(pinned).toBeGreaterThan(RUNS / 10);
}, 60_000);
