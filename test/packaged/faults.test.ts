/**
 * Faults in the midst of invocations of the packaged functions, while clients write and read (I1, I2,
 * I4, I5, I7, I12).
 *
 * Environments are killed and frozen, events and batches delivered twice, invokers told of a timeout
 * while the function goes on, and invocations sent to fresh environments: each at least twenty times,
 * in the write, read, apply and compact functions alike, mostly at a call to a service. Meanwhile
 * pollers of the event source crash and go back, and compactions overlap.
 *
 * What a client may conclude of a write whose effect is unknown, and what is checked here: it takes
 * effect once or never, wholly within a shard; if it does, then at one place in the order of its shard
 * between its sending and the end of its function's environment, so that of it and a later acknowledged
 * write of the same key either may be the newest; once a read has shown it, it stays.
 *
 * Everything is drawn from one seed, which is printed: STERNA_FAULT_SEED repeats it, as far as the
 * machine's timing allows.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { must } from '#base/assert.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { Appender } from '../support/lambda/appender.ts';
import { newCounts, readRows, reasonsOf, runClient } from '../support/lambda/clients.ts';
import { create, createRows, deploy, portsOf } from '../support/lambda/deployed.ts';
import { type FaultKind, type Moment, randomFaults } from '../support/lambda/faults.ts';
import { Oracle } from '../support/lambda/oracle.ts';
import type { Stack } from '../support/lambda/stack.ts';
import { verifySumsOf } from '../support/verify-sums.ts';

const SEED = Number(process.env['STERNA_FAULT_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const SHARDS = 3;
const WRITERS = 4;
const KEYS_PER_WRITER = 150;
const COLLECTION = 'faults';
const APPENDED = 'appended';
/** A round that takes longer has lost its way; a loaded machine needs a minute. */
const ROUND_MS_MAX = 240_000;
/** A freeze that a request outlives: API Gateway waits for 30 s, the functions answer after 28. */
const FREEZE_MS = [2_000, 5_000] as const;

const FUNCTIONS = ['write', 'read', 'apply', 'compact'] as const;
type FunctionKey = (typeof FUNCTIONS)[number];

const around = (service: string, operation: string, ...nths: number[]): readonly Moment[] =>
  (nths.length === 0 ? [1] : nths).flatMap((nth) => [
    { service, operation, side: 'before' as const, nth },
    { service, operation, side: 'after' as const, nth },
  ]);
/** The calls of each function at which a fault may land. */
const MOMENTS: Readonly<Record<FunctionKey, readonly Moment[]>> = {
  write: [
    ...around('kinesis', 'PutRecord', 1, 1),
    ...around('dynamodb', 'UpdateItem', 1, 2, 3),
    ...around('s3', 'PutObject'),
    ...around('dynamodb', 'GetItem', 2),
  ],
  read: [
    ...around('dynamodb', 'GetItem', 1, 2),
    ...around('dynamodb', 'Query'),
    ...around('s3', 'GetObject', 1, 2),
  ],
  apply: [
    ...around('s3', 'PutObject', 1, 1, 2),
    ...around('dynamodb', 'UpdateItem', 1, 1, 2),
    ...around('dynamodb', 'GetItem'),
    ...around('dynamodb', 'DeleteItem'),
  ],
  compact: [
    ...around('s3', 'GetObject'),
    ...around('s3', 'PutObject'),
    ...around('dynamodb', 'UpdateItem', 1, 2),
    ...around('dynamodb', 'GetItem', 1, 2),
    ...around('dynamodb', 'Query'),
  ],
};

type Wanted = Readonly<Record<FunctionKey, number>>;
type Round = Readonly<{ kind: FaultKind; wanted: Wanted }>;
/** How often a kind has to land in each function: 25 in all. */
const WANTED: Wanted = { write: 8, read: 6, apply: 6, compact: 5 };
/** Kills and lost invokers make the writes of unknown effect, of which there should be some. */
const WANTED_MORE: Wanted = { ...WANTED, write: 16 };
/** The share of a function's invocations that suffer, until it has had what is wanted. */
const SHARES: Wanted = { write: 0.15, read: 0.2, apply: 0.2, compact: 0.7 };
const ROUNDS: readonly Round[] = [
  { kind: 'kill', wanted: WANTED_MORE },
  { kind: 'freeze', wanted: WANTED },
  { kind: 'abandon', wanted: WANTED_MORE },
  { kind: 'duplicate', wanted: WANTED },
  { kind: 'fresh', wanted: WANTED },
];

let stack: Stack;
const entropy = new SeededEntropy(SEED);
const next = (): number => entropy.random();
const oracle = new Oracle(SHARDS);
const counts = newCounts();
let stamps = 0;
let appender: Appender;

beforeAll(async () => {
  stack = await deploy({ shards: 2, pollMs: 20, windowMs: 50, concurrencyMax: 10 });
  await createRows(stack.url, COLLECTION, SHARDS);
  const appended = { collectionName: APPENDED, dimension: 2, autoID: true };
  await create(stack.url, { ...appended, params: { shardsNum: 1 } });
  appender = new Appender({ url: stack.url, collectionName: APPENDED, next, counts });
});
afterAll(() => stack?.close());

const functionOf = (key: string) => must(stack.functions[key], `the function ${key}`);
const landed = (key: FunctionKey, kind: FaultKind): number => functionOf(key).landed[kind];

const findings = (): readonly string[] => [...oracle.findings, ...appender.findings];

test('no acknowledged row is lost, none comes back, none is torn, whatever happens in the midst', async () => {
  console.log(`fault test: seed ${SEED}`);
  for (const round of ROUNDS) {
    const startedMs = performance.now();
    await runRound(round);
    const rows = await settle();
    const spread = FUNCTIONS.map((key) => `${landed(key, round.kind)} in ${key}`).join(', ');
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    console.log(`  ${round.kind}: ${spread}; ${rows} rows verified after ${seconds} s`);
    expect(findings()).toEqual([]);
  }
  const ports = portsOf(stack);
  const shards = await verifySumsOf(ports);
  ports.close();
  const { twice, again, crashes, failures } = stack.eventSource.counts;
  console.log(
    `  event source: ${failures} deliveries failed, ${twice} batches to two environments, ${again} again, ${crashes} pollers crashed\n` +
      `  writes: ${oracle.counts.acknowledged} acknowledged, ${oracle.counts.unknown} of unknown effect, ${oracle.counts.refused} refused, ${counts.repeats} repeated under a RequestId; ` +
      `appended batches: ${appender.told.acknowledged} acknowledged, ${appender.told.unknown} unknown\n` +
      `  reads: ${counts.reads} answered, ${counts.readsRepeated} repeated, ${counts.rowsChecked} rows looked at\n` +
      `  ${oracle.lost} lost, ${oracle.resurrected} resurrected, ${oracle.torn} torn; ${oracle.counts.parts} parts of unknown effect whole; sums agree in ${shards} shards`,
  );
  for (const reason of reasonsOf(counts)) console.log(`  ${reason}`);
  expect(shards).toBe(SHARDS + 1);
  for (const { kind, wanted } of ROUNDS) {
    for (const key of FUNCTIONS) expect(landed(key, kind)).toBeGreaterThanOrEqual(wanted[key]);
    const all = FUNCTIONS.reduce((sum, key) => sum + landed(key, kind), 0);
    expect(all).toBeGreaterThanOrEqual(20);
  }
  expect(oracle.counts.unknown).toBeGreaterThanOrEqual(10);
  expect(oracle.counts.parts).toBeGreaterThanOrEqual(10);
  expect(findings()).toEqual([]);
  expect({ lost: oracle.lost, resurrected: oracle.resurrected, torn: oracle.torn }).toEqual({
    lost: 0,
    resurrected: 0,
    torn: 0,
  });
});

async function runRound({ kind, wanted }: Round): Promise<void> {
  const before = Object.fromEntries(FUNCTIONS.map((key) => [key, landed(key, kind)]));
  const isDone = (key: FunctionKey): boolean =>
    landed(key, kind) - must(before[key], key) >= wanted[key];
  for (const key of FUNCTIONS) {
    const plan = randomFaults({
      seed: Math.floor(next() * 2 ** 31) + 1,
      shares: { [kind]: SHARES[key] },
      moments: MOMENTS[key],
      freezeMs: FREEZE_MS,
    });
    functionOf(key).setPlan((name, nth) => (isDone(key) ? undefined : plan(name, nth)));
  }
  const endMs = performance.now() + ROUND_MS_MAX;
  const isOver = (): boolean => performance.now() > endMs || FUNCTIONS.every(isDone);
  // An event that is delivered twice is two requests, unless it says that it is one. API Gateway delivers
  // none twice, so only those are asked what becomes of a copy that comes late.
  const withIds = kind === 'duplicate' ? 1 : 0.3;
  const clients = Array.from({ length: WRITERS }, (_, writer) =>
    runClient(
      {
        url: stack.url,
        collectionName: COLLECTION,
        oracle,
        firstKey: writer * KEYS_PER_WRITER,
        keys: KEYS_PER_WRITER,
        next,
        stamp: () => ++stamps,
        counts,
        withIds,
      },
      isOver,
    ),
  );
  await Promise.all([
    ...clients,
    appender.run(isOver, withIds),
    ...compactors(isOver),
    disturb(isOver),
  ]);
  for (const key of FUNCTIONS) functionOf(key).setPlan(undefined);
}

/** A minute's worth of runs every second: they overlap. */
const compactors = (isOver: () => boolean): readonly Promise<void>[] =>
  [0, 1, 2].map(async () => {
    while (!isOver()) {
      await stack.schedule('compact').run();
      await delay(100);
    }
  });

/** What the event source may do by itself: deliver twice, deliver again, crash and go back. */
async function disturb(isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    await delay(1_000 + next() * 2_000);
    const drawn = next();
    if (drawn < 0.4) stack.eventSource.duplicateNext();
    else if (drawn < 0.8) stack.eventSource.redeliver();
    else stack.eventSource.crash(Math.floor(next() * 8));
  }
}

/**
 * Ends whatever goes on, also what an environment would go on with when it thaws, applies what the log
 * holds, and compares. @returns rows that were looked at
 */
async function settle(): Promise<number> {
  for (const key of FUNCTIONS) await functionOf(key).settled();
  for (const key of FUNCTIONS) await functionOf(key).retire();
  await stack.eventSource.idle();
  const rows = await readRows({ url: stack.url, collectionName: COLLECTION, counts }, 'id >= 0');
  oracle.settle(rows);
  return rows.length + (await appender.check());
}
