/** What the schedule of every quarter of an hour starts: a round of collect, as far as its time allows. */
import type { AwsBase } from './aws-base.ts';
import { type Collected, collectAll } from './collect-all.ts';
import type { TimerHandler } from './timer.ts';

/**
 * No shard or drop is begun with less time than this: a shard takes seconds, a drop waits 15 s for each
 * fence.
 */
const GIVE_UP_MS = 60_000;

export type CollectEngine = Pick<AwsBase, 'ports' | 'catalog' | 'flush'>;

/** Deletes what is surely needed no more, in any number of runs: each begins elsewhere, by chance. */
export const collectTimer =
  (engine: () => Promise<CollectEngine>): TimerHandler<Collected> =>
  async (_, context) => {
    const opened = await engine();
    try {
      return await collectAll(opened, () => context.getRemainingTimeInMillis() >= GIVE_UP_MS);
    } finally {
      opened.flush();
    }
  };
