import { expect, it } from 'vitest';
import { openClock } from '#local/clock.ts';

it('agrees with the machine', () => {
  const before = Date.now();
  const nowMs = openClock().nowMs();
  expect(nowMs).toBeGreaterThanOrEqual(before);
  expect(nowMs).toBeLessThanOrEqual(Date.now());
});

it('sleeps longer than one timer can without waking at once', async () => {
  const controller = new AbortController();
  let woken = false;
  const asleep = openClock()
    .sleep(2 ** 40, controller.signal)
    .then(() => {
      woken = true;
    });
  await openClock().sleep(30);
  expect(woken).toBe(false);
  controller.abort(new Error('enough'));
  await expect(asleep).rejects.toThrow('enough');
});

it('goes on at half speed where the machine sets its clock back, and never back', () => {
  const machine = { date: 10_000, elapsed: 0 };
  const clock = openClock({ dateMs: () => machine.date, elapsedMs: () => machine.elapsed });
  expect(clock.nowMs()).toBe(10_000);
  Object.assign(machine, { date: 4_000, elapsed: 100 });
  expect(clock.nowMs()).toBe(10_050);
  Object.assign(machine, { date: 14_000, elapsed: 10_100 });
  expect(clock.nowMs()).toBe(15_050);
  Object.assign(machine, { date: 16_000, elapsed: 12_100 });
  expect(clock.nowMs()).toBe(16_050);
  Object.assign(machine, { date: 16_100, elapsed: 12_200 });
  expect(clock.nowMs()).toBe(16_100);
});

it('knows no time before the one it is told of', () => {
  const clock = openClock({ dateMs: () => 10_000, elapsedMs: () => 0 });
  clock.notBefore(70_000);
  expect(clock.nowMs()).toBe(70_000);
  clock.notBefore(60_000);
  expect(clock.nowMs()).toBe(70_000);
});
