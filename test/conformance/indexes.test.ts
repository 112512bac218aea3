/** indexes/*: what may be indexed, under which name, and what building tells about itself. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { expectError, startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let collectionName = '';
let made = 0;

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

beforeEach(async () => {
  collectionName = `c${++made}`;
  await server.must('collections/create', {
    collectionName,
    schema: {
      fields: [
        { fieldName: 'id', dataType: 'Int64', isPrimary: true },
        { fieldName: 'v', dataType: 'FloatVector', elementTypeParams: { dim: 2 } },
        { fieldName: 'n', dataType: 'Int32' },
      ],
    },
  });
});

const call = (verb: string, body: Record<string, unknown> = {}) =>
  server.call(`indexes/${verb}`, { collectionName, ...body });
const create = (...indexParams: Record<string, unknown>[]) => call('create', { indexParams });
const list = async () => (await call('list')).body.data;

test('an unindexed collection has none, an indexed one can be loaded and searched', async () => {
  expect(await list()).toEqual([]);
  const created = await create({ fieldName: 'v', indexName: 'by_v', metricType: 'IP' });
  expect(created.body).toEqual({ code: 0, data: {} });
  expect(await list()).toEqual(['by_v']);
  await server.must('collections/load', { collectionName });
  await server.must('entities/insert', { collectionName, data: [{ id: 1, v: [1, 2], n: 3 }] });
  const found = await server.must('entities/search', { collectionName, data: [[1, 1]] });
  expect(found.data).toEqual([{ id: 1, distance: 3 }]);
});

test('describe shows Milvus’s members and counts rows truthfully', async () => {
  await create(
    {
      fieldName: 'v',
      metricType: 'L2',
      indexType: 'HNSW',
      params: { M: 16, efConstruction: '200' },
    },
    { fieldName: 'n', indexName: 'by_n', params: { index_type: 'INVERTED' } },
  );
  await server.must('collections/load', { collectionName });
  await server.must('entities/insert', {
    collectionName,
    data: Array.from({ length: 10 }, (_, id) => ({ id, v: [id, 0], n: id })),
  });
  await server.must('entities/delete', { collectionName, filter: 'id == 0' });
  const { data } = await server.must('indexes/describe', { collectionName, indexName: 'v' });
  expect(data).toHaveLength(1);
  expect(data[0]).toMatchObject({
    indexName: 'v',
    fieldName: 'v',
    indexType: 'HNSW',
    metricType: 'L2',
    indexParams: { M: '16', efConstruction: '200' },
    totalRows: 9,
    failReason: '',
  });
  expect(data[0].indexedRows + data[0].pendingRows).toBe(9);
  // Far too few for a graph: nothing waits to be built.
  expect(data[0].indexState).toBe('Finished');
  expect(data[0]).toHaveProperty('minIndexVersion');
  expect(data[0]).toHaveProperty('maxIndexVersion');
  expect(data[0]).toHaveProperty(['mmap.enabled']);
  expect(data[0]).toHaveProperty(['indexoffsetcache.enabled']);
  expect(data[0]).toHaveProperty('warmup');
  const scalar = await server.must('indexes/describe', { collectionName, indexName: 'by_n' });
  expect(scalar.data[0]).toMatchObject({ indexType: 'INVERTED', metricType: '', fieldName: 'n' });
});

test('the type comes from indexType, else params, else AUTOINDEX; the name from the field', async () => {
  await create({ fieldName: 'v' });
  const { data } = await server.must('indexes/describe', { collectionName, indexName: 'v' });
  expect(data[0]).toMatchObject({ indexType: 'AUTOINDEX', metricType: 'COSINE' });
});

test('FLAT asks for exact search: every row counts as indexed', async () => {
  await create({ fieldName: 'v', indexType: 'FLAT', metricType: 'L2' });
  await server.must('entities/insert', { collectionName, data: [{ id: 1, v: [1, 2], n: 3 }] });
  const { data } = await server.must('indexes/describe', { collectionName, indexName: 'v' });
  expect(data[0]).toMatchObject({ indexedRows: 1, pendingRows: 0, indexState: 'Finished' });
});

test('the same index again succeeds, another one on the field is refused', async () => {
  await create({ fieldName: 'v', metricType: 'L2' });
  expect((await create({ fieldName: 'v', metricType: 'L2' })).body.code).toBe(0);
  expectError(
    await create({ fieldName: 'v', metricType: 'IP' }),
    1100,
    'at most one distinct index',
  );
  expectError(await create({ fieldName: 'n', indexName: 'v' }), 1100, 'taken');
  expect(await list()).toEqual(['v']);
});

test('a vector index is dropped from a released collection only, and then search needs a new one', async () => {
  await create({ fieldName: 'v', metricType: 'L2' }, { fieldName: 'n' });
  await server.must('collections/load', { collectionName });
  expectError(await call('drop', { indexName: 'v' }), 1100, 'loaded collection');
  expect((await call('drop', { indexName: 'n' })).body.code).toBe(0);
  await server.must('collections/release', { collectionName });
  expect((await call('drop', { indexName: 'v' })).body).toEqual({ code: 0, data: {} });
  expect(await list()).toEqual([]);
  expectError(await server.call('collections/load', { collectionName }), 700, 'index not found');
  // Another metric is possible now.
  await create({ fieldName: 'v', metricType: 'IP' });
  await server.must('collections/load', { collectionName });
});

test('dropping an index that is not there succeeds', async () => {
  expect((await call('drop', { indexName: 'nothing' })).body.code).toBe(0);
});

describe('refused', () => {
  test.each<{ why: string; index: Record<string, unknown>; code: number; says: string }>([
    { why: 'no field', index: { metricType: 'L2' }, code: 1802, says: 'indexParams[0].fieldName' },
    { why: 'a field that is not there', index: { fieldName: 'w' }, code: 1802, says: 'field w' },
    {
      why: 'a bad metric',
      index: { fieldName: 'v', metricType: 'HAMMING' },
      code: 1100,
      says: 'HAMMING',
    },
    { why: 'a bad type', index: { fieldName: 'v', indexType: 'BTREE' }, code: 1100, says: 'BTREE' },
    {
      why: 'a vector type on a number',
      index: { fieldName: 'n', indexType: 'HNSW' },
      code: 1100,
      says: 'HNSW',
    },
    {
      why: 'a bad name',
      index: { fieldName: 'v', indexName: 'a b' },
      code: 1100,
      says: 'Invalid index name',
    },
    {
      why: 'params that are a list',
      index: { fieldName: 'v', params: [1] },
      code: 1801,
      says: 'indexParams[0].params',
    },
  ])('$why', async ({ index, code, says }) => {
    expectError(await create(index), code, says);
    expect(await list()).toEqual([]);
  });

  test('what is missing', async () => {
    expectError(await call('create'), 1802, 'indexParams');
    expectError(await call('describe'), 1802, 'indexName');
    expectError(
      await call('describe', { indexName: 'nothing' }),
      700,
      'index not found',
      'nothing',
    );
    expectError(await call('drop'), 1802, 'indexName');
  });
});

describe('settings of a graph', () => {
  const create = (params: Readonly<Record<string, unknown>>) =>
    server.call('indexes/create', {
      collectionName,
      indexParams: [{ fieldName: 'v', indexType: 'HNSW', params }],
    });

  test.each([{ M: 2 }, { M: '2048' }, { efConstruction: 1 }, { M: 16, efConstruction: '200' }])(
    '%j is taken',
    async (params) => {
      expect((await create(params)).body.code).toBe(0);
    },
  );

  test.each([
    { params: { M: 'abc' }, name: 'M' },
    { params: { M: 1 }, name: 'M' },
    { params: { M: 2049 }, name: 'M' },
    { params: { M: 4.5 }, name: 'M' },
    { params: { M: true }, name: 'M' },
    { params: { efConstruction: 0 }, name: 'efConstruction' },
    { params: { efConstruction: 'wide' }, name: 'efConstruction' },
  ])('$params is refused by name', async ({ params, name }) => {
    expectError(await create(params), 1100, `indexParams.params.${name}`, 'invalid parameter');
    const { body } = await server.call('indexes/list', { collectionName });
    expect(body.data).toEqual([]);
  });
});
