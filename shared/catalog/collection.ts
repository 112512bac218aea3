/** A collection as the catalog keeps it. */
import type { CollectionSchema, Metric } from '#schema/field.ts';

export type Collection = Readonly<{
  collectionId: number;
  dbName: string;
  collectionName: string;
  description: string;
  schema: CollectionSchema;
  shards: number;
  consistencyLevel: ConsistencyLevel;
  /** Search and query need it; a state that is kept, even if nothing needs loading (API.md 6.2, 11). */
  loaded: boolean;
  indexes: readonly Index[];
  /** Milvus properties as text, e.g. `collection.ttl.seconds`. */
  properties: Readonly<Record<string, string>>;
  partitions: readonly Readonly<{ partitionId: number; partitionName: string }>[];
  /** The next free ids, never reused. */
  nextFieldId: number;
  nextPartitionId: number;
  createdMs: number;
  /** When the last step of its drop was taken; absent in rows of an earlier version. */
  droppedMs?: number;
  /** A dropped collection keeps its row until its objects are collected. */
  state: 'creating' | 'open' | 'dropping' | 'dropped';
}>;

export const CONSISTENCY_LEVELS = [
  'Strong',
  'Session',
  'Bounded',
  'Eventually',
  'Customized',
] as const;
export type ConsistencyLevel = (typeof CONSISTENCY_LEVELS)[number];

export type Index = Readonly<{
  indexName: string;
  fieldId: number;
  fieldName: string;
  /** Vector indexes only. */
  metric?: Metric;
  /** Milvus's name as the user gave it, e.g. AUTOINDEX, HNSW, FLAT, INVERTED. */
  indexType: string;
  params: Readonly<Record<string, string>>;
}>;

export const DEFAULT_DATABASE = 'default';
export const DEFAULT_PARTITION = '_default';
