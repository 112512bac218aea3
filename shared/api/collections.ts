/**
 * collections/*: definitions and states of collections.
 *
 * `create` has a quick form (no `schema.fields`) and a full form. Which values make a schema is
 * decided in `schema/define.ts`; here only the JSON types are checked.
 */
import * as z from 'zod';
import { IndexParams } from './indexes.ts';
import {
  CollectionName,
  CollectionScope,
  Description,
  Int,
  JsonMap,
  Names,
  Scope,
} from './names.ts';

export const FieldRequest = z.object({
  fieldName: z.string(),
  dataType: z.string(),
  elementDataType: z.string().optional(),
  isPrimary: z.boolean().default(false),
  isPartitionKey: z.boolean().default(false),
  isClusteringKey: z.boolean().default(false),
  autoID: z.boolean().default(false),
  /** `dim`, `max_length` and the like, as strings or numbers. */
  elementTypeParams: JsonMap.optional(),
  nullable: z.boolean().default(false),
  /** Any JSON value; null counts as left out. */
  defaultValue: z.unknown().optional(),
  description: Description.default(''),
});
export type FieldRequest = z.output<typeof FieldRequest>;

export const SchemaRequest = z.object({
  autoID: z.boolean().default(false),
  enableDynamicField: z.boolean().default(false),
  fields: z.array(FieldRequest).optional(),
  functions: z.array(z.unknown()).optional(),
});
export type SchemaRequest = z.output<typeof SchemaRequest>;

export const CreateCollectionRequest = z.object({
  ...Scope,
  collectionName: CollectionName,
  description: Description.default(''),
  dimension: Int.optional(),
  idType: z.string().optional(),
  autoID: z.boolean().default(false),
  metricType: z.string().optional(),
  primaryFieldName: z.string().optional(),
  vectorFieldName: z.string().optional(),
  schema: SchemaRequest.optional(),
  indexParams: z.array(IndexParams).optional(),
  params: JsonMap.optional(),
});
export type CreateCollectionRequest = z.output<typeof CreateCollectionRequest>;

export const DatabaseRequest = z.object(Scope);
export type DatabaseRequest = z.output<typeof DatabaseRequest>;

/** has, describe, drop, load, release, get_stats, flush. */
export const CollectionRequest = z.object(CollectionScope);
export type CollectionRequest = z.output<typeof CollectionRequest>;

export const LoadStateRequest = z.object({ ...CollectionScope, partitionNames: Names.optional() });
export type LoadStateRequest = z.output<typeof LoadStateRequest>;
