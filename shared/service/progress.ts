/** How far apply has got in a collection, from gates, tails and heads. */
import { StoreError } from '#base/errors.ts';
import { ORIGIN, type RecordPosition } from '#base/position.ts';
import type { Collection } from '#catalog/collection.ts';
import { readManifest } from '#manifest/head.ts';
import { newestOf, type Observation, observeShard } from '#query/freshness.ts';
import { refuseParked } from '#wal/parked.ts';
import type { EngineParts } from './engine.ts';

const POLL_MS_FIRST = 5;
const POLL_MS_MAX = 100;

type Ports = Pick<EngineParts, 'ports'>;

/** What every shard holds now; at most 16 at once. */
export function observeShards({ ports }: Ports, collection: Collection): Promise<Observation[]> {
  const { collectionId, shards } = collection;
  return Promise.all(
    Array.from({ length: shards }, (_, shard) =>
      observeShard(ports, { collectionId, shard }, ORIGIN),
    ),
  );
}

/** Rows ever written, updates included (API.md 6.2, 10): applied ones and those in the tail. */
export async function rowsWritten(engine: Ports, collection: Collection): Promise<number> {
  const observed = await observeShards(engine, collection);
  return observed.reduce((sum, { head, tail }) => {
    const { applied, rowsApplied } = head.manifest;
    const pending = tail.filter(({ position }) => position > applied);
    return sum + rowsApplied + pending.reduce((rows, entry) => rows + entry.rows, 0);
  }, 0);
}

/**
 * Resolves when everything acknowledged before the call is in manifests.
 *
 * @throws StoreError `TIMEOUT` at the deadline: apply goes on by itself; `NOT_READY` with the cause where
 *   a shard is parked
 */
export async function flushCollection(
  engine: Ports,
  collection: Collection,
  deadlineMs: number,
): Promise<void> {
  const { collectionId } = collection;
  const observed = await observeShards(engine, collection);
  await Promise.all(
    observed.map(({ head, tail }, shard) =>
      awaitApplied(engine, { collectionId, shard }, newestOf(head.manifest, tail), deadlineMs),
    ),
  );
}

async function awaitApplied(
  { ports }: Ports,
  shard: Readonly<{ collectionId: number; shard: number }>,
  position: RecordPosition,
  deadlineMs: number,
): Promise<void> {
  let pollMs = POLL_MS_FIRST;
  for (;;) {
    const { manifest } = await readManifest(ports, shard);
    if (manifest.applied >= position) return;
    await refuseParked(ports.table, shard, 'flush');
    if (ports.clock.nowMs() >= deadlineMs) {
      throw new StoreError('TIMEOUT', `flush: shard ${shard.shard} is not applied yet, try again`);
    }
    await ports.clock.sleep(pollMs);
    pollMs = Math.min(pollMs * 2, POLL_MS_MAX);
  }
}
