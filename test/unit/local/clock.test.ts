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
