/** Pages of one stream shard, and waiting for the next one. */
import {
  ExpiredIteratorException,
  GetRecordsCommand,
  type GetRecordsOutput,
  GetShardIteratorCommand,
  InvalidArgumentException,
  type _Record as KinesisRecord,
} from '@aws-sdk/client-kinesis';
import { LRUCache } from 'lru-cache';
import { must } from '#base/assert.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';
import { compareSequences, type LogEntry, type ReadOptions, type Sequence } from '#ports/log.ts';
import type { ListedShard } from './lineage.ts';
import type { Stream } from './stream.ts';

/**
 * A stream shard answers five GetRecords a second, to all its readers together. One read takes one
 * second's worth at most and hands over what it has.
 */
export const CALLS_PER_READ_MAX = 5;

/**
 * One answer carries up to 10 MB, after which a stream shard is silent for the 5 s that its 2 MB a
 * second need. A read that holds half a second's worth asks no further.
 */
const ENOUGH_BYTES = 1024 * 1024;

/** Kinesis forgets an iterator after 300 s; the difference is for calls under way and slow clocks. */
const ITERATOR_LIFE_MS = 240_000;

/** Four consumers of 250 stream shards; about 500 bytes each, so 0.5 MB. */
const ITERATORS_MAX = 1_000;

/** Where to go on. `iterator` is missing behind the last entry of a stream shard that is closed. */
type Cursor = Readonly<{ iterator: string | undefined; untilMs: number }>;

type Answer = Readonly<{
  records: readonly KinesisRecord[];
  next: string | undefined;
  isLast: boolean;
}>;

/**
 * Keeps the iterator behind every page, under the sequence of its last entry, so that steady reading
 * is one call per page. An iterator may be used many times, and by readers at the same time.
 */
export class LogReader {
  readonly #stream: Stream;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #cursors = new LRUCache<string, Cursor>({ max: ITERATORS_MAX });

  constructor(stream: Stream, clock: Pick<Clock, 'nowMs'>) {
    this.#stream = stream;
    this.#clock = clock;
  }

  /**
   * Empty answers are normal: Kinesis looks through a stretch of the stream per call and says how far
   * the reader is behind. So an empty answer is the end only where it says zero.
   */
  async read(
    shard: ListedShard,
    options: ReadOptions,
    callsMax: number,
  ): Promise<readonly LogEntry[]> {
    const { limit, maxBytes = Number.POSITIVE_INFINITY } = options;
    const page: LogEntry[] = [];
    let after = options.after;
    let sizeBytes = 0;
    for (let calls = 0; calls < callsMax; calls++) {
      const answer = await this.#answer(shard, after, limit - page.length, page.length > 0);
      if (answer === undefined) break;
      for (const record of answer.records) {
        const entry = logEntry(record);
        page.push(entry);
        after = entry.sequence;
        sizeBytes += entry.data.length;
        // What is left of the answer is read again: the iterator stands behind it.
        if (sizeBytes >= maxBytes) return page;
      }
      this.#keep(shard, after, answer.next);
      if (answer.isLast || page.length >= limit || sizeBytes >= ENOUGH_BYTES) break;
    }
    return page;
  }

  /** Undefined where there is none and the caller has something to hand over as it is. */
  async #answer(
    shard: ListedShard,
    after: Sequence | undefined,
    limit: number,
    isOptional: boolean,
  ): Promise<Answer | undefined> {
    try {
      const output = await this.#records(shard, after, limit);
      const {
        Records: records = [],
        NextShardIterator: next,
        MillisBehindLatest: behindMs,
      } = output;
      return { records, next, isLast: next === undefined || behindMs === 0 };
    } catch (error) {
      if (isOptional && isStoreError(error, 'OVERLOADED', 'UNCERTAIN')) return undefined;
      throw error;
    }
  }

  async #records(
    shard: ListedShard,
    after: Sequence | undefined,
    limit: number,
  ): Promise<Partial<GetRecordsOutput>> {
    const kept = this.#cursors.get(cursorKey(shard, after));
    if (kept === undefined || kept.untilMs <= this.#clock.nowMs()) {
      return this.#recordsAt(shard, await this.#newIterator(shard, after), limit);
    }
    if (kept.iterator === undefined) return {};
    try {
      return await this.#recordsAt(shard, kept.iterator, limit);
    } catch (error) {
      // Kinesis's clock decides. A new iterator is good for the one call that it is made for.
      if (!isCausedBy(error, ExpiredIteratorException)) throw error;
      return this.#recordsAt(shard, await this.#newIterator(shard, after), limit);
    }
  }

  #recordsAt(shard: ListedShard, iterator: string, limit: number): Promise<GetRecordsOutput> {
    const { client, address, ask } = this.#stream;
    // An iterator says which stream it is of, but Kinesis wants the ARN of another account's again.
    const arn = 'StreamARN' in address ? address : {};
    const request = new GetRecordsCommand({ ...arn, ShardIterator: iterator, Limit: limit });
    return ask('GetRecords', shard.name, () => client.send(request));
  }

  /**
   * A cursor from before the stream shard began, such as its parent's, asks for all of it. Kinesis
   * itself refuses sequences that it did not give out for this stream shard.
   */
  async #newIterator(shard: ListedShard, after: Sequence | undefined): Promise<string> {
    const from =
      after === undefined || compareSequences(after, shard.first) < 0
        ? ({ ShardIteratorType: 'TRIM_HORIZON' } as const)
        : ({
            ShardIteratorType: 'AFTER_SEQUENCE_NUMBER',
            StartingSequenceNumber: after,
          } as const);
    const { client, address, ask } = this.#stream;
    const request = new GetShardIteratorCommand({ ...address, ShardId: shard.name, ...from });
    try {
      const answer = await ask('GetShardIterator', shard.name, () => client.send(request));
      return must(answer.ShardIterator, 'an answer to GetShardIterator has an iterator');
    } catch (error) {
      if (after === undefined || !isCausedBy(error, InvalidArgumentException)) throw error;
      const message = `sequence ${after} is none of stream shard ${shard.name}`;
      throw new StoreError('INVALID_ARGUMENT', message, { cause: error });
    }
  }

  #keep(shard: ListedShard, after: Sequence | undefined, iterator: string | undefined): void {
    const untilMs = this.#clock.nowMs() + ITERATOR_LIFE_MS;
    this.#cursors.set(cursorKey(shard, after), { iterator, untilMs });
  }
}

const cursorKey = (shard: ListedShard, after: Sequence | undefined): string =>
  `${shard.name} ${after ?? ''}`;

const isCausedBy = (error: unknown, kind: abstract new (...args: never[]) => Error): boolean =>
  isStoreError(error) && error.cause instanceof kind;

function logEntry(record: KinesisRecord): LogEntry {
  const {
    SequenceNumber: sequence,
    PartitionKey: partition,
    Data: data,
    ApproximateArrivalTimestamp: arrival,
  } = record;
  if (sequence === undefined || partition === undefined || arrival === undefined) {
    throw new StoreError('DATA_CORRUPT', `log entry ${sequence} lacks its partition or arrival`);
  }
  return {
    sequence,
    partition,
    data: data === undefined ? new Uint8Array() : ownBytes(data),
    arrivalMs: arrival.getTime(),
  };
}

/** The client decodes small values into memory that it shares with others. */
const ownBytes = (bytes: Uint8Array): Uint8Array =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
