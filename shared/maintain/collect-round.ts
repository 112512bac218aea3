/**
 * One round of collect over everything there is: shards, dropped collections, dropped snapshots. Made
 * for every 15 minutes. What fails is reported and hinders nothing else; the next round tries again.
 */
import { isStoreError } from '#base/errors.ts';
import type { Collection } from '#catalog/collection.ts';
import type { Catalog } from '#catalog/collections.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import { type CollectPorts, collectShard } from './collect.ts';
import { collectCuts, collectDropped } from './collect-dropped.ts';
import { HeldCuts } from './held.ts';

export type CollectRound = Readonly<{
  shards: number;
  /** Objects deleted. */
  objects: number;
  /** Collections of which nothing is left. */
  forgotten: number;
  failures: number;
  /** False where the time was up before everything was looked at. */
  complete: boolean;
}>;

type Round = { -readonly [Name in keyof CollectRound]: CollectRound[Name] };

/**
 * @param mayGoOn asked before each shard; the next round begins elsewhere, by chance, so that none
 *   waits for ever behind the others
 */
export async function collectRound(
  ports: Omit<CollectPorts, 'held'>,
  catalog: Pick<Catalog, 'allCollections' | 'getCollection' | 'forgetCollection'>,
  mayGoOn: () => boolean = () => true,
): Promise<CollectRound> {
  const held = new HeldCuts({ ...ports, collections: catalog });
  const round: Round = { shards: 0, objects: 0, forgotten: 0, failures: 0, complete: true };
  const collections = await catalog.allCollections(['creating', 'open', 'dropping', 'dropped']);
  const work = collections.flatMap((collection): [string, () => Promise<void>][] => {
    const { collectionId, shards, state } = collection;
    if (state === 'dropped') return [[`c${collectionId}`, () => forget(collection)]];
    return Array.from({ length: shards }, (_, shard) => {
      const id = { collectionId, shard };
      return [shardName(id), () => collect(id, state === 'creating')];
    });
  });
  const start = Math.floor(ports.entropy.random() * work.length);
  const inTurn = [...work.slice(start), ...work.slice(0, start)];
  for (const [name, step] of [...inTurn, ['snapshots', cuts] as const]) {
    if (!mayGoOn()) {
      round.complete = false;
      break;
    }
    await step().catch((error: unknown) => report(name, error));
  }
  return round;

  async function collect(shard: ShardId, mayBeMissing: boolean): Promise<void> {
    try {
      const found = await collectShard({ ...ports, held }, shard);
      round.shards += 1;
      round.objects += found.retired + found.orphans + found.payloads + found.manifests;
    } catch (error) {
      // A creation that is under way, or died: its shards may have no heads yet.
      if (!mayBeMissing || !isStoreError(error, 'COLLECTION_NOT_FOUND')) throw error;
    }
  }

  async function forget(collection: Collection): Promise<void> {
    round.objects += (await collectDropped({ ...ports, held }, catalog, collection)) ?? 0;
    const left = await catalog.getCollection(collection.collectionId);
    if (left === undefined) round.forgotten += 1;
  }

  async function cuts(): Promise<void> {
    round.objects += await collectCuts({ ...ports, held });
  }

  function report(name: string, error: unknown): void {
    round.failures += 1;
    ports.telemetry.event('error', 'maintenance-failed', {
      loop: 'collect',
      shard: name,
      code: isStoreError(error) ? error.code : 'INTERNAL',
      reason: error instanceof Error ? error.message : String(error),
    });
  }
}
