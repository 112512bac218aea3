/** A valid body for every built route, what API.md says about each place in it, and texts worth trying. */
import { CLUSTER_SUBJECTS } from './cluster-routes.ts';
import { COPY_SUBJECTS } from './copy-routes.ts';
import { checkIndexes, createSpec, indexParams } from './definition-spec.ts';
import {
  AUTO,
  AUTO_ROWS,
  EXISTING,
  KEYS,
  KEYS_ROWS,
  LOADED,
  MAIN,
  row,
  UNLOADED,
} from './fixture-rows.ts';
import {
  collection,
  database,
  databaseOf,
  deleteSpec,
  getSpec,
  named,
  ownCollection,
  partition,
  partitions,
  querySpec,
  searchSpec,
} from './read-spec.ts';
import { type RowShape, rowsOf } from './row-spec.ts';
import {
  type Complaints,
  FINE,
  isAbsent,
  optional,
  perhaps,
  refused,
  request,
  required,
  type Spec,
} from './spec.ts';
import { type Subject, subject } from './subject.ts';
import { NAMES } from './texts.ts';
import { KNOWN_PASSWORD, KNOWN_USER, USER_TEXTS, updatePasswordSpec } from './user-spec.ts';

const listed = request({ dbName: database });
const one = request({ dbName: database, collectionName: collection });

const writes = true;
const main = { dbName: 'default', collectionName: 'main' } as const;

const rowsSpec = (shape: RowShape, of: string): Spec =>
  request({
    dbName: database,
    collectionName: ownCollection(of),
    partitionName: partition,
    data: rowsOf(shape),
    partialUpdate: optional((value, name) =>
      typeof value === 'boolean' ? (value ? refused(3000, name) : FINE) : refused(1801, name),
    ),
    fieldOps: optional((value, name) => {
      if (!Array.isArray(value)) return refused(1801, name);
      return value.length === 0 ? FINE : refused(3000, name);
    }),
  });

/** An insert does not know `partialUpdate`: it is ignored. */
const insertSpec = (shape: RowShape, of: string): Spec =>
  request({
    dbName: database,
    collectionName: ownCollection(of),
    partitionName: partition,
    data: rowsOf(shape),
  });

function loadable(value: unknown, name: string): Complaints {
  if (value === 'bare' || value === 'unindexed') return refused(700, 'index');
  return named(['toggled', 'indexed', ...LOADED], 100)(value, name);
}

/** An index that is looked up by its name. */
function known(existing: string, missing: number | 'fine'): Spec {
  return (value, name) => {
    if (isAbsent(value)) return refused(1802, name);
    if (typeof value !== 'string') return refused(1801, name);
    if (value === '') return refused(1802, name);
    if (value.length > 255) return refused(1100, name);
    return value === existing || missing === 'fine' ? FINE : refused(missing, 'index');
  };
}

const CREATE_EXTRAS = {
  schema: '{"fields":[]}',
  consistencyLevel: '"Nonsense"',
  functions: '[1]',
};

export const SUBJECTS: readonly Subject[] = [
  subject(
    'collections/create',
    {
      dbName: 'default',
      collectionName: 'made',
      description: 'quick',
      dimension: 4,
      idType: 'Int64',
      autoID: false,
      metricType: 'L2',
      primaryFieldName: 'pk',
      vectorFieldName: 'vec',
      params: {
        shardsNum: '2',
        consistencyLevel: 'Strong',
        enableDynamicField: true,
        max_length: 16,
        'mmap.enabled': true,
      },
    },
    createSpec(database, EXISTING.concat('victim', 'toggled')),
    { special: 'quick form', writes, extras: CREATE_EXTRAS },
  ),
  subject(
    'collections/create',
    {
      collectionName: 'made',
      description: 'full',
      schema: {
        autoID: false,
        enableDynamicField: true,
        functions: [],
        fields: [
          {
            fieldName: 'id',
            dataType: 'Int64',
            isPrimary: true,
            autoID: false,
            description: 'key',
          },
          { fieldName: 'vector', dataType: 'FloatVector', elementTypeParams: { dim: '4' } },
          {
            fieldName: 'text',
            dataType: 'VarChar',
            nullable: true,
            elementTypeParams: { max_length: 16 },
          },
          { fieldName: 'preset', dataType: 'Int32', defaultValue: 7, isPartitionKey: false },
        ],
      },
      indexParams: [
        {
          fieldName: 'vector',
          indexName: 'vector_idx',
          metricType: 'L2',
          indexType: 'HNSW',
          params: { M: 16, efConstruction: '100' },
        },
      ],
      params: { shardsNum: 1, ttlSeconds: 0 },
    },
    createSpec(database, EXISTING.concat('victim', 'toggled')),
    { special: 'full form', writes },
  ),
  subject('collections/list', { dbName: 'default' }, listed),
  subject(
    'collections/has',
    main,
    request({ dbName: databaseOf(false), collectionName: named([], 'fine') }),
  ),
  subject('collections/describe', main, one),
  subject(
    'collections/drop',
    { dbName: 'default', collectionName: 'victim' },
    request({ dbName: databaseOf(false), collectionName: named([], 'fine') }),
    // Other collections of the fixture are not to be dropped.
    { writes, texts: { collectionName: NAMES.slice(3) } },
  ),
  subject(
    'collections/load',
    { ...main, collectionName: 'toggled' },
    request({ dbName: database, collectionName: loadable }),
    { writes, texts: { collectionName: ['"bare"', '"unindexed"', '"main"', ...NAMES.slice(3)] } },
  ),
  subject(
    'collections/release',
    { ...main, collectionName: 'toggled' },
    request({ dbName: database, collectionName: named(['toggled', ...UNLOADED], 100) }),
    { writes, texts: { collectionName: ['"bare"', '"indexed"', ...NAMES.slice(3)] } },
  ),
  subject(
    'collections/get_load_state',
    { ...main, partitionNames: ['_default'] },
    request({ dbName: database, collectionName: collection, partitionNames: partitions }),
  ),
  subject('collections/get_stats', main, one),
  subject('collections/flush', main, one),
  subject(
    'entities/insert',
    { ...main, partitionName: '_default', data: [row, { id: 2, vector: [1, 2, 3, 4] }] },
    insertSpec(MAIN, 'main'),
    { special: 'every type', writes, extras: { partialUpdate: 'true' } },
  ),
  subject(
    'entities/insert',
    { collectionName: 'keys', data: KEYS_ROWS },
    insertSpec(KEYS, 'keys'),
    {
      special: 'text key, no dynamic field',
      writes,
      texts: { vector: ['[1,2,3]', '[1,2]', '[1,2,3,4]', '[1,2,1e39]'] },
    },
  ),
  subject(
    'entities/insert',
    { collectionName: 'auto', data: AUTO_ROWS },
    insertSpec(AUTO, 'auto'),
    { special: 'generated key', writes, texts: { vector: ['[1,2,3]', '[1]', '[5,6]'] } },
  ),
  subject(
    'entities/upsert',
    { ...main, partitionName: '', data: [{ ...row, id: 3 }], partialUpdate: false, fieldOps: [] },
    rowsSpec(MAIN, 'main'),
    {
      writes,
      texts: {
        partialUpdate: ['true'],
        fieldOps: ['[{"fieldName":"json","op":"REPLACE"}]', '[1]'],
      },
    },
  ),
  subject(
    'entities/delete',
    { ...main, filter: 'id in {gone}', exprParams: { gone: [2, 78] }, partitionName: '_default' },
    deleteSpec,
    { writes },
  ),
  subject(
    'entities/get',
    {
      ...main,
      id: [1, '2'],
      outputFields: ['text', 'extra'],
      partitionName: '_default',
      partitionNames: ['_default'],
      consistencyLevel: 'Strong',
      token: [],
      asOf: true,
    },
    getSpec,
  ),
  subject(
    'entities/query',
    {
      ...main,
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
    querySpec,
    { extras: { orderByFields: '["id"]', groupByFields: '"id"' } },
  ),
  subject(
    'entities/search',
    {
      ...main,
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
      consistencyLevel: 'Session',
    },
    searchSpec,
    {
      special: 'by vectors',
      extras: {
        ids: '[1]',
        groupingField: '"medium"',
        functionScore: '{"functions":[]}',
        orderByFields: '[1]',
      },
    },
  ),
  subject(
    'entities/search',
    {
      collectionName: 'main',
      ids: [1, '2'],
      limit: 3,
      partitionNames: [''],
      exprParams: { least: 1 },
      filter: 'id >= {least}',
    },
    searchSpec,
    { special: 'by keys', extras: { data: '[[1,2,3,4]]' } },
  ),
  subject(
    'indexes/create',
    {
      ...main,
      collectionName: 'unindexed',
      indexParams: [
        {
          fieldName: 'vector',
          indexName: 'vector_idx',
          metricType: 'IP',
          indexType: 'HNSW',
          params: { M: '16' },
        },
        { fieldName: 'medium', indexType: 'INVERTED' },
      ],
    },
    request(
      {
        dbName: database,
        collectionName: ownCollection('unindexed'),
        indexParams: required(indexParams),
      },
      (given) =>
        given.get('collectionName') === 'unindexed'
          ? checkIndexes(given.get('indexParams'), {
              vector: 'FloatVector',
              medium: 'Int32',
              id: 'Int64',
            })
          : perhaps([1100, 1802], 'index', 'field'),
    ),
    {
      writes,
      texts: {
        collectionName: NAMES.slice(3),
        fieldName: ['"id"', '"nothing"', '""', '"vector"', '"medium"', '"$meta"'],
      },
    },
  ),
  subject('indexes/list', main, one),
  subject(
    'indexes/describe',
    { ...main, indexName: 'vector_idx' },
    request(
      { dbName: database, collectionName: collection, indexName: known('vector_idx', 700) },
      (given) => (given.get('collectionName') === 'main' ? FINE : perhaps([700], 'index')),
    ),
  ),
  subject(
    'indexes/drop',
    { ...main, collectionName: 'indexed', indexName: 'vector_idx' },
    request({
      dbName: database,
      collectionName: named(['indexed', 'bare'], 100),
      indexName: known('vector_idx', 'fine'),
    }),
    { writes, texts: { collectionName: ['"bare"', ...NAMES.slice(3)] } },
  ),
  subject(
    'users/update_password',
    {
      userName: KNOWN_USER,
      password: KNOWN_PASSWORD,
      newPassword: 'second-secret',
      description: 'reads only',
    },
    updatePasswordSpec,
    { writes, texts: USER_TEXTS },
  ),
  ...COPY_SUBJECTS,
  ...CLUSTER_SUBJECTS,
];
