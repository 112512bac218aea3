/** How a search was answered, for whoever asks why it is slow or what it cost (I12). */
import type { Fetched } from './meter.ts';
import type { Method } from './plan.ts';
import type { SourceReport } from './search.ts';

export type Explain = Readonly<{
  segments: readonly SourceExplain[];
  /** What this search fetched from the object store; what was cached costs nothing. */
  objectsRead: number;
  bytesRead: number;
}>;

export type SourceExplain = Readonly<{
  shard: number;
  /** The object's key, or the name of a part of the tail. */
  segment: string;
  /** `tail`, or 0 and up. */
  level: number | 'tail';
  rows: number;
  deadRows: number;
  method: Method;
  /** Skipped ones only: `empty`, `dead`, `statistics`, `partitions`, `filter`. */
  reason?: string;
  /** Rows alive that filter and partitions allow. */
  allowed: number;
  /** Rows compared, or returned by the graph, over all query vectors. */
  candidates: number;
  /** Query vectors for which the graph found too few allowed rows, so that all were compared. */
  fallbacks: number;
  objectsRead: number;
  bytesRead: number;
}>;

export function explainOf(
  reports: readonly Readonly<{ shard: number; report: SourceReport | undefined }>[],
  fetched: Fetched,
): Explain {
  const all = [...fetched.values()];
  return {
    segments: reports.flatMap(({ shard, report }) =>
      report === undefined ? [] : [sourceExplain(shard, report, fetched)],
    ),
    objectsRead: all.length,
    bytesRead: all.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

function sourceExplain(shard: number, report: SourceReport, fetched: Fetched): SourceExplain {
  const { view, method, reason, allowed, candidates, fallbacks } = report;
  const { source, segment, deadRows } = view;
  const keys = [source.id, ...(segment?.entry.auxiliary ?? []).map(({ key }) => key)];
  const own = keys.flatMap((key) => fetched.get(key) ?? []);
  return {
    shard,
    segment: source.id,
    level: segment?.entry.level ?? 'tail',
    rows: source.rows,
    deadRows,
    method,
    ...(reason === undefined ? {} : { reason }),
    allowed,
    candidates,
    fallbacks,
    objectsRead: own.length,
    bytesRead: own.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}
