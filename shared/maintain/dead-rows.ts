/**
 * How many rows of each compacted segment are dead, for deciding what to rewrite.
 *
 * What is dead stays dead and objects are immutable, so each pair of segments is compared once in a
 * process's life. Comparing reads keys and stamps of the older segment; it waits until enough has
 * been written since, so that a trickle of rows does not read a large shard's keys again and again.
 */
import { type Bitmap, bitmapOf, hasBit, setBit } from '#schema/column.ts';
import { killsBetween } from '#segment/kills.ts';
import type { SegmentReader } from '#segment/reader.ts';
import { type ShardId, shardName } from '#wal/shard.ts';

/** Segments are compared when those that were not yet hold this share of the shard's rows. */
const FRESH_SHARE = 1 / 16;
/** Shards that are remembered; 32 KiB for each segment of 262,144 rows. */
const SHARDS_MAX = 256;

type Victim = { readonly dead: Bitmap; count: number };
type ShardDead = {
  /** Segments that were compared with all others of the set. */
  readonly compared: Set<string>;
  readonly victims: Map<string, Victim>;
};

/** Lives as long as the process. */
export class DeadRows {
  readonly #shards = new Map<string, ShardDead>();

  /** Dead rows by key, of the shard's segments above level 0; as of the last comparison. */
  async count(
    shard: ShardId,
    segments: readonly SegmentReader[],
  ): Promise<ReadonlyMap<string, number>> {
    const known = this.#shard(shard, segments);
    const fresh = segments.filter(({ id }) => !known.compared.has(id));
    const due = weight(fresh) >= weight(segments) * FRESH_SHARE;
    for (const killer of due ? fresh : []) {
      for (const victim of segments) {
        mark(known, victim, await killsBetween(victim, killer));
        // A segment that is new is also a new victim of those that are not.
        if (known.compared.has(victim.id)) mark(known, killer, await killsBetween(killer, victim));
      }
      known.compared.add(killer.id);
    }
    return new Map([...known.victims].map(([key, { count }]) => [key, count]));
  }

  /** What is known of the shard, without segments that are gone. */
  #shard(shard: ShardId, segments: readonly SegmentReader[]): ShardDead {
    const name = shardName(shard);
    const known = this.#shards.get(name) ?? { compared: new Set<string>(), victims: new Map() };
    const present = new Set(segments.map(({ id }) => id));
    for (const key of known.compared) if (!present.has(key)) known.compared.delete(key);
    for (const key of known.victims.keys()) if (!present.has(key)) known.victims.delete(key);
    this.#shards.delete(name);
    this.#shards.set(name, known);
    for (const oldest of this.#shards.keys()) {
      if (this.#shards.size <= SHARDS_MAX) break;
      this.#shards.delete(oldest);
    }
    return known;
  }
}

const weight = (segments: readonly SegmentReader[]): number =>
  segments.reduce((sum, { rows, tombstoneCount }) => sum + rows + tombstoneCount, 0);

function mark({ victims }: ShardDead, { id, rows }: SegmentReader, dead: Uint32Array): void {
  if (dead.length === 0) return;
  const victim = victims.get(id) ?? { dead: bitmapOf(rows), count: 0 };
  victims.set(id, victim);
  for (const row of dead) {
    if (hasBit(victim.dead, row)) continue;
    setBit(victim.dead, row);
    victim.count += 1;
  }
}
