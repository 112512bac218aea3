import { expect, it } from 'vitest';
import { openWatch } from '#aws/log-watch.ts';
import { ManualClock } from '#sim/manual-clock.ts';

/** Something to ask that has nothing until told so, and remembers when it was asked. */
function question(clock: ManualClock) {
  const startMs = clock.nowMs();
  const askedMs: number[] = [];
  let found = false;
  return {
    askedMs,
    find: () => {
      found = true;
    },
    ask: async () => {
      askedMs.push(clock.nowMs() - startMs);
      return found;
    },
  };
}

it('asks at once and then twice a second until there is something', async () => {
  const clock = new ManualClock();
  const { ask, askedMs, find } = question(clock);
  let isOver = false;
  const waiting = openWatch(clock)
    .wait('s', 's 1', 60_000, ask)
    .then(() => {
      isOver = true;
    });
  await clock.advance(1_600);
  expect(askedMs).toEqual([0, 500, 1_000, 1_500]);
  expect(isOver).toBe(false);
  find();
  await clock.advance(400);
  await waiting;
  expect(askedMs).toEqual([0, 500, 1_000, 1_500, 2_000]);
});

it('ends at its timeout and stops asking', async () => {
  const clock = new ManualClock();
  const { ask, askedMs } = question(clock);
  const waiting = openWatch(clock).wait('s', 's 1', 1_200, ask);
  await clock.advance(10_000);
  await waiting;
  expect(askedMs.length).toBeLessThanOrEqual(4);
  expect(clock.nextWakeMs()).toBeUndefined();
});

it('stays at two questions a second however many wait for however many places', async () => {
  const clock = new ManualClock();
  const watch = openWatch(clock);
  const { ask, askedMs, find } = question(clock);
  const waiting = Array.from({ length: 40 }, (_, index) =>
    watch.wait('s', `s ${index % 4}`, 60_000, ask),
  );
  await clock.advance(10_000);
  expect(askedMs.length).toBeLessThanOrEqual(21);
  for (const [index, atMs] of askedMs.entries()) expect(atMs).toBe(index * 500);
  find();
  await clock.advance(2_500);
  await Promise.all(waiting);
});

it('asks stream shards apart from each other', async () => {
  const clock = new ManualClock();
  const watch = openWatch(clock);
  const { ask, askedMs, find } = question(clock);
  const waiting = ['a', 'b', 'c'].map((shard) => watch.wait(shard, shard, 60_000, ask));
  await clock.advance(100);
  expect(askedMs).toEqual([0, 0, 0]);
  find();
  await clock.advance(500);
  await Promise.all(waiting);
});

it('tells those who wait of a failure, and asks again for the next', async () => {
  const clock = new ManualClock();
  const watch = openWatch(clock);
  const failing = () => Promise.reject(new Error('no answer'));
  const waiting = ['1', '1'].map((key) => watch.wait('s', key, 60_000, failing));
  for (const each of waiting) await expect(each).rejects.toThrow('no answer');
  const next = watch.wait('s', '1', 60_000, async () => true);
  await clock.advance(500);
  await next;
});
