/**
 * Commits a change to a shard's manifest.
 *
 * A manifest version is an immutable object (or the bytes in the row itself) plus the head row that
 * names it. The object goes first and the row second: a crash in between leaves an orphan for
 * collect, never a row that names nothing. The row moves only if it still has the version we read,
 * so of two racing committers exactly one wins and the other rebases onto the winner.
 *
 * Collect runs beside this (DESIGN 4.6): it first commits `collectedBelow`, then deletes what no
 * head names and what was minted below. So a change whose objects are older than the mark is refused
 * *before* the row moves; where the mark rises afterwards, the compare-and-set is lost.
 */
import { assert } from '#base/assert.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Table } from '#ports/table.ts';
import { parseProductKey, type ShardId, shardName } from '#wal/shard.ts';
import type { Manifest } from './format.ts';
import {
  encodeHead,
  type HeadPorts,
  headKey,
  readManifest,
  rememberManifest,
  storeManifest,
} from './head.ts';
import { reachableKeys } from './history.ts';
import { violations } from './invariants.ts';

/** Sixteen losses in a row mean a runaway committer, not bad luck: fail loudly. */
export const ATTEMPTS_MAX = 16;

export type CommitPorts = HeadPorts & Readonly<{ entropy: Entropy }>;

/**
 * A pure step from one manifest to the next, whose version is one higher.
 *
 * It returns undefined for every manifest that already contains its effect, also for one in which
 * a later change has built on it; so compare WAL positions, not segment names. That one rule makes
 * replayed batches, retries and lost answers the same case: nothing left to do.
 */
export type Change = (current: Manifest) => Manifest | undefined;

/**
 * Makes `change` take effect exactly once and returns the manifest that contains it.
 *
 * @throws StoreError
 *   - `MANIFEST_CONTENDED` after {@link ATTEMPTS_MAX} lost races. If the table lost one of our
 *     answers the change may be in effect all the same; calling again is safe
 *   - `NOT_READY`, recognised by {@link isOutdated}, where an object that the change introduces was
 *     minted below `collectedBelow`: it may be deleted any moment. Nothing was committed; abandon
 *     the object (never delete it) and make a new one
 *   - `COLLECTION_NOT_FOUND` where the shard has no head
 *   - `INTERNAL` where the change breaks an invariant; nothing was committed
 */
export async function commitManifest(
  ports: CommitPorts,
  shard: ShardId,
  change: Change,
): Promise<Manifest> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const { manifest, rowVersion } = await readManifest(ports, shard);
    const next = change(manifest);
    if (next === undefined) return manifest;
    verify(next, manifest, change);
    refuseOutdated(next, manifest);

    const value = await storeManifest(ports, next, manifest.version);
    const swapped = await swap(ports.table, shard, encodeHead(value), rowVersion);
    if (swapped !== undefined) {
      rememberManifest(ports.manifests, value, swapped, next);
      return next;
    }
  }
  throw new StoreError('MANIFEST_CONTENDED', `${shardName(shard)}: lost ${ATTEMPTS_MAX} races`);
}

/** True for the refusal of a change whose objects collect may delete. */
export const isOutdated = (error: unknown): boolean =>
  isStoreError(error, 'NOT_READY') && error.details['collectedBelow'] !== undefined;

function verify(next: Manifest, current: Manifest, change: Change): void {
  const broken = violations(next, current);
  assert(broken.length === 0, `manifest of ${shardName(current)}: ${broken.join('; ')}`);
  assert(change(next) === undefined, 'a change recognises its own effect');
}

/**
 * Only this shard's own objects are compared: those that a clone shares were minted by another
 * shard's head, and a pin holds them.
 */
function refuseOutdated(next: Manifest, current: Manifest): void {
  const known = reachableKeys(current);
  const { collectedBelow } = current;
  for (const key of reachableKeys(next)) {
    if (known.has(key)) continue;
    const product = parseProductKey(key);
    if (product === undefined || shardName(product.shard) !== shardName(current)) continue;
    if (product.headVersion < collectedBelow) {
      throw new StoreError(
        'NOT_READY',
        `${key} was minted at head version ${product.headVersion}, and what is older than ` +
          `${collectedBelow} may be collected: make it again`,
        { details: { collectedBelow } },
      );
    }
  }
}

/** An uncertain swap counts as lost: the next round reads what really happened. */
async function swap(
  table: Table,
  shard: ShardId,
  value: Uint8Array,
  ifVersion: number,
): Promise<number | undefined> {
  try {
    return await table.put(headKey(shard), value, ifVersion);
  } catch (error) {
    if (isStoreError(error, 'UNCERTAIN')) return undefined;
    throw error;
  }
}
