/**
 * What queries and compaction see of rows, wherever they lie: in a segment's object or in the tail.
 *
 * Everything is immutable and loaded on demand; a source may answer from memory or read ranges.
 */
import type { RecordPosition, RowPosition } from '#base/position.ts';
import type { Bitmap, Column, Key, KeyColumn, RowBatch } from '#schema/column.ts';
import type { Field } from '#schema/field.ts';

export interface RowSource {
  /** The object's key, or the tail entry's name. Equal ids mean equal content. */
  readonly id: string;
  readonly rows: number;
  readonly tombstoneCount: number;
  /** Bounds over rows and tombstones; undefined where there are none. */
  readonly keyRange: KeyRange | undefined;
  readonly positionRange: PositionRange | undefined;
  keys(): Promise<KeyIndex>;
  stamps(): Promise<RowStamps>;
  tombstones(): Promise<StampedTombstones>;
  /** Per row, the id of its partition. */
  partitions(): Promise<Uint32Array>;
  /** The field's column; one of nulls or defaults where these rows are older than the field. */
  column(field: Field): Promise<Column>;
}

/** A source whose vectors can be read without their whole column in memory. */
export interface VectorSource extends RowSource {
  /** Rows that have a vector; undefined where all have. A slot without one holds zeros. */
  vectorValidity(field: Field): Promise<Bitmap | undefined>;
  /** The vectors of the given rows, one behind the other in the given order. */
  vectorsAt(field: Field, rows: Uint32Array): Promise<Float32Array>;
  /**
   * Hands out every row's vector in runs of whole rows, in order, each of a few MiB and only valid
   * during its call. Hands out nothing where these rows are older than the field.
   */
  scanVectors(field: Field, onChunk: OnVectors): Promise<void>;
}

export type OnVectors = (values: Float32Array, firstRow: number) => void | Promise<void>;

export type KeyRange = Readonly<{ min: Key; max: Key }>;
export type PositionRange = Readonly<{ min: RowPosition; max: RowPosition }>;

/** Rows by key: an explicit permutation, since row order itself has no meaning. */
export type KeyIndex = Readonly<{
  column: KeyColumn;
  /** Row numbers ordered by key (Int64 by value, VarChar by UTF-8 bytes), then by position. */
  order: Uint32Array;
}>;

/** Row `i` has position `records[record[i]]` + `ordinal[i]` and log time `logTimesMs[record[i]]`. */
export type RowStamps = Readonly<{
  /** Distinct, ascending. */
  records: readonly RecordPosition[];
  logTimesMs: Float64Array;
  record: Uint32Array;
  ordinal: Uint32Array;
}>;

/** A batch whose rows have their places in the shard. */
export type StampedBatch = Readonly<{ batch: RowBatch; stamps: RowStamps }>;

/**
 * Tombstone `i` kills the versions of `keys[i]` that are older than its own position and, where it
 * has a bound, not newer than the bound.
 */
export type StampedTombstones = Readonly<{
  count: number;
  keys: KeyColumn;
  stamps: RowStamps;
  bounds: readonly (RowPosition | undefined)[];
}>;
