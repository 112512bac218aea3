/**
 * A manifest: the content of one shard at one applied position.
 *
 * Binary form and codec: `codec.ts`; normative text: docs/formats/manifest.md.
 */
import type { RecordPosition } from '#base/position.ts';
import type { ArchiveRef, SegmentEntry } from '#segment/entry.ts';
import type { ShardState } from '#wal/record.ts';

export type Manifest = Readonly<{
  collectionId: number;
  shard: number;
  /** 0 at creation; a commit advances it by one. */
  version: number;
  generation: number;
  epoch: number;
  fenceNumber: number;
  state: ShardState;
  schemaVersion: number;
  /** The last record seen in order, effective or not; `ORIGIN` before the first. */
  applied: RecordPosition;
  /** Log time of `applied`; 0 before the first. */
  logTimeMs: number;
  /** Hexadecimal set-sums (I7): `held + out = in`. */
  sums: Readonly<{ in: string; held: string; out: string }>;
  /** Rows ever applied, updates included (`get_stats`). */
  rowsApplied: number;
  segments: readonly SegmentEntry[];
  /** The archive objects of the id window, oldest first. */
  idWindow: readonly ArchiveRef[];
  /** Objects that no longer belong to the content, and when they ceased to. */
  retired: readonly Readonly<{ key: string; atMs: number }>[];
  /** No product minted at a head version below this one may be committed any more. */
  collectedBelow: number;
}>;
