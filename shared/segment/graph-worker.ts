/**
 * Builds a graph object as a file; made to run in a worker thread, for it computes for minutes
 * without a pause.
 *
 * Payload and answer are plain data; the vectors' buffer can be transferred. At most two further copies of the graph are alive at a time: the
 * library's own, which is freed before the object is put together in memory.
 */
import { mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from '#base/assert.ts';
import type { Bitmap } from '#schema/column.ts';
import type { Metric } from '#schema/field.ts';
import {
  encodeFacts,
  type GraphFacts,
  requireLibrary,
  scaleFor,
  spaceOf,
  writePoint,
} from './graph.ts';
import { layContainer, SECTION_TYPES, type SealedContainer } from './layout.ts';

export type GraphPayload = Readonly<{
  /** Row by row; the row number becomes the point's label. */
  vectors: Float32Array;
  dim: number;
  metric: Metric;
  /** Rows that have a vector; undefined where all have. */
  valid?: Bitmap | undefined;
  m: number;
  efConstruction: number;
  /** Equal seeds and vectors give equal graphs. */
  seed: number;
  scratchDir: string;
}>;

/** A finished object, alone in a folder of the scratch directory that the caller deletes. */
export type GraphFile = Readonly<{
  folder: string;
  path: string;
  sizeBytes: number;
  /** The checksum that ends the object's footer. */
  footerCrc32: number;
  /** Points in the graph. */
  rows: number;
}>;

/** Rows between two pauses: about a second at 768 dimensions. */
const ROWS_BETWEEN_PAUSES = 512;

/**
 * @param pause called now and then where the build shares its thread: lets others run, or gives the
 *   build up by throwing
 * @throws StoreError `UNSUPPORTED` where the graph library is missing
 */
export async function buildGraphFile(
  payload: GraphPayload,
  pause?: () => Promise<void>,
): Promise<GraphFile> {
  const folder = await mkdtemp(join(payload.scratchDir, 'build-'));
  try {
    const saved = join(folder, 'graph');
    const facts = await saveGraph(payload, saved, pause);
    const { bytes, footerCrc32 } = await packGraph(saved, facts);
    await rm(saved);
    const path = join(folder, 'object');
    await writeFile(path, bytes);
    return { folder, path, sizeBytes: bytes.length, footerCrc32, rows: facts.rows };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function saveGraph(
  payload: GraphPayload,
  path: string,
  pause: (() => Promise<void>) | undefined,
): Promise<GraphFacts> {
  const { HierarchicalNSW } = await requireLibrary();
  const { vectors, dim, metric, valid, m, efConstruction, seed } = payload;
  const count = vectors.length / dim;
  const scale = scaleFor(metric, vectors, dim);
  const index = new HierarchicalNSW(spaceOf(metric), dim);
  index.initIndex(Math.max(1, count), m, efConstruction, seed);
  try {
    const point = new Array<number>(dim).fill(0);
    let rows = 0;
    for (let row = 0; row < count; row++) {
      if (valid !== undefined && (((valid[row >> 3] ?? 0) >> (row & 7)) & 1) === 0) continue;
      writePoint(point, metric, scale, vectors.subarray(row * dim, (row + 1) * dim));
      index.addPoint(point, row);
      rows += 1;
      if (pause !== undefined && rows % ROWS_BETWEEN_PAUSES === 0) await pause();
    }
    await index.writeIndex(path);
    return { metric, dim, m, efConstruction, rows, scale };
  } finally {
    // Frees the graph at once; garbage collection does not see how large it is.
    index.initIndex(1);
  }
}

/** The saved graph as an object's bytes, read straight into its section. */
async function packGraph(path: string, facts: GraphFacts): Promise<SealedContainer> {
  const factBytes = encodeFacts(facts);
  const { size } = await stat(path);
  const container = layContainer([
    { name: 'facts', type: SECTION_TYPES.facts, required: true, length: factBytes.length },
    { name: 'graph', type: SECTION_TYPES.hnswlib, required: true, length: size },
  ]);
  container.section('facts').set(factBytes);
  const target = container.section('graph');
  const file = await open(path, 'r');
  try {
    for (let at = 0; at < size; ) {
      const { bytesRead } = await file.read(target, at, size - at, at);
      assert(bytesRead > 0, `the saved graph has ${size} bytes`);
      at += bytesRead;
    }
  } finally {
    await file.close();
  }
  return container.seal();
}
