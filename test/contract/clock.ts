import { describe, expect, it } from 'vitest';
import type { Clock } from '#ports/clock.ts';

/**
 * Everything `ports/clock.ts` promises.
 *
 * @param elapse lets time pass: moves a manual clock, waits beside the machine's
 */
export function clockContract(
  name: string,
  open: () => Readonly<{ clock: Clock; elapse: (ms: number) => Promise<void> }>,
): void {
  describe(`clock: ${name}`, () => {
    it('says whole milliseconds since 1970 that do not fall', async () => {
      const { clock, elapse } = open();
      let before = clock.nowMs();
      expect(before).toBeGreaterThan(Date.UTC(2020, 0));
      for (let round = 0; round < 20; round++) {
        await elapse(1);
        const now = clock.nowMs();
        expect(Number.isInteger(now)).toBe(true);
        expect(now).toBeGreaterThanOrEqual(before);
        before = now;
      }
    });

    it('sleeps, and has moved on afterwards', async () => {
      const { clock, elapse } = open();
      const before = clock.nowMs();
      const asleep = clock.sleep(20);
      await elapse(25);
      await asleep;
      // A timer may fire within the millisecond before it is due.
      expect(clock.nowMs()).toBeGreaterThanOrEqual(before + 19);
    });

    it('does not sleep for no time', async () => {
      const { clock } = open();
      await clock.sleep(0);
      await clock.sleep(-5);
    });

    it('wakes the shorter sleep first', async () => {
      const { clock, elapse } = open();
      const woken: string[] = [];
      const sleeps = [
        clock.sleep(40).then(() => woken.push('long')),
        clock.sleep(5).then(() => woken.push('short')),
      ];
      await elapse(50);
      await Promise.all(sleeps);
      expect(woken).toEqual(['short', 'long']);
    });

    it('rejects with the reason when the signal is aborted, before or meanwhile', async () => {
      const { clock } = open();
      const reason = new Error('enough');
      await expect(clock.sleep(60_000, AbortSignal.abort(reason))).rejects.toBe(reason);
      const controller = new AbortController();
      const asleep = clock.sleep(60_000, controller.signal);
      controller.abort(reason);
      await expect(asleep).rejects.toBe(reason);
    });

    it('leaves nothing behind on a signal that outlives the sleep', async () => {
      const { clock, elapse } = open();
      const controller = new AbortController();
      const asleep = clock.sleep(5, controller.signal);
      await elapse(10);
      await asleep;
      controller.abort(new Error('later'));
    });
  });
}
