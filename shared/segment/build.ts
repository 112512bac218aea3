/** Makes the graph object of a segment's vector field. */
import { readFile, rm } from 'node:fs/promises';
import { assert } from '#base/assert.ts';
import type { AuxiliaryEntry } from './entry.ts';
import { buildGraphFile, type GraphFile, type GraphPayload } from './graph-worker.ts';

/**
 * Links a point keeps and the width of the search for them: recall@10 0.95 and above at ef 64 on the
 * measured sets (docs/adr/0004-graph.md). More of either costs build time in proportion.
 */
export const GRAPH_DEFAULTS = { m: 16, efConstruction: 200, seed: 100 } as const;

/**
 * Segments with fewer rows get no graph. A graph search costs as much as 720 comparisons of an exact
 * scan (query/plan.ts) and building one a millisecond a row: below 4,096 rows the scan takes 4.5 ms at
 * 768 dimensions, and such segments are merged into larger ones anyway.
 */
export const GRAPH_ROWS_MIN = 4096;

export type NewGraph = Readonly<{
  bytes: Uint8Array;
  entry: Omit<AuxiliaryEntry, 'key' | 'fieldId'>;
}>;

type GraphParams = Pick<GraphPayload, keyof typeof GRAPH_DEFAULTS>;

/**
 * Builds a graph object and reads it into memory.
 *
 * @param run builds the file, by default here; give a function that calls `graph-worker.ts` in a worker
 *   thread, for building holds its thread for minutes
 * @throws StoreError `UNSUPPORTED` where the graph library is missing
 */
export async function buildGraph(
  payload: Omit<GraphPayload, keyof GraphParams> & Partial<GraphParams>,
  run: (payload: GraphPayload) => Promise<GraphFile> = buildGraphFile,
): Promise<NewGraph> {
  const full: GraphPayload = { ...GRAPH_DEFAULTS, ...payload };
  const { metric, dim, m, efConstruction } = full;
  const { folder, path, sizeBytes, footerCrc32, rows } = await run(full);
  try {
    const bytes = await readFile(path);
    assert(bytes.length === sizeBytes, `a graph object of ${sizeBytes} bytes`);
    const facts = { metric, dim, m, efConstruction, rows };
    return {
      bytes: new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length),
      entry: { kind: 'graph', sizeBytes, footerCrc32, facts },
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
