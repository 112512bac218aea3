/**
 * A valid body with one thing wrong, for each verb (I11): the reply has one of API.md's codes, names
 * the field, shows no stack, and what the store holds is unchanged. Mutants that are still valid
 * succeed. `GARBAGE_RUNS=1000 npx vitest run test/conformance/garbage.test.ts` looks longer.
 */
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { JsonOut } from '#base/json.ts';
import { mutantOf, type Path } from '../support/mutants.ts';
import { type Answer, everyType, startServer, type TestServer } from '../support/server.ts';

const RUNS = Number(process.env['GARBAGE_RUNS'] ?? 50);

let server: TestServer;

const row = { id: 1, vector: [1, 2, 3, 4], text: 'x', medium: 5, json: { a: [1] }, extra: true };

beforeAll(async () => {
  server = await startServer({ logLevel: 'error' });
  await server.must('collections/create', everyType('c'));
  await server.must('entities/insert', { collectionName: 'c', data: [row, { ...row, id: 2 }] });
});
afterAll(() => server.close());

const collectionName = 'c';
const VALID: Readonly<Record<string, JsonOut>> = {
  'collections/create': everyType('made'),
  'collections/list': { dbName: 'default' },
  'collections/has': { collectionName },
  'collections/describe': { collectionName },
  'collections/drop': { collectionName: 'nothing' },
  'collections/load': { collectionName },
  'collections/release': { collectionName: 'nothing' },
  'collections/get_load_state': { collectionName, partitionNames: ['_default'] },
  'collections/get_stats': { collectionName },
  'collections/flush': { collectionName },
  'entities/insert': { collectionName, data: [row, { ...row, id: 3 }], partitionName: '_default' },
  'entities/upsert': { collectionName, data: [row], partialUpdate: false },
  'entities/delete': {
    collectionName,
    filter: 'id in {gone}',
    exprParams: { gone: [77, 78] },
    partitionName: '_default',
  },
  'entities/get': {
    collectionName,
    id: [1, '2'],
    outputFields: ['*'],
    partitionNames: ['_default'],
    consistencyLevel: 'Strong',
  },
  'entities/query': {
    collectionName,
    filter: 'id > {least} and text like "x%"',
    exprParams: { least: 0 },
    outputFields: ['id', 'extra'],
    limit: 5,
    offset: 0,
    partitionNames: ['_default'],
    consistencyLevel: 'Bounded',
    token: [],
    maxStalenessMs: 5,
    asOf: true,
  },
  'entities/search': {
    collectionName,
    data: [[1, 2, 3, 4]],
    annsField: 'vector',
    filter: 'medium > 0',
    limit: 5,
    offset: 0,
    outputFields: ['text'],
    searchParams: {
      metricType: 'L2',
      params: { ef: 10, radius: 100, range_filter: 0 },
      round_decimal: 2,
    },
    explain: true,
  },
  'indexes/create': {
    collectionName,
    indexParams: [{ fieldName: 'vector', indexName: 'vector_idx', metricType: 'L2', params: {} }],
  },
  'indexes/describe': { collectionName, indexName: 'vector_idx' },
  'indexes/list': { collectionName },
  'indexes/drop': { collectionName, indexName: 'nothing' },
};

/** Refusals that a wrong body may get; never 500, 65535 or one that says to come again. */
const CODES = [0, 100, 101, 200, 700, 800, 1100, 1102, 1700, 1701, 1801, 1802, 1804, 1806, 3000];

/** Words under which a message may speak of a field that it does not name as the request does. */
const ALSO: Readonly<Record<string, string>> = {
  collectionName: 'collection',
  dbName: 'database',
  partitionName: 'partition',
  partitionNames: 'partition',
  filter: 'failed to create query plan',
  exprParams: 'failed to create query plan',
  id: 'key',
  indexName: 'index',
  data: 'vector',
  fieldName: 'field',
  dataType: 'type',
  fields: 'schema',
  isPrimary: 'primary key',
  elementTypeParams: 'field',
  indexParams: 'index',
};

/** Some step of the path, or its other word, is in the message. */
function namesField(message: string, path: Path): boolean {
  const steps = path.filter((step): step is string => typeof step === 'string');
  const words = steps.flatMap((step) => [step, ALSO[step] ?? step]);
  return words.length === 0 || words.some((word) => message.includes(word));
}

/** What the store holds, as far as anybody can see. */
async function content(): Promise<string> {
  const listed = await server.must('collections/list');
  const names: string[] = listed.data.sort();
  const seen = await Promise.all(
    names.map(async (name) => [
      await server.must('collections/describe', { collectionName: name }),
      await server.must('collections/get_stats', { collectionName: name }),
      // A collection that a mutant of `create` made may not be loaded.
      (await server.call('entities/query', { collectionName: name, limit: 1000 })).body.data ?? [],
    ]),
  );
  return JSON.stringify([names, seen], (_, value) =>
    typeof value === 'bigint' ? `${value}n` : value,
  );
}

/** What mutants of `create` made would be in the way of the next: another definition of the name. */
async function dropMade(): Promise<boolean> {
  const { data } = await server.must('collections/list');
  const made: string[] = data.filter((name: string) => name !== collectionName);
  for (const name of made) await server.must('collections/drop', { collectionName: name });
  return made.length > 0;
}

function check(how: string, path: Path, { status, body, text }: Answer): void {
  expect(status, `${how}: ${text}`).toBe(200);
  expect(CODES, `${how}: ${text}`).toContain(body.code);
  expect(text, how).not.toMatch(/\.[jt]s:\d+|\\n\s*at |TypeError|undefined/);
  if (body.code === 0) return;
  expect(body, how).toMatchObject({ retry: 'never', effect: 'none' });
  expect(namesField(body.message ?? '', path), `${how}: ${text}`).toBe(true);
}

test.each(Object.keys(VALID))(
  '%s takes a valid body, and refuses a wrong one without a trace',
  async (verb) => {
    const valid = VALID[verb] ?? {};
    const answer = await server.call(verb, valid as Record<string, JsonOut>);
    expect([0, 100], answer.text).toContain(answer.body.code);
    await dropMade();
    let before = await content();
    await fc.assert(
      fc.asyncProperty(mutantOf(valid), async ({ how, path, body }) => {
        const reply = await server.call(verb, body);
        check(how, path, reply);
        const after = await content();
        if (reply.body.code !== 0) expect(after, `${how}: ${reply.text}`).toBe(before);
        before = (await dropMade()) ? await content() : after;
      }),
      // Each run changes the store, so a smaller counterexample would run against another one.
      { numRuns: RUNS, endOnFailure: true },
    );
  },
  Math.max(60_000, RUNS * 300),
);
