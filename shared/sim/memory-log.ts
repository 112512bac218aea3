import { assert, must } from '#base/assert.ts';
import { crc32, utf8 } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import {
  checkConsumer,
  checkPartition,
  checkReadOptions,
  checkSequence,
} from '#ports/arguments.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import {
  type Appended,
  type AppendOptions,
  compareSequences,
  type Log,
  type LogEntry,
  type ReadOptions,
  type Sequence,
  type StreamShard,
} from '#ports/log.ts';

/**
 * `streamShards`: how many to begin with, default 1. `entropy`: where given, sequences skip up to
 * seven numbers at random, because the contract does not promise that they are dense.
 */
export type MemoryLogOptions = Readonly<{
  clock: Clock;
  streamShards?: number;
  entropy?: Entropy;
}>;

type Stream = {
  readonly name: string;
  readonly parents: readonly string[];
  closed: boolean;
  entries: LogEntry[];
  lastArrivalMs: number;
};

/** A log in memory: several stream shards, a partition on one of them by its hash. */
export class MemoryLog implements Log {
  readonly #clock: Clock;
  readonly #entropy: Entropy | undefined;
  readonly #streams: Stream[] = [];
  readonly #checkpoints = new Map<string, Sequence>();
  readonly #waiters = new Set<() => void>();
  /** One counter for all stream shards, so that a partition's sequences grow across resharding. */
  #last = 0n;

  constructor(options: MemoryLogOptions) {
    this.#clock = options.clock;
    this.#entropy = options.entropy;
    this.#open(options.streamShards ?? 1, []);
  }

  async append(partition: string, data: Uint8Array, options?: AppendOptions): Promise<Appended> {
    checkPartition(partition);
    if (options?.after !== undefined) checkSequence(options.after);
    const stream = this.#streamOf(partition);
    const sequence = this.#nextSequence(options?.after);
    stream.lastArrivalMs = Math.max(stream.lastArrivalMs, this.#clock.nowMs());
    stream.entries.push({
      sequence,
      partition,
      data: data.slice(),
      arrivalMs: stream.lastArrivalMs,
    });
    for (const wake of [...this.#waiters]) wake();
    return { sequence, streamShard: stream.name };
  }

  async streamShards(): Promise<readonly StreamShard[]> {
    return this.#streams.map(({ name, parents, closed }) => ({ name, parents, closed }));
  }

  async read(streamShard: string, options: ReadOptions): Promise<readonly LogEntry[]> {
    checkReadOptions(options);
    const { entries } = this.#find(streamShard);
    const page: LogEntry[] = [];
    let bytes = 0;
    for (const entry of entries) {
      if (options.after !== undefined && compareSequences(entry.sequence, options.after) <= 0) {
        continue;
      }
      page.push({ ...entry, data: entry.data.slice() });
      bytes += entry.data.length;
      if (page.length === options.limit || bytes >= (options.maxBytes ?? Infinity)) break;
    }
    return page;
  }

  async wait(streamShard: string, after: Sequence | undefined, timeoutMs: number): Promise<void> {
    const last = this.#find(streamShard).entries.at(-1)?.sequence;
    if (last !== undefined && (after === undefined || compareSequences(last, after) > 0)) return;
    const enough = new AbortController();
    const woken = new Promise<void>((resolve) => {
      const wake = () => {
        this.#waiters.delete(wake);
        resolve();
      };
      this.#waiters.add(wake);
      enough.signal.addEventListener('abort', wake);
    });
    const asleep = this.#clock.sleep(timeoutMs, enough.signal).catch((error: unknown) => {
      if (!enough.signal.aborted) throw error;
    });
    await Promise.race([woken, asleep]);
    enough.abort();
  }

  async checkpoint(consumer: string, streamShard: string): Promise<Sequence | undefined> {
    checkConsumer(consumer);
    return this.#checkpoints.get(`${consumer} ${this.#find(streamShard).name}`);
  }

  async saveCheckpoint(consumer: string, streamShard: string, sequence: Sequence): Promise<void> {
    checkConsumer(consumer);
    checkSequence(sequence);
    const key = `${consumer} ${this.#find(streamShard).name}`;
    const saved = this.#checkpoints.get(key);
    if (saved === undefined || compareSequences(sequence, saved) > 0) {
      this.#checkpoints.set(key, sequence);
    }
  }

  async trim(streamShard: string, through: Sequence): Promise<void> {
    checkSequence(through);
    const stream = this.#find(streamShard);
    stream.entries = stream.entries.filter(
      (entry) => compareSequences(entry.sequence, through) > 0,
    );
  }

  /** Closes every open stream shard and opens `count` children of them, as Kinesis does. */
  reshard(count: number): void {
    const open = this.#streams.filter((stream) => !stream.closed);
    for (const stream of open) stream.closed = true;
    this.#open(
      count,
      open.map((stream) => stream.name),
    );
    for (const wake of [...this.#waiters]) wake();
  }

  #open(count: number, parents: readonly string[]): void {
    assert(Number.isInteger(count) && count >= 1, `a log has stream shards, found ${count}`);
    const first = this.#streams.length;
    for (let index = 0; index < count; index++) {
      const name = `shard-${first + index}`;
      this.#streams.push({ name, parents, closed: false, entries: [], lastArrivalMs: 0 });
    }
  }

  #streamOf(partition: string): Stream {
    const open = this.#streams.filter((stream) => !stream.closed);
    return must(open[crc32(utf8(partition)) % open.length], 'some stream shard is open');
  }

  #find(streamShard: string): Stream {
    const found = this.#streams.find((stream) => stream.name === streamShard);
    if (found === undefined) {
      throw new StoreError('INVALID_ARGUMENT', `the log has no stream shard ${streamShard}`);
    }
    return found;
  }

  #nextSequence(after: Sequence | undefined): Sequence {
    const floor = after === undefined ? 0n : BigInt(after);
    const gap = BigInt(Math.floor((this.#entropy?.random() ?? 0) * 8));
    this.#last = (floor > this.#last ? floor : this.#last) + 1n + gap;
    return String(this.#last);
  }
}
