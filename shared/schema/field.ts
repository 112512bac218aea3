/** Field types, fields and collection schemas: what a row may hold. */
import type { Json, JsonObject } from '#base/json.ts';

/** Built now. */
export const SCALAR_TYPES = [
  'Bool',
  'Int8',
  'Int16',
  'Int32',
  'Int64',
  'Float',
  'Double',
  'VarChar',
  'JSON',
] as const;
export const VECTOR_TYPES = ['FloatVector'] as const;
/** Milvus's names that answer `UNSUPPORTED` until they are built. */
export const KNOWN_TYPES = [
  'Array',
  'Geometry',
  'Timestamptz',
  'Text',
  'String',
  'BinaryVector',
  'Float16Vector',
  'BFloat16Vector',
  'SparseFloatVector',
  'Int8Vector',
  'ArrayOfVector',
  'ArrayOfStruct',
  'Struct',
] as const;

export type ScalarType = (typeof SCALAR_TYPES)[number];
export type VectorType = (typeof VECTOR_TYPES)[number];
export type FieldType = ScalarType | VectorType;

/** The metric decides what "near" means. L2 is the squared distance, smaller is nearer. */
export const METRICS = ['COSINE', 'L2', 'IP'] as const;
export type Metric = (typeof METRICS)[number];

/** JSON as `base/json.ts` reads it: integers beyond 2^53 are bigints. */
export type { Json, JsonObject };

/** A value of a scalar field in memory. Int64 is always a bigint, JSON a {@link Json}. */
export type ScalarValue = boolean | number | bigint | string | Json;

export type Field = Readonly<{
  /** From 100 upwards, never reused within a collection. */
  id: number;
  name: string;
  type: FieldType;
  description: string;
  primaryKey: boolean;
  autoId: boolean;
  nullable: boolean;
  /** Vector fields only: number of components. */
  dim?: number;
  /** VarChar only: longest value in bytes. */
  maxLength?: number;
  /** Written out at accept where a row lacks the field or has null. */
  defaultValue?: ScalarValue;
  /** The hidden `$meta` JSON field that takes keys outside the schema. */
  dynamic: boolean;
}>;

export type CollectionSchema = Readonly<{
  /** Raised by every schema change; the first is 1. */
  version: number;
  /** In id order; the hidden dynamic field, if any, last. */
  fields: readonly Field[];
}>;

/** The name of the hidden dynamic field. */
export const DYNAMIC_FIELD = '$meta';
/** The first field id of a collection. */
export const FIELD_ID_FIRST = 100;

export const primaryField = (schema: CollectionSchema): Field => {
  const field = schema.fields.find(({ primaryKey }) => primaryKey);
  if (field === undefined) throw new Error('a schema has a primary key');
  return field;
};

export const dynamicField = (schema: CollectionSchema): Field | undefined =>
  schema.fields.find(({ dynamic }) => dynamic);

export const vectorFields = (schema: CollectionSchema): readonly Field[] =>
  schema.fields.filter(({ type }) => type === 'FloatVector');
