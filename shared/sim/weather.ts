/**
 * What goes wrong with which call: drawn by a seed, counted, and able to be left out.
 *
 * Every call draws the same number of times whatever comes of it, so leaving one fault out changes
 * nothing before it: that is what lets a failing history be shrunk. Faults are numbered in the order
 * in which they happen, those of calls and those that a simulation makes itself (`strike`).
 */
import type { Entropy } from '#ports/entropy.ts';

/**
 * - `lost-answer`: it is done; the caller hears `UNCERTAIN`, soon or after seconds.
 * - `failed`: it is not done; the caller hears `UNCERTAIN`.
 * - `late`: the caller hears `UNCERTAIN`, and it is done afterwards, up to a minute and a half.
 * - `refused`: it is not done; the caller hears `OVERLOADED`.
 * - `slow`: it takes ten seconds, before or after it is done.
 * - `doubled`: it is done, and once more later: an entry stands twice in the log, an object is put
 *   again after it may have been deleted.
 */
export const CALL_FAULTS = ['lost-answer', 'failed', 'late', 'refused', 'slow', 'doubled'] as const;
export type CallFault = (typeof CALL_FAULTS)[number];

/** How likely each fault is for one call. */
export type Climate = Readonly<Record<CallFault, number>>;

export type CallKind = Readonly<{
  port: 'objects' | 'log' | 'table' | 'global';
  method: string;
  /** Reads have no effect that could come late or twice. */
  mutates: boolean;
  /** Whether doing it twice is something that this service does to its callers. */
  doubles: boolean;
}>;

/** What becomes of one call. Times count from the call. */
export type Fate = Readonly<{
  /** When it takes effect; undefined: never. */
  effectMs: number | undefined;
  /** When it takes effect once more. */
  againMs: number | undefined;
  replyMs: number;
  error: 'UNCERTAIN' | 'OVERLOADED' | undefined;
  fault: CallFault | undefined;
  /** Whether it still takes effect where its caller dies before it does. */
  outlivesCaller: boolean;
}>;

/** Shrinking: what must not happen. */
export type Omitted = Readonly<{
  /** Faults that may happen at all; those behind do not. */
  faultsMax?: number | undefined;
  /** Kinds that do not happen. */
  kinds?: ReadonlySet<string> | undefined;
  /** Single faults by number. */
  numbers?: ReadonlySet<number> | undefined;
}>;

/** Milliseconds that a call takes on a good day: half of it on the way there, half back. */
const TYPICAL_MS = { objects: 30, log: 15, table: 6, global: 10 } as const;
/** The outlier that object stores are known for. */
const SLOW_MS = 10_000;
/** A client library waits that long for an answer that does not come. */
const PATIENCE_MS = 5_000;

export class Weather {
  readonly #entropy: Entropy;
  readonly #climate: Climate;
  readonly #omitted: Omitted;
  readonly counts = new Map<string, number>();
  #faults = 0;
  #calm = false;

  constructor(entropy: Entropy, climate: Climate, omitted: Omitted = {}) {
    this.#entropy = entropy;
    this.#climate = climate;
    this.#omitted = omitted;
  }

  /** Faults so far. */
  get faults(): number {
    return this.#faults;
  }

  /** From here on nothing goes wrong. What is under way still may. */
  calm(): void {
    this.#calm = true;
  }

  /** Whether a fault that the simulation has in mind is to happen; counts it where it is. */
  strike(kind: string): boolean {
    if (this.#calm) return false;
    const { faultsMax = Number.POSITIVE_INFINITY, kinds, numbers } = this.#omitted;
    const number = this.#faults + 1;
    if (number > faultsMax || kinds?.has(kind) === true) return false;
    this.#faults = number;
    if (numbers?.has(number) === true) return false;
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    return true;
  }

  fateOf(call: CallKind): Fate {
    const draw = this.#entropy.random();
    const there = this.#entropy.random();
    const back = this.#entropy.random();
    const extra = this.#entropy.random();
    const outlivesCaller = this.#entropy.random() < 0.5;
    const typicalMs = TYPICAL_MS[call.port];
    const effectMs = travelMs(typicalMs, there);
    const replyMs = effectMs + travelMs(typicalMs, back);
    const fine: Fate = {
      effectMs,
      againMs: undefined,
      replyMs,
      error: undefined,
      fault: undefined,
      outlivesCaller,
    };
    const fault = this.#faultOf(call, draw);
    if (fault === undefined || !this.strike(fault)) return fine;
    const lateMs = latenessMs(extra);
    switch (fault) {
      case 'lost-answer': {
        const waitMs = extra < 0.5 ? 0 : PATIENCE_MS * extra;
        return { ...fine, fault, replyMs: replyMs + waitMs, error: 'UNCERTAIN' };
      }
      case 'failed':
        return { ...fine, fault, effectMs: undefined, error: 'UNCERTAIN' };
      case 'late':
        // It is out of the caller's hands already.
        return {
          ...fine,
          fault,
          effectMs: replyMs + lateMs,
          error: 'UNCERTAIN',
          outlivesCaller: true,
        };
      case 'refused':
        return { ...fine, fault, effectMs: undefined, error: 'OVERLOADED' };
      case 'slow': {
        const before = back < 0.5;
        return {
          ...fine,
          fault,
          effectMs: before ? effectMs + SLOW_MS * extra : effectMs,
          replyMs: replyMs + SLOW_MS * extra,
        };
      }
      case 'doubled':
        return { ...fine, fault, againMs: effectMs + lateMs };
    }
  }

  #faultOf(call: CallKind, draw: number): CallFault | undefined {
    let below = 0;
    for (const fault of CALL_FAULTS) {
      below += this.#climate[fault];
      if (draw >= below) continue;
      if (fault === 'doubled' && !call.doubles) return undefined;
      // A read whose answer is lost is a read that failed.
      if (!call.mutates && (fault === 'lost-answer' || fault === 'late')) return 'failed';
      return fault;
    }
    return undefined;
  }
}

/** Mostly short, now and then several times as long: so that calls overtake each other. */
const travelMs = (typicalMs: number, draw: number): number => typicalMs * (0.1 + 3 * draw ** 4);

/** Half within a second, a third within half a minute, the rest about when deadlines pass. */
function latenessMs(draw: number): number {
  if (draw < 0.5) return 10 + draw * 2_000;
  if (draw < 0.8) return 1_000 + (draw - 0.5) * 100_000;
  return 50_000 + (draw - 0.8) * 200_000;
}
