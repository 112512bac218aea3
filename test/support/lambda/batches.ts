/**
 * What one delivery of the event source carries, and what its outcome means. The rules are those of
 * the Lambda Developer Guide, "Using Lambda to process records from Amazon Kinesis Data Streams" and
 * "Configuring partial batch response".
 */
import type { _Record as KinesisRecord } from '@aws-sdk/client-kinesis';
import { must } from '#base/assert.ts';
import { compareSequences, type Sequence } from '#ports/log.ts';
import type { Outcome } from './function.ts';

/** One record of an event, in the shape that Lambda gives it. */
export type EventRecord = Readonly<{
  kinesis: Readonly<{
    kinesisSchemaVersion: '1.0';
    partitionKey: string;
    sequenceNumber: string;
    /** Base64. */
    data: string;
    /** Seconds since 1970, with a fraction. */
    approximateArrivalTimestamp: number;
  }>;
  eventSource: 'aws:kinesis';
  eventVersion: '1.0';
  /** `shardId-000000000000:SEQUENCE` */
  eventID: string;
  eventName: 'aws:kinesis:record';
  invokeIdentityArn: string;
  awsRegion: string;
  eventSourceARN: string;
}>;

/** A record on its way, with what it adds to a payload. */
export type Delivery = Readonly<{
  sequence: Sequence;
  record: EventRecord;
  sizeBytes: number;
  /** When the source took it from the stream: its batching window began then at the latest. */
  takenMs: number;
}>;

export type Batch = readonly Delivery[];

/** The ARNs and the region that an event names. */
export type EventNames = Readonly<{
  streamArn: string;
  roleArn: string;
  region: string;
}>;

/** A payload of an invocation, with all of its base64 and JSON. */
const PAYLOAD_BYTES_MAX = 6 * 1024 * 1024;
const ENVELOPE_BYTES = '{"Records":[]}'.length;

export function deliveryOf(
  names: EventNames,
  streamShard: string,
  { SequenceNumber, PartitionKey, Data, ApproximateArrivalTimestamp }: KinesisRecord,
  nowMs: number,
): Delivery {
  const sequence = must(SequenceNumber, 'a record of Kinesis has a sequence number');
  const arrival = must(ApproximateArrivalTimestamp, 'a record of Kinesis says when it arrived');
  const record: EventRecord = {
    kinesis: {
      kinesisSchemaVersion: '1.0',
      partitionKey: must(PartitionKey, 'a record of Kinesis has a partition key'),
      sequenceNumber: sequence,
      data: Buffer.from(Data ?? []).toString('base64'),
      approximateArrivalTimestamp: arrival.getTime() / 1000,
    },
    eventSource: 'aws:kinesis',
    eventVersion: '1.0',
    eventID: `${streamShard}:${sequence}`,
    eventName: 'aws:kinesis:record',
    invokeIdentityArn: names.roleArn,
    awsRegion: names.region,
    eventSourceARN: names.streamArn,
  };
  // The comma before the next one counts with it.
  return {
    sequence,
    record,
    sizeBytes: Buffer.byteLength(JSON.stringify(record)) + 1,
    takenMs: nowMs,
  };
}

export const eventOf = (batch: Batch): Readonly<{ Records: readonly EventRecord[] }> => ({
  Records: batch.map(({ record }) => record),
});

export type BatchBounds = Readonly<{ batchSize: number; windowMs: number }>;

/**
 * How many of the records that wait make the next batch: none yet while there are fewer than a batch
 * has, less than a payload holds and the window of the oldest is still open.
 */
export function nextBatch(
  waiting: Batch,
  { batchSize, windowMs }: BatchBounds,
  nowMs: number,
): number {
  let sizeBytes = ENVELOPE_BYTES;
  let count = 0;
  for (const delivery of waiting) {
    sizeBytes += delivery.sizeBytes;
    if (count > 0 && sizeBytes > PAYLOAD_BYTES_MAX) return count;
    count += 1;
    if (count === batchSize) return count;
  }
  const [oldest] = waiting;
  if (oldest === undefined || nowMs < oldest.takenMs + windowMs) return 0;
  return count;
}

/**
 * What of a batch is to be delivered again. Anything but an answer is a failure of the whole batch:
 * an error, a timeout, an environment that ended, an answer that was too large, a throttled call.
 */
export function remainderOf(batch: Batch, outcome: Outcome, isPartialKnown: boolean): Batch {
  if (outcome.kind !== 'result') return batch;
  if (!isPartialKnown) return [];
  const failures = failuresOf(outcome.payload);
  if (failures.length === 0) return [];
  const sequences = new Set(batch.map(({ sequence }) => sequence));
  const named = failures.map(identifierOf).filter((name) => name !== undefined);
  // No identifier, an empty one, one under another key and one of no record fail the whole batch.
  const isKnown = named.length === failures.length && named.every((name) => sequences.has(name));
  const [lowest] = isKnown ? named.sort(compareSequences) : [];
  if (lowest === undefined) return batch;
  return batch.filter(({ sequence }) => compareSequences(sequence, lowest) >= 0);
}

/** An empty or missing answer, or list, is a complete success. */
function failuresOf(payload: unknown): readonly unknown[] {
  if (typeof payload !== 'object' || payload === null) return [];
  const failures = 'batchItemFailures' in payload ? payload.batchItemFailures : undefined;
  return Array.isArray(failures) ? failures : [];
}

function identifierOf(failure: unknown): string | undefined {
  if (typeof failure !== 'object' || failure === null) return undefined;
  const name = 'itemIdentifier' in failure ? failure.itemIdentifier : undefined;
  return typeof name === 'string' ? name : undefined;
}
