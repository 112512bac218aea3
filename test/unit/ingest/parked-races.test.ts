/**
 * Consumers, replays, an operator and whoever mends the cause, interleaved by fast-check's scheduler call
 * by call: every entry of the log is in the archive once and in its order (I2), every acknowledged row is
 * there once (I1, I4), and a record is set aside or applied, as its operator was told (I12).
 */
import fc, { type Scheduler } from 'fast-check';
import { expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { parsePosition } from '#base/position.ts';
import { setAside } from '#ingest/aside.ts';
import { consumeOnce } from '#ingest/consume.ts';
import { replayShard } from '#ingest/parked-replay.ts';
import type { Clock } from '#ports/clock.ts';
import { readArchive } from '#segment/archive.ts';
import type { ArchiveEntry } from '#segment/entry.ts';
import { readParked } from '#wal/parked.ts';
import { readAsides } from '#wal/parked-aside.ts';
import { scheduled } from '../../support/faults-scheduled.ts';
import { insert, insertPoison, SHARD } from './parked-world.ts';
import {
  applyAll,
  type Disk,
  liveValues,
  manifestOf,
  openWorld,
  type Process,
  STREAM,
  start,
  verifySums,
  type World,
} from './world.ts';

/** Each process has its own view of the same disk, all calls through the scheduler. */
function process(scheduler: Scheduler, world: World, name: string): Process {
  const { disk } = world;
  const own: Disk = {
    ...disk,
    objects: scheduled(scheduler, `${name} objects`, disk.objects),
    log: scheduled(scheduler, `${name} log`, disk.log),
    table: scheduled(scheduler, `${name} table`, disk.table),
  };
  return start(world, own);
}

/** What passes is tried again by whoever comes next. */
async function passing(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isStoreError(error, 'UNCERTAIN', 'NOT_READY', 'MANIFEST_CONTENDED')) throw error;
  }
}

async function archived(world: World): Promise<ArchiveEntry[]> {
  const { idWindow } = await manifestOf(world);
  return (await Promise.all(idWindow.map((ref) => readArchive(world.disk, ref)))).flat();
}

/** Everybody has stopped: what is left is applied, and nothing of it may be lost or twice. */
async function settle(world: World, mend: () => Promise<void>): Promise<ArchiveEntry[]> {
  await mend();
  for (let round = 0; round < 3; round++) {
    await applyAll(start(world));
    await replayShard(start(world), SHARD);
  }
  const { parked } = await readParked(world.disk.table, SHARD);
  expect(parked?.isParked ?? false).toBe(false);
  const entries = await archived(world);
  const log = await world.disk.log.read(STREAM, { limit: 1000 });
  expect(entries.map(({ position }) => parsePosition(position).sequence)).toEqual(
    log.map(({ sequence }) => sequence),
  );
  await verifySums(world);
  return entries;
}

test('two consumers, two replays and a late mend: each record once and in order', async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.integer({ min: 0, max: 30 }), async (scheduler, lateBy) => {
      const world = await openWorld();
      const ports = start(world);
      await insert(ports, world, 1);
      const poison = await insertPoison(world, 2);
      await insert(ports, world, 3);
      const consumers = ['a', 'b'].map(async (name) => {
        const own = process(scheduler, world, `consumer ${name}`);
        for (let batch = 0; batch < 4; batch++) await passing(consumeOnce(own, STREAM, 'apply'));
      });
      const replays = ['c', 'd'].map(async (name) => {
        const own = process(scheduler, world, `replay ${name}`);
        for (let round = 0; round < 3; round++) await passing(replayShard(own, SHARD));
      });
      const writing = (async () => {
        for (let key = 4; key < 8; key++) {
          await scheduler.schedule(Promise.resolve(), `write ${key}`);
          await insert(ports, world, key);
          expect((await liveValues(world)).map(([own]) => own)).toContain(String(key));
        }
      })();
      const mending = (async () => {
        for (let step = 0; step < lateBy; step++) {
          await scheduler.schedule(Promise.resolve(), 'wait');
        }
        const { parked } = await readParked(world.disk.table, SHARD);
        seen.add(parked === undefined ? 'mended before' : 'mended while parked');
        await poison.mend();
      })();
      await scheduler.waitFor(Promise.all([...consumers, ...replays, writing, mending]));
      const entries = await settle(world, poison.mend);
      expect(entries.every(({ verdict }) => verdict === 'effective')).toBe(true);
      expect((await liveValues(world)).map(([key]) => Number(key))).toEqual([1, 2, 3, 4, 5, 6, 7]);
    }),
    { numRuns: 120 },
  );
  expect([...seen].sort()).toEqual(['mended before', 'mended while parked']);
});

test('a replay that ends while a consumer adds to its rows leaves none of them out', async () => {
  const ends = new Set<boolean>();
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      const world = await openWorld();
      const ports = start(world);
      const poison = await insertPoison(world, 1);
      await applyAll(ports);
      await poison.mend();
      for (const key of [2, 3, 4]) await insert(ports, world, key);
      const consumer = process(scheduler, world, 'consumer');
      const consuming = (async () => {
        for (let batch = 0; batch < 2; batch++) {
          await passing(consumeOnce(consumer, STREAM, 'apply'));
          if (batch === 0) for (const key of [5, 6]) await insert(ports, world, key);
        }
      })();
      const replaying = ['a', 'b'].map((name) =>
        passing(replayShard(process(scheduler, world, `replay ${name}`), SHARD)),
      );
      await scheduler.waitFor(Promise.all([consuming, ...replaying]));
      ends.add((await readParked(world.disk.table, SHARD)).parked?.isParked === true);
      await settle(world, poison.mend);
      expect(await liveValues(world)).toHaveLength(6);
    }),
    { numRuns: 300 },
  );
  expect(ends).toContain(false);
});

test('an operator, a replay and a mend: set aside or applied, as the operator was told', async () => {
  const told = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.integer({ min: 0, max: 40 }), async (scheduler, lateBy) => {
      const world = await openWorld();
      const ports = start(world);
      await insert(ports, world, 1);
      const poison = await insertPoison(world, 2);
      await insert(ports, world, 3);
      await applyAll(ports);
      const later: Clock = {
        nowMs: () => world.clock.nowMs() + 120_000,
        sleep: (ms, signal) => world.clock.sleep(ms, signal),
      };
      const operators = ['a', 'b'].map(async (name) => {
        const own = { ...process(scheduler, world, `operator ${name}`), clock: later };
        try {
          return (await setAside(own, SHARD, poison.sequence)).state;
        } catch (error) {
          if (!isStoreError(error)) throw error;
          return error.code;
        }
      });
      const replaying = (async () => {
        const own = process(scheduler, world, 'replay');
        for (let round = 0; round < 4; round++) await passing(replayShard(own, SHARD));
      })();
      // Frozen since before the shard was parked, with all of its entries.
      const late = (async () => {
        const own = process(scheduler, world, 'late consumer');
        await passing(consumeOnce(own, STREAM, 'late'));
      })();
      const mending = (async () => {
        for (let step = 0; step < lateBy; step++) {
          await scheduler.schedule(Promise.resolve(), 'wait');
        }
        await poison.mend();
      })();
      const all = Promise.all([Promise.all(operators), replaying, late, mending]);
      const [answers] = await scheduler.waitFor(all);
      const entries = await settle(world, poison.mend);
      const verdict = entries[1]?.verdict;
      for (const answer of answers) told.add(`${answer}, ${verdict}`);
      // Whoever was told that it is void was told the truth; so was whoever was refused.
      if (answers.includes('void')) expect(verdict).toBe('void');
      if (verdict === 'void') expect(answers).toContain('void');
      const keys = (await liveValues(world)).map(([key]) => Number(key));
      expect(keys).toEqual(verdict === 'void' ? [1, 3] : [1, 2, 3]);
      const kept = (await readAsides(world.disk.table, SHARD)).map(({ state }) => state);
      expect(kept).toEqual(verdict === 'void' ? ['void'] : []);
    }),
    { numRuns: 200 },
  );
  expect([...told]).toContain('void, void');
  expect([...told].some((each) => each.endsWith('effective'))).toBe(true);
});
