/**
 * What to compact next: pure, a manifest in, a decision out.
 *
 * Size-tiered. Level 0 is folded together as soon as it costs reads more than the fold costs; above
 * it segments are merged {@link FAN_OUT} of like size at a time, up to 262,144 rows or 1 GiB.
 *
 * Write amplification: a row is written once by apply, once from level 0 to 1, and once per tier that
 * its segment passes: below 2,048, 16,384 and 131,072 rows, at most three more times, five in all.
 * Reads pay for at most seven segments in each of three tiers, besides one per 131,072 rows. A
 * fan-out of 4 would have six rewrites and 15 segments; every rewrite also builds a graph anew, which
 * is by far the dearest part (500 to 1,300 rows a second), so the larger fan-out it is.
 */
import type { Manifest } from '#manifest/format.ts';
import { GRAPH_ROWS_MIN } from '#segment/build.ts';
import type { AuxiliaryEntry, SegmentEntry } from '#segment/entry.ts';
import type { WantedGraph } from './wanted.ts';

export type CompactPolicy = Readonly<{
  /** Level 0 is folded when it has this many rows and tombstones ... */
  levelZeroRows: number;
  /** ... or bytes ... */
  levelZeroBytes: number;
  /** ... or segments ... */
  levelZeroSegments: number;
  /** ... or when its oldest record is this old, by log time. */
  levelZeroAgeMs: number;
  /** No segment grows beyond either by merging. */
  segmentRows: number;
  segmentBytes: number;
  /** Segments with fewer rows get no graph. */
  graphRows: number;
  /** A shard that was written to this long ago is idle: its segments may be merged more eagerly. */
  idleMs: number;
  /** Whether a graph over so many rows may be begun here and now; default: any may. */
  mayBuild?: ((rows: number, want: WantedGraph) => boolean) | undefined;
  /** Graphs built in one step; default: all that a segment lacks. */
  graphsPerStep?: number | undefined;
}>;

export const COMPACT_POLICY: CompactPolicy = {
  levelZeroRows: 16_384,
  levelZeroBytes: 64 * 1024 * 1024,
  levelZeroSegments: 16,
  levelZeroAgeMs: 10_000,
  segmentRows: 262_144,
  segmentBytes: 1024 * 1024 * 1024,
  graphRows: GRAPH_ROWS_MIN,
  idleMs: 30_000,
};

/**
 * Level-0 segments folded at once. Each is compared with every other segment, so a backlog of hundreds
 * is folded in several steps of some thousand comparisons rather than in one of its square.
 */
const INPUTS_MAX = 64;
/** Segments of like size that are merged into one. */
const FAN_OUT = 8;
/** Upper ends of the tiers; what is larger is full. */
const TIER_ROWS = [2_048, 16_384, 131_072] as const;
/** A segment is rewritten when this share of it is dead or expired. */
const DEAD_SHARE = 1 / 4;
/**
 * An idle merge must make a segment half as large again as its largest input, so that a trickle of
 * rows does not rewrite a large segment each time it pauses.
 */
const IDLE_GROWTH = 1.5;
/** Levels say how often rows were rewritten; beyond this nobody counts. */
const LEVEL_MAX = 15;

export type Merge = Readonly<{
  reason: 'level-zero' | 'tier' | 'dead' | 'idle';
  inputs: readonly SegmentEntry[];
  /** Of the output. */
  level: number;
}>;

/** Which inputs to replace by one output; undefined where nothing is worth it. */
export function pickMerge(
  manifest: Manifest,
  policy: CompactPolicy,
  /** Rows that a rewrite would leave out because they are dead or expired, by segment key. */
  deadRows: ReadonlyMap<string, number>,
  nowMs: number,
): Merge | undefined {
  if (manifest.state === 'dropped') return undefined;
  const zero = manifest.segments.filter(({ level }) => level === 0);
  const upper = manifest.segments.filter(({ level }) => level > 0);
  return (
    pickLevelZero(zero, policy, nowMs) ??
    pickTier(upper, policy) ??
    pickDead(upper, deadRows) ??
    pickIdle(manifest, upper, policy, nowMs)
  );
}

/** Everything in level 0, oldest first, as far as it fits one segment. */
function pickLevelZero(
  zero: readonly SegmentEntry[],
  policy: CompactPolicy,
  nowMs: number,
): Merge | undefined {
  const oldestMs = Math.min(...zero.map(({ logTimeRangeMs }) => logTimeRangeMs.min));
  const due =
    sum(zero, sizeOf) >= policy.levelZeroRows ||
    sum(zero, ({ sizeBytes }) => sizeBytes) >= policy.levelZeroBytes ||
    zero.length >= policy.levelZeroSegments ||
    (zero.length > 0 && nowMs - oldestMs >= policy.levelZeroAgeMs);
  if (!due) return undefined;
  const inputs = asManyAsFit(zero.slice(0, INPUTS_MAX), policy);
  return { reason: 'level-zero', inputs, level: 1 };
}

/** The lowest tier that is full, its smallest segments first. */
function pickTier(upper: readonly SegmentEntry[], policy: CompactPolicy): Merge | undefined {
  let from = 0;
  for (const end of TIER_ROWS) {
    const tier = upper.filter((entry) => sizeOf(entry) >= from && sizeOf(entry) < end);
    from = end;
    if (tier.length < FAN_OUT) continue;
    const inputs = asManyAsFit(bySize(tier), policy);
    if (inputs.length > 1) return { reason: 'tier', inputs, level: levelAbove(inputs) };
  }
  return undefined;
}

/** The segment with the most dead rows, if they are a quarter of it. */
function pickDead(
  upper: readonly SegmentEntry[],
  deadRows: ReadonlyMap<string, number>,
): Merge | undefined {
  const dead = (entry: SegmentEntry): number => deadRows.get(entry.key) ?? 0;
  const [worst] = upper
    .filter((entry) => dead(entry) > 0 && dead(entry) >= entry.rows * DEAD_SHARE)
    .sort((a, b) => dead(b) - dead(a));
  return worst && { reason: 'dead', inputs: [worst], level: worst.level };
}

/** In a quiet shard the largest set of small segments whose merge is worth its while. */
function pickIdle(
  manifest: Manifest,
  upper: readonly SegmentEntry[],
  policy: CompactPolicy,
  nowMs: number,
): Merge | undefined {
  if (nowMs - manifest.logTimeMs < policy.idleMs) return undefined;
  const inputs = [...asManyAsFit(bySize(upper), policy)];
  while (inputs.length > 1) {
    const largest = inputs.at(-1);
    if (largest === undefined) return undefined;
    if (sum(inputs, sizeOf) >= IDLE_GROWTH * sizeOf(largest)) {
      return { reason: 'idle', inputs, level: levelAbove(inputs) };
    }
    inputs.pop();
  }
  return undefined;
}

/** The first segments that together make one within the bounds; at least one. */
function asManyAsFit(
  entries: readonly SegmentEntry[],
  { segmentRows, segmentBytes }: CompactPolicy,
): readonly SegmentEntry[] {
  let rows = 0;
  let bytes = 0;
  const end = entries.findIndex((entry, index) => {
    rows += sizeOf(entry);
    bytes += entry.sizeBytes;
    return index > 0 && (rows > segmentRows || bytes > segmentBytes);
  });
  return end < 0 ? entries : entries.slice(0, end);
}

const sizeOf = ({ rows, tombstones }: SegmentEntry): number => rows + tombstones;
const bySize = (entries: readonly SegmentEntry[]): SegmentEntry[] =>
  [...entries].sort((a, b) => sizeOf(a) - sizeOf(b));
const sum = (entries: readonly SegmentEntry[], of: (entry: SegmentEntry) => number): number =>
  entries.reduce((total, entry) => total + of(entry), 0);
const levelAbove = (inputs: readonly SegmentEntry[]): number =>
  Math.min(LEVEL_MAX, 1 + Math.max(...inputs.map(({ level }) => level)));

/** What to do about one segment's graphs. */
export type GraphWork = Readonly<{
  segment: SegmentEntry;
  /** Graphs to build. */
  missing: readonly WantedGraph[];
  /** Graphs of indexes that were dropped, or that were created anew with other parameters. */
  stale: readonly AuxiliaryEntry[];
}>;

/**
 * The segment whose graphs are most worth the work: the largest that lacks one, else any that has
 * one too many.
 *
 * @param canBuild false where the graph library is missing: then only stale graphs are taken away
 */
export function pickGraphs(
  manifest: Manifest,
  policy: CompactPolicy,
  wanted: readonly WantedGraph[],
  canBuild: boolean,
): GraphWork | undefined {
  if (manifest.state === 'dropped') return undefined;
  const work = manifest.segments
    .filter(({ level }) => level > 0)
    .map((segment) =>
      graphWork(segment, segment.rows >= policy.graphRows ? wanted : [], policy, canBuild),
    )
    .filter(({ missing, stale }) => missing.length + stale.length > 0)
    .sort((a, b) => b.segment.rows - a.segment.rows);
  return work.find(({ missing }) => missing.length > 0) ?? work[0];
}

function graphWork(
  segment: SegmentEntry,
  wanted: readonly WantedGraph[],
  { mayBuild = () => true, graphsPerStep }: CompactPolicy,
  canBuild: boolean,
): GraphWork {
  const graphs = segment.auxiliary.filter(({ kind }) => kind === 'graph');
  const missing = wanted.filter((want) => !graphs.some((graph) => isGraphFor(graph, want)));
  return {
    segment,
    missing: canBuild
      ? missing.filter((want) => mayBuild(segment.rows, want)).slice(0, graphsPerStep)
      : [],
    stale: graphs.filter((graph) => !wanted.some((want) => isGraphFor(graph, want))),
  };
}

/** Whether a graph was built for what an index asks for. */
export const isGraphFor = (graph: AuxiliaryEntry, want: WantedGraph): boolean =>
  graph.kind === 'graph' &&
  graph.fieldId === want.field.id &&
  graph.facts['metric'] === want.metric &&
  graph.facts['m'] === want.m &&
  graph.facts['efConstruction'] === want.efConstruction;
