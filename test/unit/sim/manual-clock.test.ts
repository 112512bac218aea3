import { describe, expect, it } from 'vitest';
import { ManualClock } from '#sim/manual-clock.ts';

describe('ManualClock', () => {
  it('stands still until it is moved', async () => {
    const clock = new ManualClock(1_000);
    let woken = false;
    const asleep = clock.sleep(10).then(() => {
      woken = true;
    });
    await clock.advance(9);
    expect([clock.nowMs(), woken, clock.nextWakeMs()]).toEqual([1_009, false, 1_010]);
    await clock.advance(1);
    await asleep;
    expect([clock.nowMs(), woken, clock.nextWakeMs()]).toEqual([1_010, true, undefined]);
  });

  it('wakes sleepers in order, each at its own time, also those that come on the way', async () => {
    const clock = new ManualClock(0);
    const log: string[] = [];
    const sleeper = async (name: string, ...pauses: number[]) => {
      for (const pause of pauses) {
        await clock.sleep(pause);
        log.push(`${name}@${clock.nowMs()}`);
      }
    };
    const all = Promise.all([sleeper('a', 30, 5), sleeper('b', 10, 10, 10), sleeper('c', 30)]);
    await clock.advance(100);
    await all;
    expect(log).toEqual(['b@10', 'b@20', 'a@30', 'c@30', 'b@30', 'a@35']);
    expect(clock.nowMs()).toBe(100);
  });

  it('forgets a sleeper that was aborted', async () => {
    const clock = new ManualClock(0);
    const controller = new AbortController();
    const asleep = clock.sleep(10, controller.signal);
    controller.abort(new Error('enough'));
    await expect(asleep).rejects.toThrow('enough');
    expect(clock.nextWakeMs()).toBeUndefined();
  });

  it('does not go back', async () => {
    await expect(new ManualClock().advance(-1)).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});
