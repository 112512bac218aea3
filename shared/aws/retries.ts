import type { S3ClientConfig } from '@aws-sdk/client-s3';

/** The SDK's interface for strategies, without its older form. */
type Strategy = Extract<
  NonNullable<S3ClientConfig['retryStrategy']>,
  { acquireInitialRetryToken: unknown }
>;

/** The longest pause before the second attempt; it doubles for the third, and is drawn evenly. */
const PAUSE_MS = { TRANSIENT: 100, THROTTLING: 1_000 } as const;

const tokenOf = (retries: number, pauseMs: number) => ({
  getRetryCount: () => retries,
  getRetryDelay: () => pauseMs,
  getRetryCost: () => undefined,
});

/**
 * Up to `attemptsMax` calls after failures that may pass. The SDK's own strategy lets all calls of a
 * client share 500 tokens at 14 a retry, so that 64 sockets that die together, as when a frozen
 * function thaws, would fail 29 calls at their first attempt. Here each call has its own attempts,
 * and an overloaded service sees at most `attemptsMax` times its load, spread by the pauses.
 */
export const ownAttempts = (attemptsMax: number): Strategy => ({
  acquireInitialRetryToken: async () => tokenOf(0, 0),
  refreshRetryTokenForRetry: async (token, { errorType }) => {
    const retries = token.getRetryCount() + 1;
    const isPassing = errorType === 'TRANSIENT' || errorType === 'THROTTLING';
    if (!isPassing || retries >= attemptsMax) throw new Error('no further attempt');
    return tokenOf(retries, Math.random() * PAUSE_MS[errorType] * 2 ** (retries - 1));
  },
  recordSuccess: () => undefined,
});
