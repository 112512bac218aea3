/** Row stamps: where each row of a source stands in its shard, and when it was logged. */
import { assert, must } from '#base/assert.ts';
import { type ByteReader, type ByteWriter, bytesOf } from '#base/bytes.ts';
import { ORIGIN, type RecordPosition, type RowPosition, rowPosition } from '#base/position.ts';
import { readRecordPosition, writePosition } from '#wal/position-codec.ts';
import type { PositionRange, RowStamps } from './source.ts';

/** `count` rows of one record, numbered upwards from `firstOrdinal` (default 0). */
export type StampRun = Readonly<{
  record: RecordPosition;
  logTimeMs: number;
  count: number;
  firstOrdinal?: number;
}>;

const U32_END = 2 ** 32;
/** A row's place as one number is `record * 2^32 + ordinal`, exact up to here. */
const RECORDS_MAX = 2 ** 21;

export const NO_STAMPS: RowStamps = {
  records: [],
  logTimesMs: new Float64Array(0),
  record: new Uint32Array(0),
  ordinal: new Uint32Array(0),
};

/** Stamps of runs in the order of their rows; runs of one record may come in several pieces. */
export function buildStamps(runs: readonly StampRun[]): RowStamps {
  const { records, logTimesMs, indexOf } = distinctRecords(
    runs.map(({ record, logTimeMs }): [RecordPosition, number] => [record, logTimeMs]),
  );
  const rows = runs.reduce((sum, { count }) => sum + count, 0);
  const record = new Uint32Array(rows);
  const ordinal = new Uint32Array(rows);
  let row = 0;
  for (const run of runs) {
    const index = must(indexOf.get(run.record), 'a record was numbered');
    const first = run.firstOrdinal ?? 0;
    record.fill(index, row, row + run.count);
    for (let at = 0; at < run.count; at++) ordinal[row + at] = first + at;
    row += run.count;
  }
  return { records, logTimesMs, record, ordinal };
}

type Distinct = Pick<RowStamps, 'records' | 'logTimesMs'> &
  Readonly<{ indexOf: ReadonlyMap<RecordPosition, number> }>;

function distinctRecords(pairs: Iterable<readonly [RecordPosition, number]>): Distinct {
  const times = new Map<RecordPosition, number>(pairs);
  const records = [...times.keys()].sort();
  const logTimesMs = Float64Array.from(records, (record) => times.get(record) ?? 0);
  return { records, logTimesMs, indexOf: new Map(records.map((record, index) => [record, index])) };
}

export const stampCount = (stamps: RowStamps): number => stamps.record.length;

/** The row's position as text. */
export function positionAt(stamps: RowStamps, row: number): RowPosition {
  const record = must(stamps.records[must(stamps.record[row], 'the row exists')], 'a known record');
  return rowPosition(record, stamps.ordinal[row] ?? 0);
}

export const logTimeAt = (stamps: RowStamps, row: number): number =>
  stamps.logTimesMs[stamps.record[row] ?? 0] ?? 0;

/** Negative where row `i` of `a` is older than row `j` of `b`; zero where they are one version. */
export function compareStamps(a: RowStamps, i: number, b: RowStamps, j: number): number {
  const left = a.records[a.record[i] ?? 0] ?? '';
  const right = b.records[b.record[j] ?? 0] ?? '';
  if (left !== right) return left < right ? -1 : 1;
  return (a.ordinal[i] ?? 0) - (b.ordinal[j] ?? 0);
}

/** The oldest and the newest position; undefined where there are no rows. */
export function positionRangeOf(stamps: RowStamps): PositionRange | undefined {
  const rows = stampCount(stamps);
  if (rows === 0) return undefined;
  let min = 0;
  let max = 0;
  for (let row = 1; row < rows; row++) {
    const at = placeAt(stamps, row);
    if (at < placeAt(stamps, min)) min = row;
    if (at > placeAt(stamps, max)) max = row;
  }
  return { min: positionAt(stamps, min), max: positionAt(stamps, max) };
}

/** The smallest range around both. */
export function spanPositions(
  a: PositionRange | undefined,
  b: PositionRange | undefined,
): PositionRange | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return { min: a.min < b.min ? a.min : b.min, max: a.max > b.max ? a.max : b.max };
}

/** Stamps of the given rows in the given order; records that are not used any more are dropped. */
export function gatherStamps(stamps: RowStamps, rows: Uint32Array): RowStamps {
  const used = new Uint8Array(stamps.records.length);
  for (const row of rows) used[stamps.record[row] ?? 0] = 1;
  const renumbered = new Uint32Array(stamps.records.length);
  const kept: number[] = [];
  used.forEach((flag, index) => {
    if (flag === 1) renumbered[index] = kept.push(index) - 1;
  });
  return {
    records: kept.map((index) => stamps.records[index] ?? ''),
    logTimesMs: Float64Array.from(kept, (index) => stamps.logTimesMs[index] ?? 0),
    record: Uint32Array.from(rows, (row) => renumbered[stamps.record[row] ?? 0] ?? 0),
    ordinal: Uint32Array.from(rows, (row) => stamps.ordinal[row] ?? 0),
  };
}

/** The rows of all stamps, one behind the other. */
export function concatStamps(all: readonly RowStamps[]): RowStamps {
  const [first] = all;
  if (first !== undefined && all.length === 1) return first;
  const { records, logTimesMs, indexOf } = distinctRecords(pairsOf(all));
  const rows = all.reduce((sum, stamps) => sum + stampCount(stamps), 0);
  const record = new Uint32Array(rows);
  const ordinal = new Uint32Array(rows);
  let base = 0;
  for (const stamps of all) {
    const renumbered = Uint32Array.from(stamps.records, (name) => indexOf.get(name) ?? 0);
    for (let row = 0; row < stamps.record.length; row++) {
      record[base + row] = renumbered[stamps.record[row] ?? 0] ?? 0;
    }
    ordinal.set(stamps.ordinal, base);
    base += stampCount(stamps);
  }
  return { records, logTimesMs, record, ordinal };
}

function* pairsOf(all: readonly RowStamps[]): Generator<readonly [RecordPosition, number]> {
  for (const { records, logTimesMs } of all) {
    for (let index = 0; index < records.length; index++) {
      yield [records[index] ?? '', logTimesMs[index] ?? 0];
    }
  }
}

/** A row's place among the rows of the same source, as a number that orders as positions do. */
export const placeAt = (stamps: RowStamps, row: number): number =>
  (stamps.record[row] ?? 0) * U32_END + (stamps.ordinal[row] ?? 0);

/**
 * The place of any position among the rows of `stamps`: rows with a smaller place are older than it,
 * others are not, whether the position's record is known to `stamps` or not.
 */
export function placeOf(stamps: RowStamps, record: RecordPosition, ordinal: number): number {
  assert(stamps.records.length <= RECORDS_MAX, 'places are exact numbers');
  let low = 0;
  let high = stamps.records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((stamps.records[middle] ?? '') < record) low = middle + 1;
    else high = middle;
  }
  return low * U32_END + (stamps.records[low] === record ? ordinal : 0);
}

/** Appends stamps at a multiple of eight bytes; see docs/formats/segment.md. */
export function writeStamps(writer: ByteWriter, stamps: RowStamps): void {
  writer.align(8).u32(stampCount(stamps)).u32(stamps.records.length);
  stamps.records.forEach((record, index) => {
    writePosition(writer, record);
    writer.f64(stamps.logTimesMs[index] ?? 0);
  });
  writer.align(8).raw(bytesOf(stamps.record)).raw(bytesOf(stamps.ordinal)).align(8);
}

/** @throws StoreError `DATA_CORRUPT` for whatever are no stamps */
export function readStamps(reader: ByteReader): RowStamps {
  reader.align(8);
  const rows = reader.u32();
  const count = reader.u32();
  const records: RecordPosition[] = [];
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const record = readRecordPosition(reader);
    if (record <= (records.at(-1) ?? ORIGIN)) {
      reader.fail('record positions that are not ascending');
    }
    records.push(record);
    times.push(reader.f64());
  }
  reader.align(8);
  const record = readU32s(reader, rows);
  const ordinal = readU32s(reader, rows);
  reader.align(8);
  for (const index of record) {
    if (index >= count) reader.fail(`record ${index} of ${count}`);
  }
  return { records, logTimesMs: Float64Array.from(times), record, ordinal };
}

/** A view of the bytes where they are aligned. */
export function readU32s(reader: ByteReader, count: number): Uint32Array {
  const bytes = reader.raw(count * 4);
  if (bytes.byteOffset % 4 === 0) return new Uint32Array(bytes.buffer, bytes.byteOffset, count);
  // Not `slice`: a Buffer's shares its memory.
  return new Uint32Array(new Uint8Array(bytes).buffer, 0, count);
}
