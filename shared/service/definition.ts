/** `collections/create`: both forms and their defaults (API.md 1.5) as a new collection. */

import type { CreateCollectionRequest, FieldRequest } from '#api/collections.ts';
import type { JsonMembers } from '#api/names.ts';
import { StoreError } from '#base/errors.ts';
import type { Json } from '#base/json.ts';
import {
  CONSISTENCY_LEVELS,
  type ConsistencyLevel,
  DEFAULT_PARTITION,
  type Index,
} from '#catalog/collection.ts';
import type { NewCollection } from '#catalog/collections.ts';
import { TTL_PROPERTY } from '#catalog/ttl.ts';
import { defineCollection, type FieldInput } from '#schema/define.ts';
import { type CollectionSchema, FIELD_ID_FIRST, vectorFields } from '#schema/field.ts';
import { SHARDS_MAX } from '#schema/limits.ts';
import { addIndexes, defineIndex, readMetric } from './indexes.ts';
import { readBoolean, readInteger, readText, settingText } from './params.ts';

/** Stored and shown, without effect here: they tune servers that Sterna does not have. */
const STORED_SETTINGS = [
  'mmap.enabled',
  'warmup.scalarField',
  'warmup.scalarIndex',
  'warmup.vectorField',
  'warmup.vectorIndex',
];
const SETTING_CHARS_MAX = 256;

/** @throws StoreError `INVALID_ARGUMENT`, `MISSING_FIELD`, `UNSUPPORTED`: nothing was created */
export function newCollection(request: CreateCollectionRequest, dbName: string): NewCollection {
  const fields = request.schema?.fields ?? [];
  const params = request.params ?? {};
  const { schema, indexes, loaded } =
    fields.length === 0 ? quickForm(request, params) : fullForm(request, fields);
  return {
    dbName,
    collectionName: request.collectionName,
    description: request.description,
    schema,
    shards: readShards(params),
    consistencyLevel: readConsistency(params),
    loaded,
    indexes,
    properties: readProperties(params),
    partitions: [{ partitionId: 1, partitionName: DEFAULT_PARTITION }],
    nextFieldId: FIELD_ID_FIRST + schema.fields.length,
    nextPartitionId: 2,
  };
}

type Form = Pick<NewCollection, 'schema' | 'indexes' | 'loaded'>;

function quickForm(request: CreateCollectionRequest, params: JsonMembers): Form {
  if (request.dimension === undefined) {
    refuse(
      'dimension is required for quickly create collection(default metric type: COSINE), or schema.fields',
    );
  }
  if ((request.schema?.functions?.length ?? 0) > 0) {
    refuse('functions are not allowed for quickly create collection; define schema.fields');
  }
  const maxLength = readInteger(params, 'max_length', 'params');
  const key: FieldInput = {
    name: request.primaryFieldName || 'id',
    type: keyType(request.idType),
    primaryKey: true,
    autoId: request.autoID,
    ...(maxLength === undefined ? {} : { maxLength }),
  };
  const vector: FieldInput = {
    name: request.vectorFieldName || 'vector',
    type: 'FloatVector',
    dim: request.dimension ?? 0,
  };
  const enableDynamic = readBoolean(params, 'enableDynamicField', 'params') ?? true;
  const schema = defineCollection({ fields: [key, vector], enableDynamic });
  const metric = readMetric(request.metricType || 'COSINE', 'metricType');
  const index = defineIndex(schema, { fieldName: vector.name, metricType: metric });
  return { schema, indexes: [index], loaded: true };
}

function keyType(idType: string | undefined): 'Int64' | 'VarChar' {
  if (!idType || idType === 'Int64') return 'Int64';
  if (idType === 'VarChar' || idType === 'Varchar') return 'VarChar';
  return refuse(
    `idType can only be [Int64, VarChar](case sensitive), default: Int64; found ${idType.slice(0, 64)}`,
  );
}

function fullForm(request: CreateCollectionRequest, fields: readonly FieldRequest[]): Form {
  if ((request.schema?.functions?.length ?? 0) > 0) {
    throw new StoreError('UNSUPPORTED', 'schema.functions (BM25, models) are not built yet');
  }
  const schema = defineCollection({
    fields: fields.map(fieldInput),
    enableDynamic: request.schema?.enableDynamicField ?? false,
    autoId: request.schema?.autoID ?? false,
  });
  const asked = request.indexParams ?? [];
  const indexes = addIndexes(
    [],
    asked.map((index) => defineIndex(schema, index)),
  );
  if (asked.length > 0) checkLoadable(schema, indexes);
  return { schema, indexes, loaded: asked.length > 0 };
}

/** @throws StoreError `INDEX_NOT_FOUND`: a collection is loaded with an index on every vector field */
export function checkLoadable(schema: CollectionSchema, indexes: readonly Index[]): void {
  const bare = vectorFields(schema).find(
    ({ id }) => !indexes.some(({ fieldId }) => fieldId === id),
  );
  if (bare === undefined) return;
  const message = `there is no vector index on field: ${bare.name}, please create index firstly`;
  throw new StoreError('INDEX_NOT_FOUND', message);
}

function fieldInput(field: FieldRequest): FieldInput {
  const where = `field ${field.fieldName.slice(0, 64)}: elementTypeParams`;
  const params = field.elementTypeParams ?? {};
  const dim = readInteger(params, 'dim', where);
  const maxLength = readInteger(params, 'max_length', where);
  return {
    name: field.fieldName,
    type: field.dataType,
    description: field.description,
    primaryKey: field.isPrimary,
    autoId: field.autoID,
    nullable: field.nullable,
    partitionKey: field.isPartitionKey,
    clusteringKey: field.isClusteringKey,
    ...(dim === undefined ? {} : { dim }),
    ...(maxLength === undefined ? {} : { maxLength }),
    // A member of a body that parseJson read.
    ...(field.defaultValue === undefined ? {} : { defaultValue: field.defaultValue as Json }),
  };
}

function readShards(params: JsonMembers): number {
  const shards = readInteger(params, 'shardsNum', 'params') ?? 1;
  if (shards >= 1 && shards <= SHARDS_MAX) return shards;
  return refuse(`params.shardsNum: expected 1 to ${SHARDS_MAX}, found ${shards}`);
}

function readConsistency(params: JsonMembers): ConsistencyLevel {
  return checkConsistency(readText(params, 'consistencyLevel', 'params') || 'Bounded');
}

/** @throws StoreError `INVALID_ARGUMENT` */
export function checkConsistency(name: string): ConsistencyLevel {
  const level = CONSISTENCY_LEVELS.find((known) => known === name);
  if (level !== undefined) return level;
  const known = CONSISTENCY_LEVELS.join(', ');
  return refuse(`consistencyLevel: expected one of ${known}, found ${name.slice(0, 64)}`);
}

function readProperties(params: JsonMembers): Record<string, string> {
  if (readInteger(params, 'partitionsNum', 'params') !== undefined) {
    refuse('params.partitionsNum should only be specified with partition key field enabled');
  }
  if (readBoolean(params, 'partitionKeyIsolation', 'params') === true) {
    throw new StoreError(
      'UNSUPPORTED',
      'params.partitionKeyIsolation: partition keys are not built yet',
    );
  }
  const properties: Record<string, string> = {};
  const ttlSeconds = readInteger(params, 'ttlSeconds', 'params') ?? 0;
  if (ttlSeconds < 0) refuse(`params.ttlSeconds: expected 0 or more, found ${ttlSeconds}`);
  if (ttlSeconds > 0) properties[TTL_PROPERTY] = String(ttlSeconds);
  for (const key of STORED_SETTINGS) {
    const value = params[key];
    if (value === undefined || value === null) continue;
    const text = settingText(value);
    if (text === undefined || text.length > SETTING_CHARS_MAX) {
      refuse(`params.${key}: expected a short text`);
    } else properties[key] = text;
  }
  return properties;
}

function refuse(message: string): never {
  throw new StoreError('INVALID_ARGUMENT', message);
}
