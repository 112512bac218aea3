/**
 * The tail as a few sources instead of one per record.
 *
 * Records that appear in the tail in one read become a *run*; runs of like size are then joined, as
 * in a binary counter. A row is so copied at most log2(RUN_ROWS_MAX) = 12 times, and 1,000 records of
 * one row are at most a dozen sources. Runs need not be adjacent in position: what kills what is
 * decided by positions alone.
 *
 * A joined run takes over which of its rows are dead, so joining never looks anything up.
 */
import pLimit from 'p-limit';
import type { RecordPosition } from '#base/position.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import { type Bitmap, bitmapOf, hasBit, type RowBatch, setBit } from '#schema/column.ts';
import { type CollectionSchema, primaryField } from '#schema/field.ts';
import { concatBatches, emptyColumn, gatherBatch } from '#schema/gather.ts';
import { memorySource } from '#segment/memory.ts';
import type { RowStamps, StampedTombstones, VectorSource } from '#segment/source.ts';
import { buildStamps, concatStamps, gatherStamps } from '#segment/stamps.ts';
import { concatTombstones, gatherTombstones } from '#segment/tombstones.ts';
import { loadPayload } from '#wal/payload.ts';
import type { TailEntry } from '#wal/tail.ts';
import { countBits } from './bits.ts';

/** Runs are not joined beyond this: 4,096 rows of 768 dimensions are 12 MiB to copy. */
export const RUN_ROWS_MAX = 4096;
/** Payload objects fetched at a time: a store with 30 ms latency then brings 500 a second. */
const LOADS_MAX = 16;

/** One record's share of a run: its rows and tombstones follow those of the part before. */
type Part = Readonly<{ position: RecordPosition; rows: number; tombstones: number }>;

type Content = Readonly<{
  parts: readonly Part[];
  batch: RowBatch;
  stamps: RowStamps;
  tombstones: StampedTombstones;
}>;

export type TailRun = Content &
  Readonly<{
    source: VectorSource;
    /** Rows that something newer kills, or that the manifest holds by now. */
    dead: Bitmap | undefined;
    deadRows: number;
  }>;

export type RunNames = Readonly<{ schema: CollectionSchema; nextId: () => string }>;

/** Reads the records' payloads and puts them into as few runs as their fields and sizes allow. */
export async function loadRuns(
  objects: ObjectStore,
  names: RunNames,
  entries: readonly TailEntry[],
): Promise<TailRun[]> {
  const limit = pLimit(LOADS_MAX);
  const loaded = await Promise.all(
    entries.map((entry) => limit(() => loadContent(objects, names.schema, entry))),
  );
  const groups: Content[][] = [];
  let rows = 0;
  for (const content of loaded) {
    const group = groups.at(-1);
    rows += weightOf(content);
    if (rows <= RUN_ROWS_MAX && group?.every((other) => sameFields(other, content)) === true) {
      group.push(content);
    } else {
      groups.push([content]);
      rows = weightOf(content);
    }
  }
  return groups.map((group) => openRun(names, joinContents(group), undefined));
}

/** The rows of a record have the ordinals from 0, its tombstones those behind (wal/payload.ts). */
async function loadContent(
  objects: ObjectStore,
  schema: CollectionSchema,
  entry: TailEntry,
): Promise<Content> {
  const { position, arrivalMs } = entry;
  const { rows, tombstones } = await loadPayload(objects, entry.payload);
  // A delete's payload need not have columns; a source needs one for its keys.
  const batch = rows.count === 0 ? noRows(schema) : rows;
  const count = tombstones.bounds.length;
  // Log time is apply's to assign; until then the writer's clock stands in for it.
  const run = { record: position, logTimeMs: arrivalMs };
  return {
    parts: [{ position, rows: batch.count, tombstones: count }],
    batch,
    stamps: buildStamps([{ ...run, count: batch.count }]),
    tombstones: {
      count,
      keys: tombstones.keys,
      bounds: tombstones.bounds,
      stamps: buildStamps([{ ...run, count, firstOrdinal: batch.count }]),
    },
  };
}

const noRows = ({ fields }: CollectionSchema): RowBatch => ({
  count: 0,
  columns: new Map(fields.map((field) => [field.id, emptyColumn(field, 0)])),
  partitions: new Uint32Array(0),
});

const weightOf = ({ batch, tombstones }: Content): number => batch.count + tombstones.count;

/** Only batches of the same columns can be joined; one without rows joins any. */
const sameFields = (a: Content, b: Content): boolean =>
  a.batch.count === 0 ||
  b.batch.count === 0 ||
  (a.batch.columns.size === b.batch.columns.size &&
    [...a.batch.columns.keys()].every((id) => b.batch.columns.has(id)));

function joinContents(contents: readonly Content[]): Content {
  const batches = contents.map(({ batch }) => batch);
  const filled = batches.filter(({ count }) => count > 0);
  return {
    parts: contents.flatMap(({ parts }) => parts),
    batch: concatBatches(filled.length > 0 ? filled : batches.slice(0, 1)),
    stamps: concatStamps(contents.map(({ stamps }) => stamps)),
    tombstones: concatTombstones(contents.map(({ tombstones }) => tombstones)),
  };
}

function openRun(
  { schema, nextId }: RunNames,
  content: Content,
  dead: Bitmap | undefined,
): TailRun {
  const { batch, stamps, tombstones } = content;
  const source = memorySource(nextId(), { batch, stamps }, tombstones, primaryField(schema));
  return { ...content, source, dead, deadRows: dead === undefined ? 0 : countBits(dead) };
}

/** Runs that still hold something beyond `applied`; their rows at or below it count as dead. */
export function trimRuns(runs: readonly TailRun[], applied: RecordPosition): TailRun[] {
  return runs
    .filter(({ parts }) => parts.some(({ position }) => position > applied))
    .map((run) => {
      if (run.parts.every(({ position }) => position > applied)) return run;
      const dead = run.dead?.slice() ?? bitmapOf(run.batch.count);
      eachPart(run.parts, ({ position }, rows) => {
        if (position > applied) return;
        for (let row = rows.from; row < rows.to; row++) setBit(dead, row);
      });
      return { ...run, dead, deadRows: countBits(dead) };
    });
}

/** Joins neighbours until each run is more than twice as large as the one behind it. */
export function joinRuns(
  names: RunNames,
  runs: readonly TailRun[],
  applied: RecordPosition,
): TailRun[] {
  const joined: TailRun[] = [];
  for (const run of runs) {
    let next = run;
    for (let last = joined.at(-1); last !== undefined; last = joined.at(-1)) {
      const weight = weightOf(last) + weightOf(next);
      if (weightOf(last) > 2 * weightOf(next) || weight > RUN_ROWS_MAX) break;
      if (!sameFields(last, next)) break;
      joined.pop();
      next = joinPair(names, last, next, applied);
    }
    joined.push(next);
  }
  return joined;
}

function joinPair(
  names: RunNames,
  first: TailRun,
  second: TailRun,
  applied: RecordPosition,
): TailRun {
  const parts = [withoutApplied(first, applied), withoutApplied(second, applied)];
  const content = joinContents(parts);
  const dead = bitmapOf(content.batch.count);
  let base = 0;
  for (const part of parts) {
    for (let row = 0; row < part.batch.count; row++) {
      if (part.dead !== undefined && hasBit(part.dead, row)) setBit(dead, base + row);
    }
    base += part.batch.count;
  }
  return openRun(names, content, dead);
}

/** What is left of a run when the parts that the manifest holds are cut out. */
function withoutApplied(run: TailRun, applied: RecordPosition): Content & Pick<TailRun, 'dead'> {
  if (run.parts.every(({ position }) => position > applied)) return run;
  const rows: number[] = [];
  const tombstones: number[] = [];
  eachPart(run.parts, ({ position }, ownRows, ownTombstones) => {
    if (position <= applied) return;
    for (let row = ownRows.from; row < ownRows.to; row++) rows.push(row);
    for (let at = ownTombstones.from; at < ownTombstones.to; at++) tombstones.push(at);
  });
  const kept = Uint32Array.from(rows);
  const dead = bitmapOf(kept.length);
  kept.forEach((row, at) => {
    if (run.dead !== undefined && hasBit(run.dead, row)) setBit(dead, at);
  });
  return {
    parts: run.parts.filter(({ position }) => position > applied),
    batch: gatherBatch(run.batch, kept),
    stamps: gatherStamps(run.stamps, kept),
    tombstones: gatherTombstones(run.tombstones, Uint32Array.from(tombstones)),
    dead,
  };
}

type Span = Readonly<{ from: number; to: number }>;

function eachPart(
  parts: readonly Part[],
  visit: (part: Part, rows: Span, tombstones: Span) => void,
): void {
  let row = 0;
  let tombstone = 0;
  for (const part of parts) {
    visit(
      part,
      { from: row, to: row + part.rows },
      { from: tombstone, to: tombstone + part.tombstones },
    );
    row += part.rows;
    tombstone += part.tombstones;
  }
}
