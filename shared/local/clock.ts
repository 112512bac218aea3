import type { Clock } from '#ports/clock.ts';

/** Node's timers fire at once beyond this; longer sleeps are taken in pieces. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** What a machine knows of time: the date, and how long it has been running. */
export type Machine = Readonly<{ dateMs: () => number; elapsedMs: () => number }>;

const MACHINE: Machine = { dateMs: () => Date.now(), elapsedMs: () => performance.now() };

/** While ours is ahead of the machine's date: half a second each second, so that it is caught up. */
const SPEED_AHEAD = 1 / 2;

export type MachineClock = Clock &
  Readonly<{
    /** From now on no time before this one: what was written down must not lie in the future. */
    notBefore: (ms: number) => void;
  }>;

/**
 * The machine's clock. Where the machine sets its clock back, this one goes on at half its speed
 * until the machine has caught up: positions in time must not repeat, and waits must still end.
 */
export function openClock(machine: Machine = MACHINE): MachineClock {
  let latestMs = 0;
  let lookedMs = machine.elapsedMs();
  return {
    nowMs() {
      const elapsedMs = machine.elapsedMs();
      const onwardMs = latestMs + Math.max(0, elapsedMs - lookedMs) * SPEED_AHEAD;
      lookedMs = elapsedMs;
      latestMs = Math.max(onwardMs, machine.dateMs());
      return Math.floor(latestMs);
    },
    notBefore(ms) {
      latestMs = Math.max(latestMs, ms);
    },
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      for (let leftMs = ms; leftMs > 0; leftMs -= TIMER_MS_MAX) {
        await sleepOnce(Math.min(leftMs, TIMER_MS_MAX), signal);
      }
    },
  };
}

function sleepOnce(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
