/** What a collection consists of: numbers for `describe` and `get_stats`, parts for inspection. */
import type { RecordPosition } from '#base/position.ts';
import type { CollectionSchema, Metric } from '#schema/field.ts';
import { GRAPH_ROWS_MIN } from '#segment/build.ts';
import type { SectionCache } from '#segment/cache.ts';
import { loadedGraph } from '#segment/graph.ts';
import { graphEntry } from './graphs.ts';
import { positionOf, type ShardView } from './view.ts';

export type Coverage = Readonly<{
  /** Rows alive. */
  rows: number;
  /** Rows ever written, updates included (`get_stats`): applied ones and the tail's. */
  rowsWritten: number;
  /** Records that apply has not folded yet. */
  tailRecords: number;
  fields: readonly FieldCoverage[];
}>;

/** Of one field, counting rows alive: `indexedRows + pendingRows = totalRows`. */
export type FieldCoverage = Readonly<{
  fieldId: number;
  totalRows: number;
  /**
   * Vector fields: rows of segments that are as they will stay, with a graph or too small for one.
   * Scalar fields: rows of segments, whose column statistics and key index are all there is.
   */
  indexedRows: number;
  /** Rows of the tail, of level 0, and of segments whose graph has yet to be built. */
  pendingRows: number;
  /** Vector fields: graphs built, and how many of them are in memory here now. */
  graphs: number;
  graphsLoaded: number;
}>;

/**
 * @param metrics by field id, of the vector fields whose index asks for graphs
 * @param buildable whether graphs can be built here at all; without, no row waits for one
 */
export function coverageOf(
  schema: CollectionSchema,
  metrics: ReadonlyMap<number, Metric>,
  views: readonly ShardView[],
  cache: SectionCache,
  buildable: boolean,
): Coverage {
  const sources = views.flatMap((view) => view.sources);
  const rows = sources.reduce((sum, { source, deadRows }) => sum + source.rows - deadRows, 0);
  return {
    rows,
    rowsWritten: views.reduce((sum, view) => sum + view.manifest.rowsApplied + view.tailRows, 0),
    tailRecords: views.reduce((sum, view) => sum + view.tail.length, 0),
    fields: schema.fields.map((field) => {
      let indexedRows = 0;
      let graphs = 0;
      let graphsLoaded = 0;
      for (const { source, segment, deadRows } of sources) {
        if (segment === undefined) continue;
        if (field.type !== 'FloatVector') indexedRows += source.rows - deadRows;
        else {
          const graph = graphEntry(segment.entry, field, metrics.get(field.id));
          const wanted = buildable && metrics.has(field.id) && source.rows >= GRAPH_ROWS_MIN;
          const settled = graph !== undefined || (segment.entry.level > 0 && !wanted);
          if (settled) indexedRows += source.rows - deadRows;
          if (graph === undefined) continue;
          graphs += 1;
          if (loadedGraph(graph, cache) !== undefined) graphsLoaded += 1;
        }
      }
      const pendingRows = rows - indexedRows;
      return { fieldId: field.id, totalRows: rows, indexedRows, pendingRows, graphs, graphsLoaded };
    }),
  };
}

/** One shard as `inspect` shows it. */
export type ShardSnapshot = Readonly<{
  shard: number;
  manifestVersion: number;
  generation: number;
  epoch: number;
  fenceNumber: number;
  state: string;
  applied: RecordPosition;
  /** The newest record seen, applied or in the tail. */
  newest: RecordPosition;
  logTimeMs: number;
  sums: Readonly<{ in: string; held: string; out: string }>;
  rows: number;
  tail: Readonly<{ records: number; rows: number }>;
  segments: readonly SegmentSnapshot[];
}>;

export type SegmentSnapshot = Readonly<{
  key: string;
  level: number;
  rows: number;
  deadRows: number;
  tombstones: number;
  sizeBytes: number;
  minPosition: string;
  maxPosition: string;
  /** Field id, metric, size, and whether the graph is in memory here now. */
  graphs: readonly Readonly<{
    fieldId: number;
    metric: string;
    sizeBytes: number;
    loaded: boolean;
  }>[];
}>;

export function snapshotOf(view: ShardView, cache: SectionCache): ShardSnapshot {
  const { manifest } = view;
  return {
    shard: manifest.shard,
    manifestVersion: manifest.version,
    generation: manifest.generation,
    epoch: manifest.epoch,
    fenceNumber: manifest.fenceNumber,
    state: manifest.state,
    applied: manifest.applied,
    newest: positionOf(view),
    logTimeMs: manifest.logTimeMs,
    sums: manifest.sums,
    rows: view.sources.reduce((sum, { source, deadRows }) => sum + source.rows - deadRows, 0),
    tail: { records: view.tail.length, rows: view.tailRows },
    segments: view.segments.flatMap(({ segment, deadRows }) => {
      if (segment === undefined) return [];
      const { entry } = segment;
      return [
        {
          key: entry.key,
          level: entry.level,
          rows: entry.rows,
          deadRows,
          tombstones: entry.tombstones,
          sizeBytes: entry.sizeBytes,
          minPosition: entry.positionRange?.min ?? '',
          maxPosition: entry.positionRange?.max ?? '',
          graphs: entry.auxiliary
            .filter(({ kind }) => kind === 'graph')
            .map((graph) => ({
              fieldId: graph.fieldId,
              metric: String(graph.facts['metric']),
              sizeBytes: graph.sizeBytes,
              loaded: loadedGraph(graph, cache) !== undefined,
            })),
        },
      ];
    }),
  };
}
