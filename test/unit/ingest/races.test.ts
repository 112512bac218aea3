/** Writers, fences and appliers, interleaved by fast-check's scheduler call by call. */
import fc, { type Scheduler } from 'fast-check';
import { expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { parsePosition } from '#base/position.ts';
import { acceptRows } from '#ingest/accept.ts';
import { applyBatch } from '#ingest/apply.ts';
import { fenceShard } from '#ingest/fence.ts';
import type { RequestIdentity } from '#ingest/idempotency.ts';
import { mergeShard } from '#maintain/compact.ts';
import { COMPACT_POLICY } from '#maintain/pick.ts';
import { readManifest } from '#manifest/head.ts';
import type { Clock } from '#ports/clock.ts';
import type { Table } from '#ports/table.ts';
import { readArchive } from '#segment/archive.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { readGate } from '#wal/gate.ts';
import { scheduled } from '../../support/faults-scheduled.ts';
import {
  applyAll,
  type Disk,
  liveValues,
  manifestOf,
  openWorld,
  type Process,
  row,
  STREAM,
  start,
  verifySums,
  type World,
} from './world.ts';

/** Time passes where somebody sleeps, and only as the scheduler lets it. */
function schedulerClock(scheduler: Scheduler): Clock {
  let nowMs = 1_700_000_000_000;
  return {
    nowMs: () => nowMs,
    async sleep(ms) {
      await scheduler.schedule(Promise.resolve(), `sleep ${ms}`);
      nowMs += Math.ceil(ms / 5);
    },
  };
}

/** Each process has its own view of the same disk, all calls through the scheduler. */
function process(scheduler: Scheduler, world: World, name: string): Process {
  const { disk } = world;
  const own: Disk = {
    ...disk,
    objects: scheduled(scheduler, `${name} objects`, disk.objects),
    log: scheduled(scheduler, `${name} log`, disk.log),
    table: scheduled(scheduler, `${name} table`, disk.table),
    global: scheduled(scheduler, `${name} global`, disk.global),
  };
  return start(world, own);
}

type Outcome = Readonly<{ key: number; value: number; effect: 'acked' | 'none' | 'unknown' }>;

async function write(
  ports: Process,
  world: World,
  key: number,
  value: number,
  identity?: RequestIdentity,
): Promise<Outcome> {
  const request = { kind: 'insert', rows: [row(key, value)], partitionId: 1 } as const;
  try {
    await acceptRows(ports, world.collection, identity ? { ...request, identity } : request);
    return { key, value, effect: 'acked' };
  } catch (error) {
    if (!isStoreError(error)) throw error;
    return { key, value, effect: error.advice.effect };
  }
}

/** Applies as entries come, until told to stop. */
async function keepApplying(ports: Process, done: () => boolean): Promise<void> {
  while (!done()) {
    await applyAll(ports);
    await ports.clock.sleep(20);
  }
}

/** Runs the tasks with appliers beside them. */
async function together<T>(
  scheduler: Scheduler,
  appliers: readonly Process[],
  tasks: readonly Promise<T>[],
): Promise<T[]> {
  let done = false;
  const all = Promise.all(tasks).finally(() => {
    done = true;
  });
  const applying = Promise.all(appliers.map((ports) => keepApplying(ports, () => done)));
  return (await scheduler.waitFor(Promise.all([all, applying])))[0];
}

function checkOutcomes(outcomes: readonly Outcome[], found: readonly [string, number][]): void {
  for (const { key, value, effect } of outcomes) {
    const there = found.some(([k, v]) => k === String(key) && v === value);
    if (effect === 'acked') expect(there, `acknowledged key ${key} is there`).toBe(true);
    if (effect === 'none') expect(there, `refused key ${key} is absent`).toBe(false);
  }
}

test('accept against fence: what is acknowledged takes effect, what is void is not acknowledged', async () => {
  const effects = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.boolean(), async (scheduler, sealed) => {
      const world = await openWorld({ clock: schedulerClock(scheduler) });
      const [shard] = world.shards;
      if (shard === undefined) return;
      const writers = [1, 2, 3].map(async (key) => {
        const ports = process(scheduler, world, `writer ${key}`);
        return [
          await write(ports, world, key, 10 + key),
          await write(ports, world, 100 + key, key),
        ];
      });
      const fencing = fenceShard(process(scheduler, world, 'fencer'), shard, {
        action: sealed ? 'seal' : 'join',
        state: sealed ? 'sealed' : 'open',
        epoch: 2,
      }).then(() => []);
      const applier = process(scheduler, world, 'applier');
      const outcomes = (await together(scheduler, [applier], [...writers, fencing])).flat();
      await applyAll(start(world));
      for (const { effect } of outcomes) effects.add(effect);
      checkOutcomes(outcomes, await liveValues(world));
      const manifest = await manifestOf(world);
      expect(manifest).toMatchObject({ fenceNumber: 2, epoch: 2 });
      expect((await readGate(world.disk.table, shard)).gate.underWay).toBeUndefined();
      await verifySums(world);
    }),
    { numRuns: 150 },
  );
  // The race was run: some writes came in time and some did not.
  expect(effects).toContain('acked');
  expect(effects).toContain('none');
});

test('two attempts of one request: one record takes effect, and it undoes no later write', async () => {
  const identity = { user: 'u', route: 'r', requestId: 'q', bodyHash: 'h' };
  const effects = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.boolean(), async (scheduler, fenced) => {
      const world = await openWorld({ clock: schedulerClock(scheduler) });
      const [shard] = world.shards;
      if (shard === undefined) return;
      let attempting = 2;
      const attempts = [1, 2].map(async (attempt) => {
        const ports = process(scheduler, world, `attempt ${attempt}`);
        const outcome = await write(ports, world, 1, 10, identity);
        attempting -= 1;
        return [outcome];
      });
      // Once one attempt is acknowledged the key is written again: from then on everybody who reads
      // sees that write, whatever becomes of the other attempt (I5).
      const later = Promise.any(
        attempts.map(async (attempt) => {
          if ((await attempt)[0]?.effect !== 'acked') throw new Error('not acknowledged');
        }),
      ).then(
        async () => {
          const outcome = await write(process(scheduler, world, 'later'), world, 1, 99);
          while (outcome.effect === 'acked' && attempting > 0) {
            expect(await liveValues(world)).toEqual([['1', 99]]);
            await scheduler.schedule(Promise.resolve(), 'look again');
          }
          return [outcome];
        },
        () => [],
      );
      const fencing = fenced
        ? fenceShard(process(scheduler, world, 'fencer'), shard, { action: 'join' }).then(() => [])
        : Promise.resolve([]);
      const applier = process(scheduler, world, 'applier');
      const outcomes = await together(scheduler, [applier], [...attempts, later, fencing]);
      for (const { effect } of outcomes.flat()) effects.add(effect);
      const last = (await later)[0];
      if (last?.effect === 'acked') expect(await liveValues(world)).toEqual([['1', 99]]);
      await applyAll(start(world));
      if (last?.effect === 'acked') expect(await liveValues(world)).toEqual([['1', 99]]);
      else checkOutcomes(outcomes.flat(), await liveValues(world));
      expect([...(await timesInEffect(world))].filter((times) => times !== 1)).toEqual([]);
      await verifySums(world);
    }),
    { numRuns: 200 },
  );
  expect(effects).toContain('acked');
});

/** How often each record id took effect. */
async function timesInEffect(world: World): Promise<Set<number>> {
  const { idWindow } = await manifestOf(world);
  const entries = (await Promise.all(idWindow.map((ref) => readArchive(world.disk, ref)))).flat();
  const times = new Map<string, number>();
  for (const { kind, verdict, recordId } of entries) {
    if (kind === 'write' && verdict === 'effective') {
      times.set(recordId, (times.get(recordId) ?? 0) + 1);
    }
  }
  return new Set(times.values());
}

/** The same process, which believes that nobody else holds any lease. */
function withoutLeases(ports: Process): Process {
  const own = new MemoryTable();
  const { table } = ports;
  const of = (partition: string): Table => (partition === 'leases' ? own : table);
  return {
    ...ports,
    table: {
      get: (key) => of(key.partition).get(key),
      query: (partition, options) => of(partition).query(partition, options),
      put: (key, value, condition) => of(key.partition).put(key, value, condition),
      delete: (key, condition) => of(key.partition).delete(key, condition),
    },
  };
}

test('appliers and compactors race: every record takes effect once and sums agree', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      const world = await openWorld({ clock: schedulerClock(scheduler) });
      const writers = [1, 2].map(async (name) => {
        const ports = process(scheduler, world, `writer ${name}`);
        const outcomes: Outcome[] = [];
        for (let value = 1; value <= 4; value++) {
          outcomes.push(await write(ports, world, 10 * name + (value % 2), value));
        }
        return outcomes.slice(-2);
      });
      const eager = { ...COMPACT_POLICY, levelZeroSegments: 1, idleMs: 0 };
      // A lease that was believed in too long leaves two of them at the same inputs.
      const compacting = [1, 2].map(async (name) => {
        const compactor = withoutLeases(process(scheduler, world, `compactor ${name}`));
        for (let step = 0; step < 6; step++) {
          for (const shard of world.shards)
            await mergeShard(compactor, world.collection, shard, eager);
          await compactor.clock.sleep(10);
        }
        return [];
      });
      const appliers = ['one', 'two'].map((name) => process(scheduler, world, `applier ${name}`));
      const outcomes = (await together(scheduler, appliers, [...writers, ...compacting])).flat();
      await applyAll(start(world));
      for (const { effect } of outcomes) expect(effect).toBe('acked');
      checkOutcomes(outcomes, await liveValues(world));
      expect((await manifestOf(world)).rowsApplied).toBe(8);
      await verifySums(world);
    }),
    { numRuns: 80 },
  );
});

test('appliers that are fed from different points, in small pieces, apply each record once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.tuple(fc.nat(9), fc.integer({ min: 1, max: 10 })), {
        minLength: 2,
        maxLength: 6,
      }),
      fc.integer({ min: 1, max: 6 }),
      async (scheduler, batches, rowsMax) => {
        const world = await openWorld({ clock: schedulerClock(scheduler) });
        const [shard] = world.shards;
        if (shard === undefined) return;
        const writer = start(world);
        for (let key = 0; key < 10; key++) await write(writer, world, key, key);
        const entries = await world.disk.log.read(STREAM, { limit: 100 });
        const bounds = { rows: rowsMax, bytes: 1_000_000 };
        const appliers = batches.map(async ([from, count], index) => {
          const ports = process(scheduler, world, `applier ${index}`);
          const { manifest } = await readManifest(ports, shard);
          // Whoever is fed begins at or before the first entry that is not applied.
          const appliedCount = entries.findIndex(({ sequence }) => {
            const { applied } = manifest;
            return applied !== '' && parsePosition(applied).sequence === sequence;
          });
          const first = Math.min(from, appliedCount + 1);
          const own = entries.slice(first, first + count);
          await applyBatch(ports, shard, world.collection.schema, own, bounds);
        });
        await scheduler.waitFor(Promise.all(appliers));
        await applyAll(start(world));
        expect((await manifestOf(world)).rowsApplied).toBe(10);
        expect(await liveValues(world)).toHaveLength(10);
        await verifySums(world);
      },
    ),
    { numRuns: 80 },
  );
});
