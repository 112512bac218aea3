/**
 * Virtual time: a queue of events, and a loop that lets one happen after the other.
 *
 * Nothing here waits. The loop takes the earliest event, lets it happen, and lets everything that it
 * set off run until nothing is left to run; then it takes the next one. Events of the same moment
 * happen in an order that chance decides, so equal seeds give equal runs and other seeds other ones.
 *
 * "Until nothing is left to run" is exact, not a number of turns: Node runs a tick that was asked for
 * by a microtask only when the queue of microtasks is empty. What waits for a file, a socket, a timer
 * or a worker never goes on meanwhile, since the loop does not return to Node's own until it ends.
 */
import type { Entropy } from '#ports/entropy.ts';

export type Scheduled = {
  readonly atMs: number;
  readonly tie: number;
  readonly order: number;
  /** Undefined once it happened or was called off. */
  act: (() => void) | undefined;
};

/** 2024-01-01T00:00:00Z */
const START_MS = 1_704_067_200_000;

export class Schedule {
  readonly #entropy: Entropy;
  readonly #heap: Scheduled[] = [];
  #nowMs: number;
  #order = 0;
  #happened = 0;
  /** Called when everything that an event set off has run; what it throws ends the run. */
  onQuiet: () => void = () => {};

  constructor(entropy: Entropy, startMs = START_MS) {
    this.#entropy = entropy;
    this.#nowMs = startMs;
  }

  /** With a fraction: the order of what happens within a millisecond matters. */
  nowMs(): number {
    return this.#nowMs;
  }

  /** Events that have happened. */
  get happened(): number {
    return this.#happened;
  }

  after(ms: number, act: () => void): Scheduled {
    const event = {
      atMs: this.#nowMs + Math.max(0, ms),
      tie: this.#entropy.random(),
      order: this.#order++,
      act,
    };
    this.#push(event);
    return event;
  }

  /** A promise that is kept after `ms`, for whoever stands outside of every environment. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  /**
   * Lets events happen until `done` says so after one of them.
   *
   * @returns `idle` where none is left, `late` where `eventsMax` of them were not enough
   */
  run(
    done: () => boolean,
    eventsMax = Number.POSITIVE_INFINITY,
  ): Promise<'done' | 'idle' | 'late'> {
    const last = this.#happened + eventsMax;
    return new Promise((resolve, reject) => {
      const step = (): void => {
        try {
          this.onQuiet();
          const end = done() ? 'done' : this.#happened >= last ? 'late' : this.#next();
          if (end === undefined) whenQuiet(step);
          else resolve(end);
        } catch (error) {
          reject(error);
        }
      };
      whenQuiet(step);
    });
  }

  /** Lets the earliest event happen. */
  #next(): 'idle' | undefined {
    const event = this.#pop();
    if (event === undefined) return 'idle';
    this.#nowMs = event.atMs;
    this.#happened += 1;
    const { act } = event;
    event.act = undefined;
    act?.();
    return undefined;
  }

  #push(event: Scheduled): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || isBefore(above, event)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  /** The earliest event that was not called off. */
  #pop(): Scheduled | undefined {
    for (;;) {
      const first = this.#heap[0];
      const last = this.#heap.pop();
      if (first === undefined || last === undefined) return undefined;
      if (this.#heap.length > 0) this.#sink(last);
      if (first.act !== undefined) return first;
    }
  }

  #sink(event: Scheduled): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      let below = heap[child];
      if (below === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, below)) {
        child += 1;
        below = right;
      }
      if (isBefore(event, below)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = event;
  }
}

/** Node runs a tick that a microtask asks for once no microtask is left. */
const whenQuiet = (act: () => void): void => queueMicrotask(() => process.nextTick(act));

function isBefore(a: Scheduled, b: Scheduled): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs;
  if (a.tie !== b.tie) return a.tie < b.tie;
  return a.order < b.order;
}
