/**
 * Generated primary keys (autoID): unique across processes and regions, roughly in order of time.
 *
 * Keys are handed out in blocks by compare-and-set of one row of the global table, so that no two
 * processes ever hold the same key; 63 bits are too few to rely on chance (time in milliseconds
 * leaves 22 random bits, and two requests of 1,000 rows in one millisecond would meet once in
 * 2,000 times). The counter never falls behind `time << 18`: keys have 18 decimal digits as Milvus's
 * have, sort by time, and stay unique even where a region takes over with a stale counter, as long
 * as fewer than 2^18 keys a millisecond were handed out. 2^63 is reached in the year 3084.
 */
import { assert } from '#base/assert.ts';
import { ByteReader, ByteWriter } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';
import type { RowKey, Table } from '#ports/table.ts';

/** One millisecond's worth of keys: 262,144. */
const TIME_SHIFT = 18n;
const BLOCK_KEYS = 1 << Number(TIME_SHIFT);
/**
 * An older block is given back unused, so that keys of different processes stay in order of time to
 * within ten minutes. An idle process pays one conditional put every ten minutes in which it inserts.
 */
const BLOCK_AGE_MS_MAX = 10 * 60_000;
/** Every lost race means that another process got its block. */
const ATTEMPTS_MAX = 16;
const ROW: RowKey = { partition: 'counters', sort: 'keys' };

type Block = { next: bigint; readonly end: bigint; readonly takenMs: number };

/** Lives as long as the process, so that a block serves many requests. */
export class KeyAllocator {
  readonly #global: Table;
  readonly #clock: Clock;
  #block: Block | undefined;
  /** Requests take their runs one after the other; the first to find the block empty fetches one. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ global, clock }: Readonly<{ global: Table; clock: Clock }>) {
    this.#global = global;
    this.#clock = clock;
  }

  /**
   * The first of `count` consecutive keys that nobody else gets.
   *
   * @throws StoreError `UNCERTAIN` where the global table does not answer (keys may be lost, none is
   *   handed out twice); `NOT_READY` after {@link ATTEMPTS_MAX} lost races
   */
  take(count: number): Promise<bigint> {
    const taken = this.#turn.then(() => this.#take(count));
    this.#turn = taken.catch(() => undefined);
    return taken;
  }

  async #take(count: number): Promise<bigint> {
    assert(count > 0, 'at least one key');
    const block = this.#block;
    const usable =
      block !== undefined &&
      block.end - block.next >= BigInt(count) &&
      this.#clock.nowMs() - block.takenMs <= BLOCK_AGE_MS_MAX;
    const from = usable ? block : await this.#fetch(Math.max(count, BLOCK_KEYS));
    this.#block = from;
    const first = from.next;
    from.next += BigInt(count);
    return first;
  }

  async #fetch(count: number): Promise<Block> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const row = await this.#global.get(ROW);
      const nowMs = this.#clock.nowMs();
      const counter = row === undefined ? 0n : new ByteReader(row.value, 'the key counter').i64();
      const floor = BigInt(nowMs) << TIME_SHIFT;
      const next = counter > floor ? counter : floor;
      const end = next + BigInt(count);
      const value = new ByteWriter(8).i64(end).finish();
      const won = await this.#global.put(ROW, value, row?.version ?? 'absent');
      if (won !== undefined) return { next, end, takenMs: nowMs };
    }
    throw new StoreError('NOT_READY', 'no block of generated keys was to be had; nothing written');
  }
}
