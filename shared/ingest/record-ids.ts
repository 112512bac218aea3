/**
 * The record ids that shards remember: what apply tells duplicates by, and writers their fate.
 *
 * The manifest names the archive objects of the id window, each with a section of ids. Those are
 * immutable, so each is read once; after its own commit apply adds what it knows without a read.
 */
import type { Manifest } from '#manifest/format.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import { type RememberedId, readArchiveIds } from '#segment/archive.ts';
import type { ArchiveRef } from '#segment/entry.ts';
import { type ShardId, shardName } from '#wal/shard.ts';

/** An effective write within the id window. */
export type Remembrance = RememberedId & Readonly<{ archive: ArchiveRef }>;

/**
 * Ids in memory over all shards, about 200 bytes each: 100 MB when full, 1,000 writes a second for
 * 8 minutes. The shard not used for longest is forgotten first; it is read again when needed.
 */
const IDS_MAX = 500_000;
/** Archive objects read at once: two small range reads each. */
const READS_AT_ONCE = 16;
/** Archives outside of the window that may stay beside as many as lie in it, times two. */
const STALE_ARCHIVES = 64;

/** Nothing is ever taken out of one: whoever looks up in it may do so for as long as they like. */
type ShardIds = Readonly<{
  byId: Map<string, Remembrance>;
  archives: Map<string, readonly RememberedId[]>;
}>;

/** Lives as long as the process. */
export class RecordIds {
  readonly #shards = new Map<string, ShardIds>();

  /** How to look up the ids that `manifest` remembers (and older ones), none that is newer. */
  async of(
    objects: ObjectStore,
    manifest: Manifest,
  ): Promise<(recordId: string) => Remembrance | undefined> {
    const known = this.#shard(manifest, manifest.idWindow);
    const missing = manifest.idWindow.filter(({ key }) => !known.archives.has(key));
    for (let at = 0; at < missing.length; at += READS_AT_ONCE) {
      const refs = missing.slice(at, at + READS_AT_ONCE);
      const read = await Promise.all(refs.map((ref) => readArchiveIds({ objects }, ref)));
      refs.forEach((ref, index) => {
        include(known, ref, read[index] ?? []);
      });
    }
    this.#evict();
    return (recordId) => {
      const found = known.byId.get(recordId);
      // Another caller may have added what a newer manifest remembers. Where that hides an older
      // use of the id, ours is not the newest manifest, and nothing can be committed on it.
      return found !== undefined && found.position <= manifest.applied ? found : undefined;
    };
  }

  /** What apply has just committed, so that its archive need not be read. */
  add(shard: ShardId, ref: ArchiveRef, ids: readonly RememberedId[]): void {
    const known = this.#shards.get(shardName(shard));
    if (known !== undefined) include(known, ref, ids);
  }

  /** The shard's ids; begun anew from `window` once most of what they hold lies outside of it. */
  #shard(shard: ShardId, window: readonly ArchiveRef[]): ShardIds {
    const name = shardName(shard);
    let known = this.#shards.get(name) ?? { byId: new Map(), archives: new Map() };
    if (known.archives.size > 2 * window.length + STALE_ARCHIVES) known = renewed(known, window);
    this.#shards.delete(name);
    this.#shards.set(name, known);
    return known;
  }

  #evict(): void {
    let total = 0;
    for (const { byId } of this.#shards.values()) total += byId.size;
    for (const [name, { byId }] of this.#shards) {
      if (total <= IDS_MAX || this.#shards.size === 1) return;
      this.#shards.delete(name);
      total -= byId.size;
    }
  }
}

function renewed({ archives }: ShardIds, window: readonly ArchiveRef[]): ShardIds {
  const next: ShardIds = { byId: new Map(), archives: new Map() };
  for (const ref of window) {
    const ids = archives.get(ref.key);
    if (ids !== undefined) include(next, ref, ids);
  }
  return next;
}

function include(known: ShardIds, archive: ArchiveRef, ids: readonly RememberedId[]): void {
  if (known.archives.has(archive.key)) return;
  known.archives.set(archive.key, ids);
  for (const id of ids) {
    const other = known.byId.get(id.recordId);
    // An id may come again once it is forgotten: its newest use counts.
    if (other === undefined || other.position < id.position) {
      known.byId.set(id.recordId, { ...id, archive });
    }
  }
}
