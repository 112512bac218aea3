/**
 * The log in a Kinesis stream: a partition is a partition key, a stream shard is one of Kinesis's
 * shards, a sequence its sequence number. Checkpoints are rows of a table.
 *
 * What Kinesis does differently from the embedded log, and who lives with it, is in
 * `docs/adr/0010-aws-adapters.md`: `trim` forgets nothing, arrivals of neighbours may be a little
 * out of order, and entries larger than the stream's record limit are refused.
 */
import {
  InvalidArgumentException,
  type KinesisClient,
  PutRecordCommand,
  type PutRecordOutput,
} from '@aws-sdk/client-kinesis';
import { StoreError } from '#base/errors.ts';
import {
  checkConsumer,
  checkPartition,
  checkReadOptions,
  checkSequence,
} from '#ports/arguments.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import { type Appended, compareSequences, type Log, type Sequence } from '#ports/log.ts';
import type { Table } from '#ports/table.ts';
import { openCheckpoints } from './checkpoints.ts';
import { toStoreError } from './errors.ts';
import { openLineage } from './lineage.ts';
import { CALLS_PER_READ_MAX, LogReader } from './log-reader.ts';
import { openWatch } from './log-watch.ts';
import { openStream, type StreamId } from './stream.ts';

/**
 * `client`: from `clients.ts`, which makes it ask once. `checkpoints`: where the consumers' rows are.
 * `recordBytesMax`: the stream's limit for a record, 1 MiB unless its `MaxRecordSizeInKiB` says
 * more. `clock` and `entropy` space out reads that are tried again.
 */
export type KinesisLogOptions = Readonly<{
  client: KinesisClient;
  checkpoints: Table;
  clock: Clock;
  entropy: Entropy;
  recordBytesMax?: number;
}> &
  StreamId;

const RECORD_BYTES_MAX = 1024 * 1024;

export function openKinesisLog(options: KinesisLogOptions): Log {
  const { client, clock, recordBytesMax = RECORD_BYTES_MAX } = options;
  const stream = openStream(client, options, options);
  const lineage = openLineage(stream);
  const reader = new LogReader(stream, clock);
  const watch = openWatch(clock);
  const checkpoints = openCheckpoints(options.checkpoints, stream.name);

  return {
    async append(partition, data, appendOptions) {
      checkPartition(partition);
      const floor = appendOptions?.after;
      if (floor !== undefined) checkSequence(floor);
      checkSize(partition, data, recordBytesMax);
      const request = new PutRecordCommand({
        ...stream.address,
        PartitionKey: partition,
        // A copy taken at the call: the caller may use its array again before the request is written.
        Data: data.slice(),
        ...(floor === undefined ? {} : { SequenceNumberForOrdering: floor }),
      });
      const resource = `an entry of partition ${partition} in stream ${stream.name}`;
      try {
        return appended(await client.send(request), floor, resource);
      } catch (error) {
        throw appendFailure(error, floor, resource);
      }
    },

    async streamShards() {
      const shards = await lineage.list();
      return shards.map(({ name, parents, closed }) => ({ name, parents, closed }));
    },

    async read(streamShard, readOptions) {
      checkReadOptions(readOptions);
      return reader.read(await lineage.find(streamShard), readOptions, CALLS_PER_READ_MAX);
    },

    async wait(streamShard, after, timeoutMs) {
      if (after !== undefined) checkSequence(after);
      const shard = await lineage.find(streamShard);
      const from = after === undefined ? { limit: 1 } : { limit: 1, after };
      await watch.wait(streamShard, `${streamShard} ${after ?? ''}`, timeoutMs, async () => {
        const entries = await reader.read(shard, from, 1);
        return entries.length > 0;
      });
    },

    async checkpoint(consumer, streamShard) {
      checkConsumer(consumer);
      await lineage.find(streamShard);
      return checkpoints.get(consumer, streamShard);
    },

    async saveCheckpoint(consumer, streamShard, sequence) {
      checkConsumer(consumer);
      checkSequence(sequence);
      await lineage.find(streamShard);
      await checkpoints.save(consumer, streamShard, sequence);
    },

    /** Forgets nothing: Kinesis keeps every entry for the stream's retention, and nothing longer. */
    async trim(streamShard, through) {
      checkSequence(through);
      await lineage.find(streamShard);
    },
  };
}

/** Kinesis counts the partition's name as part of the record. */
function checkSize(partition: string, data: Uint8Array, recordBytesMax: number): void {
  const sizeBytes = data.length + Buffer.byteLength(partition);
  if (sizeBytes <= recordBytesMax) return;
  throw new StoreError(
    'TOO_LARGE',
    `an entry of ${data.length} bytes for partition ${partition} is a record of ${sizeBytes} bytes; the stream takes ${recordBytesMax}`,
  );
}

/**
 * A sequence at or below the floor breaks the order that the caller builds on. The entry is in the
 * log, so the caller learns what it learns from a lost answer.
 */
function appended(
  answer: Pick<PutRecordOutput, 'SequenceNumber' | 'ShardId'>,
  floor: Sequence | undefined,
  resource: string,
): Appended {
  const { SequenceNumber: sequence, ShardId: streamShard } = answer;
  if (sequence === undefined || streamShard === undefined) {
    throw new StoreError('UNCERTAIN', `the answer to PutRecord of ${resource} is incomplete`);
  }
  if (floor !== undefined && compareSequences(sequence, floor) <= 0) {
    const message = `PutRecord of ${resource} was given sequence ${sequence}, not above ${floor}`;
    throw new StoreError('UNCERTAIN', message);
  }
  return { sequence, streamShard };
}

/**
 * Kinesis refuses a floor whose time its clock has not reached, and writes nothing. The floor is a
 * sequence of this log, so it is only a matter of time.
 */
function appendFailure(error: unknown, floor: Sequence | undefined, resource: string): StoreError {
  const isFloor =
    floor !== undefined &&
    error instanceof InvalidArgumentException &&
    /sequence ?number/i.test(error.message);
  if (!isFloor) {
    return toStoreError(error, {
      service: 'kinesis',
      action: 'PutRecord',
      resource,
      idempotent: false,
    });
  }
  const message = `Kinesis does not yet take ${resource} behind sequence ${floor}; nothing was written`;
  return new StoreError('OVERLOADED', message, { cause: error });
}
