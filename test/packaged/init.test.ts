/**
 * How long each packaged function takes to begin, beside a handler that holds nothing, in the same run.
 * It is printed and not judged: other work on the machine changes it more than we do. The numbers stand
 * in docs/aws.md with the machine that they were measured on.
 */
import Table from 'cli-table3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deploy } from '../support/lambda/deployed.ts';
import type { LambdaFunction } from '../support/lambda/function.ts';
import { openWorkshop, type Workshop } from '../support/lambda/made-function.ts';
import { resultOf } from '../support/lambda/outcome.ts';
import type { Stack } from '../support/lambda/stack.ts';

const RUNS = 7;
const COLLECTION = 'init';

let stack: Stack;
let workshop: Workshop;
beforeAll(async () => {
  stack = await deploy();
  workshop = await openWorkshop();
});
afterAll(async () => {
  await workshop.close();
  await stack.close();
});

/** As the front sends it. */
const httpEvent = (path: string, body: object) => ({
  version: '2.0',
  rawPath: `/v2/vectordb/${path}`,
  headers: { authorization: 'Bearer root:Milvus', 'content-type': 'application/json' },
  requestContext: { requestId: 'init', http: { method: 'POST' } },
  body: JSON.stringify(body),
  isBase64Encoded: false,
});

const WORK: Readonly<Record<string, () => unknown>> = {
  admin: () => httpEvent('collections/has', { collectionName: COLLECTION }),
  write: () =>
    httpEvent('entities/insert', {
      collectionName: COLLECTION,
      data: [{ id: 1, vector: [1, 2, 3, 4] }],
    }),
  read: () =>
    httpEvent('entities/search', { collectionName: COLLECTION, data: [[1, 2, 3, 4]], limit: 1 }),
  apply: () => ({ Records: [] }),
  compact: () => ({ 'detail-type': 'Scheduled Event' }),
  collect: () => ({ 'detail-type': 'Scheduled Event' }),
  scrub: () => ({ 'detail-type': 'Scheduled Event' }),
};

type Begun = Readonly<{ initMs: number; firstMs: number }>;

/** Both in an environment that nobody used before. */
async function begin(made: LambdaFunction, event: unknown): Promise<Begun> {
  await made.retire();
  const startMs = performance.now();
  const result = resultOf(await made.invoke(event, { fresh: true }));
  const totalMs = performance.now() - startMs;
  if (typeof result === 'object' && result !== null && 'body' in result) {
    expect(result.body).toContain('"code":0');
  }
  const initMs = made.environments[0]?.initMs ?? Number.NaN;
  return { initMs, firstMs: totalMs - initMs };
}

/** Median, and in brackets the least and the most. */
function spread(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b).map((value) => value.toFixed(0));
  return `${sorted[sorted.length >> 1]} (${sorted[0]} to ${sorted.at(-1)})`;
}

test('init and first invocation of each function, beside a bare handler', async () => {
  const admin = stack.functions['admin'];
  resultOf(
    (await admin?.invoke(
      httpEvent('collections/create', { collectionName: COLLECTION, dimension: 4 }),
    )) ?? { kind: 'throttled' },
  );
  // Only this test invokes anything.
  await stack.eventSource.idle();
  stack.eventSource.pause();
  const bare = await workshop.make('exports.handler = async () => 1;', { memoryMb: 1769 });
  const subjects: [string, LambdaFunction, () => unknown][] = [['bare handler', bare, () => ({})]];
  for (const [key, made] of Object.entries(stack.functions)) {
    const work = WORK[key];
    if (work === undefined) throw new Error(`${key} has no work here`);
    subjects.push([key, made, work]);
  }
  const measured = new Map<string, Begun[]>();
  // In turn, so that a slow minute of the machine is shared by all.
  for (let run = 0; run < RUNS; run++) {
    for (const [name, made, work] of subjects) {
      const begun = await begin(made, work());
      measured.set(name, [...(measured.get(name) ?? []), begun]);
    }
  }
  const table = new Table({
    head: ['function', 'MB', 'init, ms', 'first invocation, ms'],
    style: { head: [], border: [] },
  });
  for (const [name, made] of subjects) {
    const all = measured.get(name) ?? [];
    expect(all).toHaveLength(RUNS);
    expect(all.every(({ initMs }) => initMs > 0)).toBe(true);
    table.push([
      name,
      made.options.memoryMb,
      spread(all.map(({ initMs }) => initMs)),
      spread(all.map(({ firstMs }) => firstMs)),
    ]);
  }
  console.log(`median of ${RUNS} (least to most), Node ${process.versions.node}\n${table}`);
});
