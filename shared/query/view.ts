/**
 * A shard's content at one moment as sources, each with the rows that are dead in it (I5).
 *
 * A row is dead when a newer version of its key or a newer tombstone of it is anywhere in the shard,
 * whichever source either lies in. Such a fact, once true, stays true, so a view is made from the one
 * before: only what a source that is new here kills, and what kills the rows of a source that is new
 * here, is looked up. Views never change; a bitmap that grows is copied, since a search that began
 * with the older view must not lose a version whose successor it does not see.
 */
import type { RecordPosition } from '#base/position.ts';
import { recordOf } from '#base/position.ts';
import type { Manifest } from '#manifest/format.ts';
import type { Bitmap } from '#schema/column.ts';
import type { SegmentEntry } from '#segment/entry.ts';
import { killsBetween, mayKill } from '#segment/kills.ts';
import type { SegmentReader } from '#segment/reader.ts';
import type { VectorSource } from '#segment/source.ts';
import type { ShardId } from '#wal/shard.ts';
import type { TailEntry } from '#wal/tail.ts';
import { withRows } from './bits.ts';
import { newestOf } from './freshness.ts';
import { joinRuns, type RunNames, type TailRun, trimRuns } from './tail-runs.ts';

export type SourceView = Readonly<{
  source: VectorSource;
  /** Undefined for the tail. */
  segment: Readonly<{ entry: SegmentEntry; reader: SegmentReader }> | undefined;
  dead: Bitmap | undefined;
  deadRows: number;
}>;

export type ShardView = Readonly<{
  shard: ShardId;
  manifest: Manifest;
  /** The records beyond the manifest, ascending. */
  tail: readonly TailEntry[];
  tailByPosition: ReadonlyMap<RecordPosition, TailEntry>;
  /** Rows in them, updates included. */
  tailRows: number;
  runs: readonly TailRun[];
  segments: readonly SourceView[];
  /** Segments and tail. */
  sources: readonly SourceView[];
}>;

/** The newest record in a view. */
export const positionOf = ({ manifest, tail }: ShardView): RecordPosition =>
  newestOf(manifest, tail);

export type Step = Readonly<{
  shard: ShardId;
  manifest: Manifest;
  tail: readonly TailEntry[];
  /** Every segment of the manifest, opened; the same reader as before where it was there before. */
  segments: readonly Readonly<{ entry: SegmentEntry; reader: SegmentReader }>[];
  /** The records of `tail` that the view before did not hold. */
  fresh: readonly TailRun[];
  names: RunNames;
}>;

/** A source on its way into the view. */
type Draft = {
  readonly source: VectorSource;
  readonly isNew: boolean;
  dead: Bitmap | undefined;
  deadRows: number;
};

/** The view after `before`. */
export async function nextView(before: ShardView | undefined, step: Step): Promise<ShardView> {
  const { manifest, names } = step;
  const known = new Map(before?.segments.map((view) => [view.source.id, view]));
  const segments = step.segments.map((segment) => ({
    segment,
    draft: draftOf(segment.reader, known.get(segment.reader.id)),
  }));
  const kept = trimRuns(before?.runs ?? [], manifest.applied);
  const runs = [
    ...kept.map((run) => ({ run, draft: draftOf(run.source, run) })),
    ...step.fresh.map((run) => ({ run, draft: draftOf(run.source, undefined) })),
  ];
  await markDead(
    before,
    [...segments, ...runs].map(({ draft }) => draft),
  );
  const joined = joinRuns(
    names,
    runs.map(({ run, draft }) => ({ ...run, dead: draft.dead, deadRows: draft.deadRows })),
    manifest.applied,
  );
  const segmentViews = segments.map(({ segment, draft }) => viewOf(draft, segment));
  return {
    shard: step.shard,
    manifest,
    tail: step.tail,
    tailByPosition: new Map(step.tail.map((entry) => [entry.position, entry])),
    tailRows: step.tail.reduce((sum, { rows }) => sum + rows, 0),
    runs: joined,
    segments: segmentViews,
    sources: [
      ...segmentViews,
      ...joined.map(({ source, dead, deadRows }) => ({
        source,
        segment: undefined,
        dead,
        deadRows,
      })),
    ],
  };
}

const draftOf = (
  source: VectorSource,
  known: Readonly<{ dead: Bitmap | undefined; deadRows: number }> | undefined,
): Draft => ({
  source,
  isNew: known === undefined,
  dead: known?.dead,
  deadRows: known?.deadRows ?? 0,
});

const viewOf = ({ source, dead, deadRows }: Draft, segment: SourceView['segment']): SourceView => ({
  source,
  segment,
  dead,
  deadRows,
});

/** Marks in each draft what the others, and itself, kill. Facts that `before` knew are not asked again. */
async function markDead(before: ShardView | undefined, drafts: readonly Draft[]): Promise<void> {
  const surprising: Draft[] = [];
  for (const draft of drafts) {
    if (draft.isNew && !(await isCovered(before, draft.source))) surprising.push(draft);
  }
  await Promise.all(
    drafts.map(async (victim) => {
      for (const killer of victim.isNew ? drafts : surprising) {
        if (!mayKill(victim.source, killer.source)) continue;
        const rows = await killsBetween(victim.source, killer.source);
        kill(victim, rows);
      }
    }),
  );
}

function kill(victim: Draft, rows: Uint32Array): void {
  if (rows.length === 0) return;
  const fresh = rows.filter((row) => !has(victim.dead, row));
  if (fresh.length === 0) return;
  victim.dead = withRows(victim.dead, victim.source.rows, fresh);
  victim.deadRows += fresh.length;
}

const has = (bitmap: Bitmap | undefined, row: number): boolean =>
  bitmap !== undefined && (((bitmap[row >> 3] ?? 0) >> (row & 7)) & 1) === 1;

/**
 * True where every record of a new source was in the view before, in a segment or in the tail: apply
 * and compact move records, and what they kill in the sources that stay is marked there already.
 */
async function isCovered(before: ShardView | undefined, source: VectorSource): Promise<boolean> {
  if (before === undefined) return false;
  const { applied } = before.manifest;
  const newest = source.positionRange?.max;
  if (newest === undefined || recordOf(newest) <= applied) return true;
  const [stamps, tombstones] = await Promise.all([source.stamps(), source.tombstones()]);
  return [...stamps.records, ...tombstones.stamps.records].every(
    (record) => record <= applied || before.tailByPosition.has(record),
  );
}
