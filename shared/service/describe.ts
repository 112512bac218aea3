/** A collection as `collections/describe` shows it (API.md 1.6). */
import type { JsonOut } from '#base/json.ts';
import type { Collection } from '#catalog/collection.ts';
import { dynamicField, type Field, primaryField, vectorFields } from '#schema/field.ts';

/** Names of load states on the wire. */
export const LOADED = 'LoadStateLoaded';
export const NOT_LOADED = 'LoadStateNotLoad';

export function describeCollection(collection: Collection): JsonOut {
  const { schema, indexes } = collection;
  const first = vectorFields(schema)[0];
  return {
    collectionName: collection.collectionName,
    collectionID: collection.collectionId,
    description: collection.description,
    autoId: primaryField(schema).autoId,
    enableDynamicField: dynamicField(schema) !== undefined,
    shardsNum: collection.shards,
    partitionsNum: collection.partitions.length,
    consistencyLevel: collection.consistencyLevel,
    load: collection.loaded ? LOADED : NOT_LOADED,
    aliases: [],
    properties: pairs(collection.properties),
    indexes: indexes
      .filter(({ fieldId }) => fieldId === first?.id)
      .map(({ indexName, fieldName, metric }) => ({ indexName, fieldName, metricType: metric })),
    functions: [],
    fields: schema.fields.filter(({ dynamic }) => !dynamic).map(describeField),
  };
}

function describeField(field: Field): JsonOut {
  return {
    name: field.name,
    id: field.id,
    type: field.type,
    primaryKey: field.primaryKey,
    partitionKey: false,
    clusteringKey: false,
    autoId: field.autoId,
    nullable: field.nullable,
    description: field.description,
    params: pairs({
      ...(field.dim === undefined ? {} : { dim: String(field.dim) }),
      ...(field.maxLength === undefined ? {} : { max_length: String(field.maxLength) }),
    }),
    defaultValue: field.defaultValue === undefined ? undefined : protobufValue(field),
  };
}

/** A default in the shape of Milvus's ValueField message, on which its clients rely. */
function protobufValue({ type, defaultValue }: Field): JsonOut {
  switch (type) {
    case 'Bool':
      return { Data: { BoolData: defaultValue } };
    case 'Int8':
    case 'Int16':
    case 'Int32':
      return { Data: { IntData: defaultValue } };
    case 'Int64':
      return { Data: { LongData: defaultValue } };
    case 'Float':
      return { Data: { FloatData: defaultValue } };
    case 'Double':
      return { Data: { DoubleData: defaultValue } };
    default:
      return { Data: { StringData: defaultValue } };
  }
}

/** Milvus's lists of settings; in order of their keys. */
export const pairs = (map: Readonly<Record<string, string>>): { key: string; value: string }[] =>
  Object.keys(map)
    .sort()
    .map((key) => ({ key, value: map[key] ?? '' }));
