/**
 * Compaction: fewer, larger segments (DESIGN 4.3).
 *
 * A lease per shard keeps one compactor; what makes it correct is the commit, which replaces the
 * inputs only if all of them are still there. The object goes first: a crash behind it leaves an
 * orphan for collect, and the next compaction begins anew. Graphs are a step of their own
 * (`graphs.ts`), so that merging, which relieves reads, never waits minutes for one, and no graph is
 * built for a segment that the next merge swallows.
 */
import { releaseBytes } from '#base/bytes.ts';
import { formatSum, parseSum, type SetSum, subtractSum, sumOf } from '#base/setsum.ts';
import type { Collection } from '#catalog/collection.ts';
import { expiredBeforeMs } from '#catalog/ttl.ts';
import { segmentKey } from '#ingest/product.ts';
import { canRetire, retireKeys } from '#ingest/retired.ts';
import { commitManifest, isOutdated } from '#manifest/commit.ts';
import type { Manifest } from '#manifest/format.ts';
import { type ManifestCache, readManifest } from '#manifest/head.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import { SectionCache } from '#segment/cache.ts';
import type { SegmentEntry } from '#segment/entry.ts';
import { openSegment, type SegmentReader } from '#segment/reader.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import type { DeadRows } from './dead-rows.ts';
import { type GraphPorts, indexShard } from './graphs.ts';
import { withLease } from './lease.ts';
import { type Merged, mergeSegments } from './merge.ts';
import { COMPACT_POLICY, type CompactPolicy, type Merge, pickMerge } from './pick.ts';

export type MergePorts = Readonly<{
  objects: ObjectStore;
  table: Table;
  clock: Clock;
  entropy: Entropy;
  telemetry: Telemetry;
  /** Without it segments are merged, but none is rewritten for its dead rows alone. */
  deadRows?: DeadRows | undefined;
  manifests?: ManifestCache | undefined;
}>;

export type CompactPorts = MergePorts & GraphPorts;

/** What one step did. */
export type Compacted = Readonly<{
  kind: Merge['reason'] | 'graphs';
  /** Objects read, and rows of the outcome. */
  inputs: number;
  rows: number;
  /** False where somebody else changed the inputs meanwhile and the work was for nothing. */
  committed: boolean;
}>;

/**
 * Sections that one merge keeps at hand: keys, stamps and scalar columns of its inputs. Vectors of
 * more than a quarter of it are read in pieces.
 */
const SECTION_BYTES = 64 * 1024 * 1024;

/**
 * One step of compaction, the one that helps most: a merge, else a graph. Undefined where there is
 * nothing to do or somebody else is at it; else call it again.
 */
export async function compactShard(
  ports: CompactPorts,
  collection: Collection,
  shard: ShardId,
  policy: CompactPolicy = COMPACT_POLICY,
): Promise<Compacted | undefined> {
  return (
    (await mergeShard(ports, collection, shard, policy)) ??
    (await indexShard(ports, collection, shard, policy))
  );
}

/**
 * One merge, or one rewrite of a segment with many dead rows.
 *
 * @throws StoreError `DATA_CORRUPT`, `OBJECT_NOT_FOUND` for inputs that cannot be read;
 *   `MANIFEST_CONTENDED`, `UNCERTAIN`. The shard's content is unchanged or correctly compacted
 */
export async function mergeShard(
  ports: MergePorts,
  collection: Collection,
  shard: ShardId,
  policy: CompactPolicy = COMPACT_POLICY,
): Promise<Compacted | undefined> {
  const { manifest } = await readManifest(ports, shard);
  const open = readerOf(ports);
  const beforeMs = expiredBeforeMs(collection, ports.clock.nowMs());
  const merge = await pick(ports, shard, manifest, policy, open, beforeMs);
  if (merge === undefined) return undefined;
  if (!hasRoom(ports, shard, manifest, merge)) return undefined;
  return await withLease(ports, `compact/${shardName(shard)}`, () =>
    run(ports, collection, shard, manifest, merge, open, beforeMs),
  );
}

type Open = (entry: SegmentEntry) => SegmentReader;

/** Readers that share one cache for the length of a merge. */
function readerOf({ objects }: Pick<MergePorts, 'objects'>): Open {
  const cache = new SectionCache({ sectionBytesMax: SECTION_BYTES, graphBytesMax: 1 });
  return (entry) => openSegment({ objects }, entry, cache);
}

/** Counting dead and expired rows reads keys; it is done only where nothing else is to be done. */
async function pick(
  ports: MergePorts,
  shard: ShardId,
  manifest: Manifest,
  policy: CompactPolicy,
  open: Open,
  beforeMs: number | undefined,
): Promise<Merge | undefined> {
  const nowMs = ports.clock.nowMs();
  const merge = pickMerge(manifest, policy, new Map(), nowMs);
  if (merge !== undefined || ports.deadRows === undefined) return merge;
  const upper = manifest.segments.filter(({ level }) => level > 0).map(open);
  const levelZero = manifest.segments.filter(({ level }) => level === 0).map(open);
  const dead = await ports.deadRows.count(shard, upper, beforeMs, levelZero);
  return pickMerge(manifest, policy, dead, nowMs);
}

/** Rewriting waits for collect where the list of retired objects is full, and says so. */
function hasRoom(
  { telemetry, clock }: MergePorts,
  shard: ShardId,
  manifest: Manifest,
  { inputs }: Merge,
): boolean {
  if (canRetire(manifest, keysOf(inputs).length, clock.nowMs())) return true;
  telemetry.count('compact_waits_total');
  telemetry.event('warn', 'compact-waits-for-collect', {
    shard: shardName(shard),
    retired: manifest.retired.length,
  });
  return false;
}

async function run(
  ports: MergePorts,
  collection: Collection,
  shard: ShardId,
  base: Manifest,
  merge: Merge,
  open: Open,
  beforeMs: number | undefined,
): Promise<Compacted> {
  const chosen = new Set(merge.inputs.map(({ key }) => key));
  const others = base.segments.filter(({ key }) => !chosen.has(key));
  const merged = await mergeSegments(
    collection.schema,
    merge.inputs.map(open),
    others.map(open),
    merge.level,
    beforeMs,
  );
  if (merge.reason === 'dead' && merged.droppedRows === 0) {
    // It would look the same afterwards, and be chosen again.
    for (const input of merge.inputs) ports.deadRows?.giveUp(shard, input.key);
    return { kind: merge.reason, inputs: 0, rows: merged.rows, committed: false };
  }
  const key = segmentKey(ports.entropy, shard, base.version, merge.level);
  if (merged.segment !== undefined) {
    await ports.objects.put(key, merged.segment.bytes);
    releaseBytes(merged.segment.bytes);
  }
  const committed = await commit(ports, shard, { merge, merged, key, atMs: ports.clock.nowMs() });
  report(ports.telemetry, shard, merge, merged, committed);
  return { kind: merge.reason, inputs: merge.inputs.length, rows: merged.rows, committed };
}

type Replacement = Readonly<{ merge: Merge; merged: Merged; key: string; atMs: number }>;

async function commit(
  ports: MergePorts,
  shard: ShardId,
  replacement: Replacement,
): Promise<boolean> {
  const { merge, merged, key } = replacement;
  try {
    const { segments } = await commitManifest(ports, shard, (current) =>
      replaceInputs(current, replacement),
    );
    return merged.segment === undefined
      ? !segments.some((entry) => merge.inputs.some((input) => input.key === entry.key))
      : segments.some((entry) => entry.key === key);
  } catch (error) {
    // Collect's mark has passed our object's key: the merge is done again under a newer one.
    if (isOutdated(error)) return false;
    throw error;
  }
}

/** The manifest with the output in the place of the inputs; undefined where an input is missing. */
function replaceInputs(current: Manifest, replacement: Replacement): Manifest | undefined {
  const { merge, merged, key, atMs } = replacement;
  const gone = new Set(merge.inputs.map((entry) => entry.key));
  const kept = current.segments.filter((entry) => !gone.has(entry.key));
  if (current.segments.length - kept.length !== gone.size) return undefined;
  const output: readonly SegmentEntry[] =
    merged.segment === undefined ? [] : [{ ...merged.segment.entry, key, auxiliary: [] }];
  const next: Manifest = {
    ...current,
    version: current.version + 1,
    // In order of level, the compacted ones first: apply appends behind them.
    segments: [...kept, ...output].sort((a, b) => b.level - a.level),
    sums: {
      ...current.sums,
      held: minus(current.sums.held, merged.dropped),
      out: formatSum(sumOf(parseSum(current.sums.out), merged.dropped)),
    },
  };
  return retireKeys(next, keysOf(merge.inputs), atMs);
}

function minus(sum: string, dropped: SetSum): string {
  const rest = parseSum(sum);
  subtractSum(rest, dropped);
  return formatSum(rest);
}

const keysOf = (entries: readonly SegmentEntry[]): string[] =>
  entries.flatMap(({ key, auxiliary }) => [key, ...auxiliary.map((object) => object.key)]);

function report(
  telemetry: Telemetry,
  shard: ShardId,
  merge: Merge,
  merged: Merged,
  committed: boolean,
): void {
  telemetry.count('compact_rows_total', merged.rows);
  telemetry.event('info', 'compact', {
    shard: shardName(shard),
    reason: merge.reason,
    inputs: merge.inputs.length,
    level: merge.level,
    rows: merged.rows,
    droppedRows: merged.droppedRows,
    droppedTombstones: merged.droppedTombstones,
    sizeBytes: merged.segment?.entry.sizeBytes ?? 0,
    committed,
  });
}
