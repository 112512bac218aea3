/** Trying again, a bounded number of times, without everybody doing so in the same moment. */
import { assert } from '#base/assert.ts';
import { type ErrorCode, isStoreError } from '#base/errors.ts';
import type { Clock } from './clock.ts';
import type { Entropy } from './entropy.ts';

/**
 * `codes`: failures after which the action may be run again; the caller vouches that it is safe to.
 * `attemptsMax`: calls of the action in all, default 5. `firstDelayMs`: the longest pause before the
 * second attempt, default 20; it doubles up to `delayMaxMs`, default 2,000. Each pause is drawn
 * evenly from zero to that bound (full jitter), so by default all pauses together take at most
 * 20 + 40 + 80 + 160 = 300 ms. `signal` ends a pause with its reason.
 */
export type RetryOptions = Readonly<{
  codes: readonly ErrorCode[];
  attemptsMax?: number;
  firstDelayMs?: number;
  delayMaxMs?: number;
  signal?: AbortSignal;
}>;

/** Runs `action` until it succeeds, fails with another code, or has had its attempts. */
export async function retry<T>(
  ports: Readonly<{ clock: Clock; entropy: Entropy }>,
  options: RetryOptions,
  action: (attempt: number) => Promise<T>,
): Promise<T> {
  const { attemptsMax = 5, firstDelayMs = 20, delayMaxMs = 2_000 } = options;
  assert(attemptsMax >= 1, `an action has at least one attempt, found ${attemptsMax}`);
  for (let attempt = 1; ; attempt++) {
    try {
      return await action(attempt);
    } catch (error) {
      const again =
        attempt < attemptsMax && isStoreError(error) && options.codes.includes(error.code);
      if (!again) throw error;
    }
    const boundMs = Math.min(delayMaxMs, firstDelayMs * 2 ** (attempt - 1));
    await ports.clock.sleep(boundMs * ports.entropy.random(), options.signal);
  }
}
