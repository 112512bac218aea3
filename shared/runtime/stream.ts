/**
 * A Kinesis batch as ordered log entries, and what of it is to be delivered again.
 *
 * The event source delivers at least once, in order per stream shard, and goes on from the first
 * failure that we name: what failed holds the stream shard until it is applied. Every record is
 * recognised when it comes again (I2).
 */
import { applyEntries } from '#ingest/consume.ts';
import type { LogEntry } from '#ports/log.ts';
import type { AwsBase } from './aws-base.ts';

/** The parts of the event that are looked at. */
export type KinesisEvent = Readonly<{
  Records: readonly Readonly<{
    kinesis: Readonly<{
      sequenceNumber: string;
      partitionKey: string;
      /** Base64. */
      data: string;
      /** Seconds since 1970, with a fraction. */
      approximateArrivalTimestamp: number;
    }>;
  }>[];
}>;

/** The event source retries from the lowest sequence number named here; none means all is done. */
export type BatchResponse = Readonly<{
  batchItemFailures: readonly Readonly<{ itemIdentifier: string }>[];
}>;

export type StreamHandler = (
  event: KinesisEvent,
  context?: Readonly<{ getRemainingTimeInMillis(): number }>,
) => Promise<BatchResponse>;

/** What a batch asks of an engine. */
export type StreamEngine = Readonly<{
  ports: AwsBase['ports'];
  catalog: Pick<AwsBase['catalog'], 'getCollection'>;
  flush(): void;
}>;

/**
 * Records are pointers: 6 MB of them may name gigabytes of payloads. No batch of 64 MiB is begun with
 * less time than this, which is five times what one takes, so that Lambda never stops us in the midst.
 */
const STOP_MS = 20_000;

/** Applies what the event source delivers. An error that is thrown makes it deliver all of it again. */
export const applyStream =
  (engine: () => Promise<StreamEngine>): StreamHandler =>
  async (event, context) => {
    const { ports, catalog, flush } = await engine();
    const leftMs = context?.getRemainingTimeInMillis() ?? Number.POSITIVE_INFINITY;
    const stopMs = ports.clock.nowMs() + leftMs - STOP_MS;
    try {
      const entries = event.Records.map(entryOf);
      const { through } = await applyEntries({ ...ports, collections: catalog, stopMs }, entries);
      const done = entries.findLastIndex(({ sequence }) => sequence === through);
      const first = entries[done + 1];
      return { batchItemFailures: first === undefined ? [] : [{ itemIdentifier: first.sequence }] };
    } finally {
      flush();
    }
  };

const entryOf = ({ kinesis }: KinesisEvent['Records'][number]): LogEntry => ({
  sequence: kinesis.sequenceNumber,
  partition: kinesis.partitionKey,
  data: new Uint8Array(Buffer.from(kinesis.data, 'base64')),
  arrivalMs: Math.round(kinesis.approximateArrivalTimestamp * 1000),
});
