/**
 * Parking, replaying and setting aside, where each call of a port fails, loses its answer, is done twice
 * or takes effect late. Whoever is refused tries again; what comes of it is once and in order (I2).
 */
import { describe, expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { setAside } from '#ingest/aside.ts';
import { consumeOnce } from '#ingest/consume.ts';
import { replayShard } from '#ingest/parked-replay.ts';
import { readArchive } from '#segment/archive.ts';
import { type Fault, faultyLog, faultyObjectStore, faultyTable } from '#sim/faults.ts';
import { readParked } from '#wal/parked.ts';
import { readAsides } from '#wal/parked-aside.ts';
import { insert, insertPoison, SHARD } from './parked-world.ts';
import {
  applyAll,
  type Disk,
  liveValues,
  manifestOf,
  openWorld,
  type Process,
  passTime,
  STREAM,
  start,
  verifySums,
  type World,
} from './world.ts';

const FAULTS: readonly Fault[] = ['fail', 'lose-answer', 'duplicate', { lateMs: 900 }];

/** The n-th call of any port suffers the fault; counts the calls. */
function faulty(world: World, nth: number, fault: Fault): { disk: Disk; calls: () => number } {
  let calls = 0;
  const faults = { decide: () => (++calls === nth ? fault : 'ok'), clock: world.clock } as const;
  const { disk } = world;
  return {
    disk: {
      ...disk,
      objects: faultyObjectStore(disk.objects, faults),
      log: faultyLog(disk.log, faults),
      table: faultyTable(disk.table, faults),
    },
    calls: () => calls,
  };
}

/** Until it is done: one call fails, so that two tries are enough; what is late comes in between. */
async function again<T>(world: World, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await passTime(world.clock, work());
    } catch (error) {
      if (!isStoreError(error) || attempt === 3) throw error;
      if (attempt === 2) await world.clock.advance(1_000);
    }
  }
}

async function consumeAll(world: World, ports: Process): Promise<void> {
  for (let batch = 0; batch < 4; batch++) {
    await again(world, async () => {
      const { failed } = await consumeOnce(ports, STREAM, 'apply');
      for (const { error } of failed) throw error;
    });
  }
}

/** One row applied before, and a shard that is parked or about to be. */
async function prepared() {
  const world = await openWorld();
  await insert(start(world), world, 1);
  await applyAll(start(world));
  const poison = await insertPoison(world, 2);
  await insert(start(world), world, 2);
  await insert(start(world), world, 3);
  return { world, poison };
}

async function checkSettled(world: World, what: string, rows: number): Promise<void> {
  await world.clock.advance(5_000);
  await applyAll(start(world));
  await replayShard(start(world), SHARD);
  expect((await manifestOf(world)).rowsApplied, what).toBe(rows);
  const { parked } = await readParked(world.disk.table, SHARD);
  expect(parked?.isParked ?? false, what).toBe(false);
  await verifySums(world);
}

const live = [
  ['1', 1],
  ['2', 2],
  ['3', 3],
];

describe.each(FAULTS)('%j', (fault) => {
  test('while a shard is parked, and while it is replayed', async () => {
    for (let nth = 1; ; nth++) {
      const { world, poison } = await prepared();
      const { disk, calls } = faulty(world, nth, fault);
      const ports = start(world, disk);
      const what = `call ${nth} ${JSON.stringify(fault)}`;
      await consumeAll(world, ports);
      expect(await liveValues(world), what).toEqual(live);
      await insert(start(world), world, 3);
      await consumeAll(world, ports);
      const { parked } = await readParked(world.disk.table, SHARD);
      expect(parked, what).toMatchObject({ isParked: true, sequence: poison.sequence });
      await poison.mend();
      await again(world, () => replayShard(ports, SHARD));
      await insert(start(world), world, 3);
      await consumeAll(world, ports);
      await checkSettled(world, what, 6);
      expect(await liveValues(world), what).toEqual(live);
      if (calls() < nth) break;
    }
  });

  test('while a record is set aside', async () => {
    for (let nth = 1; ; nth++) {
      const { world, poison } = await prepared();
      await applyAll(start(world));
      await world.clock.advance(120_000);
      const { disk, calls } = faulty(world, nth, fault);
      const ports = start(world, disk);
      const what = `call ${nth} ${JSON.stringify(fault)}`;
      const aside = await again(world, () => setAside(ports, SHARD, poison.sequence));
      expect(aside, what).toMatchObject({ state: 'void', rows: 1, wasVisible: true });
      await again(world, () => replayShard(ports, SHARD));
      await checkSettled(world, what, 3);
      expect(await liveValues(world), what).toEqual(live);
      const { idWindow } = await manifestOf(world);
      const entries = await Promise.all(idWindow.map((ref) => readArchive(world.disk, ref)));
      const voids = entries.flat().filter(({ verdict }) => verdict === 'void');
      expect(voids, what).toHaveLength(1);
      expect((await setAside(start(world), SHARD, poison.sequence)).state, what).toBe('void');
      expect(await readAsides(world.disk.table, SHARD), what).toHaveLength(1);
      if (calls() < nth) break;
    }
  });
});
