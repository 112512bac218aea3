/** A step done over and over in the background until it is told to stop. */
import { isStoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';
import type { Telemetry } from '#ports/telemetry.ts';

export type Loop = Readonly<{
  /** Ends the current wait, and resolves when the step under way is done. */
  stop(): Promise<void>;
}>;

/** A step that fails is tried again after this long, doubled each time, at most {@link RETRY_MS_MAX}. */
const RETRY_MS_FIRST = 100;
const RETRY_MS_MAX = 10_000;

/**
 * @param step does a piece of work and says how long to wait before the next; 0 for none
 * @param idle waits that long, or less where there is news; by default the clock's sleep
 */
export function startLoop(
  { clock, telemetry }: Readonly<{ clock: Clock; telemetry: Telemetry }>,
  name: string,
  step: () => Promise<number>,
  idle?: (ms: number) => Promise<void>,
): Loop {
  const stopping = new AbortController();
  const { signal } = stopping;
  const pause = (ms: number): Promise<void> =>
    clock.sleep(ms, signal).catch((reason: unknown) => {
      if (!signal.aborted) throw reason;
    });
  const run = async (): Promise<void> => {
    let retryMs = RETRY_MS_FIRST;
    while (!signal.aborted) {
      try {
        const waitMs = await step();
        retryMs = RETRY_MS_FIRST;
        if (waitMs > 0) await doneOrAborted((idle ?? pause)(waitMs), signal);
      } catch (error) {
        if (signal.aborted) return;
        const code = isStoreError(error) ? error.code : 'INTERNAL';
        const message = error instanceof Error ? error.message : String(error);
        telemetry.event('error', 'loop-step-failed', { loop: name, code, message, retryMs });
        telemetry.count('loop_failures_total', 1, { loop: name });
        await pause(retryMs);
        retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
      }
    }
  };
  const running = run();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** Takes its listener away again: a loop waits once a second for as long as the process lives. */
async function doneOrAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  let abort: () => void = () => {};
  const aborted = new Promise<void>((resolve) => {
    abort = resolve;
  });
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
