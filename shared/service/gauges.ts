/** What is stored, as gauges: taken when somebody looks at the metrics, not while rows are written. */
import { isStoreError } from '#base/errors.ts';
import type { Collection } from '#catalog/collection.ts';
import type { SegmentSnapshot, ShardSnapshot } from '#query/coverage.ts';
import type { EngineParts } from './engine.ts';

/** Within a scraper's usual 10 s. */
const LOOK_MS = 5_000;
/** A look reads the head row of every shard, a few tenths of a millisecond each: about a second. */
const SHARDS_MAX = 4_096;

/**
 * Sets `collections`, `rows`, `tail_rows`, `tail_records`, and by level `segments`, `segment_rows`
 * and `segment_bytes`. A collection that cannot be looked at is left out and counted in
 * `gauge_failures_total`, as are those beyond {@link SHARDS_MAX} in `gauge_skipped_collections`.
 *
 * @param levelsSeen what the look before returned: a level that is empty by now is set to 0
 * @returns the levels seen so far
 * @throws StoreError where the catalog cannot be read
 */
export async function takeGauges(
  { catalog, reader, ports: { clock, telemetry } }: EngineParts,
  levelsSeen: ReadonlySet<number>,
): Promise<ReadonlySet<number>> {
  const deadlineMs = clock.nowMs() + LOOK_MS;
  const open = (await catalog.allCollections()).filter(({ state }) => state === 'open');
  const looked = withinShards(open, SHARDS_MAX);
  const shards: ShardSnapshot[] = [];
  // One after the other: a look must not compete with reads.
  for (const collection of looked) {
    try {
      shards.push(...(await reader.snapshotView(collection, deadlineMs)));
    } catch (error) {
      if (!isStoreError(error)) throw error;
      telemetry.count('gauge_failures_total', 1, { code: error.code });
    }
  }
  const sum = (of: (shard: ShardSnapshot) => number): number =>
    shards.reduce((total, shard) => total + of(shard), 0);
  const gauges = {
    collections: open.length,
    gauge_skipped_collections: open.length - looked.length,
    rows: sum(({ rows }) => rows),
    tail_rows: sum(({ tail }) => tail.rows),
    tail_records: sum(({ tail }) => tail.records),
  };
  for (const [name, value] of Object.entries(gauges)) telemetry.gauge(name, value);
  const byLevel = levelsOf(
    shards.flatMap(({ segments }) => segments),
    levelsSeen,
  );
  for (const [level, { segments, rows, sizeBytes }] of byLevel) {
    const labels = { level: String(level) };
    telemetry.gauge('segments', segments, labels);
    telemetry.gauge('segment_rows', rows, labels);
    telemetry.gauge('segment_bytes', sizeBytes, labels);
  }
  return new Set(byLevel.keys());
}

/** As many of the collections, from the first, as have that many shards together. */
function withinShards(collections: readonly Collection[], shardsMax: number): Collection[] {
  let shards = 0;
  return collections.filter((collection) => {
    shards += collection.shards;
    return shards <= shardsMax;
  });
}

type LevelSum = { segments: number; rows: number; sizeBytes: number };

function levelsOf(
  segments: readonly SegmentSnapshot[],
  levelsSeen: ReadonlySet<number>,
): ReadonlyMap<number, LevelSum> {
  const none = (): LevelSum => ({ segments: 0, rows: 0, sizeBytes: 0 });
  const byLevel = new Map([...levelsSeen].map((level): [number, LevelSum] => [level, none()]));
  for (const { level, rows, sizeBytes } of segments) {
    const of = byLevel.get(level) ?? none();
    byLevel.set(level, of);
    of.segments += 1;
    of.rows += rows;
    of.sizeBytes += sizeBytes;
  }
  return byLevel;
}
