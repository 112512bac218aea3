/**
 * What a manifest reaches, and what it once reached.
 *
 * `retired` lists what a rewrite took out of the content and when, because a read that planned on an
 * older manifest may still be at it: collect deletes a retired object only after the longest
 * possible read, and then takes it off the list. A level-0 object stays reachable through the id
 * window after its rows moved on; it is listed from the moment its rows did.
 */
import { StoreError } from '#base/errors.ts';
import { shardName } from '#wal/shard.ts';
import type { Manifest } from './format.ts';

/**
 * 4,096 keys of about 40 bytes are 160 KiB of manifest. They are an hour of rewriting a segment per
 * second; where collect has not come round by then, rewriting waits for it.
 */
export const RETIRED_MAX = 4096;

/** Keys of all objects that belong to the manifest: segments, auxiliary objects, the id window. */
export function reachableKeys(manifest: Manifest): ReadonlySet<string> {
  const keys = contentKeys(manifest);
  for (const { key } of manifest.idWindow) keys.add(key);
  return keys;
}

/** Keys of what reads look at: segments and their auxiliary objects. */
export function contentKeys({ segments }: Manifest): Set<string> {
  const keys = new Set<string>();
  for (const segment of segments) {
    keys.add(segment.key);
    for (const { key } of segment.auxiliary) keys.add(key);
  }
  return keys;
}

/**
 * The manifest with `keys`, which its segments no longer hold, listed as retired at `nowMs`.
 *
 * @throws StoreError `OVERLOADED` where the list would exceed {@link RETIRED_MAX}: dropping an entry
 *   would let collect delete an object under a running read (I6)
 */
export function retire(manifest: Manifest, keys: Iterable<string>, nowMs: number): Manifest {
  const listed = new Set(manifest.retired.map(({ key }) => key));
  const added = [...new Set(keys)].filter((key) => !listed.has(key));
  const retired = [...manifest.retired, ...added.map((key) => ({ key, atMs: nowMs }))];
  if (retired.length > RETIRED_MAX) {
    throw new StoreError(
      'OVERLOADED',
      `shard ${shardName(manifest)} waits for collect: more than ${RETIRED_MAX} retired objects`,
    );
  }
  return { ...manifest, retired };
}

/** The manifest without those entries of the retired list whose objects collect has deleted. */
export const forgetRetired = (manifest: Manifest, deleted: ReadonlySet<string>): Manifest => ({
  ...manifest,
  retired: manifest.retired.filter(({ key }) => !deleted.has(key)),
});
