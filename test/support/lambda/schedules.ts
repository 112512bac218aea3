/**
 * EventBridge's schedules: a function invoked by the rate that its rule names, and on demand. A run
 * begins when its time has come, also while the one before goes on: EventBridge waits for nobody.
 */
import type { LambdaFunction, Outcome } from './function.ts';

export type Schedule = Readonly<{
  name: string;
  /** As the rule says it. */
  everyMs: number;
  /** Runs the function now, beside whatever else runs. */
  run(): Promise<Outcome>;
  /** Runs that began and ended, and the most that went on at one moment. */
  counts: Readonly<{ begun: number; ended: number; mostAtOnce: number; failed: number }>;
  /** Begins no more runs; those that go on are left alone. */
  close(): void;
}>;

export type ScheduleOptions = Readonly<{
  name: string;
  /** `rate(5 minutes)` */
  expression: string;
  target: Pick<LambdaFunction, 'invoke'>;
  /** Instead of the rule's: a test waits for no hour. Infinity: on demand alone. */
  everyMs?: number | undefined;
}>;

const UNIT_MS: Readonly<Record<string, number>> = {
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
};

/** @throws where the expression is no rate, or one and its unit disagree, as EventBridge refuses it */
export function rateMs(expression: string): number {
  const match = /^rate\(([1-9]\d*) (minute|hour|day)(s?)\)$/.exec(expression);
  const [, count = '', unit = '', plural] = match ?? [];
  const unitMs = UNIT_MS[unit];
  if (unitMs === undefined || (count === '1') !== (plural === '')) {
    throw new Error(`${expression} is not a rate: rate(1 minute), rate(5 minutes)`);
  }
  return Number(count) * unitMs;
}

export function startSchedule(options: ScheduleOptions): Schedule {
  const { name, expression, target } = options;
  const ruleMs = rateMs(expression);
  const everyMs = options.everyMs ?? ruleMs;
  const counts = { begun: 0, ended: 0, mostAtOnce: 0, failed: 0 };

  const run = async (): Promise<Outcome> => {
    counts.begun += 1;
    counts.mostAtOnce = Math.max(counts.mostAtOnce, counts.begun - counts.ended);
    try {
      const outcome = await target.invoke(eventOf(name));
      if (outcome.kind !== 'result') counts.failed += 1;
      return outcome;
    } finally {
      counts.ended += 1;
    }
  };
  const timer = Number.isFinite(everyMs) ? setInterval(() => void run(), everyMs) : undefined;
  return { name, everyMs: ruleMs, run, counts, close: () => clearInterval(timer) };
}

/** What a rule sends where it has no input of its own. */
const eventOf = (name: string) => ({
  version: '0',
  id: crypto.randomUUID(),
  'detail-type': 'Scheduled Event',
  source: 'aws.events',
  account: '000000000000',
  time: new Date().toISOString(),
  region: 'us-east-1',
  resources: [`arn:aws:events:us-east-1:000000000000:rule/${name}`],
  detail: {},
});
