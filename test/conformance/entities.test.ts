/** entities/insert, upsert, delete, get and query: values exact both ways, and every refusal. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Envelope,
  everyType,
  expectError,
  startServer,
  type TestServer,
} from '../support/server.ts';

let server: TestServer;
const TYPES = 'types';

beforeAll(async () => {
  server = await startServer();
  await server.must('collections/create', everyType(TYPES));
});
afterAll(() => server.close());

let made = 0;
/** A new collection in the quick form. */
async function collection(form: Record<string, unknown> = {}): Promise<string> {
  const collectionName = `c${++made}`;
  await server.must('collections/create', { collectionName, dimension: 2, ...form });
  return collectionName;
}

const rows = (...ids: (number | bigint | string)[]) => ids.map((id) => ({ id, vector: [1, 2] }));
const idsOf = (reply: Envelope) => reply.data.map(({ id }: { id: unknown }) => id);
const query = async (collectionName: string, filter = '', rest = {}) =>
  server.must('entities/query', { collectionName, filter, outputFields: ['id'], ...rest });

describe('values', () => {
  const row = {
    id: 9007199254740993n,
    vector: [0.1, -2, 3e-5, 4],
    flag: true,
    tiny: -128,
    small: 32_767,
    medium: -2_147_483_648,
    large: -9223372036854775808n,
    single: 0.1,
    double: 0.1,
    text: 'größe "1"\n',
    json: { deep: [1, 9007199254740993n, null, { x: 'y' }] },
    preset: 1,
    extra: { any: [true] },
    counter: 9223372036854775807n,
  };

  test('of every type come back as they went in (trap 3)', async () => {
    const { data, cost, token } = await server.must('entities/insert', {
      collectionName: TYPES,
      data: [row],
    });
    expect(data).toEqual({ insertCount: 1, insertIds: [row.id] });
    expect(cost).toBe(0);
    expect(token).toEqual(expect.any(String));
    for (const when of ['from the tail', 'from a segment']) {
      const found = await server.must('entities/get', { collectionName: TYPES, id: row.id });
      expect(found.data, when).toEqual([row]);
      await server.must('collections/flush', { collectionName: TYPES });
    }
  });

  test('as strings where the client cannot read 64 bits; dynamic values stay numbers', async () => {
    const answer = await server.call(
      'entities/get',
      { collectionName: TYPES, id: '9007199254740993' },
      { 'accept-type-allow-int64': 'false' },
    );
    expect(answer.body.data[0]).toMatchObject({
      id: '9007199254740993',
      large: '-9223372036854775808',
      counter: 9223372036854775807n,
      medium: -2_147_483_648,
    });
    const inserted = await server.call(
      'entities/insert',
      { collectionName: TYPES, data: [{ id: '12', vector: [1, 2, 3, 4] }] },
      { 'accept-type-allow-int64': 'false' },
    );
    expect(inserted.body.data.insertIds).toEqual(['12']);
  });

  test('that are missing are null, defaults are written out', async () => {
    await server.must('entities/insert', {
      collectionName: TYPES,
      data: [{ id: 1, vector: [1, 2, 3, 4], large: null, preset: null }],
    });
    const { data } = await server.must('entities/get', { collectionName: TYPES, id: 1 });
    expect(data).toEqual([
      {
        id: 1,
        vector: [1, 2, 3, 4],
        flag: null,
        tiny: null,
        small: null,
        medium: null,
        large: null,
        single: null,
        double: null,
        text: null,
        json: null,
        preset: 7,
      },
    ]);
  });

  test.each([
    { given: '1e3', stored: 1000 },
    { given: '9007199254740993.0', stored: 9007199254740993n },
    { given: '"9007199254740993"', stored: 9007199254740993n },
  ])('an Int64 may be written $given', async ({ given, stored }) => {
    const body = `{"collectionName":"${TYPES}","data":[{"id":77,"vector":[1,2,3,4],"large":${given}}]}`;
    expect((await server.call('entities/upsert', body)).body.code).toBe(0);
    const { data } = await server.must('entities/get', {
      collectionName: TYPES,
      id: 77,
      outputFields: ['large'],
    });
    expect(data).toEqual([{ id: 77, large: stored }]);
  });
});

describe('a bad row', () => {
  const good = '"id":5,"vector":[1,2,3,4]';
  test.each([
    { why: 'a missing key', row: '{"vector":[1,2,3,4]}', field: 'id' },
    { why: 'a null key', row: '{"id":null,"vector":[1,2,3,4]}', field: 'id' },
    { why: 'a missing vector', row: '{"id":5}', field: 'vector' },
    { why: 'too few dimensions', row: '{"id":5,"vector":[1,2,3]}', field: 'vector' },
    { why: 'too many dimensions', row: '{"id":5,"vector":[1,2,3,4,5]}', field: 'vector' },
    { why: 'a quoted vector', row: '{"id":5,"vector":"[1,2,3,4]"}', field: 'vector' },
    { why: 'a quoted component', row: '{"id":5,"vector":[1,2,3,"4"]}', field: 'vector' },
    { why: 'a null component', row: '{"id":5,"vector":[1,2,3,null]}', field: 'vector' },
    { why: 'a component beyond float32', row: '{"id":5,"vector":[1,2,3,1e39]}', field: 'vector' },
    { why: 'Int8 128', row: `{${good},"tiny":128}`, field: 'tiny' },
    { why: 'Int16 as text', row: `{${good},"small":"1"}`, field: 'small' },
    { why: 'Int32 with a fraction', row: `{${good},"medium":1.5}`, field: 'medium' },
    { why: 'Int64 2^63', row: `{${good},"large":9223372036854775808}`, field: 'large' },
    { why: 'Int64 with a fraction', row: `{${good},"large":1.5}`, field: 'large' },
    { why: 'Float beyond float32', row: `{${good},"single":1e39}`, field: 'single' },
    { why: 'Bool as a number', row: `{${good},"flag":1}`, field: 'flag' },
    { why: 'a text that is too long', row: `{${good},"text":"${'ö'.repeat(9)}"}`, field: 'text' },
    { why: 'a text that is a list', row: `{${good},"text":["x"]}`, field: 'text' },
    {
      why: 'a JSON integer beyond 64 bits',
      row: `{${good},"json":18446744073709551616}`,
      field: 'json',
    },
    { why: 'a key with a fraction', row: '{"id":5.5,"vector":[1,2,3,4]}', field: 'id' },
  ])('with $why is 1804 with row and field, and nothing is written', async ({ row, field }) => {
    const before = await server.must('collections/get_stats', { collectionName: TYPES });
    for (const verb of ['insert', 'upsert']) {
      const body = `{"collectionName":"${TYPES}","data":[{"id":900,"vector":[1,2,3,4]},${row}]}`;
      const answer = await server.call(`entities/${verb}`, body);
      expectError(answer, 1804, 'fail to deal the insert data', 'row 1', field);
    }
    expect((await query(TYPES, 'id in [5, 900]')).data).toEqual([]);
    expect(await server.must('collections/get_stats', { collectionName: TYPES })).toEqual(before);
  });

  test('with equal keys is 1801', async () => {
    const body = `{"collectionName":"${TYPES}","data":[{${good},"x":1,"x":2}]}`;
    expectError(await server.call('entities/insert', body), 1801, 'x');
  });

  test('with a key outside the schema is 1804 where there is no dynamic field', async () => {
    const collectionName = await collection({ params: { enableDynamicField: false } });
    const answer = await server.call('entities/insert', {
      collectionName,
      data: [{ id: 1, vector: [1, 2], color: 'red' }],
    });
    expectError(answer, 1804, 'row 0', 'color');
  });

  test.each([
    { why: 'no rows', data: [], code: 1804 },
    { why: 'one row without a list', data: { id: 1, vector: [1, 2] }, code: 1801 },
    { why: 'rows that are lists', data: [[1, [1, 2]]], code: 1801 },
  ])('$why is $code', async ({ data, code }) => {
    const collectionName = await collection();
    expectError(await server.call('entities/insert', { collectionName, data }), code);
  });

  test('missing rows are 1802, a missing collection 100, a missing partition 200', async () => {
    const collectionName = await collection();
    expectError(await server.call('entities/insert', { collectionName }), 1802, 'data');
    const data = rows(1);
    expectError(await server.call('entities/insert', { collectionName: 'nothing', data }), 100);
    const elsewhere = { collectionName, data, partitionName: 'p' };
    expectError(await server.call('entities/insert', elsewhere), 200, 'partition not found');
    await server.must('entities/insert', { collectionName, data, partitionName: '_default' });
  });
});

describe('insert and upsert', () => {
  test('the newest row of a key wins, within a request too', async () => {
    const collectionName = await collection();
    const put = (verb: string, ...versions: string[]) =>
      server.must(`entities/${verb}`, {
        collectionName,
        data: versions.map((name) => ({ id: 1, vector: [1, 2], name })),
      });
    const name = async () =>
      (await server.must('entities/get', { collectionName, id: 1, outputFields: ['name'] })).data;
    expect((await put('insert', 'a', 'b')).data).toEqual({ insertCount: 2, insertIds: [1, 1] });
    expect(await name()).toEqual([{ id: 1, name: 'b' }]);
    expect((await put('upsert', 'c')).data).toEqual({ upsertCount: 1, upsertIds: [1] });
    expect(await name()).toEqual([{ id: 1, name: 'c' }]);
    await put('insert', 'd');
    expect(await name()).toEqual([{ id: 1, name: 'd' }]);
  });

  test('generated keys are unique, and none may be given', async () => {
    const collectionName = await collection({ autoID: true });
    const data = Array.from({ length: 50 }, () => ({ vector: [1, 2] }));
    const first = await server.must('entities/insert', { collectionName, data });
    const second = await server.must('entities/insert', { collectionName, data });
    const ids = [...first.data.insertIds, ...second.data.insertIds].map(String);
    expect(new Set(ids).size).toBe(100);
    expect((await query(collectionName, '', { limit: 200 })).data).toHaveLength(100);
    const given = await server.call('entities/insert', { collectionName, data: rows(1) });
    expectError(given, 1804, 'row 0', 'id');
  });

  test('upsert by a generated key replaces that row under a new key', async () => {
    const collectionName = await collection({ autoID: true });
    const { data } = await server.must('entities/insert', {
      collectionName,
      data: [{ vector: [1, 2], name: 'old' }],
    });
    const [id] = data.insertIds;
    const replaced = await server.must('entities/upsert', {
      collectionName,
      data: [{ id, vector: [1, 2], name: 'new' }],
    });
    const [next] = replaced.data.upsertIds;
    expect(String(next)).not.toBe(String(id));
    const all = await server.must('entities/query', { collectionName, outputFields: ['name'] });
    expect(all.data).toEqual([{ id: next, name: 'new' }]);
  });

  test('text keys', async () => {
    const collectionName = await collection({ idType: 'VarChar', params: { max_length: 8 } });
    await server.must('entities/insert', { collectionName, data: rows('b', 'a', 'größe') });
    expect(idsOf(await query(collectionName))).toEqual(['a', 'b', 'größe']);
    const { data } = await server.must('entities/get', {
      collectionName,
      id: ['größe', 'nothing'],
      outputFields: ['id'],
    });
    expect(data).toEqual([{ id: 'größe' }]);
    const long = await server.call('entities/insert', { collectionName, data: rows('123456789') });
    expectError(long, 1804, 'id');
  });

  test('what is not built says so', async () => {
    const collectionName = await collection();
    const partial = { collectionName, data: rows(1), partialUpdate: true };
    expectError(await server.call('entities/upsert', partial), 3000, 'partialUpdate');
    const ops = { collectionName, data: rows(1), fieldOps: [{ fieldName: 'a', op: 'REPLACE' }] };
    expectError(await server.call('entities/upsert', ops), 3000, 'fieldOps');
  });

  test('many shards hold together', async () => {
    const collectionName = await collection({ params: { shardsNum: 4 } });
    const ids = Array.from({ length: 200 }, (_, id) => id);
    await server.must('entities/insert', { collectionName, data: rows(...ids) });
    expect(idsOf(await query(collectionName, '', { limit: 200 }))).toEqual(ids);
    await server.must('entities/delete', { collectionName, filter: 'id >= 100' });
    const { data } = await query(collectionName, '', { outputFields: ['count(*)'] });
    expect(data).toEqual([{ 'count(*)': 100 }]);
  });
});

describe('delete', () => {
  test.each([
    { filter: 'id == 1', count: 1, left: [2, 3, 4] },
    { filter: 'id in [1, 3]', count: 2, left: [2, 4] },
    { filter: 'id > 2', count: 2, left: [1, 2] },
    { filter: 'name == "n2"', count: 1, left: [1, 3, 4] },
    { filter: 'name == "nothing"', count: 0, left: [1, 2, 3, 4] },
  ])('by $filter', async ({ filter, count, left }) => {
    const collectionName = await collection();
    const data = [1, 2, 3, 4].map((id) => ({ id, vector: [1, 2], name: `n${id}` }));
    await server.must('entities/insert', { collectionName, data });
    const deleted = await server.must('entities/delete', { collectionName, filter });
    expect(deleted.data).toEqual({ deleteCount: count });
    expect(deleted.cost).toBe(0);
    expect(deleted.token).toEqual(expect.any(String));
    for (const when of ['at once', 'flushed']) {
      expect(idsOf(await query(collectionName)), when).toEqual(left);
      await server.must('collections/flush', { collectionName });
    }
  });

  test('with a template, 64-bit keys exact', async () => {
    const collectionName = await collection();
    const [a, b] = [9007199254740992n, 9007199254740993n];
    await server.must('entities/insert', { collectionName, data: rows(a, b) });
    await server.must('entities/delete', {
      collectionName,
      filter: 'id in {gone}',
      exprParams: { gone: [b] },
    });
    expect(idsOf(await query(collectionName))).toEqual([a]);
  });

  test('a deleted key can be written again', async () => {
    const collectionName = await collection();
    await server.must('entities/insert', { collectionName, data: rows(1) });
    await server.must('entities/delete', { collectionName, filter: 'id == 1' });
    expect((await query(collectionName)).data).toEqual([]);
    await server.must('entities/insert', { collectionName, data: rows(1) });
    expect(idsOf(await query(collectionName))).toEqual([1]);
  });

  test.each([
    { why: 'no filter', body: {}, code: 1802, says: 'filter' },
    { why: 'an empty filter', body: { filter: '' }, code: 1802, says: 'filter' },
    { why: 'a blank filter', body: { filter: '  ' }, code: 1802, says: 'filter' },
    { why: 'a filter that is a number', body: { filter: 5 }, code: 1801, says: 'filter' },
    {
      why: 'a bad filter',
      body: { filter: 'id ==' },
      code: 1100,
      says: 'failed to create query plan: cannot parse expression',
    },
    {
      why: 'a partition that is not there',
      body: { filter: 'id > 0', partitionName: 'p' },
      code: 200,
      says: 'p',
    },
  ])('refuses $why', async ({ body, code, says }) => {
    const answer = await server.call('entities/delete', { collectionName: TYPES, ...body });
    expectError(answer, code, says);
  });
});

describe('get', () => {
  let collectionName: string;
  beforeAll(async () => {
    collectionName = await collection();
    const data = [0, 1, 2, 3].map((id) => ({ id, vector: [id, 1], name: `n${id}`, '7': id }));
    await server.must('entities/insert', { collectionName, data });
  });
  const get = (rest: Record<string, unknown>) =>
    server.call('entities/get', { collectionName, ...rest });

  test.each([
    { id: 2, ids: [2] },
    { id: '2', ids: [2] },
    { id: [3, 1], ids: [1, 3] },
    { id: [1, 1, 99], ids: [1] },
    { id: [], ids: [] },
    { id: 0, ids: [0] },
  ])('$id finds $ids', async ({ id, ids }) => {
    const { body } = await get({ id, outputFields: ['id'] });
    expect(body.code).toBe(0);
    expect(idsOf(body).sort()).toEqual(ids);
  });

  test('shows everything by default, and what is named otherwise', async () => {
    const all = { id: 1, vector: [1, 1], name: 'n1', '7': 1 };
    expect((await get({ id: 1 })).body.data).toEqual([all]);
    expect((await get({ id: 1, outputFields: ['*'] })).body.data).toEqual([all]);
    expect((await get({ id: 1, outputFields: ['name'] })).body.data).toEqual([
      { id: 1, name: 'n1' },
    ]);
    expect((await get({ id: 1, outputFields: ['vector'] })).body.data).toEqual([
      { id: 1, vector: [1, 1] },
    ]);
  });

  test.each([
    { why: 'no id', body: {}, code: 1802, says: 'id' },
    { why: 'an id that is true', body: { id: true }, code: 1806, says: 'primary key' },
    { why: 'an id that is an object', body: { id: { a: 1 } }, code: 1806, says: 'primary key' },
    { why: 'a text that is no integer', body: { id: 'x' }, code: 1806, says: 'key 0' },
    { why: 'a fraction', body: { id: [1, 1.5] }, code: 1806, says: 'key 1' },
    {
      why: 'a partition that is not there',
      body: { id: 1, partitionNames: ['p'] },
      code: 200,
      says: 'p',
    },
    {
      why: 'output fields as one text',
      body: { id: 1, outputFields: 'id' },
      code: 1801,
      says: 'outputFields',
    },
    {
      why: 'another consistency level',
      body: { id: 1, consistencyLevel: 'Weak' },
      code: 1100,
      says: 'Weak',
    },
  ])('refuses $why', async ({ body, code, says }) => {
    expectError(await get(body), code, says);
  });
});

describe('query', () => {
  let collectionName: string;
  const ids = Array.from({ length: 150 }, (_, id) => id);
  beforeAll(async () => {
    collectionName = await collection();
    const data = ids.map((id) => ({
      id,
      vector: [id, 1],
      even: id % 2 === 0,
      name: `n${id % 10}`,
    }));
    await server.must('entities/insert', { collectionName, data: data.slice(0, 100) });
    await server.must('collections/flush', { collectionName });
    await server.must('entities/insert', { collectionName, data: data.slice(100) });
  });
  const ask = (rest: Record<string, unknown>) =>
    server.call('entities/query', { collectionName, outputFields: ['id'], ...rest });

  test.each([
    { filter: 'id < 3', found: [0, 1, 2] },
    { filter: '97 < id <= 102', found: [98, 99, 100, 101, 102] },
    { filter: 'id in [149, 5, 700]', found: [5, 149] },
    { filter: 'even == true and id < 5', found: [0, 2, 4] },
    {
      filter: 'name == "n1" || id == 0',
      found: [0, 1, 11, 21, 31, 41, 51, 61, 71, 81, 91, 101, 111, 121, 131, 141],
    },
    { filter: 'name like "n%" and id % 50 == 0', found: [0, 50, 100] },
    { filter: 'not (id > 1)', found: [0, 1] },
    { filter: 'id == {x}', exprParams: { x: 7 }, found: [7] },
    { filter: 'nothing is null and id < 1', found: [0] },
  ])('$filter', async ({ filter, exprParams, found }) => {
    const { body } = await ask({ filter, ...(exprParams === undefined ? {} : { exprParams }) });
    expect(body.code, body.message).toBe(0);
    expect(idsOf(body)).toEqual(found);
  });

  test.each([
    { what: 'no limit is 100', body: {}, found: ids.slice(0, 100) },
    {
      what: 'a blank filter with limit 0 is 100 rows (traps 7 and 14)',
      body: { filter: '  ', limit: 0 },
      found: ids.slice(0, 100),
    },
    { what: 'a negative limit counts as not given', body: { limit: -5 }, found: ids.slice(0, 100) },
    {
      what: 'a negative offset counts as not given',
      body: { limit: 2, offset: -5 },
      found: [0, 1],
    },
    { what: 'limit and offset', body: { limit: 3, offset: 148 }, found: [148, 149] },
  ])('$what', async ({ body, found }) => {
    expect(idsOf((await ask(body)).body)).toEqual(found);
  });

  test('count(*) is exact and ignores limit and offset', async () => {
    for (const window of [{}, { limit: 3 }, { limit: 20_000 }, { offset: 5 }]) {
      const { body } = await ask({ outputFields: ['count(*)'], ...window });
      expect(body.data).toEqual([{ 'count(*)': 150 }]);
    }
    const { body } = await ask({ filter: 'even == true', outputFields: ['count(*)'] });
    expect(body.data).toEqual([{ 'count(*)': 75 }]);
  });

  test.each([
    { why: 'limit 16,385', body: { limit: 16_385 }, code: 1100, says: '16384' },
    {
      why: 'limit and offset above 16,384 together',
      body: { limit: 1, offset: 16_384 },
      code: 1100,
      says: '16384',
    },
    { why: 'a limit as text', body: { limit: '5' }, code: 1801, says: 'limit' },
    {
      why: 'a filter that does not parse',
      body: { filter: 'id >' },
      code: 1100,
      says: 'failed to create query plan: cannot parse expression',
    },
    {
      why: 'a filter of the wrong type',
      body: { filter: 'id == "x"' },
      code: 1100,
      says: 'failed to create query plan',
    },
    {
      why: 'a construct that is not built',
      body: { filter: 'text_match(name, "x")' },
      code: 3000,
      says: 'text_match',
    },
    {
      why: 'count(*) beside a field',
      body: { outputFields: ['id', 'count(*)'] },
      code: 1100,
      says: 'count(*)',
    },
    {
      why: 'order by',
      body: { orderByFields: [{ fieldName: 'id' }] },
      code: 3000,
      says: 'orderByFields',
    },
    {
      why: 'a partition that is not there',
      body: { partitionNames: ['p'] },
      code: 200,
      says: 'partition not found',
    },
  ])('refuses $why', async ({ body, code, says }) => {
    expectError(await ask(body), code, says);
  });

  test('a field that does not exist is 1700 where there is no dynamic field', async () => {
    const strict = await collection({ params: { enableDynamicField: false } });
    const answer = await server.call('entities/query', {
      collectionName: strict,
      outputFields: ['color'],
    });
    expectError(answer, 1700, 'field not found', 'color');
    const filtered = await server.call('entities/query', {
      collectionName: strict,
      filter: 'color > 1',
    });
    expectError(filtered, 1100, 'failed to create query plan', 'color');
  });
});
