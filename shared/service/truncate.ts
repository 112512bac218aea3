/**
 * Truncating a collection: a fence in each shard that empties it. What was acknowledged before is gone,
 * what is written afterwards stays; a write that was under way says so and has to be sent again.
 */
import { toHex } from '#base/bytes.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import type { Collection } from '#catalog/collection.ts';
import { fenceShard, settledGate } from '#ingest/fence.ts';
import { beginAttempt, recordIdOf } from '#ingest/idempotency.ts';
import { refuseParked } from '#wal/parked.ts';
import type { ShardId } from '#wal/shard.ts';
import type { EngineParts } from './engine.ts';
import type { RequestContext } from './route.ts';

type Ports = EngineParts['ports'];

/** What tells two uses of one `RequestId` apart that lie further apart than its attempts may. */
const USE_BYTES = 8;

/**
 * Shard by shard, not at one moment. Sent again under the same `RequestId` it truncates once.
 *
 * @throws StoreError with effect none where no shard was touched, e.g. `NOT_READY` where one is parked
 *   or has another fence under way; `UNCERTAIN` where some may be empty and others not: truncate again
 */
export async function truncateCollection(
  { ports }: Readonly<{ ports: Ports }>,
  { collectionId, shards }: Collection,
  context: RequestContext,
): Promise<void> {
  const all = Array.from({ length: shards }, (_, shard) => ({ collectionId, shard }));
  await Promise.all(all.map((shard) => refuseBusy(ports, shard)));
  const recordIdFor = await recordIds(ports, context);
  // All of them end before the answer, also where one fails: none goes on behind the caller's back.
  const fenced = await Promise.allSettled(
    all.map((shard) => fenceShard(ports, shard, { action: 'truncate', ...recordIdFor(shard) })),
  );
  const failed = fenced.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw halfTruncated(failed.reason);
}

async function refuseBusy(ports: Ports, shard: ShardId): Promise<void> {
  await refuseParked(ports.table, shard, 'truncate');
  await settledGate(ports, shard);
}

/** Under a `RequestId` the same for every attempt, another one where the id is used anew much later. */
async function recordIds(
  ports: Ports,
  { user, route, idempotency, deadlineMs }: RequestContext,
): Promise<(shard: ShardId) => Readonly<{ recordId?: string }>> {
  if (idempotency === undefined) return () => ({});
  const identity = { user, route, ...idempotency };
  const bytes = ports.entropy.bytes(USE_BYTES);
  const fresh = BigInt.asIntN(64, BigInt(`0x${toHex(bytes)}`));
  const { firstKey } = await beginAttempt(ports, identity, async () => fresh, deadlineMs);
  const use = { ...identity, requestId: `${identity.requestId} ${firstKey}` };
  return ({ collectionId, shard }) => ({ recordId: recordIdOf(use, collectionId, shard) });
}

/** Behind the first fence no code may promise that nothing was changed (I12). */
function halfTruncated(error: unknown): unknown {
  if (!isStoreError(error) || error.advice.effect !== 'none') return error;
  return new StoreError(
    'UNCERTAIN',
    `some shards may be empty by now, or will be, and others not (${error.message}); truncate again`,
    { cause: error },
  );
}
