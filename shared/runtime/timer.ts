/** Work that a schedule starts: every shard in turn, until the time is up. */
import { isStoreError } from '#base/errors.ts';
import type { Collection } from '#catalog/collection.ts';
import { collectShard } from '#maintain/collect.ts';
import { compactShard } from '#maintain/compact.ts';
import { DeadRows } from '#maintain/dead-rows.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import type { AwsEngine } from './aws.ts';

/** What Lambda tells of the time that is left. */
export type TimerContext = Readonly<{ getRemainingTimeInMillis(): number }>;
export type TimerHandler = (event: unknown, context: TimerContext) => Promise<TimerReport>;
export type TimerReport = Readonly<{ steps: number; failures: number; complete: boolean }>;

/** A step is not begun with less time than this: a merge of a full segment takes about half of it. */
const STEP_MS = 120_000;
/** Steps for one shard in one run: the next shard must not wait for ever. */
const STEPS_PER_SHARD = 8;

type Step = (engine: AwsEngine, collection: Collection, shard: ShardId) => Promise<boolean>;

/** Merges, builds graphs and deletes what is surely needed no more. */
export function compactTimer(engine: () => Promise<AwsEngine>): TimerHandler {
  const deadRows = new DeadRows();
  return overShards(engine, async ({ ports, scratchDir }, collection, shard) => {
    const done = await compactShard({ ...ports, scratchDir, deadRows }, collection, shard);
    if (done === undefined) await collectShard(ports, shard);
    return done !== undefined;
  });
}

/** A shard that fails is reported and hinders no other; the next run tries it again. */
function overShards(engine: () => Promise<AwsEngine>, step: Step): TimerHandler {
  return async (_, context) => {
    const opened = await engine();
    const { catalog, ports, flush } = opened;
    let steps = 0;
    let failures = 0;
    try {
      const open = (await catalog.allCollections()).filter(({ state }) => state === 'open');
      for (const collection of open) {
        for (let shard = 0; shard < collection.shards; shard++) {
          const id = { collectionId: collection.collectionId, shard };
          try {
            for (let again = true, count = 0; again && count < STEPS_PER_SHARD; count++) {
              if (context.getRemainingTimeInMillis() < STEP_MS) {
                return { steps, failures, complete: false };
              }
              again = await step(opened, collection, id);
              steps += 1;
            }
          } catch (error) {
            failures += 1;
            ports.telemetry.event('error', 'maintenance-failed', {
              shard: shardName(id),
              code: isStoreError(error) ? error.code : 'INTERNAL',
              reason: error instanceof Error ? error.message : String(error),
            });
          }
        }
      }
      return { steps, failures, complete: true };
    } finally {
      flush();
    }
  };
}
