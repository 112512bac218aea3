/**
 * A round of collect on any platform: drops that broke off are finished, so that what they left can be
 * collected, then every shard, dropped collection and dropped snapshot is looked at.
 */
import { type CollectRound, collectRound } from '#maintain/collect-round.ts';
import { dropCollection } from '#service/drop.ts';
import type { EngineBase } from './engine.ts';
import { reportFailure } from './failure.ts';

export type Collected = CollectRound &
  Readonly<{
    /** Drops that were finished. */
    drops: number;
  }>;

/**
 * @param mayGoOn asked before each step
 * @throws StoreError where the catalog cannot be listed; all else is reported and hinders nothing
 */
export async function collectAll(
  { ports, catalog }: EngineBase,
  mayGoOn: () => boolean = () => true,
): Promise<Collected> {
  const run = { drops: 0, failures: 0 };
  // One may be under way: whoever comes second finds it done.
  for (const collection of await catalog.unfinishedDrops()) {
    if (!mayGoOn()) break;
    try {
      await dropCollection({ ports, catalog }, collection);
      run.drops += 1;
    } catch (error) {
      reportFailure(ports.telemetry, run, 'drop', `c${collection.collectionId}`, error);
    }
  }
  const round = await collectRound(ports, catalog, mayGoOn);
  return { ...round, ...run, failures: round.failures + run.failures };
}
