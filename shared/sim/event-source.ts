/**
 * The event source: hands a log's entries to a function, as Kinesis's event source mapping does.
 *
 * Per stream shard in order and one batch after the other, parents to their end before their children,
 * at least once: a batch that fails, or whose function does not answer in time, comes again, and so
 * does now and then one that succeeded, also while another environment still works on it. What a
 * function names as failed is where the next batch begins.
 */
import { must } from '#base/assert.ts';
import type { Entropy } from '#ports/entropy.ts';
import { compareSequences, type LogEntry, type Sequence } from '#ports/log.ts';
import type { MemoryLog } from './memory-log.ts';
import type { Schedule } from './schedule.ts';
import type { Weather } from './weather.ts';

/**
 * Hands over a batch and says how far it was taken: the last entry before the first that failed, or
 * undefined where that is the first. `no-answer` where the function failed, died, or takes too long.
 */
export type Delivery = (
  entries: readonly LogEntry[],
) => Promise<Readonly<{ through: Sequence | undefined }> | 'no-answer'>;

/** `duplicate`, `rewind`: how likely a batch goes to two at once, and comes again though it was taken. */
export type EventSourceOptions = Readonly<{
  schedule: Schedule;
  log: MemoryLog;
  entropy: Entropy;
  weather: Weather;
  deliver: Delivery;
  /** How often it looks for entries. */
  pollMs: number;
  /** Entries in one batch at most. */
  batchMax: number;
  duplicate: number;
  rewind: number;
  /** How likely the log forgets what was taken, after a batch. */
  trim: number;
}>;

type Follower = {
  readonly name: string;
  taken: Sequence | undefined;
  busy: boolean;
};

/** Between two deliveries of what failed. */
const RETRY_MS = 500;
/** How far back a rewind goes. */
const REWIND_ENTRIES = 30;
const READ_MAX = 10_000;

export class EventSource {
  readonly #options: EventSourceOptions;
  readonly #followers = new Map<string, Follower>();
  #stopped = false;

  constructor(options: EventSourceOptions) {
    this.#options = options;
  }

  start(): void {
    this.#poll();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Everything that the log holds was taken. */
  async isDrained(): Promise<boolean> {
    const { log } = this.#options;
    for (const { name } of await log.streamShards()) {
      const follower = this.#follower(name);
      if (follower.busy || (await this.#unread(follower, 1)).length > 0) return false;
    }
    return true;
  }

  #poll(): void {
    if (this.#stopped) return;
    const { schedule, pollMs, entropy } = this.#options;
    void this.#look();
    schedule.after(pollMs * (0.5 + entropy.random()), () => this.#poll());
  }

  async #look(): Promise<void> {
    const { log } = this.#options;
    for (const { name, parents } of await log.streamShards()) {
      const follower = this.#follower(name);
      const waiting = await this.#unread(follower, 1);
      if (waiting.length === 0 || !(await this.#areDrained(parents)) || follower.busy) continue;
      follower.busy = true;
      void this.#follow(follower).finally(() => {
        follower.busy = false;
      });
    }
  }

  /** A child waits until everything in its parents was taken; their order within a partition is theirs. */
  async #areDrained(names: readonly string[]): Promise<boolean> {
    const shards = await this.#options.log.streamShards();
    for (const name of names) {
      const follower = this.#follower(name);
      if (follower.busy || (await this.#unread(follower, 1)).length > 0) return false;
      const { parents } = must(
        shards.find((shard) => shard.name === name),
        'a parent is a stream shard',
      );
      if (!(await this.#areDrained(parents))) return false;
    }
    return true;
  }

  async #follow(follower: Follower): Promise<void> {
    const { schedule, entropy, batchMax } = this.#options;
    while (!this.#stopped) {
      const limit = 1 + Math.floor(entropy.random() * batchMax);
      const batch = await this.#unread(follower, limit);
      const last = batch.at(-1);
      if (last === undefined) return;
      const outcome = await this.#deliver(batch);
      if (outcome === 'no-answer') {
        await schedule.sleep(RETRY_MS);
        continue;
      }
      const { through } = outcome;
      if (through !== undefined) this.#take(follower, through);
      if (through !== last.sequence) await schedule.sleep(RETRY_MS);
      await this.#afterBatch(follower);
    }
  }

  async #deliver(batch: readonly LogEntry[]): ReturnType<Delivery> {
    const { entropy, duplicate, weather, deliver } = this.#options;
    if (entropy.random() < duplicate && weather.strike('duplicate-delivery')) {
      // Another environment gets it as well; nobody waits for that one.
      void deliver(batch);
    }
    return deliver(batch);
  }

  #take(follower: Follower, through: Sequence): void {
    const { taken } = follower;
    if (taken === undefined || compareSequences(through, taken) > 0) follower.taken = through;
  }

  async #afterBatch(follower: Follower): Promise<void> {
    const { entropy, rewind, trim, weather, log } = this.#options;
    const again = entropy.random() < rewind;
    const forget = entropy.random() < trim;
    const { taken } = follower;
    if (again && taken !== undefined && weather.strike('rewind')) {
      const all = await log.read(follower.name, { limit: READ_MAX });
      const upTo = all.filter(({ sequence }) => compareSequences(sequence, taken) <= 0);
      const back = 1 + Math.floor(entropy.random() * REWIND_ENTRIES);
      follower.taken = upTo.at(-1 - back)?.sequence;
    } else if (forget && taken !== undefined && weather.strike('trim')) {
      await log.trim(follower.name, taken);
    }
  }

  #unread({ name, taken }: Follower, limit: number): Promise<readonly LogEntry[]> {
    const from = taken === undefined ? {} : { after: taken };
    return this.#options.log.read(name, { ...from, limit });
  }

  #follower(name: string): Follower {
    const known = this.#followers.get(name);
    if (known !== undefined) return known;
    const follower = { name, taken: undefined, busy: false };
    this.#followers.set(name, follower);
    return follower;
  }
}
