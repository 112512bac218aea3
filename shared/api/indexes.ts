/** indexes/*: which fields are indexed, and how. */
import * as z from 'zod';
import { CollectionScope, IndexName, JsonMap, KnownName } from './names.ts';

export const IndexParams = z.object({
  fieldName: z.string(),
  /** Left out: the field's name. */
  indexName: IndexName.optional(),
  metricType: z.string().optional(),
  /** Left out: `params.index_type`, else AUTOINDEX. */
  indexType: z.string().optional(),
  params: JsonMap.optional(),
});
export type IndexParams = z.output<typeof IndexParams>;

export const CreateIndexRequest = z.object({
  ...CollectionScope,
  indexParams: z.array(IndexParams),
});
export type CreateIndexRequest = z.output<typeof CreateIndexRequest>;

/** describe, drop. */
export const IndexRequest = z.object({ ...CollectionScope, indexName: KnownName });
export type IndexRequest = z.output<typeof IndexRequest>;
