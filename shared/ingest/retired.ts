/**
 * Room in a manifest's list of retired objects.
 *
 * The list protects running reads: collect must not delete an object that a read which planned on an
 * older manifest may still be at. An entry older than any read protects nobody any more; it only
 * spares collect a look into the object listing, where it finds what no manifest names. So where
 * collect does not come round, old entries go, and rewriting need not wait for it (DESIGN 4.6, I6).
 */
import type { Manifest } from '#manifest/format.ts';
import { forgetRetired, RETIRED_MAX, retire } from '#manifest/history.ts';

/**
 * The longest that a function runs, and thirty times the longest HTTP request. What reads longer
 * (backup, a standby) pins what it reads. At most 4,096 objects may be retired within it, 4.5 a
 * second; beyond that rewriting waits until the oldest entries are old enough.
 */
export const RETIRED_MS_MIN = 15 * 60_000;
/** Below this many entries nothing is forgotten: collect is faster with the list than without. */
const KEPT_MIN = RETIRED_MAX / 2;

/** Whether `count` more objects can be retired now. */
export const canRetire = (manifest: Manifest, count: number, nowMs: number): boolean =>
  withRoom(manifest, nowMs).retired.length + count <= RETIRED_MAX;

/**
 * The manifest with `keys` listed as retired.
 *
 * @throws StoreError `OVERLOADED` where too many objects were retired within {@link RETIRED_MS_MIN}
 */
export const retireKeys = (manifest: Manifest, keys: Iterable<string>, nowMs: number): Manifest =>
  retire(withRoom(manifest, nowMs), keys, nowMs);

function withRoom(manifest: Manifest, nowMs: number): Manifest {
  if (manifest.retired.length < KEPT_MIN) return manifest;
  const old = manifest.retired.filter(({ atMs }) => nowMs - atMs > RETIRED_MS_MIN);
  return forgetRetired(manifest, new Set(old.map(({ key }) => key)));
}
