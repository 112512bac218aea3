/**
 * Truncating a collection: a fence in each shard that empties it. What was acknowledged before is gone,
 * what is written afterwards stays; a write that was under way says so and has to be sent again.
 */
import type { Collection } from '#catalog/collection.ts';
import { fenceShard } from '#ingest/fence.ts';
import { recordIdOf } from '#ingest/idempotency.ts';
import type { EngineParts } from './engine.ts';
import type { RequestContext } from './route.ts';

/**
 * Shard by shard, not at one moment. Sent again under the same `RequestId` it truncates once.
 *
 * @throws StoreError `NOT_READY` where a fence was not applied in time: it is under way
 */
export async function truncateCollection(
  { ports }: Pick<EngineParts, 'ports'>,
  { collectionId, shards }: Collection,
  { user, route, idempotency }: RequestContext,
): Promise<void> {
  await Promise.all(
    Array.from({ length: shards }, async (_, shard) => {
      const again =
        idempotency === undefined
          ? {}
          : { recordId: recordIdOf({ user, route, ...idempotency }, collectionId, shard) };
      await fenceShard(ports, { collectionId, shard }, { action: 'truncate', ...again });
    }),
  );
}
