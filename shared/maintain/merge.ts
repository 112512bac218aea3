/**
 * Several segments become one: live rows, tombstones that are still needed, and the sum of what was
 * left out.
 *
 * Vectors are never held twice: the output is laid out first, then each input's vectors are scanned
 * into it in runs of a few MiB, one input after the other. At 262,144 rows of 768 dimensions that is
 * 805 MB for the output, which an object store wants in one piece, and 16 MiB beside it.
 */
import { assert } from '#base/assert.ts';
import { addSum, emptySum, type SetSum } from '#base/setsum.ts';
import { keyTypeOf, tombstonesSum } from '#ingest/level-zero.ts';
import { batchSum } from '#schema/canonical.ts';
import { bitmapOf, type Column, hasBit, type RowBatch, setBit } from '#schema/column.ts';
import { type CollectionSchema, type Field, vectorFields } from '#schema/field.ts';
import { concatColumns, emptyColumn, gatherColumn } from '#schema/gather.ts';
import { joinKeys } from '#segment/key-index.ts';
import { killsBetween, tombstoneIndex } from '#segment/kills.ts';
import type { SegmentReader } from '#segment/reader.ts';
import type { RowStamps, StampedTombstones } from '#segment/source.ts';
import { concatStamps, gatherStamps, positionAt } from '#segment/stamps.ts';
import { concatTombstones, gatherTombstones, noTombstones } from '#segment/tombstones.ts';
import { draftSegment, type NewSegment } from '#segment/writer.ts';
import { expiredRows } from './expired.ts';

/** Dropped rows hashed at once: 4,096 of 768 dimensions are 12 MiB. */
const HASH_ROWS = 4096;

export type Merged = Readonly<{
  /** Undefined where nothing is left. */
  segment: NewSegment | undefined;
  rows: number;
  /** Of the rows and tombstones that were left out (I7). */
  dropped: SetSum;
  droppedRows: number;
  droppedTombstones: number;
}>;

/** An input and the numbers of its rows that live on, ascending. */
export type Input = Readonly<{ source: SegmentReader; live: Uint32Array }>;

/**
 * Merges `inputs`; `others` are the segments of the same manifest that stay. A row is left out where
 * anything in the manifest kills it; a tombstone where no segment that stays holds an older version
 * of its key that it kills. Both stay right whatever happens to the others meanwhile: what is dead
 * stays dead, apply adds only newer records, and another compaction only takes versions away (I5).
 *
 * @param expiredBeforeMs rows of an earlier log time are left out too, where nothing older may come to
 *   light instead of them
 */
export async function mergeSegments(
  schema: CollectionSchema,
  inputs: readonly SegmentReader[],
  others: readonly SegmentReader[],
  level: number,
  expiredBeforeMs?: number,
): Promise<Merged> {
  const all = [...inputs, ...others];
  const dropped = emptySum();
  let droppedRows = 0;
  const kept: Input[] = [];
  for (const source of inputs) {
    const expired = await expiredRows(source, others, expiredBeforeMs);
    const dead = await deadIn(source, all, expired);
    droppedRows += dead.length;
    addSum(dropped, await rowsSumOf(schema, source, dead));
    kept.push({ source, live: complementOf(source.rows, dead) });
  }
  const tombstones = await splitTombstones(schema, inputs, others);
  addSum(dropped, tombstonesSum(tombstones.dropped));
  const rows = kept.reduce((sum, { live }) => sum + live.length, 0);
  const empty = rows + tombstones.kept.count === 0;
  return {
    segment: empty ? undefined : await joinSegments(schema, kept, rows, tombstones.kept, level),
    rows,
    dropped,
    droppedRows,
    droppedTombstones: tombstones.dropped.count,
  };
}

/** Rows of `victim` that anything kills, and those that have expired, ascending. */
async function deadIn(
  victim: SegmentReader,
  killers: readonly SegmentReader[],
  expired: Uint32Array,
): Promise<Uint32Array> {
  const dead = bitmapOf(victim.rows);
  for (const row of expired) setBit(dead, row);
  let count = expired.length;
  for (const killer of killers) {
    for (const row of await killsBetween(victim, killer)) {
      if (hasBit(dead, row)) continue;
      setBit(dead, row);
      count += 1;
    }
  }
  const rows = new Uint32Array(count);
  let at = 0;
  for (let row = 0; row < victim.rows && at < count; row++) {
    if (hasBit(dead, row)) rows[at++] = row;
  }
  return rows;
}

function complementOf(count: number, dead: Uint32Array): Uint32Array {
  const live = new Uint32Array(count - dead.length);
  let next = 0;
  let at = 0;
  for (let row = 0; row < count; row++) {
    if (dead[next] === row) next += 1;
    else live[at++] = row;
  }
  return live;
}

/** The sum of some rows, from their bytes, a few thousand at a time. */
export async function rowsSumOf(
  schema: CollectionSchema,
  source: SegmentReader,
  rows: Uint32Array,
): Promise<SetSum> {
  const total = emptySum();
  if (rows.length === 0) return total;
  const stamps = await source.stamps();
  for (let from = 0; from < rows.length; from += HASH_ROWS) {
    const picked = rows.subarray(from, from + HASH_ROWS);
    const columns = new Map<number, Column>();
    for (const field of schema.fields) {
      columns.set(field.id, await gatherFrom(source, field, picked));
    }
    const batch = { count: picked.length, columns, partitions: new Uint32Array(picked.length) };
    addSum(
      total,
      batchSum(schema, batch, (row) => positionAt(stamps, picked[row] ?? 0)),
    );
  }
  return total;
}

/** Some rows of one field; vectors are read alone, not with their whole column. */
async function gatherFrom(source: SegmentReader, field: Field, rows: Uint32Array): Promise<Column> {
  if (field.type !== 'FloatVector') return gatherColumn(await source.column(field), rows);
  const values = await source.vectorsAt(field, rows);
  return {
    type: 'FloatVector',
    dim: dimOf(field),
    values,
    ...(await validityOf(source, field, rows)),
  };
}

async function validityOf(
  source: SegmentReader,
  field: Field,
  rows: Uint32Array,
): Promise<Readonly<{ valid?: Uint8Array }>> {
  const valid = await source.vectorValidity(field);
  if (valid === undefined) return {};
  const picked = bitmapOf(rows.length);
  rows.forEach((row, index) => {
    if (hasBit(valid, row)) setBit(picked, index);
  });
  return { valid: picked };
}

const dimOf = ({ dim, name }: Field): number => {
  assert(dim !== undefined, `vector field ${name} has a dimension`);
  return dim;
};

type Split = Readonly<{ kept: StampedTombstones; dropped: StampedTombstones }>;

async function splitTombstones(
  schema: CollectionSchema,
  inputs: readonly SegmentReader[],
  others: readonly SegmentReader[],
): Promise<Split> {
  const none = noTombstones(keyTypeOf(schema));
  const lists: StampedTombstones[] = [];
  for (const input of inputs) {
    if (input.tombstoneCount > 0) lists.push(await input.tombstones());
  }
  if (lists.length === 0) return { kept: none, dropped: none };
  const all = concatTombstones(lists);
  const needed = bitmapOf(all.count);
  const index = tombstoneIndex(all);
  for (const other of others) await markNeeded(all, index, other, needed);
  const numbers = Uint32Array.from({ length: all.count }, (_, index) => index);
  return {
    kept: gatherTombstones(
      all,
      numbers.filter((index) => hasBit(needed, index)),
    ),
    dropped: gatherTombstones(
      all,
      numbers.filter((index) => !hasBit(needed, index)),
    ),
  };
}

/** Marks the tombstones that kill a version in `other`. */
async function markNeeded(
  tombstones: StampedTombstones,
  index: ReturnType<typeof tombstoneIndex>,
  other: SegmentReader,
  needed: Uint8Array,
): Promise<void> {
  if (other.rows === 0) return;
  const [keys, stamps] = await Promise.all([other.keys(), other.stamps()]);
  joinKeys(index, keys, (from, to, otherFrom) => {
    // Versions of a key are ordered by age: if any is killed, the oldest is.
    const oldest = positionAt(stamps, keys.order[otherFrom] ?? 0);
    for (let place = from; place < to; place++) {
      const tombstone = index.order[place] ?? 0;
      const bound = tombstones.bounds[tombstone];
      const kills =
        oldest < positionAt(tombstones.stamps, tombstone) &&
        (bound === undefined || oldest <= bound);
      if (kills) setBit(needed, tombstone);
    }
  });
}

/** The live rows of several segments, and `tombstones`, as one. */
export async function joinSegments(
  schema: CollectionSchema,
  inputs: readonly Input[],
  rows: number,
  tombstones: StampedTombstones,
  level: number,
): Promise<NewSegment> {
  const filled = inputs.filter(({ live }) => live.length > 0);
  const batch = await joinRows(schema, filled, rows);
  const stamps = await joinStamps(filled);
  const draft = draftSegment({ schema, level, rows: { batch, stamps }, tombstones });
  for (const field of vectorFields(schema)) {
    const target = draft.vectors.get(field.id);
    if (target === undefined) continue;
    let at = 0;
    for (const input of filled) {
      await copyVectors(input, field, target.subarray(at * dimOf(field)));
      at += input.live.length;
    }
  }
  return draft.finish();
}

async function joinStamps(inputs: readonly Input[]): Promise<RowStamps> {
  const parts: RowStamps[] = [];
  for (const { source, live } of inputs) parts.push(gatherStamps(await source.stamps(), live));
  return concatStamps(parts);
}

/** All columns but the values of the vectors, whose place is in the output. */
async function joinRows(
  schema: CollectionSchema,
  inputs: readonly Input[],
  count: number,
): Promise<RowBatch> {
  const columns = new Map<number, Column>();
  for (const field of schema.fields) {
    columns.set(
      field.id,
      field.type === 'FloatVector'
        ? await joinValidity(field, inputs, count)
        : await joinColumn(field, inputs),
    );
  }
  const partitions = new Uint32Array(count);
  let at = 0;
  for (const { source, live } of inputs) {
    const own = await source.partitions();
    for (const row of live) partitions[at++] = own[row] ?? 0;
  }
  return { count, columns, partitions };
}

async function joinColumn(field: Field, inputs: readonly Input[]): Promise<Column> {
  const parts: Column[] = [];
  for (const { source, live } of inputs) parts.push(gatherColumn(await source.column(field), live));
  return parts.length === 0 ? emptyColumn(field, 0) : concatColumns(parts);
}

async function joinValidity(
  field: Field,
  inputs: readonly Input[],
  count: number,
): Promise<Column> {
  const joined = bitmapOf(count);
  let present = 0;
  let at = 0;
  for (const { source, live } of inputs) {
    const valid = await source.vectorValidity(field);
    for (const row of live) {
      if (valid === undefined || hasBit(valid, row)) {
        setBit(joined, at);
        present += 1;
      }
      at += 1;
    }
  }
  const column = { type: 'FloatVector' as const, dim: dimOf(field), values: new Float32Array(0) };
  return present === count ? column : { ...column, valid: joined };
}

/** The vectors of live rows, in their order, from the beginning of `target`. */
async function copyVectors(
  { source, live }: Input,
  field: Field,
  target: Float32Array,
): Promise<void> {
  const dim = dimOf(field);
  let next = 0;
  await source.scanVectors(field, (values, firstRow) => {
    const end = firstRow + values.length / dim;
    for (let row = live[next]; row !== undefined && row < end; row = live[next]) {
      const from = (row - firstRow) * dim;
      target.set(values.subarray(from, from + dim), next * dim);
      next += 1;
    }
  });
}
