/** What has to hold between a segment's parts, and between them and the manifest's entry. */
import { ByteReader } from '#base/bytes.ts';
import type { RecordPosition } from '#base/position.ts';
import type { ColumnStats } from '#filter/prune.ts';
import type { Column } from '#schema/column.ts';
import type { SegmentEntry } from '#segment/entry.ts';
import { compareKeys, keyInOrder, keyRangeOf } from '#segment/key-index.ts';
import { tombstoneIndex } from '#segment/kills.ts';
import type { Footer } from '#segment/layout.ts';
import { type ObjectReads, readSection } from '#segment/sections.ts';
import type {
  KeyIndex,
  KeyRange,
  PositionRange,
  RowStamps,
  StampedTombstones,
} from '#segment/source.ts';
import { compareStamps, positionRangeOf } from '#segment/stamps.ts';
import { readStats, statsOf } from '#segment/stats.ts';

export type Report = (what: string) => void;

/** The permutation orders rows by key, equal keys by position, and no version is there twice. */
export function checkKeys(index: KeyIndex, stamps: RowStamps, report: Report): void {
  const { order } = index;
  for (let place = 1; place < order.length; place++) {
    const keys = compareKeys(keyInOrder(index, place - 1), keyInOrder(index, place));
    const rows = [order[place - 1] ?? 0, order[place] ?? 0] as const;
    if (keys < 0 || (keys === 0 && compareStamps(stamps, rows[0], stamps, rows[1]) < 0)) continue;
    report(`the key index has rows ${rows[0]} and ${rows[1]} in the wrong order`);
    return;
  }
}

/** What the manifest says of keys, positions and times covers what is there. */
export function checkRanges(
  entry: SegmentEntry,
  keys: KeyIndex,
  stamps: RowStamps,
  tombstones: StampedTombstones,
  applied: RecordPosition | undefined,
  report: Report,
): void {
  const { keyRange, positionRange, logTimeRangeMs } = entry;
  for (const found of [keyRangeOf(keys), keyRangeOf(tombstoneIndex(tombstones))]) {
    if (!coversKeys(keyRange, found)) report('keys outside of the range that the manifest says');
  }
  for (const part of [stamps, tombstones.stamps]) {
    if (!coversPositions(positionRange, positionRangeOf(part))) {
      report('positions outside of the range that the manifest says');
    }
    const times = part.logTimesMs;
    if (times.some((time) => time < logTimeRangeMs.min || time > logTimeRangeMs.max)) {
      report('log times outside of the range that the manifest says');
    }
    const newest = part.records.at(-1);
    if (applied !== undefined && newest !== undefined && newest > applied) {
      report(`position ${newest} is behind the applied one`);
    }
  }
}

const coversKeys = (range: KeyRange | undefined, found: KeyRange | undefined): boolean =>
  found === undefined ||
  (range !== undefined &&
    typeof range.min === typeof found.min &&
    compareKeys(range.min, found.min) <= 0 &&
    compareKeys(range.max, found.max) >= 0);

const coversPositions = (
  range: PositionRange | undefined,
  found: PositionRange | undefined,
): boolean =>
  found === undefined || (range !== undefined && range.min <= found.min && range.max >= found.max);

/** Statistics, in the manifest and in the object, exclude no value that is there. */
export async function checkStats(
  reads: ObjectReads,
  footer: Footer,
  entry: SegmentEntry,
  columns: ReadonlyMap<number, Column>,
  report: Report,
): Promise<void> {
  const section = footer.sections.get('stats');
  const own =
    section === undefined
      ? undefined
      : readStats(
          new ByteReader(await readSection(reads, entry.key, section), `stats of ${entry.key}`),
        );
  for (const [id, column] of columns) {
    const found = statsOf(column);
    if (excludes(entry.stats.get(id), found)) {
      report(`the manifest's statistics of field ${id} exclude values that are there`);
    }
    if (excludes(own?.get(id), found)) {
      report(`the statistics of field ${id} exclude values that are there`);
    }
  }
}

function excludes(said: ColumnStats | undefined, found: ColumnStats): boolean {
  if (said === undefined) return false;
  if (said.rows !== found.rows || said.nulls !== found.nulls) return true;
  if (said.min === undefined || said.max === undefined) return false;
  // Texts without bounds are longer than bounds may be, or beyond the plane where orders agree.
  if (found.min === undefined || found.max === undefined) return found.nulls < found.rows;
  if (typeof said.min !== typeof found.min || typeof said.max !== typeof found.max) return true;
  return said.min > found.min || said.max < found.max;
}
