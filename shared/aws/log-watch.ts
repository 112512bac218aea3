/** Waiting for entries of a log that has to be asked. */
import type { Clock } from '#ports/clock.ts';

/**
 * Of the five reads a second that a stream shard grants, Lambda's event source takes one and each
 * other consumer one or two. Whoever waits in this process shares two.
 */
const POLL_MS = 500;

export type Watch = Readonly<{
  /**
   * Resolves once `hasMore` says so, or after `timeoutMs`. Those who wait with the same `key` share
   * its questions; those of one `streamShard` take turns, one question every half second in all.
   */
  wait: (
    streamShard: string,
    key: string,
    timeoutMs: number,
    hasMore: () => Promise<boolean>,
  ) => Promise<void>;
}>;

export function openWatch(clock: Clock): Watch {
  /** When the next question about a stream shard may be asked; as many as there are stream shards. */
  const turnsMs = new Map<string, number>();
  /** Questions under way or waiting for their turn; as many as there are different waits. */
  const asked = new Map<string, Promise<boolean>>();

  const takeTurn = async (streamShard: string): Promise<void> => {
    const nowMs = clock.nowMs();
    const turnMs = Math.max(nowMs, turnsMs.get(streamShard) ?? 0);
    turnsMs.set(streamShard, turnMs + POLL_MS);
    if (turnMs > nowMs) await clock.sleep(turnMs - nowMs);
  };

  const ask = (
    streamShard: string,
    key: string,
    hasMore: () => Promise<boolean>,
  ): Promise<boolean> => {
    const underWay = asked.get(key);
    if (underWay !== undefined) return underWay;
    const question = takeTurn(streamShard)
      .then(hasMore)
      .finally(() => asked.delete(key));
    asked.set(key, question);
    return question;
  };

  return {
    async wait(streamShard, key, timeoutMs, hasMore) {
      const endMs = clock.nowMs() + timeoutMs;
      for (;;) {
        const leftMs = Math.max(0, endMs - clock.nowMs());
        const found = await within(clock, leftMs, ask(streamShard, key, hasMore));
        if (found !== false || clock.nowMs() >= endMs) return;
      }
    },
  };
}

/** Undefined where the answer takes longer; the question goes on for others, or for nobody. */
async function within<T>(clock: Clock, ms: number, answer: Promise<T>): Promise<T | undefined> {
  const timer = new AbortController();
  const timeout = clock.sleep(ms, timer.signal).then(() => undefined);
  // Whichever loses the race may be rejected later, when nobody listens any more.
  timeout.catch(() => undefined);
  answer.catch(() => undefined);
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    timer.abort();
  }
}
