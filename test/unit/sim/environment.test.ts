/** What can happen to an environment, and what its code sees of it. */
import { beforeEach, expect, test } from 'vitest';
import { Environment } from '#sim/environment.ts';
import { MemoryLog } from '#sim/memory-log.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { Schedule } from '#sim/schedule.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { type CallFault, type Climate, Weather } from '#sim/weather.ts';

const KEY = { partition: 'p', sort: 's' };
const VALUE = new Uint8Array([1, 2, 3]);
const FINE: Climate = { 'lost-answer': 0, failed: 0, late: 0, refused: 0, slow: 0, doubled: 0 };

let schedule: Schedule;
let table: MemoryTable;
let objects: MemoryObjectStore;
let log: MemoryLog;

beforeEach(() => {
  schedule = new Schedule(new SeededEntropy('schedule'));
  const clock = {
    nowMs: () => Math.floor(schedule.nowMs()),
    sleep: (ms: number) => schedule.sleep(ms),
  };
  table = new MemoryTable();
  objects = new MemoryObjectStore(clock);
  log = new MemoryLog({ clock });
});

function open(always?: CallFault): Environment {
  const climate = always === undefined ? FINE : { ...FINE, [always]: 1 };
  return new Environment({
    name: 'one',
    schedule,
    services: { objects, log, table, global: new MemoryTable() },
    weather: new Weather(new SeededEntropy('weather'), climate),
    entropy: new SeededEntropy('one'),
    skewMs: 0,
    trace: () => undefined,
  });
}

/** How a promise stands. */
function watch(work: Promise<unknown>): { is: string } {
  const state = { is: 'open' };
  work.then(
    () => {
      state.is = 'kept';
    },
    (error: unknown) => {
      state.is = String((error as { code?: string }).code); // A StoreError has one.
    },
  );
  return state;
}

test('a call takes effect and is answered, later', async () => {
  const one = open();
  const state = watch(one.run(() => one.ports.table.put(KEY, VALUE)));
  expect(table.peek(KEY)).toBeUndefined();
  expect(await schedule.run(() => state.is !== 'open')).toBe('done');
  expect(state.is).toBe('kept');
  expect(table.peek(KEY)?.version).toBe(1);
  expect(one.isIdle).toBe(true);
});

test.each([
  ['lost-answer', 'UNCERTAIN', true],
  ['failed', 'UNCERTAIN', false],
  ['refused', 'OVERLOADED', false],
  ['late', 'UNCERTAIN', false],
  ['slow', 'kept', true],
] as const)('%s: the caller hears %s', async (fault, heard, done) => {
  const one = open(fault);
  const state = watch(one.run(() => one.ports.table.put(KEY, VALUE)));
  await schedule.run(() => state.is !== 'open');
  expect(state.is).toBe(heard);
  expect(table.peek(KEY) !== undefined).toBe(done);
  await schedule.run(() => false);
  expect(table.peek(KEY) !== undefined).toBe(done || fault === 'late');
});

test('doubled: an entry stands twice in the log', async () => {
  const one = open('doubled');
  const state = watch(one.run(() => one.ports.log.append('p', VALUE)));
  await schedule.run(() => false);
  expect(state.is).toBe('kept');
  expect(await log.read('shard-0', { limit: 10 })).toHaveLength(2);
});

test('doubled: what the service refused is not done later', async () => {
  const one = open('doubled');
  log.throttle('shard-0', 5);
  schedule.onQuiet = () => log.throttle('shard-0', schedule.happened < 3 ? 5 : -1);
  const state = watch(one.run(() => one.ports.log.append('p', VALUE)));
  await schedule.run(() => false);
  expect(state.is).toBe('OVERLOADED');
  expect(await log.read('shard-0', { limit: 10 })).toHaveLength(0);
});

test('what is killed never runs again, and no promise of it is settled', async () => {
  const one = open();
  let went = 0;
  const state = watch(
    one.run(async () => {
      for (;;) {
        await one.ports.clock.sleep(10);
        went += 1;
      }
    }),
  );
  const mourned: string[] = [];
  one.onDeath(() => mourned.push('one'));
  await schedule.run(() => went === 3);
  one.kill();
  expect(mourned).toEqual(['one']);
  expect(await schedule.run(() => false)).toBe('idle');
  expect(went).toBe(3);
  expect(state.is).toBe('open');
});

test('what is frozen goes on later, and its clock has gone on meanwhile', async () => {
  const one = open();
  const startMs = one.ports.clock.nowMs();
  let wokeMs = 0;
  const state = watch(
    one.run(async () => {
      await one.ports.clock.sleep(10);
      wokeMs = one.ports.clock.nowMs();
    }),
  );
  await schedule.run(() => !one.isIdle);
  one.freeze(90_000);
  await schedule.run(() => state.is !== 'open');
  expect(wokeMs - startMs).toBeGreaterThanOrEqual(90_000);
});

test('a clock may be wrong and is put right, and never goes back', async () => {
  const one = open();
  one.setSkew(2_000);
  const ahead = one.ports.clock.nowMs();
  one.setSkew(-2_000);
  expect(one.ports.clock.nowMs()).toBe(ahead);
  schedule.after(10_000, () => undefined);
  await schedule.run(() => false);
  expect(one.ports.clock.nowMs()).toBe(ahead + 6_000);
});

test('a wait for what no port brings is seen', async () => {
  const one = open();
  watch(one.run(() => new Promise((resolve) => setImmediate(resolve))));
  expect(one.isStuck).toBe(false);
  await schedule.run(() => one.isStuck);
  expect(one.isStuck).toBe(true);
});

test('an alarm that is called off does not keep anybody waiting', async () => {
  const one = open();
  const enough = new AbortController();
  const state = watch(one.run(() => one.ports.clock.sleep(60_000, enough.signal)));
  schedule.after(100, () => enough.abort(new Error('enough')));
  const startMs = schedule.nowMs();
  await schedule.run(() => state.is !== 'open');
  expect(schedule.nowMs() - startMs).toBeLessThan(200);
});
