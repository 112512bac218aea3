/** entities/search: order, scores, windows, ranges, many query vectors at once. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Envelope, expectError, startServer, type TestServer } from '../support/server.ts';

let server: TestServer;

/** Row `i` lies at (i, 0): nearest to (x, 0) are the ids around x. */
const line = Array.from({ length: 40 }, (_, id) => ({ id, vector: [id, 0], name: `n${id % 4}` }));

beforeAll(async () => {
  server = await startServer();
  await make('line', 'L2', line);
});
afterAll(() => server.close());

async function make(collectionName: string, metricType: string, data: readonly unknown[]) {
  await server.must('collections/create', { collectionName, dimension: 2, metricType });
  const half = data.length / 2;
  await server.must('entities/insert', { collectionName, data: data.slice(0, half) });
  await server.must('collections/flush', { collectionName });
  await server.must('entities/insert', { collectionName, data: data.slice(half) });
}

const ask = (body: Record<string, unknown>) =>
  server.call('entities/search', { collectionName: 'line', data: [[10, 0]], ...body });
const find = async (body: Record<string, unknown>): Promise<Envelope> => {
  const answer = await ask(body);
  expect(answer.body.code, answer.text).toBe(0);
  return answer.body;
};
const idsOf = (reply: Envelope) => reply.data.map(({ id }: { id: unknown }) => id);
const distancesOf = (reply: Envelope) =>
  reply.data.map(({ distance }: { distance: number }) => distance);

describe('an answer', () => {
  test('has the key, the distance and topks; L2 is squared (traps 5 and 6)', async () => {
    const reply = await find({ limit: 3 });
    expect(reply.data[0]).toEqual({ id: 10, distance: 0 });
    expect(distancesOf(reply)).toEqual([0, 1, 1]);
    expect(idsOf(reply)).toEqual([10, 9, 11]);
    expect(reply).toMatchObject({ topks: [3], cost: 0 });
  });

  test('for many vectors is flat, split by topks', async () => {
    const { data, topks } = await find({
      data: [
        [0, 0],
        [39, 0],
        [20, 0],
      ],
      limit: 2,
    });
    expect(topks).toEqual([2, 2, 2]);
    expect(data.map(({ id }: { id: number }) => id)).toEqual([0, 1, 39, 38, 20, 19]);
  });

  test('without a match is empty, one count per vector', async () => {
    const reply = await find({
      data: [
        [0, 0],
        [1, 0],
      ],
      filter: 'id > 1000',
    });
    expect(reply).toMatchObject({ data: [], topks: [0, 0] });
  });

  test('holds 100 rows where no limit is given, or all there are', async () => {
    expect((await find({})).topks).toEqual([40]);
  });

  test('shows the fields that are asked for, the key always', async () => {
    expect((await find({ limit: 1, outputFields: ['name'] })).data).toEqual([
      { id: 10, distance: 0, name: 'n2' },
    ]);
    expect((await find({ limit: 1, outputFields: ['*'] })).data).toEqual([
      { id: 10, distance: 0, vector: [10, 0], name: 'n2' },
    ]);
    expect((await find({ limit: 1, outputFields: ['vector'] })).data).toEqual([
      { id: 10, distance: 0, vector: [10, 0] },
    ]);
  });

  test('pages by limit and offset', async () => {
    const all = idsOf(await find({ limit: 10 }));
    expect(idsOf(await find({ limit: 5, offset: 5 }))).toEqual(all.slice(5));
  });

  test('is filtered before it is cut', async () => {
    expect(idsOf(await find({ limit: 3, filter: 'name == "n0"' }))).toEqual([8, 12, 4]);
  });

  test('explains itself on request', async () => {
    const { explain } = await find({ limit: 1, explain: true });
    expect(explain.segments.length).toBeGreaterThan(0);
    for (const segment of explain.segments) {
      expect(segment).toMatchObject({
        rows: expect.any(Number),
        method: expect.stringMatching(/^(exact|graph|skipped)$/),
      });
    }
    expect(await find({ limit: 1 })).not.toHaveProperty('explain');
  });
});

describe('settings', () => {
  test.each([
    { searchParams: { metricType: 'L2' } },
    { searchParams: { metric_type: 'L2', params: { ef: '64' } } },
    { searchParams: { params: { ef: 1, level: '2', nprobe: 8 }, ignore_growing: false } },
    { searchParams: { unknown: { a: 1 } } },
  ])('are read flat, nested and as text: %j', async ({ searchParams }) => {
    expect(idsOf(await find({ limit: 3, searchParams }))).toEqual([10, 9, 11]);
  });

  test('round_decimal rounds the distance', async () => {
    const data = [[10.123456, 0]];
    const [exact] = distancesOf(await find({ data, limit: 1 }));
    expect(exact).toBeCloseTo(0.01524138, 6);
    const rounded = await find({ data, limit: 1, searchParams: { round_decimal: 3 } });
    expect(distancesOf(rounded)).toEqual([0.015]);
  });

  test('the key as text where 64 bits cannot be read', async () => {
    const answer = await server.call(
      'entities/search',
      { collectionName: 'line', data: [[10, 0]], limit: 1 },
      { 'accept-type-allow-int64': 'false' },
    );
    expect(answer.body.data).toEqual([{ id: '10', distance: 0 }]);
  });

  test('ids stand for the vectors of rows', async () => {
    const { data, topks } = await find({ data: undefined, ids: [5, '7'], limit: 1 });
    expect(topks).toEqual([1, 1]);
    expect(data.map(({ id }: { id: number }) => id)).toEqual([5, 7]);
    expectError(await ask({ data: undefined, ids: [5, 4000] }), 1100, 'key 1');
  });
});

describe('metrics', () => {
  const data = [
    { id: 1, vector: [1, 0] },
    { id: 2, vector: [10, 10] },
    { id: 3, vector: [0, 2] },
    { id: 4, vector: [-3, 0] },
  ];
  const expected = {
    L2: { ids: [1, 3, 4, 2], distances: [0, 5, 16, 181] },
    IP: { ids: [2, 1, 3, 4], distances: [10, 1, 0, -3] },
    COSINE: { ids: [1, 2, 3, 4], distances: [1, Math.fround(Math.SQRT1_2), 0, -1] },
  };

  test.each(Object.entries(expected))(
    '%s orders and scores',
    async (metric, { ids, distances }) => {
      const collectionName = `m_${metric}`;
      await make(collectionName, metric, data);
      const reply = await find({ collectionName, data: [[1, 0]] });
      expect(idsOf(reply)).toEqual(ids);
      distancesOf(reply).forEach((distance: number, index: number) => {
        expect(distance).toBeCloseTo(distances[index] ?? Number.NaN, 6);
        if (metric === 'COSINE') expect(Math.abs(distance)).toBeLessThanOrEqual(1);
      });
      const other = metric === 'L2' ? 'IP' : 'L2';
      expectError(
        await ask({ collectionName, data: [[1, 0]], searchParams: { metricType: other } }),
        1100,
        'metric type not match',
        metric,
      );
    },
  );

  test.each([
    { metric: 'L2', params: { radius: 16, range_filter: 5 }, ids: [3] },
    { metric: 'L2', params: { radius: 16 }, ids: [1, 3] },
    { metric: 'IP', params: { radius: 0, range_filter: 1 }, ids: [1] },
    { metric: 'IP', params: { radius: '-3' }, ids: [2, 1, 3] },
    { metric: 'COSINE', params: { radius: -0.5, range_filter: 0.9 }, ids: [2, 3] },
  ])('the ends of a range under $metric: $params (trap 6)', async ({ metric, params, ids }) => {
    const reply = await find({
      collectionName: `m_${metric}`,
      data: [[1, 0]],
      searchParams: { params },
    });
    expect(idsOf(reply)).toEqual(ids);
  });

  test.each([
    { metric: 'L2', params: { radius: 1, range_filter: 2 } },
    { metric: 'IP', params: { radius: 2, range_filter: 1 } },
    { metric: 'L2', params: { range_filter: 1 } },
  ])('ends in the wrong order are 1100: $metric $params', async ({ metric, params }) => {
    const answer = await ask({
      collectionName: `m_${metric}`,
      data: [[1, 0]],
      searchParams: { params },
    });
    expectError(answer, 1100, 'range_filter');
  });
});

describe('several vector fields', () => {
  beforeAll(async () => {
    const vector = (fieldName: string) => ({
      fieldName,
      dataType: 'FloatVector',
      elementTypeParams: { dim: 2 },
    });
    await server.must('collections/create', {
      collectionName: 'two',
      schema: {
        fields: [{ fieldName: 'id', dataType: 'Int64', isPrimary: true }, vector('a'), vector('b')],
      },
      indexParams: [
        { fieldName: 'a', metricType: 'L2' },
        { fieldName: 'b', metricType: 'IP' },
      ],
    });
    await server.must('entities/insert', {
      collectionName: 'two',
      data: [
        { id: 1, a: [0, 0], b: [1, 0] },
        { id: 2, a: [9, 0], b: [5, 0] },
      ],
    });
  });

  test('each is searched by its own metric; which one must be said', async () => {
    const two = { collectionName: 'two', data: [[1, 0]] };
    expect(idsOf(await find({ ...two, annsField: 'a' }))).toEqual([1, 2]);
    expect(idsOf(await find({ ...two, annsField: 'b' }))).toEqual([2, 1]);
    expectError(await ask(two), 1100, 'annsField', 'a, b');
    expectError(await ask({ ...two, annsField: 'id' }), 1700, 'vector field', 'id');
  });
});

describe('refused', () => {
  test.each<{ why: string; body: Record<string, unknown>; code: number; says: string }>([
    { why: 'neither data nor ids', body: { data: undefined }, code: 1802, says: 'data' },
    { why: 'data and ids', body: { ids: [1] }, code: 1100, says: 'exactly one' },
    { why: 'no vectors', body: { data: [] }, code: 1100, says: 'nq' },
    { why: 'a vector without its list', body: { data: [1, 2] }, code: 1801, says: 'vector 0' },
    {
      why: 'another dimension',
      body: {
        data: [
          [1, 2],
          [1, 2, 3],
        ],
      },
      code: 1801,
      says: 'vector 1',
    },
    { why: 'a component of text', body: { data: [['1', 2]] }, code: 1801, says: 'component 0' },
    { why: 'a component of null', body: { data: [[1, null]] }, code: 1801, says: 'component 1' },
    {
      why: 'a component beyond float32',
      body: { data: [[1, 1e39]] },
      code: 1801,
      says: 'component 1',
    },
    { why: 'text instead of vectors', body: { data: ['hello'] }, code: 1801, says: 'vector 0' },
    { why: 'limit 0', body: { limit: 0 }, code: 1100, says: 'topk [0]' },
    { why: 'limit -1', body: { limit: -1 }, code: 1100, says: 'topk [-1]' },
    { why: 'limit 16,385', body: { limit: 16_385 }, code: 1100, says: '16384' },
    { why: 'offset -1', body: { offset: -1 }, code: 1100, says: 'offset [-1]' },
    { why: 'offset 100,001', body: { offset: 100_001 }, code: 1100, says: '16384' },
    {
      why: 'limit and offset together',
      body: { limit: 384, offset: 16_001 },
      code: 1100,
      says: '16385',
    },
    { why: 'a limit beyond 32 bits', body: { limit: 2 ** 40 }, code: 1801, says: 'limit' },
    { why: 'a bad filter', body: { filter: '(' }, code: 1100, says: 'cannot parse expression' },
    { why: 'a bad metric', body: { searchParams: { metricType: 'X' } }, code: 1100, says: 'X' },
    {
      why: 'an ef that is no number',
      body: { searchParams: { params: { ef: 'x' } } },
      code: 1100,
      says: 'ef',
    },
    { why: 'level 11', body: { searchParams: { level: 11 } }, code: 1100, says: 'level' },
    {
      why: 'round_decimal 7',
      body: { searchParams: { round_decimal: 7 } },
      code: 1100,
      says: 'round_decimal',
    },
    {
      why: 'searchParams that are a list',
      body: { searchParams: [] },
      code: 1801,
      says: 'searchParams',
    },
    { why: 'grouping', body: { groupingField: 'name' }, code: 3000, says: 'groupingField' },
    {
      why: 'a function score',
      body: { functionScore: { functions: [] } },
      code: 3000,
      says: 'functionScore',
    },
    {
      why: 'an unknown collection',
      body: { collectionName: 'nothing' },
      code: 100,
      says: 'nothing',
    },
    { why: 'a partition that is not there', body: { partitionNames: ['p'] }, code: 200, says: 'p' },
    {
      why: 'another consistency level',
      body: { consistencyLevel: 'bounded' },
      code: 1100,
      says: 'bounded',
    },
  ])('$why', async ({ body, code, says }) => {
    expectError(await ask(body), code, says);
  });
});

test('a field called distance does not hide the score', async () => {
  const named = 'field_called_distance';
  await server.must('collections/create', {
    collectionName: named,
    schema: {
      fields: [
        { fieldName: 'id', dataType: 'Int64', isPrimary: true },
        { fieldName: 'distance', dataType: 'Int64' },
        { fieldName: 'v', dataType: 'FloatVector', elementTypeParams: { dim: '2' } },
      ],
    },
    indexParams: [{ fieldName: 'v', indexName: 'v', metricType: 'L2' }],
  });
  const row = { id: 1, distance: 77, v: [3, 4] };
  await server.must('entities/insert', { collectionName: named, data: [row] });
  const found = await server.must('entities/search', {
    collectionName: named,
    data: [[0, 0]],
    outputFields: ['*'],
  });
  expect(found.data).toEqual([{ id: 1, distance: 25, v: [3, 4] }]);
  const read = await server.must('entities/query', { collectionName: named, filter: 'id == 1' });
  expect(read.data).toEqual([row]);
});
