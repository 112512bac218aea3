/** `collections/create` in both forms: its defaults, and what it refuses before anything is made. */
import { describe, expect, test } from 'vitest';
import { parseBody } from '#api/body.ts';
import { CreateCollectionRequest } from '#api/collections.ts';
import { StoreError } from '#base/errors.ts';
import { stringifyJson } from '#base/json.ts';
import { newCollection } from '#service/definition.ts';
import { describeCollection } from '#service/describe.ts';

const create = (body: Record<string, unknown>) =>
  newCollection(
    parseBody(CreateCollectionRequest, JSON.stringify({ collectionName: 'c', ...body })),
    'default',
  );

const describeIt = (body: Record<string, unknown>) =>
  JSON.parse(
    stringifyJson(
      describeCollection({ ...create(body), collectionId: 7, createdMs: 1, state: 'open' }),
    ),
  );

const ID = { fieldName: 'id', dataType: 'Int64', isPrimary: true };
const VECTOR = { fieldName: 'v', dataType: 'FloatVector', elementTypeParams: { dim: 4 } };
const full = (...fields: unknown[]) => ({ schema: { fields: [ID, VECTOR, ...fields] } });

describe('the quick form', () => {
  test('has Milvus defaults and is loaded with an index', () => {
    const { schema, indexes, loaded, shards, consistencyLevel, nextFieldId } = create({
      dimension: 8,
    });
    expect(schema.fields).toMatchObject([
      { id: 100, name: 'id', type: 'Int64', primaryKey: true, autoId: false },
      { id: 101, name: 'vector', type: 'FloatVector', dim: 8 },
      { id: 102, name: '$meta', dynamic: true },
    ]);
    expect(indexes).toEqual([
      {
        indexName: 'vector',
        fieldId: 101,
        fieldName: 'vector',
        metric: 'COSINE',
        indexType: 'AUTOINDEX',
        params: {},
      },
    ]);
    expect({ loaded, shards, consistencyLevel, nextFieldId }).toEqual({
      loaded: true,
      shards: 1,
      consistencyLevel: 'Bounded',
      nextFieldId: 103,
    });
  });

  test('takes names, types and settings, numbers as text too', () => {
    const { schema, indexes, shards } = create({
      dimension: 8,
      idType: 'Varchar',
      autoID: true,
      metricType: 'L2',
      primaryFieldName: 'key',
      vectorFieldName: 'embedding',
      params: { max_length: '64', enableDynamicField: 'false', shardsNum: '2' },
    });
    expect(schema.fields).toMatchObject([
      { name: 'key', type: 'VarChar', maxLength: 64, autoId: true },
      { name: 'embedding' },
    ]);
    expect(schema.fields).toHaveLength(2);
    expect(indexes[0]).toMatchObject({ metric: 'L2', fieldName: 'embedding' });
    expect(shards).toBe(2);
  });
});

describe('the full form', () => {
  test('without indexParams is not loaded and has no dynamic field', () => {
    const { schema, indexes, loaded } = create(full());
    expect(schema.fields.map(({ name }) => name)).toEqual(['id', 'v']);
    expect({ indexes, loaded }).toEqual({ indexes: [], loaded: false });
  });

  test('with indexParams is loaded; the index type may hide in params', () => {
    const { indexes, loaded } = create({
      ...full({ fieldName: 'n', dataType: 'Int64', nullable: true }),
      indexParams: [
        { fieldName: 'v', metricType: 'IP', params: { index_type: 'HNSW', M: 8 } },
        { fieldName: 'n', indexName: 'by_n', indexType: 'INVERTED' },
      ],
    });
    expect(indexes).toEqual([
      {
        indexName: 'v',
        fieldId: 101,
        fieldName: 'v',
        metric: 'IP',
        indexType: 'HNSW',
        params: { M: '8' },
      },
      { indexName: 'by_n', fieldId: 102, fieldName: 'n', indexType: 'INVERTED', params: {} },
    ]);
    expect(loaded).toBe(true);
  });

  test('schema.autoID is the primary key’s', () => {
    const { schema } = create({ schema: { autoID: true, fields: [ID, VECTOR] } });
    expect(schema.fields[0]).toMatchObject({ name: 'id', autoId: true });
  });
});

describe('describe', () => {
  test('shows the fields without the hidden one, and defaults in their protobuf shape', () => {
    const shown = describeIt({
      ...full(
        { fieldName: 'n', dataType: 'Int64', defaultValue: 5 },
        { fieldName: 's', dataType: 'VarChar', elementTypeParams: { max_length: 9 } },
      ),
      description: 'about',
    });
    expect(shown).toMatchObject({
      collectionName: 'c',
      collectionID: 7,
      description: 'about',
      autoId: false,
      enableDynamicField: false,
      shardsNum: 1,
      partitionsNum: 1,
      consistencyLevel: 'Bounded',
      load: 'LoadStateNotLoad',
      aliases: [],
      properties: [],
      indexes: [],
      functions: [],
    });
    expect(shown.fields).toHaveLength(4);
    expect(shown.fields[1]).toEqual({
      name: 'v',
      id: 101,
      type: 'FloatVector',
      primaryKey: false,
      partitionKey: false,
      clusteringKey: false,
      autoId: false,
      nullable: false,
      description: '',
      params: [{ key: 'dim', value: '4' }],
    });
    expect(shown.fields[2].defaultValue).toEqual({ Data: { LongData: 5 } });
    expect(shown.fields[3].params).toEqual([{ key: 'max_length', value: '9' }]);
  });

  test.each([
    { type: 'Bool', value: true, shape: { BoolData: true } },
    { type: 'Int8', value: 1, shape: { IntData: 1 } },
    { type: 'Float', value: 0.5, shape: { FloatData: 0.5 } },
    { type: 'Double', value: 0.1, shape: { DoubleData: 0.1 } },
    { type: 'VarChar', value: 'x', shape: { StringData: 'x' } },
  ])('a default of $type', ({ type, value, shape }) => {
    const shown = describeIt(
      full({
        fieldName: 'f',
        dataType: type,
        defaultValue: value,
        elementTypeParams: { max_length: 9 },
      }),
    );
    expect(shown.fields[2].defaultValue).toEqual({ Data: shape });
  });

  test('shows the time that rows live as a property', () => {
    expect(describeIt({ dimension: 4, params: { ttlSeconds: 5 } }).properties).toEqual([
      { key: 'collection.ttl.seconds', value: '5' },
    ]);
    expect(describeIt({ dimension: 4, params: { ttlSeconds: 0 } }).properties).toEqual([]);
  });

  test('shows settings that have no effect here as they were stored', () => {
    expect(describeIt({ dimension: 4, params: { 'mmap.enabled': true } }).properties).toEqual([
      { key: 'mmap.enabled', value: 'true' },
    ]);
  });
});

describe('refused', () => {
  test.each<{ why: string; body: Record<string, unknown>; code: string; says: string }>([
    { why: 'no dimension', body: {}, code: 'INVALID_ARGUMENT', says: 'COSINE' },
    { why: 'dimension 1', body: { dimension: 1 }, code: 'INVALID_ARGUMENT', says: 'dimension' },
    {
      why: 'another idType',
      body: { dimension: 4, idType: 'int64' },
      code: 'INVALID_ARGUMENT',
      says: 'idType',
    },
    {
      why: 'a VarChar key without length',
      body: { dimension: 4, idType: 'VarChar' },
      code: 'INVALID_ARGUMENT',
      says: 'max_length',
    },
    {
      why: 'another metric',
      body: { dimension: 4, metricType: 'HAMMING' },
      code: 'INVALID_ARGUMENT',
      says: 'HAMMING',
    },
    {
      why: 'functions in the quick form',
      body: { dimension: 4, schema: { functions: [{}] } },
      code: 'INVALID_ARGUMENT',
      says: 'functions',
    },
    {
      why: 'functions in the full form',
      body: { schema: { fields: [ID, VECTOR], functions: [{}] } },
      code: 'UNSUPPORTED',
      says: 'functions',
    },
    {
      why: 'an unknown type',
      body: full({ fieldName: 'x', dataType: 'int64' }),
      code: 'INVALID_ARGUMENT',
      says: 'int64',
    },
    {
      why: 'a type that is not built',
      body: full({ fieldName: 'x', dataType: 'SparseFloatVector' }),
      code: 'UNSUPPORTED',
      says: 'SparseFloatVector',
    },
    {
      why: 'a dim that is no number',
      body: {
        schema: {
          fields: [
            ID,
            { fieldName: 'v', dataType: 'FloatVector', elementTypeParams: { dim: 'x' } },
          ],
        },
      },
      code: 'INVALID_ARGUMENT',
      says: 'dim',
    },
    {
      why: 'an index on no field',
      body: { ...full(), indexParams: [{ fieldName: 'w' }] },
      code: 'MISSING_FIELD',
      says: 'field w',
    },
    {
      why: 'an unknown index type',
      body: { ...full(), indexParams: [{ fieldName: 'v', indexType: 'BTREE' }] },
      code: 'INVALID_ARGUMENT',
      says: 'BTREE',
    },
    {
      why: 'two indexes on one field',
      body: { ...full(), indexParams: [{ fieldName: 'v' }, { fieldName: 'v', metricType: 'L2' }] },
      code: 'ALREADY_EXISTS',
      says: 'at most one distinct index',
    },
    {
      why: 'one name for two indexes',
      body: {
        ...full({ fieldName: 'n', dataType: 'Int8' }),
        indexParams: [
          { fieldName: 'v', indexName: 'i' },
          { fieldName: 'n', indexName: 'i' },
        ],
      },
      code: 'ALREADY_EXISTS',
      says: 'taken',
    },
    {
      why: 'indexes without one on the vector field',
      body: {
        ...full({ fieldName: 'n', dataType: 'Int8' }),
        indexParams: [{ fieldName: 'n' }],
      },
      code: 'INDEX_NOT_FOUND',
      says: 'no vector index on field: v',
    },
    {
      why: 'no shards',
      body: { dimension: 4, params: { shardsNum: 0 } },
      code: 'INVALID_ARGUMENT',
      says: 'shardsNum',
    },
    {
      why: '17 shards',
      body: { dimension: 4, params: { shardsNum: 17 } },
      code: 'INVALID_ARGUMENT',
      says: '16',
    },
    {
      why: 'a fraction of shards',
      body: { dimension: 4, params: { shardsNum: '1.5' } },
      code: 'INVALID_ARGUMENT',
      says: 'shardsNum',
    },
    {
      why: 'another consistency level',
      body: { dimension: 4, params: { consistencyLevel: 'strong' } },
      code: 'INVALID_ARGUMENT',
      says: 'strong',
    },
    {
      why: 'partitions without a partition key',
      body: { dimension: 4, params: { partitionsNum: 4 } },
      code: 'INVALID_ARGUMENT',
      says: 'partition key',
    },
    {
      why: 'a negative time to live',
      body: { dimension: 4, params: { ttlSeconds: -1 } },
      code: 'INVALID_ARGUMENT',
      says: 'ttlSeconds',
    },
  ])('$why', ({ body, code, says }) => {
    let found: unknown;
    try {
      create(body);
    } catch (error) {
      found = error;
    }
    expect(found).toBeInstanceOf(StoreError);
    expect(found).toMatchObject({ code, message: expect.stringContaining(says) });
  });
});
