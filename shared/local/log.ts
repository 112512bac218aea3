/**
 * The log in LMDB: one stream shard, sequences 1, 2, 3 and so on (or beyond a caller's floor).
 *
 * Database `log`: key = sequence as two digits of length and the digits, so that bytewise order is
 * numeric order; value = arrival (little-endian 64-bit milliseconds), partition (varint length and
 * UTF-8), then the caller's bytes. Database `log-state`: the last sequence and arrival, which must
 * outlive the entries that a trim forgets, and each consumer's checkpoint. Behind every value stands the
 * checksum of `sealed-rows`.
 */
import { ByteReader, ByteWriter } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import {
  checkConsumer,
  checkPartition,
  checkReadOptions,
  checkSequence,
} from '#ports/arguments.ts';
import type { Clock } from '#ports/clock.ts';
import {
  type Appended,
  compareSequences,
  type Log,
  type LogEntry,
  type ReadOptions,
  type Sequence,
} from '#ports/log.ts';
import {
  commit,
  type Environment,
  freshly,
  openRows,
  plainBytes,
  type Rows,
  readSealed,
} from './environment.ts';
import { SEAL_BYTES, seal, unseal } from './sealed-rows.ts';
import { openWakeUps } from './wake-ups.ts';

const STREAM_SHARD = 'shard-0';
const SEQUENCE_DIGITS_MAX = 56;
/** Entries forgotten in one transaction, so that a long trim does not keep appends waiting. */
const TRIM_BATCH = 1_000;
const LAST_KEY = Buffer.from('last');
const ARRIVAL_BYTES = 8;

/**
 * `close` wakes whoever waits; the environment is closed by whoever opened it. `lastArrivalMs`: of
 * the newest entry, also of one that was trimmed; 0 before the first.
 */
export type LocalLog = Log & Readonly<{ close: () => void; lastArrivalMs: () => number }>;

export function openLog(environment: Environment, clock: Pick<Clock, 'nowMs'>): LocalLog {
  const entries = openRows(environment, 'log');
  const state = openRows(environment, 'log-state');
  const wakeUps = openWakeUps();

  return {
    async append(partition, data, options) {
      checkPartition(partition);
      if (options?.after !== undefined) checkSequence(options.after);
      const stored = encodeEntry(partition, data);
      const appended = await commit(entries, 'a log entry', () =>
        appendEntry(entries, state, stored, options?.after, clock.nowMs()),
      );
      wakeUps.wake();
      return appended;
    },
    async streamShards() {
      return [{ name: STREAM_SHARD, parents: [], closed: false }];
    },
    async read(streamShard, options) {
      checkStreamShard(streamShard);
      checkReadOptions(options);
      return readEntries(freshly(entries), options);
    },
    async wait(streamShard, after, timeoutMs) {
      checkStreamShard(streamShard);
      if (after !== undefined) checkSequence(after);
      const { last } = readState(freshly(state));
      if (compareSequences(last, after ?? '0') > 0) return;
      await wakeUps.wait(timeoutMs);
    },
    async checkpoint(consumer, streamShard) {
      const key = checkpointKey(consumer, streamShard);
      return readSealed(freshly(state), key)?.toString('latin1');
    },
    async saveCheckpoint(consumer, streamShard, sequence) {
      const key = checkpointKey(consumer, streamShard);
      checkSequence(sequence);
      await commit(state, 'a checkpoint', () => {
        const saved = readSealed(state, key)?.toString('latin1');
        if (saved !== undefined && compareSequences(sequence, saved) <= 0) return;
        void state.db.put(key, sealed(key, Buffer.from(sequence, 'latin1')));
      });
    },
    async trim(streamShard, through) {
      checkStreamShard(streamShard);
      checkSequence(through);
      while ((await commit(entries, 'a trim', () => trimBatch(entries, through))) === TRIM_BATCH);
    },
    close: () => wakeUps.close(),
    lastArrivalMs: () => readState(freshly(state)).arrivalMs,
  };
}

function checkStreamShard(streamShard: string): void {
  if (streamShard === STREAM_SHARD) return;
  throw new StoreError('INVALID_ARGUMENT', `the log has no stream shard ${streamShard}`);
}

function checkpointKey(consumer: string, streamShard: string): Buffer {
  checkConsumer(consumer);
  checkStreamShard(streamShard);
  return Buffer.from(`checkpoint ${consumer} ${streamShard}`, 'latin1');
}

/** The entry with its arrival and its checksum left open; a copy, so that the caller may use its array again. */
function encodeEntry(partition: string, data: Uint8Array): Buffer {
  const bytes = new ByteWriter(ARRIVAL_BYTES + 2 + partition.length + data.length + SEAL_BYTES)
    .i64(0n)
    .string(partition)
    .raw(data)
    .u32(0)
    .view();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

function decodeEntry(key: Buffer, stored: Buffer): LogEntry {
  const sequence = key.toString('latin1', 2);
  const reader = new ByteReader(stored, `log entry ${sequence}`);
  const arrivalMs = Number(reader.i64());
  const partition = reader.string();
  return { sequence, partition, data: plainBytes(stored, reader.offset), arrivalMs };
}

const sealed = (key: Buffer, value: Buffer): Buffer =>
  seal(key, Buffer.concat([value, Buffer.alloc(SEAL_BYTES)]));

const encodeSequence = (sequence: Sequence): Buffer =>
  Buffer.from(String(sequence.length).padStart(2, '0') + sequence, 'latin1');

type State = Readonly<{ last: Sequence; arrivalMs: number }>;

function readState(state: Rows): State {
  const stored = readSealed(state, LAST_KEY);
  if (stored === undefined) return { last: '0', arrivalMs: 0 };
  return {
    arrivalMs: Number(stored.readBigInt64LE()),
    last: stored.toString('latin1', ARRIVAL_BYTES),
  };
}

/**
 * The state goes first: should the entry's put fail, a number stays unused, which nobody minds; the
 * other way round the same number would be given twice.
 */
function appendEntry(
  entries: Rows,
  state: Rows,
  stored: Buffer,
  after: Sequence | undefined,
  nowMs: number,
): Appended {
  const before = readState(state);
  const floor =
    after !== undefined && compareSequences(after, before.last) > 0 ? after : before.last;
  const sequence = String(BigInt(floor) + 1n);
  if (sequence.length > SEQUENCE_DIGITS_MAX) {
    throw new StoreError('INVALID_ARGUMENT', `no sequence follows ${floor}: it has 56 digits`);
  }
  stored.writeBigInt64LE(BigInt(Math.max(before.arrivalMs, nowMs)));
  const last = Buffer.concat([stored.subarray(0, ARRIVAL_BYTES), Buffer.from(sequence, 'latin1')]);
  void state.db.put(LAST_KEY, sealed(LAST_KEY, last));
  const key = encodeSequence(sequence);
  void entries.db.put(key, seal(key, stored));
  return { sequence, streamShard: STREAM_SHARD };
}

function readEntries(entries: Rows, options: ReadOptions): readonly LogEntry[] {
  const start = encodeSequence(options.after ?? '0');
  const page: LogEntry[] = [];
  let bytes = 0;
  // Sequences begin at 1, so nothing is lost by leaving out the start itself.
  for (const { key, value } of entries.db.getRange({
    start,
    exclusiveStart: true,
    limit: options.limit,
  })) {
    const entry = decodeEntry(key, unseal(entries.file, key, value));
    page.push(entry);
    bytes += entry.data.length;
    if (bytes >= (options.maxBytes ?? Infinity)) break;
  }
  return page;
}

/** Removes up to {@link TRIM_BATCH} of the oldest entries and says how many. */
function trimBatch(entries: Rows, through: Sequence): number {
  const range = { end: encodeSequence(through), inclusiveEnd: true, limit: TRIM_BATCH };
  const keys = [...entries.db.getKeys(range)];
  for (const key of keys) void entries.db.remove(key);
  return keys.length;
}
