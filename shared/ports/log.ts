/**
 * The write-ahead log: append to a partition, ordered; read from a position; consumers with
 * checkpoints.
 *
 * A log consists of *stream shards* (Kinesis's own shards). A partition key belongs to exactly one
 * stream shard at a time; entries of one partition keep their order. Sequences are non-negative
 * decimal numbers without leading zeros (up to 56 digits) that grow within a stream shard, and
 * within a partition also across resharding; they need not be dense.
 *
 * Promises of every adapter (`test/contract/log.ts`):
 * - An append that returned is durable, and every read that begins afterwards can reach it.
 * - `append` never retries by itself. One that throws `UNCERTAIN` may have taken effect, now or
 *   later, even more than once.
 * - The sequence returned is greater than `after`, if given.
 * - `arrivalMs` is the log's own clock and is the same whoever reads the entry.
 */
export interface Log {
  /**
   * @param partition the shard's name; 1 to 256 characters
   * @param after the floor: the new entry's sequence is greater than this one
   * @throws StoreError `UNCERTAIN`, `OVERLOADED` (nothing was written)
   */
  append(partition: string, data: Uint8Array, options?: AppendOptions): Promise<Appended>;
  /** The stream shards, parents before children. Stable names. */
  streamShards(): Promise<readonly StreamShard[]>;
  /** Up to `limit` entries of a stream shard after `after` (from the oldest kept where undefined). */
  read(streamShard: string, options: ReadOptions): Promise<readonly LogEntry[]>;
  /** Resolves when entries after `after` may exist, or after `timeoutMs`. May wake for nothing. */
  wait(streamShard: string, after: Sequence | undefined, timeoutMs: number): Promise<void>;
  /** Where `consumer` has got to in a stream shard; undefined before its first checkpoint. */
  checkpoint(consumer: string, streamShard: string): Promise<Sequence | undefined>;
  /** Durable when it returns. A checkpoint never moves back: a lower one is ignored. */
  saveCheckpoint(consumer: string, streamShard: string, sequence: Sequence): Promise<void>;
  /**
   * Forgets entries up to and including `through`; the log's retention. A log that forgets by age
   * alone (Kinesis) keeps them, so nobody may rely on their being gone.
   */
  trim(streamShard: string, through: Sequence): Promise<void>;
}

/** A decimal number; compare with {@link compareSequences}, never as text. */
export type Sequence = string;

export type AppendOptions = Readonly<{ after?: Sequence }>;
export type Appended = Readonly<{ sequence: Sequence; streamShard: string }>;
export type StreamShard = Readonly<{ name: string; parents: readonly string[]; closed: boolean }>;
/** `limit`: 1 to 10,000 entries; `maxBytes`: stop once reached (at least one entry is returned). */
export type ReadOptions = Readonly<{ after?: Sequence; limit: number; maxBytes?: number }>;
export type LogEntry = Readonly<{
  sequence: Sequence;
  partition: string;
  data: Uint8Array;
  arrivalMs: number;
}>;

/** Orders decimal numbers without leading zeros: the longer is the larger. */
export function compareSequences(a: Sequence, b: Sequence): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}
