import type { Clock } from '#ports/clock.ts';

/** Node's timers fire at once beyond this; longer sleeps are taken in pieces. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * The machine's clock. Where the machine sets its clock back, this one stands still until the
 * machine has caught up, because positions in time must not repeat.
 */
export function openClock(): Clock {
  let latestMs = 0;
  return {
    nowMs() {
      latestMs = Math.max(latestMs, Date.now());
      return latestMs;
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
