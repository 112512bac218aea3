/** Bodies as clients really send them, and every way in which they can be wrong. */
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { parseBody, readBody } from '#api/body.ts';
import { CreateCollectionRequest, LoadStateRequest } from '#api/collections.ts';
import {
  DeleteRequest,
  GetRequest,
  InsertRequest,
  QueryRequest,
  SearchRequest,
} from '#api/entities.ts';
import { CreateIndexRequest } from '#api/indexes.ts';
import { StoreError } from '#base/errors.ts';

const base64 = (text: string | Uint8Array): string => Buffer.from(text).toString('base64');

async function refusal(work: () => unknown): Promise<{ code: string; message: string }> {
  try {
    await work();
  } catch (error) {
    if (error instanceof StoreError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('readBody', () => {
  const text = '{"collectionName":"größe"}';

  test.each([
    { form: 'plain', wire: { body: text } },
    { form: 'base64', wire: { body: base64(text), isBase64Encoded: true } },
    {
      form: 'gzip in base64',
      wire: { body: base64(gzipSync(text)), isBase64Encoded: true, contentEncoding: 'gzip' },
    },
    { form: 'identity', wire: { body: text, contentEncoding: 'Identity' } },
  ])('reads a body: $form', async ({ wire }) => {
    expect(await readBody(wire)).toBe(text);
  });

  test.each([
    { wrong: 'no body', wire: {}, code: 'MALFORMED_BODY', says: '{}' },
    { wrong: 'blank', wire: { body: ' \n' }, code: 'MALFORMED_BODY', says: 'empty' },
    {
      wrong: 'not UTF-8',
      wire: { body: base64(Uint8Array.of(0x7b, 0xff, 0x7d)), isBase64Encoded: true },
      code: 'MALFORMED_BODY',
      says: 'UTF-8',
    },
    {
      wrong: 'not gzip',
      wire: { body: base64('{}'), isBase64Encoded: true, contentEncoding: 'gzip' },
      code: 'MALFORMED_BODY',
      says: 'gzip',
    },
    {
      wrong: 'another encoding',
      wire: { body: 'x', contentEncoding: 'br' },
      code: 'MALFORMED_BODY',
      says: 'br',
    },
    { wrong: 'too long', wire: { body: 'x'.repeat(65) }, code: 'TOO_LARGE', says: 'fewer rows' },
    {
      wrong: 'too long once unpacked',
      wire: {
        body: base64(gzipSync('x'.repeat(10_000))),
        isBase64Encoded: true,
        contentEncoding: 'gzip',
      },
      code: 'TOO_LARGE',
      says: '64 bytes',
    },
    {
      wrong: 'too long in base64',
      wire: { body: base64('x'.repeat(65)), isBase64Encoded: true },
      code: 'TOO_LARGE',
      says: '64 bytes',
    },
  ])('refuses a body: $wrong', async ({ wire, code, says }) => {
    const found = await refusal(() => readBody(wire, 64));
    expect(found.code).toBe(code);
    expect(found.message).toContain(says);
  });
});

describe('keys', () => {
  test('match without regard to case at every level of the request', () => {
    const request = parseBody(
      CreateCollectionRequest,
      JSON.stringify({
        COLLECTIONNAME: 'c',
        dbname: 'default',
        Schema: {
          AutoId: true,
          fields: [{ fieldname: 'id', DATATYPE: 'Int64', isprimary: true }],
        },
        indexparams: [{ FieldName: 'v', METRICTYPE: 'L2' }],
      }),
    );
    expect(request.collectionName).toBe('c');
    expect(request.dbName).toBe('default');
    expect(request.schema?.autoID).toBe(true);
    expect(request.schema?.fields?.[0]).toMatchObject({
      fieldName: 'id',
      dataType: 'Int64',
      isPrimary: true,
    });
    expect(request.indexParams?.[0]).toMatchObject({ fieldName: 'v', metricType: 'L2' });
  });

  test('keep their case inside rows, params, exprParams and JSON values', () => {
    const insert = parseBody(
      InsertRequest,
      '{"collectionName":"c","data":[{"ID":1,"Data":{"dbname":1}}]}',
    );
    expect(insert.data[0]).toEqual({ ID: 1, Data: { dbname: 1 } });
    const query = parseBody(QueryRequest, '{"collectionName":"c","exprParams":{"MyIds":[1]}}');
    expect(query.exprParams).toEqual({ MyIds: [1] });
    const index = parseBody(
      CreateIndexRequest,
      '{"collectionName":"c","indexParams":[{"fieldName":"v","params":{"M":8}}]}',
    );
    expect(index.indexParams[0]?.params).toEqual({ M: 8 });
  });

  test('that nobody knows are ignored, and null counts as left out', () => {
    const request = parseBody(
      QueryRequest,
      '{"collectionName":"c","limit":null,"filter":null,"whatever":{"a":1}}',
    );
    expect(request).toMatchObject({ collectionName: 'c', limit: 0, filter: '' });
    expect(request).not.toHaveProperty('whatever');
  });

  test('equal but for case are refused: one of them would be lost', async () => {
    const found = await refusal(() =>
      parseBody(QueryRequest, '{"collectionName":"a","collectionname":"b"}'),
    );
    expect(found).toEqual({ code: 'MALFORMED_BODY', message: 'collectionName: given twice' });
  });

  test('of a prototype name nothing', () => {
    const request = parseBody(QueryRequest, '{"collectionName":"c","__proto__":{"limit":3}}');
    expect(request.limit).toBe(0);
  });
});

describe('values', () => {
  const row = '{"id":9007199254740993}';

  test('64-bit integers arrive exactly', () => {
    const insert = parseBody(InsertRequest, `{"collectionName":"c","data":[${row}]}`);
    expect(insert.data[0]).toEqual({ id: 9007199254740993n });
    const get = parseBody(GetRequest, '{"collectionName":"c","id":[9007199254740993,"2",0]}');
    expect(get.id).toEqual([9007199254740993n, '2', 0]);
  });

  test('0, empty lists and blank filters are not missing', () => {
    expect(parseBody(GetRequest, '{"collectionName":"c","id":0}').id).toEqual([0]);
    expect(parseBody(GetRequest, '{"collectionName":"c","id":[]}').id).toEqual([]);
    expect(parseBody(QueryRequest, '{"collectionName":"c","filter":"  "}').filter).toBe('  ');
  });

  test.each<{ wrong: string; schema: z.ZodType; body: string; code: string; says: string }>([
    { wrong: 'no JSON', schema: QueryRequest, body: '{', code: 'MALFORMED_BODY', says: 'JSON' },
    {
      wrong: 'no object',
      schema: QueryRequest,
      body: '[]',
      code: 'MALFORMED_BODY',
      says: 'object',
    },
    {
      wrong: 'equal keys in a row',
      schema: InsertRequest,
      body: '{"collectionName":"c","data":[{"a":1,"a":2}]}',
      code: 'MALFORMED_BODY',
      says: 'data[0]',
    },
    {
      wrong: 'a missing name',
      schema: QueryRequest,
      body: '{}',
      code: 'MISSING_FIELD',
      says: 'collectionName',
    },
    {
      wrong: 'an empty name',
      schema: QueryRequest,
      body: '{"collectionName":""}',
      code: 'MISSING_FIELD',
      says: 'collectionName',
    },
    {
      wrong: 'a name of another type',
      schema: QueryRequest,
      body: '{"collectionName":7}',
      code: 'MALFORMED_BODY',
      says: 'collectionName',
    },
    {
      wrong: 'a bad name',
      schema: CreateCollectionRequest,
      body: '{"collectionName":"7up"}',
      code: 'INVALID_ARGUMENT',
      says: 'Invalid collection name: 7up',
    },
    {
      wrong: 'a long name',
      schema: CreateCollectionRequest,
      body: JSON.stringify({ collectionName: 'a'.repeat(256) }),
      code: 'INVALID_ARGUMENT',
      says: '255',
    },
    {
      wrong: 'a long description',
      schema: CreateCollectionRequest,
      body: JSON.stringify({ collectionName: 'a', description: 'ö'.repeat(513) }),
      code: 'INVALID_ARGUMENT',
      says: 'description',
    },
    {
      wrong: 'a limit as text',
      schema: QueryRequest,
      body: '{"collectionName":"c","limit":"10"}',
      code: 'MALFORMED_BODY',
      says: 'limit',
    },
    {
      wrong: 'a limit with a fraction',
      schema: SearchRequest,
      body: '{"collectionName":"c","limit":1.5}',
      code: 'MALFORMED_BODY',
      says: 'limit',
    },
    {
      wrong: 'a single row',
      schema: InsertRequest,
      body: `{"collectionName":"c","data":${row}}`,
      code: 'MALFORMED_BODY',
      says: 'data',
    },
    {
      wrong: 'a row that is no object',
      schema: InsertRequest,
      body: '{"collectionName":"c","data":[{},[1]]}',
      code: 'MALFORMED_BODY',
      says: 'row 1',
    },
    {
      wrong: 'no rows',
      schema: InsertRequest,
      body: '{"collectionName":"c","data":[]}',
      code: 'INVALID_ROW',
      says: 'row',
    },
    {
      wrong: 'missing rows',
      schema: InsertRequest,
      body: '{"collectionName":"c"}',
      code: 'MISSING_FIELD',
      says: 'data',
    },
    {
      wrong: 'an empty filter',
      schema: DeleteRequest,
      body: '{"collectionName":"c","filter":" "}',
      code: 'MISSING_FIELD',
      says: 'filter',
    },
    {
      wrong: 'a missing id',
      schema: GetRequest,
      body: '{"collectionName":"c"}',
      code: 'MISSING_FIELD',
      says: 'id',
    },
    {
      wrong: 'an id that is no key',
      schema: GetRequest,
      body: '{"collectionName":"c","id":[1,true]}',
      code: 'INVALID_KEY',
      says: 'key 1',
    },
    {
      wrong: 'a map that is a list',
      schema: QueryRequest,
      body: '{"collectionName":"c","exprParams":[1]}',
      code: 'MALFORMED_BODY',
      says: 'exprParams',
    },
    {
      wrong: 'a missing field name, with its path',
      schema: CreateIndexRequest,
      body: '{"collectionName":"c","indexParams":[{"metricType":"L2"}]}',
      code: 'MISSING_FIELD',
      says: 'indexParams[0].fieldName',
    },
    {
      wrong: 'names that are one name',
      schema: LoadStateRequest,
      body: '{"collectionName":"c","partitionNames":"p"}',
      code: 'MALFORMED_BODY',
      says: 'partitionNames',
    },
    {
      wrong: 'a query vector of text',
      schema: SearchRequest,
      body: '{"collectionName":"c","data":[[1,"2"]]}',
      code: 'MALFORMED_BODY',
      says: 'vector 0: component 1',
    },
    {
      wrong: 'a query vector beyond float32',
      schema: SearchRequest,
      body: '{"collectionName":"c","data":[[1,2],[1e39,0]]}',
      code: 'MALFORMED_BODY',
      says: 'vector 1: component 0',
    },
    {
      wrong: 'a query vector that is not in a list',
      schema: SearchRequest,
      body: '{"collectionName":"c","data":[1,2]}',
      code: 'MALFORMED_BODY',
      says: 'vector 0',
    },
    {
      wrong: 'no query vectors',
      schema: SearchRequest,
      body: '{"collectionName":"c","data":[]}',
      code: 'INVALID_ARGUMENT',
      says: 'nq',
    },
  ])('refuses $wrong', async ({ schema, body, code, says }) => {
    const found = await refusal(() => parseBody(schema, body));
    expect(found.code).toBe(code);
    expect(found.message).toContain(says);
  });

  test('query vectors become float32, integers of any size included', () => {
    const { data } = parseBody(
      SearchRequest,
      '{"collectionName":"c","data":[[0.1,9007199254740993]]}',
    );
    expect(data?.[0]).toEqual(Float32Array.of(0.1, 2 ** 53));
  });
});

describe('parseBody of a strict schema, as our own verbs have it', () => {
  const Strict = z.strictObject({
    collectionName: z.string(),
    full: z.boolean().optional(),
    inner: z.strictObject({ depth: z.int() }).optional(),
    free: z.object({ known: z.int().optional() }).optional(),
  });
  const parse = (body: object) => parseBody(Strict, JSON.stringify(body));

  test('takes its keys in any case, and a null as left out', () => {
    const body = { COLLECTIONNAME: 'birds', Full: true, inner: { Depth: 1 }, free: { other: 2 } };
    expect(parse(body)).toEqual({
      collectionName: 'birds',
      full: true,
      inner: { depth: 1 },
      free: {},
    });
    expect(parse({ collectionName: 'birds', full: null })).toEqual({ collectionName: 'birds' });
  });

  test.each<Readonly<{ body: object; says: string }>>([
    { body: { collectionName: 'birds', fulll: true }, says: 'fulll: there is no such member' },
    { body: { collectionName: 'birds', fulll: null }, says: 'fulll: ' },
    { body: { collectionName: 'birds', inner: { deep: 1 } }, says: 'inner.deep: ' },
    { body: { collectionName: 'birds', ['__proto__x']: 1 }, says: '__proto__x: ' },
    { body: { collectionName: 'birds', constructor: 1 }, says: 'constructor: ' },
    { body: { collectionName: 'birds', ['k'.repeat(9_000)]: 1 }, says: `${'k'.repeat(64)}: ` },
  ])('refuses a key that it does not know: $says', async ({ body, says }) => {
    const { code, message } = await refusal(() => parse(body));
    expect({ code, message: message.slice(0, says.length) }).toEqual({
      code: 'INVALID_ARGUMENT',
      message: says,
    });
    expect(message.length).toBeLessThan(200);
  });

  test('says which keys there are', async () => {
    const { message } = await refusal(() => parse({ collectionName: 'birds', fulll: true }));
    expect(message).toContain('known are collectionName, full, inner, free');
  });
});
