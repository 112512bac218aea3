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
  reorder?: number;
}>;

type Stream = {
  readonly name: string;
  readonly parents: readonly string[];
  /** The partitions whose hashes lie in it: 32 bits unsigned. */
  readonly range: HashRange;
  closed: boolean;
  /** Before this time it takes no entries. */
  throttledUntilMs: number;
  entries: LogEntry[];
  lastArrivalMs: number;
  /** The last entry that anybody has read: whatever comes later stands behind it. */
  read: Sequence;
};

/** From the first, to before the second. */
type HashRange = readonly [number, number];

const HASHES = 2 ** 32;

/** A log in memory: several stream shards, a partition on one of them by its hash. */
export class MemoryLog implements Log {
  readonly #clock: Clock;
  readonly #entropy: Entropy | undefined;
  readonly #reorder: number;
  readonly #streams: Stream[] = [];
  readonly #checkpoints = new Map<string, Sequence>();
  readonly #waiters = new Set<() => void>();
  /** One counter for all stream shards, so that a partition's sequences grow across resharding. */
  #last = 0n;

  constructor(options: MemoryLogOptions) {
    this.#clock = options.clock;
    this.#entropy = options.entropy;
    this.#reorder = options.reorder ?? 0;
    this.#openEvenly(options.streamShards ?? 1, []);
  }

  async append(partition: string, data: Uint8Array, options?: AppendOptions): Promise<Appended> {
    checkPartition(partition);
    if (options?.after !== undefined) checkSequence(options.after);
    const stream = this.#streamOf(partition);
    if (this.#clock.nowMs() < stream.throttledUntilMs) {
      throw new StoreError('OVERLOADED', `stream shard ${stream.name} takes no more entries now`);
    }
    const before = this.#placeBefore(stream, options?.after);
    const sequence = before ?? this.#nextSequence(options?.after);
    stream.lastArrivalMs = Math.max(stream.lastArrivalMs, this.#clock.nowMs());
    const entry = { sequence, partition, data: data.slice(), arrivalMs: stream.lastArrivalMs };
    stream.entries.splice(stream.entries.length - (before === undefined ? 0 : 1), 0, entry);
    for (const wake of [...this.#waiters]) wake();
    return { sequence, streamShard: stream.name };
  }

  async streamShards(): Promise<readonly StreamShard[]> {
    return this.#streams.map(({ name, parents, closed }) => ({ name, parents, closed }));
  }

  async read(streamShard: string, options: ReadOptions): Promise<readonly LogEntry[]> {
    checkReadOptions(options);
    const stream = this.#find(streamShard);
    const { entries } = stream;
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
    const last = page.at(-1)?.sequence ?? '0';
    if (compareSequences(last, stream.read) > 0) stream.read = last;
    return page;
  }

  /** The entry as it is, for an oracle that looks in the moment in which it arrives. */
  peek(streamShard: string, sequence: Sequence): LogEntry | undefined {
    return this.#find(streamShard).entries.findLast((entry) => entry.sequence === sequence);
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

  /** Closes every open stream shard and opens `count` children of them. */
  reshard(count: number): void {
    const open = this.#streams.filter((stream) => !stream.closed);
    this.#close(open);
    this.#openEvenly(
      count,
      open.map((stream) => stream.name),
    );
  }

  /** Closes a stream shard and opens two children with half of its partitions each, as Kinesis does. */
  split(streamShard: string): void {
    const { name, range, closed } = this.#find(streamShard);
    const [from, to] = range;
    assert(!closed && to - from >= 2, `${name} is open and large enough to be split`);
    this.#close([this.#find(name)]);
    const middle = Math.floor((from + to) / 2);
    this.#open([from, middle], [name]);
    this.#open([middle, to], [name]);
  }

  /** Closes the two stream shards and opens one child with the partitions of both. */
  merge(streamShard: string, other: string): void {
    const pair = [this.#find(streamShard), this.#find(other)].sort(byRange);
    const [low, high] = pair;
    assert(low !== undefined && high !== undefined && low !== high, 'two stream shards');
    assert(!low.closed && !high.closed, `${low.name} and ${high.name} are open`);
    assert(low.range[1] === high.range[0], `${low.name} and ${high.name} are neighbours`);
    this.#close(pair);
    this.#open([low.range[0], high.range[1]], [low.name, high.name]);
  }

  /** The open stream shards by the partitions that they hold: those next to each other are neighbours. */
  openStreamShards(): readonly string[] {
    const open = this.#streams.filter((stream) => !stream.closed);
    return open.sort(byRange).map(({ name }) => name);
  }

  /** Lets a stream shard refuse entries for a while, as one does that gets more than its share. */
  throttle(streamShard: string, ms: number): void {
    this.#find(streamShard).throttledUntilMs = this.#clock.nowMs() + ms;
  }

  #close(streams: readonly Stream[]): void {
    for (const stream of streams) stream.closed = true;
    for (const wake of [...this.#waiters]) wake();
  }

  #openEvenly(count: number, parents: readonly string[]): void {
    assert(Number.isInteger(count) && count >= 1, `a log has stream shards, found ${count}`);
    const ends = Array.from({ length: count + 1 }, (_, index) =>
      Math.floor((HASHES * index) / count),
    );
    for (let index = 0; index < count; index++) {
      this.#open([ends[index] ?? 0, ends[index + 1] ?? HASHES], parents);
    }
  }

  #open(range: HashRange, parents: readonly string[]): void {
    const name = `shard-${this.#streams.length}`;
    const empty = { closed: false, throttledUntilMs: 0, entries: [], lastArrivalMs: 0, read: '0' };
    this.#streams.push({ name, parents, range, ...empty });
  }

  #streamOf(partition: string): Stream {
    const hash = crc32(utf8(partition));
    const holder = this.#streams.find(
      ({ closed, range: [from, to] }) => !closed && from <= hash && hash < to,
    );
    return must(holder, 'every hash lies in one open stream shard');
  }

  #find(streamShard: string): Stream {
    const found = this.#streams.find((stream) => stream.name === streamShard);
    if (found === undefined) {
      throw new StoreError('INVALID_ARGUMENT', `the log has no stream shard ${streamShard}`);
    }
    return found;
  }

  /** A free number before the last entry and behind the one before it, if there is one. */
  #placeBefore(stream: Stream, after: Sequence | undefined): Sequence | undefined {
    if (this.#reorder === 0) return undefined;
    const wanted = (this.#entropy?.random() ?? 1) < this.#reorder;
    const last = stream.entries.at(-1)?.sequence;
    if (!wanted || last === undefined) return undefined;
    const previous = stream.entries.at(-2)?.sequence ?? '0';
    const place = String(BigInt(last) - 1n);
    const bounds = [previous, stream.read, after ?? '0'];
    const isFree = bounds.every((bound) => compareSequences(place, bound) > 0);
    return isFree && !this.#isUsed(place) ? place : undefined;
  }

  /** Stream shards share one counter. */
  #isUsed(sequence: Sequence): boolean {
    return this.#streams.some(({ entries }) =>
      entries.some((entry) => entry.sequence === sequence),
    );
  }

  #nextSequence(after: Sequence | undefined): Sequence {
    const floor = after === undefined ? 0n : BigInt(after);
    const gap = BigInt(Math.floor((this.#entropy?.random() ?? 0) * 8));
    this.#last = (floor > this.#last ? floor : this.#last) + 1n + gap;
    return String(this.#last);
  }
}

const byRange = (a: Stream, b: Stream): number => a.range[0] - b.range[0];
