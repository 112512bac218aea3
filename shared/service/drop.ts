/**
 * Dropping a collection: mark it, fence its shards, free the name.
 *
 * From the mark on nobody finds it; behind the fences no write of it can take effect any more; so the
 * name is free only when nothing of the old collection can reach the new one of that name. Killed
 * anywhere in between, the next drop or create of the name, or the next start, goes on from there.
 */
import { isStoreError, StoreError } from '#base/errors.ts';
import type { Collection } from '#catalog/collection.ts';
import { fenceShard } from '#ingest/fence.ts';
import type { ShardId } from '#wal/shard.ts';
import type { EngineParts } from './engine.ts';

type DropParts = Pick<EngineParts, 'catalog' | 'ports'>;

/**
 * @throws StoreError with effect none where nothing was marked; `UNCERTAIN` where the collection is
 *   gone for whoever asks and the rest is not done, e.g. since a fence was not applied in time:
 *   dropping again goes on
 */
export async function dropCollection(
  { catalog, ports }: DropParts,
  { collectionId }: Pick<Collection, 'collectionId'>,
): Promise<void> {
  const collection = await catalog.markDropping(collectionId);
  if (collection.state === 'dropped') return;
  try {
    // At most 16 shards.
    await Promise.all(
      Array.from({ length: collection.shards }, (_, shard) =>
        fenceDropped(ports, { collectionId, shard }),
      ),
    );
    await catalog.finishDrop(collection);
  } catch (error) {
    throw halfDropped(error);
  }
}

/** Behind the mark no code may promise that nothing was changed (I12). */
function halfDropped(error: unknown): unknown {
  if (!isStoreError(error) || error.advice.effect !== 'none') return error;
  return new StoreError(
    'UNCERTAIN',
    `nobody finds the collection any more, but its drop is not finished (${error.message}); drop it again`,
    { cause: error },
  );
}

async function fenceDropped(ports: DropParts['ports'], shard: ShardId): Promise<void> {
  try {
    await fenceShard(ports, shard, { action: 'drop', state: 'dropped' });
  } catch (error) {
    // A creation that died before this shard had a gate.
    if (!isStoreError(error, 'COLLECTION_NOT_FOUND')) throw error;
  }
}

/** Finishes what a crash left half dropped, and says how many; at start. */
export async function finishDrops(parts: DropParts): Promise<number> {
  const unfinished = await parts.catalog.unfinishedDrops();
  for (const collection of unfinished) await dropCollection(parts, collection);
  return unfinished.length;
}
