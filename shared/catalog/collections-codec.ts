/**
 * A collection as bytes: canonical JSON with a format number. Readers check every member, so that a
 * damaged row is named instead of believed.
 */
import * as z from 'zod';
import { utf8 } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import { canonicalJson, type Json, parseJson } from '#base/json.ts';
import { ROW_VALUE_BYTES_MAX } from '#ports/table.ts';
import {
  type Field,
  METRICS,
  SCALAR_TYPES,
  type ScalarValue,
  VECTOR_TYPES,
} from '#schema/field.ts';
import { CONSISTENCY_LEVELS, type Collection } from './collection.ts';

const FORMAT = 1;

const Id = z.int().min(0);
const Texts = z.record(z.string(), z.string());

const StoredField = z.object({
  id: Id,
  name: z.string(),
  type: z.enum([...SCALAR_TYPES, ...VECTOR_TYPES]),
  description: z.string(),
  primaryKey: z.boolean(),
  autoId: z.boolean(),
  nullable: z.boolean(),
  dim: Id.exactOptional(),
  maxLength: Id.exactOptional(),
  /** In an array, so that a JSON null differs from no default. */
  defaultValue: z.array(z.unknown()).length(1).exactOptional(),
  dynamic: z.boolean(),
});

const StoredIndex = z.object({
  indexName: z.string(),
  fieldId: Id,
  fieldName: z.string(),
  metric: z.enum(METRICS).exactOptional(),
  indexType: z.string(),
  params: Texts,
});

const StoredCollection = z.object({
  format: z.literal(FORMAT),
  collectionId: Id,
  dbName: z.string(),
  collectionName: z.string(),
  description: z.string(),
  schema: z.object({ version: Id, fields: z.array(StoredField).min(1) }),
  shards: Id.min(1),
  consistencyLevel: z.enum(CONSISTENCY_LEVELS),
  loaded: z.boolean(),
  indexes: z.array(StoredIndex),
  properties: Texts,
  partitions: z.array(z.object({ partitionId: Id, partitionName: z.string() })),
  nextFieldId: Id,
  nextPartitionId: Id,
  createdMs: Id,
  droppedMs: Id.exactOptional(),
  state: z.enum(['creating', 'open', 'dropping', 'dropped']),
});

/** @throws StoreError `TOO_LARGE` where the definition does not fit one table row. */
export function encodeCollection(collection: Collection): Uint8Array {
  const { fields, version } = collection.schema;
  const stored = {
    ...collection,
    format: FORMAT,
    schema: { version, fields: fields.map(storeField) },
  };
  // Plain data whose undefined members were left out: JSON throughout.
  const bytes = utf8(canonicalJson(stored as unknown as Json));
  if (bytes.length <= ROW_VALUE_BYTES_MAX) return bytes;
  throw new StoreError(
    'TOO_LARGE',
    `the definition of collection ${collection.collectionName} takes ${bytes.length} bytes; ` +
      `descriptions, defaults and parameters together may take ${ROW_VALUE_BYTES_MAX}`,
  );
}

function storeField(field: Field): Record<string, unknown> {
  const { defaultValue, ...rest } = field;
  return defaultValue === undefined ? rest : { ...rest, defaultValue: [defaultValue] };
}

/** @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW` */
export function decodeCollection(bytes: Uint8Array, what: string): Collection {
  const json = readText(bytes, what);
  const parsed = StoredCollection.safeParse(json);
  if (!parsed.success) {
    const format = z.object({ format: z.number().gt(FORMAT) }).safeParse(json);
    const issue = parsed.error.issues[0];
    throw format.success
      ? new StoreError('FORMAT_TOO_NEW', `${what}: format ${format.data.format} of a newer Sterna`)
      : new StoreError('DATA_CORRUPT', `${what}: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const { format: _, schema, ...rest } = parsed.data;
  return { ...rest, schema: { version: schema.version, fields: schema.fields.map(loadField) } };
}

function readText(bytes: Uint8Array, what: string): Json {
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new StoreError('DATA_CORRUPT', `${what}: no JSON text`, { cause });
  }
}

function loadField({ defaultValue, ...field }: z.output<typeof StoredField>): Field {
  if (defaultValue === undefined) return field;
  // JSON as parseJson read it.
  return { ...field, defaultValue: typedDefault(field, defaultValue[0] as Json) };
}

/** JSON knows one kind of number; the schema knows which one is meant. */
function typedDefault(field: Pick<Field, 'type'>, value: Json): ScalarValue {
  if (typeof value !== 'number' && typeof value !== 'bigint') return value;
  if (field.type === 'JSON') return value;
  return field.type === 'Int64' ? BigInt(value) : Number(value);
}
