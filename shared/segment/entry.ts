/**
 * What a manifest says of a segment: all that a reader needs before its first read.
 */
import type { RecordPosition } from '#base/position.ts';
import type { ColumnStats } from '#filter/prune.ts';
import type { Verdict } from '#wal/record.ts';
import type { KeyRange, PositionRange } from './source.ts';

export type SegmentEntry = Readonly<{
  key: string;
  /** 0: what one apply batch folded; 1 and up: compacted. */
  level: number;
  sizeBytes: number;
  /** The footer (directory) of the data object, so that one range read opens it. */
  footerOffset: number;
  footerBytes: number;
  /**
   * The checksum that ends the footer. The footer holds the checksums of all sections, so this names
   * the object's content: another valid object under the same key is not read as this one.
   */
  footerCrc32: number;
  rows: number;
  tombstones: number;
  keyRange: KeyRange | undefined;
  positionRange: PositionRange | undefined;
  /** Log times of its first and last record. */
  logTimeRangeMs: Readonly<{ min: number; max: number }>;
  /** By field id, for skipping; a field without statistics is absent. */
  stats: ReadonlyMap<number, ColumnStats>;
  /** Objects beside the data object, by kind. Unknown kinds are preserved and ignored. */
  auxiliary: readonly AuxiliaryEntry[];
}>;

export type AuxiliaryEntry = Readonly<{
  /** `graph`: an HNSW graph of one vector field. */
  kind: string;
  fieldId: number;
  key: string;
  sizeBytes: number;
  /** As of a segment. */
  footerCrc32: number;
  /** Kind-specific facts; for a graph: `metric`, `m`, `efConstruction`, `rows`. */
  facts: Readonly<Record<string, string | number>>;
}>;

/** One record of a batch in the archive: void and skipped ones too. */
export type ArchiveEntry = Readonly<{
  recordId: string;
  kind: 'write' | 'fence';
  position: RecordPosition;
  previous: RecordPosition;
  logTimeMs: number;
  fenceNumber: number;
  epoch: number;
  schemaVersion: number;
  verdict: Verdict;
  rows: number;
  tombstones: number;
  /** The encoded body of an effective fence. */
  body?: Uint8Array;
}>;

/** An archive object (a level-0 data object, kept past its segment's life) that apply must remember. */
export type ArchiveRef = Readonly<{
  key: string;
  footerOffset: number;
  footerBytes: number;
  footerCrc32: number;
  /** Log time of its newest record. */
  logTimeMs: number;
}>;
