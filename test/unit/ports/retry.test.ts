import { describe, expect, it } from 'vitest';
import { type ErrorCode, StoreError } from '#base/errors.ts';
import { type RetryOptions, retry } from '#ports/retry.ts';
import { ManualClock } from '#sim/manual-clock.ts';

/** Runs an action that fails as scripted, and notes the pauses between its attempts. */
async function run(script: readonly (ErrorCode | 'bug')[], options: RetryOptions, random = 1) {
  const clock = new ManualClock(0);
  const pauses: number[] = [];
  let attempts = 0;
  const ports = {
    clock: {
      nowMs: () => clock.nowMs(),
      sleep: async (ms: number, signal?: AbortSignal) => {
        signal?.throwIfAborted();
        pauses.push(ms);
      },
    },
    entropy: { bytes: (count: number) => new Uint8Array(count), random: () => random },
  };
  const outcome = await retry(ports, options, async (attempt) => {
    attempts += 1;
    expect(attempt).toBe(attempts);
    const failure = script[attempt - 1];
    if (failure === 'bug') throw new TypeError('a bug');
    if (failure !== undefined) throw new StoreError(failure, `attempt ${attempt}`);
    return 'done';
  }).catch((error: unknown) => error);
  return { outcome, attempts, pauses };
}

const codes: readonly ErrorCode[] = ['UNCERTAIN', 'OVERLOADED'];

describe('retry', () => {
  it('returns the first success', async () => {
    expect(await run([], { codes })).toEqual({ outcome: 'done', attempts: 1, pauses: [] });
    const later = await run(['UNCERTAIN', 'OVERLOADED'], { codes });
    expect(later).toEqual({ outcome: 'done', attempts: 3, pauses: [20, 40] });
  });

  it('doubles its pauses up to their bound, and ends after its attempts', async () => {
    const failures = Array<ErrorCode>(20).fill('UNCERTAIN');
    const options = { codes, attemptsMax: 7, firstDelayMs: 100, delayMaxMs: 1_000 };
    const { outcome, attempts, pauses } = await run(failures, options);
    expect(attempts).toBe(7);
    expect(pauses).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    expect(outcome).toMatchObject({ code: 'UNCERTAIN', message: 'attempt 7' });
    expect((await run(failures, { codes })).attempts).toBe(5);
    expect(await run(failures, { codes, attemptsMax: 1 })).toMatchObject({
      attempts: 1,
      pauses: [],
    });
  });

  it('draws each pause evenly from zero to its bound', async () => {
    const failures = Array<ErrorCode>(3).fill('OVERLOADED');
    expect((await run(failures, { codes }, 0)).pauses).toEqual([0, 0, 0]);
    expect((await run(failures, { codes }, 0.25)).pauses).toEqual([5, 10, 20]);
  });

  it('does not repeat what failed otherwise', async () => {
    const refused = await run(['UNCERTAIN', 'INVALID_ARGUMENT'], { codes });
    expect(refused).toMatchObject({ attempts: 2, outcome: { code: 'INVALID_ARGUMENT' } });
    const bug = await run(['bug'], { codes });
    expect(bug.attempts).toBe(1);
    expect(bug.outcome).toBeInstanceOf(TypeError);
  });

  it('ends with the reason when its signal is aborted', async () => {
    const reason = new Error('shutting down');
    const signal = AbortSignal.abort(reason);
    const { outcome, attempts } = await run(['UNCERTAIN'], { codes, signal });
    expect(attempts).toBe(1);
    expect(outcome).toBe(reason);
  });
});
