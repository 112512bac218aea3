/**
 * One stream shard as the event source works through it: read in order, dealt to lanes by partition
 * key, delivered batch by batch.
 *
 * A *lane* has one batch in flight at a time, so records of one partition key keep their order, and as
 * many lanes as the mapping's parallelisation factor are in flight together. The checkpoint stands
 * before the oldest record that is not done yet, whichever lane it is in: behind a crash the source
 * delivers everything after that again, also what other lanes had finished meanwhile.
 */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  GetRecordsCommand,
  GetShardIteratorCommand,
  type KinesisClient,
} from '@aws-sdk/client-kinesis';
import { must } from '#base/assert.ts';
import { compareSequences, type Sequence } from '#ports/log.ts';
import {
  type Batch,
  type BatchBounds,
  type Delivery,
  deliveryOf,
  type EventNames,
  nextBatch,
} from './batches.ts';

export type StreamShardPorts = Readonly<{
  client: KinesisClient;
  streamName: string;
  names: EventNames;
  bounds: BatchBounds;
  /** Lanes: 1 to 10. */
  parallelization: number;
  pollMs: number;
  retryMsMax: number;
  /** Hands a batch to the function and says what of it is to be delivered again. */
  deliver: (batch: Batch) => Promise<Batch>;
  isPaused: () => boolean;
  /** Called when everything up to `sequence` is done. */
  moved: (streamShard: string, sequence: Sequence) => void;
}>;

/** Batches that wait in each lane while one is in flight: the source reads no further ahead. */
const WAITING_BATCHES = 2;
/** GetRecords hands out no more at once. */
const READ_MAX = 10_000;
const RETRY_MS_FIRST = 50;
/** How often a lane looks whether a window closed or a pause ended. */
const LOOK_MS = 10;

type Tracked = { readonly delivery: Delivery; isDone: boolean };

export class StreamShardRun {
  readonly name: string;
  /** Everything was read and done, and nothing will follow: the children may begin. */
  isDrained = false;
  /** The last record read, and the last one before which all are done. */
  taken: Sequence | undefined;
  checkpoint: Sequence | undefined;
  /** When the last read began that found the end of the stream shard. */
  caughtUpMs = Number.NEGATIVE_INFINITY;
  lastError: unknown;
  readonly #ports: StreamShardPorts;
  readonly #lanes: Tracked[][];
  #outstanding: Tracked[] = [];
  #iterator: string | undefined;
  #isClosed = false;
  #isStopped = false;
  readonly #reading: Promise<void>;

  constructor(ports: StreamShardPorts, name: string, checkpoint: Sequence | undefined) {
    this.#ports = ports;
    this.name = name;
    this.taken = checkpoint;
    this.checkpoint = checkpoint;
    this.#lanes = Array.from({ length: ports.parallelization }, () => []);
    this.#reading = this.#read();
    for (const lane of this.#lanes) void this.#work(lane);
  }

  /** Takes and delivers nothing more. What is in flight goes on, and nobody asks how it ended. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Resolves when no request about the stream is under way any more. */
  async stopped(): Promise<void> {
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { pollMs, isPaused } = this.#ports;
    while (!this.#isStopped && !this.isDrained) {
      let more = false;
      if (!isPaused() && !this.#isClosed) {
        try {
          more = await this.#readPage();
          this.lastError = undefined;
        } catch (error) {
          // An iterator that expired, a throttled or failed call: again from where it stands.
          this.#iterator = undefined;
          this.lastError = error;
        }
      }
      this.isDrained = this.#isClosed && this.#outstanding.length === 0;
      if (!more) await delay(this.#isClosed ? LOOK_MS : pollMs);
    }
  }

  async #readPage(): Promise<boolean> {
    const { client, bounds, parallelization } = this.#ports;
    const capacity = bounds.batchSize * (WAITING_BATCHES + 1) * parallelization;
    const room = Math.min(READ_MAX, capacity - this.#outstanding.length);
    if (room <= 0) return false;
    const begunMs = performance.now();
    this.#iterator ??= await this.#newIterator();
    const request = new GetRecordsCommand({ ShardIterator: this.#iterator, Limit: room });
    const { Records: records = [], NextShardIterator: next } = await client.send(request);
    // Whoever stopped meanwhile goes on elsewhere, from the checkpoint.
    if (this.#isStopped) return false;
    for (const record of records) this.#take(record);
    this.#iterator = next;
    this.#isClosed = next === undefined;
    // A page that is not full is the end of what there is, in the emulator.
    if (records.length < room) this.caughtUpMs = begunMs;
    return records.length > 0;
  }

  async #newIterator(): Promise<string> {
    const { client, streamName } = this.#ports;
    const from =
      this.taken === undefined
        ? ({ ShardIteratorType: 'TRIM_HORIZON' } as const)
        : ({
            ShardIteratorType: 'AFTER_SEQUENCE_NUMBER',
            StartingSequenceNumber: this.taken,
          } as const);
    const request = { StreamName: streamName, ShardId: this.name, ...from };
    const { ShardIterator } = await client.send(new GetShardIteratorCommand(request));
    return must(ShardIterator, 'an answer to GetShardIterator has an iterator');
  }

  #take(record: Parameters<typeof deliveryOf>[2]): void {
    const delivery = deliveryOf(this.#ports.names, this.name, record, performance.now());
    const tracked = { delivery, isDone: false };
    this.#outstanding.push(tracked);
    this.taken = delivery.sequence;
    const digest = createHash('md5').update(delivery.record.kinesis.partitionKey).digest();
    const lane = this.#lanes[digest.readUInt32BE() % this.#lanes.length];
    must(lane, 'the lane of a partition key').push(tracked);
  }

  async #work(lane: Tracked[]): Promise<void> {
    const { bounds } = this.#ports;
    while (!this.#isStopped && !this.isDrained) {
      const waiting = lane.map(({ delivery }) => delivery);
      const count = nextBatch(waiting, bounds, performance.now());
      if (count === 0 || this.#ports.isPaused()) await delay(LOOK_MS);
      else await this.#deliver(lane.splice(0, count));
    }
  }

  /** Until all of it is done. Whatever progress a delivery makes lets the pauses begin anew. */
  async #deliver(batch: readonly Tracked[]): Promise<void> {
    const { deliver, isPaused, retryMsMax } = this.#ports;
    let left = batch;
    let retryMs = RETRY_MS_FIRST;
    while (!this.#isStopped) {
      if (isPaused()) {
        await delay(LOOK_MS);
        continue;
      }
      const again = await deliver(left.map(({ delivery }) => delivery));
      if (this.#isStopped) return;
      const done = left.slice(0, left.length - again.length);
      for (const tracked of done) tracked.isDone = true;
      this.#moveCheckpoint();
      if (again.length === 0) return;
      retryMs = done.length > 0 ? RETRY_MS_FIRST : Math.min(retryMs * 2, retryMsMax);
      left = left.slice(done.length);
      await delay(retryMs);
    }
  }

  #moveCheckpoint(): void {
    const first = this.#outstanding.findIndex(({ isDone }) => !isDone);
    const count = first < 0 ? this.#outstanding.length : first;
    const last = this.#outstanding[count - 1];
    if (last === undefined) return;
    this.#outstanding = this.#outstanding.slice(count);
    this.checkpoint = last.delivery.sequence;
    this.#ports.moved(this.name, last.delivery.sequence);
  }

  /** Whether everything up to `sequence` is done. */
  isThrough(sequence: Sequence | undefined): boolean {
    if (sequence === undefined) return true;
    return this.checkpoint !== undefined && compareSequences(this.checkpoint, sequence) >= 0;
  }
}
