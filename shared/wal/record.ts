/**
 * One entry of the WAL: a small, ordered pointer to what a write changes, or a fence.
 *
 * Binary form and codec: `record-codec.ts`; normative text: docs/formats/record.md.
 */
import type { RecordPosition } from '#base/position.ts';

export type WalRecord = Readonly<{
  /** 32 hexadecimal digits. Equal ids are one write, however often it was sent. */
  recordId: string;
  collectionId: number;
  shard: number;
  /** Arrival at the log after this time voids the record. Milliseconds since 1970. */
  deadlineMs: number;
  /** The epoch the writer believed in. */
  epoch: number;
  /** The gate's number as the writer read it; for a fence, the number it raises the shard to. */
  fenceNumber: number;
  schemaVersion: number;
  body: WriteBody | FenceBody;
  /** Only on records that a primary's forwarder appended to a standby's log. */
  origin?: Origin;
}>;

export type WriteBody = Readonly<{
  kind: 'write';
  rows: number;
  tombstones: number;
  payload: PayloadRef;
}>;

/**
 * A payload rides inline up to {@link INLINE_BYTES_MAX}; a larger one is an object. `crc32` is the
 * checksum that ends the payload's bytes.
 */
export type PayloadRef =
  | Readonly<{ at: 'inline'; bytes: Uint8Array }>
  | Readonly<{ at: 'object'; key: string; sizeBytes: number; crc32: number }>;

export const INLINE_BYTES_MAX = 8 * 1024;

/** What a fence decides for every record behind it. */
export type FenceBody = Readonly<{
  kind: 'fence';
  action: FenceAction;
  generation: number;
  /** The shard's state behind the fence. */
  state: ShardState;
}>;

export const FENCE_ACTIONS = [
  'drop',
  'seal',
  'unseal',
  'schema',
  'truncate',
  'promote',
  'generation',
  'join',
] as const;
export type FenceAction = (typeof FENCE_ACTIONS)[number];

export const SHARD_STATES = ['open', 'sealed', 'dropped'] as const;
export type ShardState = (typeof SHARD_STATES)[number];

/** What became of a record in its shard; the same in every region. */
export const VERDICTS = ['effective', 'void', 'duplicate'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** Where a forwarded record stood in its primary's log. */
export type Origin = Readonly<{
  position: RecordPosition;
  /** The one before it in the shard; a gap is refused. */
  previous: RecordPosition;
  logTimeMs: number;
  verdict: Verdict;
}>;
