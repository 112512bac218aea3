/** collections/*: both forms of create, states, and what becomes of names. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { everyType, expectError, startServer, type TestServer } from '../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const quick = (collectionName: string) => ({ collectionName, dimension: 4 });
const describeIt = async (collectionName: string) =>
  (await server.must('collections/describe', { collectionName })).data;
const loadState = async (collectionName: string) =>
  (await server.must('collections/get_load_state', { collectionName })).data;

describe('create', () => {
  test('in the quick form: defaults, an index, loaded', async () => {
    const created = await server.call('collections/create', quick('quick'));
    expect(created.body).toEqual({ code: 0, data: {} });
    const answer = await server.must('collections/describe', { collectionName: 'quick' });
    expect(answer.message).toBe('');
    expect(answer.data).toMatchObject({
      collectionName: 'quick',
      collectionID: expect.any(Number),
      description: '',
      autoId: false,
      enableDynamicField: true,
      shardsNum: 1,
      partitionsNum: 1,
      consistencyLevel: 'Bounded',
      load: 'LoadStateLoaded',
      aliases: [],
      properties: [],
      functions: [],
      indexes: [{ indexName: 'vector', fieldName: 'vector', metricType: 'COSINE' }],
    });
    expect(answer.data.fields).toEqual([
      {
        name: 'id',
        id: 100,
        type: 'Int64',
        primaryKey: true,
        partitionKey: false,
        clusteringKey: false,
        autoId: false,
        nullable: false,
        description: '',
        params: [],
      },
      {
        name: 'vector',
        id: 101,
        type: 'FloatVector',
        primaryKey: false,
        partitionKey: false,
        clusteringKey: false,
        autoId: false,
        nullable: false,
        description: '',
        params: [{ key: 'dim', value: '4' }],
      },
    ]);
    expect(await loadState('quick')).toEqual({ loadState: 'LoadStateLoaded', loadProgress: 100 });
  });

  test('in the quick form with a text key and names of one’s own', async () => {
    await server.must('collections/create', {
      collectionName: 'named',
      dimension: 8,
      idType: 'VarChar',
      metricType: 'IP',
      primaryFieldName: 'key',
      vectorFieldName: 'embedding',
      params: { max_length: '64', shardsNum: '2', consistencyLevel: 'Strong' },
      description: 'mine',
    });
    expect(await describeIt('named')).toMatchObject({
      description: 'mine',
      shardsNum: 2,
      consistencyLevel: 'Strong',
      fields: [
        { name: 'key', type: 'VarChar', params: [{ key: 'max_length', value: '64' }] },
        { name: 'embedding' },
      ],
      indexes: [{ indexName: 'embedding', metricType: 'IP' }],
    });
  });

  test('in the full form: every type, nullable and default as Milvus shows it', async () => {
    await server.must('collections/create', everyType('full'));
    const { fields, load, enableDynamicField } = await describeIt('full');
    expect({ load, enableDynamicField }).toEqual({
      load: 'LoadStateLoaded',
      enableDynamicField: true,
    });
    expect(fields).toHaveLength(12);
    expect(fields[2]).toMatchObject({ name: 'flag', type: 'Bool', nullable: true });
    expect(fields[11]).toMatchObject({ name: 'preset', defaultValue: { Data: { IntData: 7 } } });
  });

  test('in the full form without indexParams stays unloaded: search is 101 (trap 9)', async () => {
    const { indexParams: _, ...body } = everyType('unloaded');
    await server.must('collections/create', body);
    expect(await loadState('unloaded')).toEqual({ loadState: 'LoadStateNotLoad' });
    const collectionName = 'unloaded';
    const reads = {
      'entities/search': { collectionName, data: [[1, 2, 3, 4]] },
      'entities/query': { collectionName, filter: 'id > 0' },
      'entities/get': { collectionName, id: 1 },
    };
    for (const [verb, body] of Object.entries(reads)) {
      expectError(await server.call(verb, body), 101, 'collection not loaded');
    }
    expectError(
      await server.call('collections/load', { collectionName }),
      700,
      'index not found',
      'vector',
    );
  });

  test('twice with the same parameters succeeds, with others it is refused', async () => {
    await server.must('collections/create', quick('twice'));
    expect((await server.call('collections/create', quick('twice'))).body).toEqual({
      code: 0,
      data: {},
    });
    const other = await server.call('collections/create', { ...quick('twice'), dimension: 5 });
    expectError(other, 1100, 'create duplicate collection with different parameters');
  });

  test('by many at once makes one collection', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => server.call('collections/create', quick('race'))),
    );
    expect(answers.map(({ body }) => body.code)).toEqual(Array(8).fill(0));
    const { data } = await server.must('collections/list');
    expect(data.filter((name: string) => name === 'race')).toEqual(['race']);
  });

  const ID = { fieldName: 'id', dataType: 'Int64', isPrimary: true };
  const V = { fieldName: 'v', dataType: 'FloatVector', elementTypeParams: { dim: 4 } };
  test.each<{ why: string; body: Record<string, unknown>; code: number; says: string }>([
    { why: 'no name', body: { dimension: 4 }, code: 1802, says: 'collectionName' },
    {
      why: 'an empty name',
      body: { collectionName: '', dimension: 4 },
      code: 1802,
      says: 'collectionName',
    },
    {
      why: 'a name with a hyphen',
      body: quick('a-b'),
      code: 1100,
      says: 'Invalid collection name',
    },
    { why: 'a name that begins with a digit', body: quick('1a'), code: 1100, says: '1a' },
    { why: 'a name of 256', body: quick('a'.repeat(256)), code: 1100, says: '255' },
    { why: 'no dimension', body: { collectionName: 'x' }, code: 1100, says: 'COSINE' },
    {
      why: 'a dimension as text',
      body: { collectionName: 'x', dimension: '4' },
      code: 1801,
      says: 'dimension',
    },
    {
      why: 'dimension 0',
      body: { collectionName: 'x', dimension: 0 },
      code: 1100,
      says: 'dimension',
    },
    {
      why: 'dimension 32,769',
      body: { collectionName: 'x', dimension: 32_769 },
      code: 1100,
      says: '32768',
    },
    {
      why: 'a bad metric',
      body: { ...quick('x'), metricType: 'MANHATTAN' },
      code: 1100,
      says: 'MANHATTAN',
    },
    { why: 'a bad idType', body: { ...quick('x'), idType: 'Float' }, code: 1100, says: 'idType' },
    { why: 'autoID as text', body: { ...quick('x'), autoID: 'true' }, code: 1801, says: 'autoID' },
    {
      why: 'too many shards',
      body: { ...quick('x'), params: { shardsNum: 17 } },
      code: 1100,
      says: 'shardsNum',
    },
    {
      why: 'a bad consistency level',
      body: { ...quick('x'), params: { consistencyLevel: 'Weak' } },
      code: 1100,
      says: 'Weak',
    },
    {
      why: 'a long description',
      body: { ...quick('x'), description: 'd'.repeat(1025) },
      code: 1100,
      says: '1024',
    },
    {
      why: 'no primary key',
      body: { collectionName: 'x', schema: { fields: [V] } },
      code: 1100,
      says: 'primary key',
    },
    {
      why: 'no vector field',
      body: { collectionName: 'x', schema: { fields: [ID] } },
      code: 1100,
      says: 'vector',
    },
    {
      why: 'a type in the wrong case',
      body: { collectionName: 'x', schema: { fields: [{ ...ID, dataType: 'int64' }, V] } },
      code: 1100,
      says: 'int64',
    },
    {
      why: 'a type that is not built',
      body: {
        collectionName: 'x',
        schema: { fields: [ID, V, { fieldName: 'a', dataType: 'Array' }] },
      },
      code: 3000,
      says: 'Array',
    },
    {
      why: 'a field without a type',
      body: { collectionName: 'x', schema: { fields: [ID, V, { fieldName: 'a' }] } },
      code: 1802,
      says: 'schema.fields[2].dataType',
    },
    {
      why: 'a text without a length',
      body: {
        collectionName: 'x',
        schema: { fields: [ID, V, { fieldName: 'a', dataType: 'VarChar' }] },
      },
      code: 1100,
      says: 'max_length',
    },
    {
      why: 'a default of the wrong type',
      body: {
        collectionName: 'x',
        schema: { fields: [ID, V, { fieldName: 'a', dataType: 'Int8', defaultValue: 'x' }] },
      },
      code: 1100,
      says: 'convert defaultValue fail',
    },
    {
      why: 'equal field names',
      body: { collectionName: 'x', schema: { fields: [ID, V, V] } },
      code: 1100,
      says: 'duplicated field name',
    },
    {
      why: 'an index on a field that is not there',
      body: { collectionName: 'x', schema: { fields: [ID, V] }, indexParams: [{ fieldName: 'w' }] },
      code: 1802,
      says: 'field w',
    },
  ])('refuses $why', async ({ body, code, says }) => {
    expectError(await server.call('collections/create', body), code, says);
    expect((await server.must('collections/list')).data).not.toContain('x');
  });
});

describe('list, has and drop', () => {
  test('follow each other', async () => {
    const collectionName = 'passing';
    await server.must('collections/create', quick(collectionName));
    expect((await server.must('collections/has', { collectionName })).data).toEqual({ has: true });
    expect((await server.must('collections/list')).data).toContain(collectionName);
    expect((await server.call('collections/drop', { collectionName })).body).toEqual({
      code: 0,
      data: {},
    });
    expect((await server.must('collections/has', { collectionName })).data).toEqual({ has: false });
    expect((await server.must('collections/list')).data).not.toContain(collectionName);
  });

  test('dropping what is not there succeeds, has never fails (trap 8)', async () => {
    for (const collectionName of ['nothing', '7-?', 'größe']) {
      expect((await server.call('collections/drop', { collectionName })).body.code).toBe(0);
      expect((await server.call('collections/has', { collectionName })).body.code).toBe(0);
    }
  });

  test('a name can be used again at once, and nothing of the old collection shows', async () => {
    const collectionName = 'reborn';
    const row = { id: 1, vector: [1, 2, 3, 4] };
    await server.must('collections/create', quick(collectionName));
    await server.must('entities/insert', { collectionName, data: [row] });
    await server.must('collections/drop', { collectionName });
    expectError(
      await server.call('entities/query', { collectionName }),
      100,
      "can't find collection",
    );
    await server.must('collections/create', { ...quick(collectionName), dimension: 2 });
    expect((await server.must('entities/query', { collectionName })).data).toEqual([]);
  });

  test.each([
    'collections/describe',
    'collections/get_stats',
    'collections/get_load_state',
    'collections/load',
    'collections/release',
    'collections/flush',
    'indexes/list',
  ])('%s of what is not there is 100', async (verb) => {
    const answer = await server.call(verb, { collectionName: 'nothing' });
    expectError(answer, 100, "can't find collection[database=default][collection=nothing]");
  });
});

describe('load and release', () => {
  test('are a state that is kept (trap 11)', async () => {
    const collectionName = 'stateful';
    const search = { collectionName, data: [[1, 2, 3, 4]] };
    await server.must('collections/create', quick(collectionName));
    await server.must('entities/insert', {
      collectionName,
      data: [{ id: 1, vector: [1, 2, 3, 4] }],
    });
    expect((await server.must('entities/search', search)).data).toHaveLength(1);
    for (const verb of ['release', 'release']) {
      expect((await server.call(`collections/${verb}`, { collectionName })).body.code).toBe(0);
    }
    expect(await loadState(collectionName)).toEqual({ loadState: 'LoadStateNotLoad' });
    expect((await describeIt(collectionName)).load).toBe('LoadStateNotLoad');
    expectError(await server.call('entities/search', search), 101, 'collection not loaded');
    // Writing needs no loading.
    await server.must('entities/insert', {
      collectionName,
      data: [{ id: 2, vector: [1, 2, 3, 5] }],
    });
    for (const verb of ['load', 'load']) {
      expect((await server.call(`collections/${verb}`, { collectionName })).body.code).toBe(0);
    }
    expect((await server.must('entities/search', search)).data).toHaveLength(2);
  });

  test('the load state of a partition that is not there is 200', async () => {
    await server.must('collections/create', quick('parts'));
    const ask = (partitionNames: string[]) =>
      server.call('collections/get_load_state', { collectionName: 'parts', partitionNames });
    expect((await ask(['_default'])).body.data).toMatchObject({ loadProgress: 100 });
    expectError(await ask(['other']), 200, 'partition not found');
  });
});

describe('get_stats and flush', () => {
  test('rowCount counts what was written, count(*) what is alive (trap 10)', async () => {
    const collectionName = 'counted';
    await server.must('collections/create', quick(collectionName));
    const rows = Array.from({ length: 100 }, (_, id) => ({ id, vector: [id, 1, 2, 3] }));
    await server.must('entities/insert', { collectionName, data: rows });
    await server.must('entities/upsert', { collectionName, data: rows.slice(0, 1) });
    await server.must('entities/delete', { collectionName, filter: 'id in [5, 6]' });
    for (const flushed of [false, true]) {
      const { rowCount } = (await server.must('collections/get_stats', { collectionName })).data;
      expect(rowCount, flushed ? 'flushed' : 'at once').toBeGreaterThanOrEqual(101);
      const { data } = await server.must('entities/query', {
        collectionName,
        outputFields: ['count(*)'],
      });
      expect(data).toEqual([{ 'count(*)': 98 }]);
      expect((await server.call('collections/flush', { collectionName })).body).toEqual({
        code: 0,
        data: {},
      });
    }
  });
});

test('a restart keeps collections, their states and their rows', async () => {
  const first = await startServer();
  const collectionName = 'kept';
  await first.must('collections/create', quick(collectionName));
  await first.must('collections/create', quick('gone'));
  await first.must('collections/create', quick('idle'));
  await first.must('entities/insert', { collectionName, data: [{ id: 1, vector: [1, 2, 3, 4] }] });
  await first.must('collections/drop', { collectionName: 'gone' });
  await first.must('collections/release', { collectionName: 'idle' });
  const second = await first.restart();
  try {
    expect((await second.must('collections/list')).data.sort()).toEqual(['idle', 'kept']);
    expect((await second.must('entities/get', { collectionName, id: 1 })).data).toHaveLength(1);
    expectError(await second.call('entities/query', { collectionName: 'idle' }), 101);
  } finally {
    await second.close();
  }
});
