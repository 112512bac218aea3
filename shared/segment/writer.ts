/** Writes a segment: rows, tombstones and archive entries as one data object. */
import { assert } from '#base/assert.ts';
import { ByteWriter, bytesOf, utf8 } from '#base/bytes.ts';
import type { ColumnStats } from '#filter/prune.ts';
import type { Column, RowBatch, VectorColumn } from '#schema/column.ts';
import { encodeColumn } from '#schema/column-codec.ts';
import { type CollectionSchema, primaryField } from '#schema/field.ts';
import { keyColumn, rowsOf } from '#schema/gather.ts';
import { encodeArchive, encodeArchiveIds } from './archive.ts';
import type { ArchiveEntry, SegmentEntry } from './entry.ts';
import { buildKeyIndex, keyRangeOf, spanKeys } from './key-index.ts';
import { tombstoneIndex } from './kills.ts';
import { type Container, layContainer, SECTION_TYPES, type SectionType } from './layout.ts';
import type { StampedBatch, StampedTombstones } from './source.ts';
import { positionRangeOf, spanPositions, stampCount, writeStamps } from './stamps.ts';
import { statsOf, writeStats } from './stats.ts';
import { encodeTombstones } from './tombstones.ts';

export type SegmentInput = Readonly<{
  /** The rows have a column for every field of this schema. */
  schema: CollectionSchema;
  level: number;
  rows: StampedBatch;
  tombstones: StampedTombstones;
  /** Level 0 only: an entry for every record of the batch. */
  archive?: readonly ArchiveEntry[];
}>;

export type NewSegment = Readonly<{
  bytes: Uint8Array;
  entry: Omit<SegmentEntry, 'key' | 'auxiliary'>;
}>;

/** A segment whose vectors are still to come. */
export type SegmentDraft = Readonly<{
  /** By field id, rows x dim floats inside of the object's bytes: fill them before `finish`. */
  vectors: ReadonlyMap<number, Float32Array>;
  finish(): NewSegment;
}>;

/** Encodes everything at once. */
export function encodeSegment(input: SegmentInput): NewSegment {
  const draft = draftSegment(input);
  for (const [fieldId, target] of draft.vectors) {
    const column = input.rows.batch.columns.get(fieldId);
    assert(column?.type === 'FloatVector', `field ${fieldId} has vectors`);
    target.set(column.values);
  }
  return draft.finish();
}

/**
 * Lays out the object and encodes all but the vectors, which the caller writes straight into it: so
 * a compaction holds its vectors once. Vector columns of `input` say only dimension and validity;
 * their values may be empty.
 *
 * @param allocate makes the object's buffer; a shared one lets a worker build graphs from it
 */
export function draftSegment(
  input: SegmentInput,
  allocate?: (sizeBytes: number) => Uint8Array,
): SegmentDraft {
  const { batch, stamps } = input.rows;
  assert(stampCount(stamps) === batch.count, `${batch.count} rows have as many stamps`);
  assert(batch.partitions.length === batch.count, `${batch.count} rows have as many partitions`);
  const keyField = primaryField(input.schema);
  const index = buildKeyIndex(keyColumn(batch, keyField), stamps);
  const vectors = vectorColumns(batch);
  const stats = statsByField(input);
  const order = part(`key-index/${keyField.id}`, 'uint32', bytesOf(index.order));
  const parts = [...smallParts(input, stats), order];
  const container = layContainer(
    [
      ...parts.map(({ name, type, bytes }) => plan(name, type, bytes.length)),
      ...vectors.map(([id, { dim }]) => plan(`vectors/${id}`, 'float32', batch.count * dim * 4)),
    ],
    allocate,
  );
  for (const { name, bytes } of parts) container.section(name).set(bytes);
  const tombstoneRange = keyRangeOf(tombstoneIndex(input.tombstones));
  return {
    vectors: new Map(vectors.map(([id]) => [id, floatsOf(container, id)])),
    finish() {
      const { bytes, footerOffset, footerBytes, footerCrc32 } = container.seal();
      const entry = {
        level: input.level,
        sizeBytes: bytes.length,
        footerOffset,
        footerBytes,
        footerCrc32,
        rows: batch.count,
        tombstones: input.tombstones.count,
        keyRange: spanKeys(keyRangeOf(index), tombstoneRange),
        positionRange: spanPositions(
          positionRangeOf(stamps),
          positionRangeOf(input.tombstones.stamps),
        ),
        logTimeRangeMs: logTimes(input),
        stats,
      };
      return { bytes, entry };
    },
  };
}

const plan = (name: string, type: SectionType, length: number) => ({
  name,
  type: SECTION_TYPES[type],
  // Rows can be read and understood without these two.
  required: name !== 'stats' && name !== 'fields',
  length,
});

type Part = Readonly<{ name: string; type: SectionType; bytes: Uint8Array }>;
const part = (name: string, type: SectionType, bytes: Uint8Array): Part => ({ name, type, bytes });

const vectorColumns = (batch: RowBatch): [number, VectorColumn][] =>
  [...batch.columns].flatMap(([id, column]) =>
    column.type === 'FloatVector' ? [[id, column] as [number, VectorColumn]] : [],
  );

function floatsOf(container: Container, fieldId: number): Float32Array {
  const { buffer, byteOffset, length } = container.section(`vectors/${fieldId}`);
  return new Float32Array(buffer, byteOffset, length / 4);
}

/**
 * What is small or read first comes first, vectors last: an object store that reads ahead then reads
 * what is wanted next.
 */
function smallParts(input: SegmentInput, stats: ReadonlyMap<number, ColumnStats>): Part[] {
  const { batch, stamps } = input.rows;
  const stampWriter = new ByteWriter(batch.count * 8 + 256);
  writeStamps(stampWriter, stamps);
  const statsWriter = new ByteWriter();
  writeStats(statsWriter, stats);
  const parts = [
    part('fields', 'fields', encodeFields(input)),
    part('stats', 'stats', statsWriter.finish()),
    part('stamps', 'stamps', stampWriter.finish()),
    part('partitions', 'uint32', bytesOf(batch.partitions)),
    part('tombstones', 'tombstones', encodeTombstones(input.tombstones)),
  ];
  if (input.archive !== undefined) {
    parts.unshift(
      part('archive-ids', 'archive-ids', encodeArchiveIds(input.archive)),
      part('archive', 'archive', encodeArchive(input.archive)),
    );
  }
  for (const [id, column] of batch.columns) parts.push(...columnParts(id, column, batch.count));
  return parts;
}

function columnParts(id: number, column: Column, count: number): Part[] {
  if (column.type !== 'FloatVector') {
    assert(rowsOf(column) === count, `field ${id} has ${rowsOf(column)} values for ${count} rows`);
    return [part(`column/${id}`, 'column', encodeColumn(column))];
  }
  if (column.valid === undefined) return [];
  return [part(`validity/${id}`, 'bitmap', column.valid.subarray(0, (count + 7) >> 3))];
}

/** JSON, so that a segment can be understood with a hex dump and no catalog. */
function encodeFields({ schema, rows }: SegmentInput): Uint8Array {
  for (const { id } of schema.fields) {
    assert(rows.batch.columns.has(id), `the rows have a column for field ${id}`);
  }
  assert(rows.batch.columns.size === schema.fields.length, 'every column has a field');
  const fields = schema.fields.map(({ id, name, type, dim, nullable, primaryKey, dynamic }) => ({
    id,
    name,
    type,
    ...(dim === undefined ? {} : { dim }),
    ...(nullable ? { nullable } : {}),
    ...(primaryKey ? { primaryKey } : {}),
    ...(dynamic ? { dynamic } : {}),
  }));
  return utf8(JSON.stringify({ schemaVersion: schema.version, rows: rows.batch.count, fields }));
}

function statsByField({ rows: { batch } }: SegmentInput): ReadonlyMap<number, ColumnStats> {
  const stats = new Map<number, ColumnStats>();
  for (const [id, column] of batch.columns) {
    if (column.type !== 'FloatVector') stats.set(id, statsOf(column));
  }
  return stats;
}

/** From the first record to the last, void ones too where the archive has them; 0 for none. */
function logTimes({ rows, tombstones, archive }: SegmentInput): { min: number; max: number } {
  let min = Number.POSITIVE_INFINITY;
  let max = 0;
  const take = (timeMs: number): void => {
    min = Math.min(min, timeMs);
    max = Math.max(max, timeMs);
  };
  rows.stamps.logTimesMs.forEach(take);
  tombstones.stamps.logTimesMs.forEach(take);
  for (const { logTimeMs } of archive ?? []) take(logTimeMs);
  return { min: Math.min(min, max), max };
}
