/**
 * Environments that sleep longer than a record may be on its way (60 s), in the midst of their work
 * (I2, I5, I7). Between invocations Lambda freezes an environment for as long as it likes: a write that
 * was answered with "effect unknown" goes on when somebody thaws its environment, an hour later perhaps.
 * What it then sends to the log is void.
 *
 * The sleep is real, and all of them sleep at the same time.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { must } from '#base/assert.ts';
import { DEADLINE_MS } from '#ingest/deadline.ts';
import { ask, newCounts, type Reply, readRows } from '../support/lambda/clients.ts';
import { createRows, deploy, portsOf } from '../support/lambda/deployed.ts';
import type { Moment } from '../support/lambda/faults.ts';
import { startFront } from '../support/lambda/front.ts';
import { LambdaFunction } from '../support/lambda/function.ts';
import { isWhole, rowOf } from '../support/lambda/oracle.ts';
import type { Stack } from '../support/lambda/stack.ts';
import { verifySumsOf } from '../support/verify-sums.ts';

const COLLECTION = 'frozen';
/** Beyond the deadline of whatever was minted before the sleep began. */
const SLEEP_MS = DEADLINE_MS + 6_000;
/** A lease of compaction lasts 10 s. */
const LEASE_MS = 12_000;
const KEYS = 16;
/** Rows of this stamp have long texts: four of them are 11 KB, which travel as an object. */
const LARGE = 10_000_001;

let stack: Stack;
const closing: (() => Promise<void>)[] = [];
const counts = newCounts();

beforeAll(async () => {
  stack = await deploy({ pollMs: 20, windowMs: 50 });
  await createRows(stack.url, COLLECTION, 1);
});
afterAll(async () => {
  for (const close of closing) await close();
  await stack?.close();
});

const functionOf = (key: string) => must(stack.functions[key], `the function ${key}`);
const upsert = (
  url: string,
  stamp: number,
  ids: readonly number[],
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply | undefined> => {
  const data = ids.map((id) => rowOf(id, stamp));
  return ask(url, 'entities/upsert', { collectionName: COLLECTION, data }, headers);
};
const flush = () => ask(stack.url, 'collections/flush', { collectionName: COLLECTION });

/** A write function with environments of its own, whose first call of a kind takes a whole sleep. */
async function sleeper(
  name: string,
  operation: string,
  side: 'before' | 'after',
): Promise<Readonly<{ url: string; held: () => boolean }>> {
  const own = new LambdaFunction({ ...functionOf('write').options, name });
  const front = await startFront([{ routeKey: '$default', target: own }]);
  closing.push(front.close, () => own.close());
  // What it opens once takes a second or two of a loaded machine, which the brief request has not.
  expect(await upsert(front.url, 1, [0])).toMatchObject({ code: 0 });
  let isHeld = false;
  stack.watch.onCall(undefined, async (call) => {
    const isIt = call.environment.startsWith(`${name}-`) && call.operation === operation;
    if (!isIt || call.side !== side || isHeld) return undefined;
    isHeld = true;
    await delay(SLEEP_MS);
    return undefined;
  });
  return { url: front.url, held: () => isHeld };
}

/** The next invocation sleeps in its midst. */
function freezeNext(key: string, at: Moment): void {
  let isDone = false;
  functionOf(key).setPlan(() => {
    if (isDone) return undefined;
    isDone = true;
    return { kind: 'freeze', at, forMs: SLEEP_MS };
  });
}

const stampsOf = async (): Promise<ReadonlyMap<number, number>> => {
  const rows = await readRows({ url: stack.url, collectionName: COLLECTION, counts }, 'id >= 0');
  for (const row of rows) expect(isWhole(row), `row ${row.id} is as it was written`).toBe(true);
  return new Map(rows.map(({ id, stamp }) => [id, stamp]));
};

test('what wakes after its deadline changes nothing', async () => {
  const all = Array.from({ length: KEYS }, (_, id) => id);
  expect(await upsert(stack.url, 1, all)).toMatchObject({ code: 0 });
  const ports = portsOf(stack);
  closing.unshift(async () => ports.close());

  const payload = await sleeper('asleep-before-the-log', 'PutObject', 'after');
  const log = await sleeper('asleep-at-the-log', 'PutRecord', 'before');
  const repeated = await sleeper('asleep-and-repeated', 'PutRecord', 'before');
  const once = { RequestId: 'once' };
  const brief = { 'request-timeout': '5' };
  const uncertain = await Promise.all([
    upsert(payload.url, LARGE, [1, 12, 13, 14], brief),
    upsert(log.url, 4, [2], brief),
    upsert(repeated.url, 6, [3], { ...brief, ...once }),
  ]);
  for (const reply of uncertain) expect(reply).toMatchObject({ code: 10_001, effect: 'unknown' });
  for (const { held } of [payload, log, repeated]) expect(held()).toBe(true);
  const wakeMs = performance.now() + SLEEP_MS;

  // The same request again, in another environment, takes effect; then a newer row takes its place.
  expect(await upsert(stack.url, 6, [3], once)).toMatchObject({ code: 0 });
  expect((await stampsOf()).get(3)).toBe(6);
  expect(await upsert(stack.url, 8, [3])).toMatchObject({ code: 0 });

  // Apply sleeps before its commit; another poller, and with it another environment, goes on meanwhile.
  freezeNext('apply', { service: 'dynamodb', operation: 'UpdateItem', side: 'before' });
  expect(await upsert(stack.url, 10, [4])).toMatchObject({ code: 0 });
  await expect
    .poll(() => functionOf('apply').environments.some((each) => each.underWay !== undefined))
    .toBe(true);
  await delay(500);
  stack.eventSource.crash();
  expect(await upsert(stack.url, 12, [5])).toMatchObject({ code: 0 });
  expect(await flush()).toMatchObject({ code: 0 });

  // Compaction sleeps before its object is put; its lease runs out, and another one does the work.
  await delay(LEASE_MS);
  freezeNext('compact', { service: 's3', operation: 'PutObject', side: 'before' });
  const asleep = stack.schedule('compact').run();
  await delay(LEASE_MS);
  expect(await stack.schedule('compact').run()).toMatchObject({
    kind: 'result',
    payload: { failures: 0, complete: true },
  });

  const expected = new Map(all.map((id) => [id, 1]));
  for (const [id, stamp] of [
    [3, 8],
    [4, 10],
    [5, 12],
  ] as const)
    expected.set(id, stamp);
  expect(await stampsOf()).toEqual(expected);

  // All wake: the functions by a request that thaws them, which goes through as any other.
  await delay(Math.max(0, wakeMs - performance.now()) + 1_000);
  for (const [index, { url }] of [payload, log, repeated].entries()) {
    expect(await upsert(url, 20, [6 + index])).toMatchObject({ code: 0 });
    expected.set(6 + index, 20);
  }
  expect((await asleep).kind).toBe('result');
  for (const key of ['apply', 'compact']) {
    await functionOf(key).settled();
    expect(functionOf(key).landed.freeze, `${key} slept`).toBe(1);
  }
  // Thawed, they have the time of a request of their own to go on with what they slept over.
  for (const { url } of [payload, log, repeated]) {
    await ask(url, 'entities/upsert', { collectionName: COLLECTION, data: [rowOf(9, 22)] });
    expected.set(9, 22);
  }
  await stack.eventSource.idle();
  expect(await flush()).toMatchObject({ code: 0 });
  expect(await stampsOf()).toEqual(expected);
  expect(await verifySumsOf(ports)).toBe(1);
});
