import { assert } from '#base/assert.ts';
import type { Clock } from '#ports/clock.ts';

type Sleeper = Readonly<{ wakeMs: number; order: number; wake: () => void }>;

/**
 * Turns of the microtask queue that {@link ManualClock.advance} grants between two wakings. Work
 * over memory ports settles in a few dozen turns; what needs more simply goes on after the advance.
 */
const SETTLE_TURNS = 200;

/** A clock that moves only when told to. */
export class ManualClock implements Clock {
  #nowMs: number;
  #slept = 0;
  readonly #sleepers = new Set<Sleeper>();

  /** Starts at 2024-01-01T00:00:00Z unless told otherwise. */
  constructor(startMs = 1_704_067_200_000) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (!(ms > 0)) return;
    return new Promise((resolve, reject) => {
      const done = () => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener('abort', abort);
      };
      const abort = () => {
        done();
        reject(signal?.reason);
      };
      const wake = () => {
        done();
        resolve();
      };
      const sleeper = { wakeMs: this.#nowMs + Math.ceil(ms), order: this.#slept++, wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', abort);
    });
  }

  /** When the next sleeper is due; undefined where nobody sleeps. */
  nextWakeMs(): number | undefined {
    return this.#next()?.wakeMs;
  }

  /**
   * Moves the time on. Sleepers wake one by one in the order of their times, each seeing its own
   * time, and what they do meanwhile may put more sleepers in the way.
   */
  async advance(ms: number): Promise<void> {
    assert(ms >= 0, `time does not go back, found ${ms} ms`);
    const untilMs = this.#nowMs + Math.ceil(ms);
    await settle();
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      if (next.wakeMs > untilMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.wakeMs);
      next.wake();
      await settle();
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
    await settle();
  }

  #next(): Sleeper | undefined {
    let first: Sleeper | undefined;
    for (const sleeper of this.#sleepers) {
      const sooner = first === undefined || sleeper.wakeMs < first.wakeMs;
      if (sooner || (sleeper.wakeMs === first?.wakeMs && sleeper.order < first.order)) {
        first = sleeper;
      }
    }
    return first;
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < SETTLE_TURNS; turn++) await undefined;
}
