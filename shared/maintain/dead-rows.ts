/**
 * How many rows of each compacted segment are dead or expired, for deciding what to rewrite.
 *
 * What is dead stays dead and objects are immutable, so each pair of segments is compared once in a
 * process's life. Comparing reads keys and stamps of the older segment; it waits until enough has
 * been written since, so that a trickle of rows does not read a large shard's keys again and again.
 *
 * Only what a rewrite would leave out counts: an expired row that hides an older version elsewhere is
 * not among it (`expired.ts`). So whatever is chosen makes progress, and what cannot is not chosen
 * again and again.
 */
import { type Bitmap, bitmapOf, hasBit, setBit } from '#schema/column.ts';
import { killsBetween } from '#segment/kills.ts';
import type { SegmentReader } from '#segment/reader.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import { expiredRows } from './expired.ts';

/** Segments are compared when those that were not yet hold this share of the shard's rows. */
const FRESH_SHARE = 1 / 16;
/**
 * A segment's expired rows are counted when this share of the time that it spans has passed since the
 * last time: 16 times in its life, and once more when all of it has expired.
 */
const SPAN_SHARE = 1 / 16;
/** Shards that are remembered; 32 KiB for each segment of 262,144 rows. */
const SHARDS_MAX = 256;

type Victim = { readonly dead: Bitmap; count: number };
/** Counted up to a log time, beside these other segments. */
type Expired = Readonly<{ beforeMs: number; beside: string; count: number }>;
type ShardDead = {
  /** Segments that were compared with all others of the set. */
  readonly compared: Set<string>;
  readonly victims: Map<string, Victim>;
  readonly expired: Map<string, Expired>;
  /** Segments whose rewriting left nothing out, whatever was counted. */
  readonly futile: Set<string>;
};

/** Lives as long as the process. */
export class DeadRows {
  readonly #shards = new Map<string, ShardDead>();

  /**
   * Rows by key that a rewrite of the segment alone would leave out, of the shard's segments above
   * level 0; as of the last comparison.
   *
   * @param expiredBeforeMs from `catalog/ttl`; undefined where rows do not expire
   * @param levelZero the segments below, which a rewrite has to mind too
   */
  async count(
    shard: ShardId,
    segments: readonly SegmentReader[],
    expiredBeforeMs?: number,
    levelZero: readonly SegmentReader[] = [],
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
    const counts = new Map([...known.victims].map(([key, { count }]) => [key, count]));
    if (expiredBeforeMs !== undefined) {
      const all = [...segments, ...levelZero];
      for (const segment of segments) {
        const count = await countWithExpired(known, segment, all, expiredBeforeMs);
        if (count > 0) counts.set(segment.id, count);
      }
    }
    for (const key of known.futile) counts.delete(key);
    return counts;
  }

  /** The segment was rewritten for its dead rows, and none was left out: it is not counted any more. */
  giveUp(shard: ShardId, key: string): void {
    this.#shards.get(shardName(shard))?.futile.add(key);
  }

  /** What is known of the shard, without segments that are gone. */
  #shard(shard: ShardId, segments: readonly SegmentReader[]): ShardDead {
    const name = shardName(shard);
    const known: ShardDead = this.#shards.get(name) ?? {
      compared: new Set(),
      victims: new Map(),
      expired: new Map(),
      futile: new Set(),
    };
    const present = new Set(segments.map(({ id }) => id));
    for (const keys of [known.compared, known.victims, known.expired, known.futile]) {
      for (const key of keys.keys()) if (!present.has(key)) keys.delete(key);
    }
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

/** Dead or expired rows of a segment; counted anew where that may have changed enough. */
async function countWithExpired(
  { victims, expired }: ShardDead,
  segment: SegmentReader,
  all: readonly SegmentReader[],
  beforeMs: number,
): Promise<number> {
  const { id, entry } = segment;
  const { min, max } = entry.logTimeRangeMs;
  const dead = victims.get(id);
  if (min >= beforeMs) return dead?.count ?? 0;
  const others = all.filter((other) => other.id !== id);
  // Level 0 comes and goes every second and is newer than what is here.
  const beside = others
    .filter(({ entry: { level } }) => level > 0)
    .map((other) => other.id)
    .join();
  const last = expired.get(id);
  const isAll = max < beforeMs;
  const wasAll = last !== undefined && max < last.beforeMs;
  const isSame =
    last !== undefined &&
    (isAll
      ? wasAll && last.beside === beside
      : beforeMs - last.beforeMs < (max - min) * SPAN_SHARE);
  if (isSame) return Math.max(last.count, dead?.count ?? 0);
  const late = await expiredRows(segment, others, beforeMs);
  const count =
    late.reduce((sum, row) => sum + (dead && hasBit(dead.dead, row) ? 0 : 1), 0) +
    (dead?.count ?? 0);
  expired.set(id, { beforeMs, beside, count });
  return count;
}
