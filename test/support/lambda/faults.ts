/**
 * What goes wrong in the midst of an invocation, and when.
 *
 * A fault *landed* where the handler had begun and had not answered; a test counts those alone.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import type { Run } from './environment.ts';
import type { Call, CallWatch } from './watch.ts';

/** From when the handler is called; or at its `nth` call to a service, before or after the service did it. */
export type Moment =
  | Readonly<{ afterMs: number }>
  | Readonly<{
      service: string;
      /** `PutRecord`, `PutItem`, `PutObject`; default any. */
      operation?: string;
      side: 'before' | 'after';
      nth?: number;
    }>;

export type Fault =
  /** SIGKILL. */
  | Readonly<{ kind: 'kill'; at: Moment }>
  /** Nothing of it runs for a while: neither the handler nor its timers. Its time goes on. */
  | Readonly<{ kind: 'freeze'; at: Moment; forMs: number }>
  /** The invoker is told of a timeout, and the handler goes on: a client that lost its connection. */
  | Readonly<{ kind: 'abandon'; at: Moment }>
  /** The same event goes to a second environment, which begins while the first is under way. */
  | Readonly<{ kind: 'duplicate'; at: Moment }>
  /** An environment that nobody used before: nothing in memory, nothing in `/tmp`. */
  | Readonly<{ kind: 'fresh' }>;

export type FaultKind = Fault['kind'];
export type Landed = Record<FaultKind, number>;

/** Called once for each invocation of a function; `nth` counts from 1. */
export type FaultPlan = (functionName: string, nth: number) => Fault | undefined;

/** Resolves when the moment has come: true while the run is under way, false where it is over. */
export async function momentOf(
  run: Run,
  moment: Moment,
  watch: CallWatch | undefined,
  act: () => void | Promise<void>,
): Promise<boolean> {
  if (!(await run.begun)) return false;
  const isUnderWay = (): boolean => run.environment.underWay === run.requestId;
  let did = false;
  const once = async (): Promise<void> => {
    if (did || !isUnderWay()) return;
    did = true;
    await act();
  };
  if ('afterMs' in moment) {
    const timer = new AbortController();
    const late = sleep(moment.afterMs, undefined, { signal: timer.signal }).then(once, () => {});
    await Promise.race([late, run.done]);
    timer.abort();
    await late;
    return did;
  }
  if (watch === undefined) throw new Error('no watch sees the calls of this function');
  let seen = 0;
  // The call is held until the act is done, so that nothing can overtake it.
  const forget = watch.onCall(run.environment.id, async (call) => {
    if (!isAt(call, moment)) return undefined;
    seen += 1;
    if (seen === (moment.nth ?? 1)) await once();
    return run.environment.pid === undefined ? 'drop' : undefined;
  });
  await run.done;
  forget();
  return did;
}

const isAt = (call: Call, moment: Exclude<Moment, Readonly<{ afterMs: number }>>): boolean =>
  call.side === moment.side &&
  call.service === moment.service &&
  (moment.operation === undefined || call.operation === moment.operation);

export type RandomFaults = Readonly<{
  seed: number;
  /** Chance of each kind per invocation; together at most 1. */
  shares: Readonly<Partial<Record<FaultKind, number>>>;
  /** Moments are taken from these; default 0 to 60 ms after the beginning. */
  moments?: readonly Moment[];
  /** Default 20 to 400 ms. */
  freezeMs?: readonly [number, number];
}>;

const MOMENT_MS_MAX = 60;
const FREEZE_MS = [20, 400] as const;

/** The same seed and the same invocations in the same order give the same faults. */
export function randomFaults(options: RandomFaults): FaultPlan {
  const entropy = new SeededEntropy(options.seed);
  const next = (): number => entropy.random();
  const [least, most] = options.freezeMs ?? FREEZE_MS;
  const moment = (): Moment =>
    options.moments?.[Math.floor(next() * options.moments.length)] ?? {
      afterMs: next() * MOMENT_MS_MAX,
    };
  return () => {
    let drawn = next();
    const at = moment();
    const forMs = least + next() * (most - least);
    for (const [kind, share] of Object.entries(options.shares)) {
      if (drawn < share) {
        if (kind === 'fresh') return { kind };
        if (kind === 'freeze') return { kind, at, forMs };
        // The keys of `shares` are the kinds, of which these are left.
        return { kind: kind as 'kill' | 'abandon' | 'duplicate', at };
      }
      drawn -= share;
    }
    return undefined;
  };
}
