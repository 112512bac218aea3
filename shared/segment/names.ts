/** The sections of data objects and graph objects: names and types that this version knows. */
import type { SectionType } from './layout.ts';

/** By the first step of the name; a second step is the field's id. */
export const SEGMENT_SECTIONS = {
  /** A scalar field's values. */
  column: 'column',
  /** A vector field's values: rows x dim float32. */
  vectors: 'float32',
  /** Which rows have a vector; absent where all have. */
  validity: 'bitmap',
  /** Positions and log times of the rows. */
  stamps: 'stamps',
  /** Per row the id of its partition. */
  partitions: 'uint32',
  /** Row numbers ordered by key; the second step says which field is the key. */
  'key-index': 'uint32',
  tombstones: 'tombstones',
  'archive-ids': 'archive-ids',
  archive: 'archive',
  /** Column statistics, as in the manifest's entry. */
  stats: 'stats',
  /** Ids, names, types and dimensions of the fields. */
  fields: 'fields',
} as const satisfies Record<string, SectionType>;

export const GRAPH_SECTIONS = {
  /** Metric, dimension, parameters, number of points. */
  facts: 'facts',
  /** The graph as the library saves it. */
  graph: 'hnswlib',
} as const satisfies Record<string, SectionType>;
