/** The schedule runner: rates as EventBridge reads them, runs that overlap, runs on demand. */
import { expect, onTestFinished, test } from 'vitest';
import type { Outcome } from '../../support/lambda/function.ts';
import { rateMs, startSchedule } from '../../support/lambda/schedules.ts';

const done: Outcome = { kind: 'result', payload: {} };

test.each([
  { expression: 'rate(1 minute)', ms: 60_000 },
  { expression: 'rate(5 minutes)', ms: 300_000 },
  { expression: 'rate(1 hour)', ms: 3_600_000 },
  { expression: 'rate(2 days)', ms: 172_800_000 },
])('$expression is $ms ms', ({ expression, ms }) => {
  expect(rateMs(expression)).toBe(ms);
});

test.each([
  'rate(1 minutes)',
  'rate(5 minute)',
  'rate(0 minutes)',
  'rate(5 seconds)',
  'cron(0 1 * * ? *)',
  '5 minutes',
])('%s is refused', (expression) => {
  expect(() => rateMs(expression)).toThrow(expression);
});

test('runs begin while others go on', async () => {
  const release: (() => void)[] = [];
  const schedule = startSchedule({
    name: 'compact',
    expression: 'rate(1 minute)',
    everyMs: 5,
    target: {
      invoke: () => new Promise((resolve) => release.push(() => resolve(done))),
    },
  });
  onTestFinished(() => schedule.close());
  await expect.poll(() => schedule.counts.mostAtOnce).toBeGreaterThanOrEqual(3);
  schedule.close();
  for (const end of release) end();
  await expect.poll(() => schedule.counts.ended).toBe(schedule.counts.begun);
  expect(schedule.everyMs).toBe(60_000);
});

test('runs begin on demand, with an event of EventBridge, and failures are counted', async () => {
  const events: unknown[] = [];
  const late: Outcome = { kind: 'timeout', afterMs: 30_000 };
  const outcomes: Outcome[] = [done, late];
  const schedule = startSchedule({
    name: 'compact',
    expression: 'rate(5 minutes)',
    everyMs: Number.POSITIVE_INFINITY,
    target: {
      invoke: async (payload) => {
        events.push(payload);
        return outcomes.shift() ?? done;
      },
    },
  });
  expect(await schedule.run()).toEqual(done);
  expect(await schedule.run()).toEqual(late);
  expect(events[0]).toMatchObject({
    source: 'aws.events',
    'detail-type': 'Scheduled Event',
    resources: [expect.stringMatching(/rule\/compact$/)],
  });
  expect(schedule.counts).toEqual({ begun: 2, ended: 2, mostAtOnce: 1, failed: 1 });
});
