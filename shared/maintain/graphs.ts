/**
 * Graphs of compacted segments, built beside them and added to their manifest entries.
 *
 * Also takes graphs away that no index asks for any more. A segment without its graph is searched
 * exactly, so nothing ever waits for this, and where the graph library is missing nothing is built.
 */
import { assert } from '#base/assert.ts';
import { releaseBytes } from '#base/bytes.ts';
import type { Collection } from '#catalog/collection.ts';
import { graphKey } from '#ingest/product.ts';
import { canRetire, retireKeys } from '#ingest/retired.ts';
import { commitManifest, isOutdated } from '#manifest/commit.ts';
import type { Manifest } from '#manifest/format.ts';
import { type ManifestCache, readManifest } from '#manifest/head.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import { buildGraph } from '#segment/build.ts';
import { SectionCache } from '#segment/cache.ts';
import type { AuxiliaryEntry } from '#segment/entry.ts';
import { graphSupport } from '#segment/graph.ts';
import type { GraphFile, GraphPayload } from '#segment/graph-worker.ts';
import { openSegment } from '#segment/reader.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import type { Compacted } from './compact.ts';
import { withLease } from './lease.ts';
import { COMPACT_POLICY, type CompactPolicy, type GraphWork, pickGraphs } from './pick.ts';
import { type WantedGraph, wantedGraphs } from './wanted.ts';

/** Builds a graph file, in a worker thread where the calling thread has to go on serving; may take the vectors' buffer. */
export type RunGraph = (payload: GraphPayload) => Promise<GraphFile>;

export type GraphPorts = Readonly<{
  objects: ObjectStore;
  table: Table;
  clock: Clock;
  entropy: Entropy;
  telemetry: Telemetry;
  /** A folder for files that live as long as a build. */
  scratchDir: string;
  /** Default: in this thread. */
  runGraph?: RunGraph | undefined;
  manifests?: ManifestCache | undefined;
}>;

/**
 * Builds the missing graphs of one segment, the largest first, or takes stale ones away. Undefined
 * where there is nothing to do or somebody else is at it.
 *
 * @throws StoreError `DATA_CORRUPT`, `OBJECT_NOT_FOUND` for a segment that cannot be read;
 *   `OVERLOADED` where the scratch folder takes no more; `MANIFEST_CONTENDED`, `UNCERTAIN`
 */
export async function indexShard(
  ports: GraphPorts,
  collection: Collection,
  shard: ShardId,
  policy: CompactPolicy = COMPACT_POLICY,
): Promise<Compacted | undefined> {
  const { manifest } = await readManifest(ports, shard);
  const { available } = await graphSupport();
  const work = pickGraphs(manifest, policy, wantedGraphs(collection), available);
  if (work === undefined) return undefined;
  if (!canRetire(manifest, work.stale.length, ports.clock.nowMs())) return undefined;
  return await withLease(ports, `index/${shardName(shard)}`, () =>
    run(ports, shard, manifest, work),
  );
}

async function run(
  ports: GraphPorts,
  shard: ShardId,
  base: Manifest,
  { segment, missing, stale }: GraphWork,
): Promise<Compacted> {
  const built: AuxiliaryEntry[] = [];
  for (const want of missing) built.push(await build(ports, shard, base, segment, want));
  const committed = await commit(ports, shard, segment.key, built, stale, ports.clock.nowMs());
  ports.telemetry.event('info', 'index', {
    shard: shardName(shard),
    rows: segment.rows,
    built: built.length,
    removed: stale.length,
    sizeBytes: built.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    committed,
  });
  return { kind: 'graphs', inputs: 1, rows: segment.rows, committed };
}

/** One graph as a durable object. */
async function build(
  ports: GraphPorts,
  shard: ShardId,
  base: Manifest,
  segment: GraphWork['segment'],
  { field, metric, m, efConstruction }: WantedGraph,
): Promise<AuxiliaryEntry> {
  const { objects, entropy, scratchDir, runGraph } = ports;
  const { dim } = field;
  assert(dim !== undefined, `vector field ${field.name} has a dimension`);
  // Room for nothing: the vectors are read in pieces, straight to where the builder sees them.
  const cache = new SectionCache({ sectionBytesMax: 1, graphBytesMax: 1 });
  const reader = openSegment({ objects }, segment, cache);
  const valid = await reader.vectorValidity(field);
  const vectors = new Float32Array(segment.rows * dim);
  await reader.scanVectors(field, (values, firstRow) => vectors.set(values, firstRow * dim));
  const { bytes, entry } = await buildGraph(
    { vectors, dim, metric, valid, m, efConstruction, scratchDir },
    runGraph,
  );
  const key = graphKey(entropy, shard, base.version);
  await objects.put(key, bytes);
  releaseBytes(bytes);
  return { ...entry, key, fieldId: field.id };
}

async function commit(
  ports: GraphPorts,
  shard: ShardId,
  segmentKey: string,
  built: readonly AuxiliaryEntry[],
  stale: readonly AuxiliaryEntry[],
  atMs: number,
): Promise<boolean> {
  try {
    const { segments } = await commitManifest(ports, shard, (current) =>
      exchange(current, segmentKey, built, stale, atMs),
    );
    const present = new Set(segments.flatMap(({ auxiliary }) => auxiliary.map(({ key }) => key)));
    return built.every(({ key }) => present.has(key)) && !stale.some(({ key }) => present.has(key));
  } catch (error) {
    if (isOutdated(error)) return false;
    throw error;
  }
}

/**
 * The manifest with the segment's graphs exchanged; undefined where the segment was merged away
 * meanwhile, or where the graphs are as they should be.
 */
function exchange(
  current: Manifest,
  segmentKey: string,
  built: readonly AuxiliaryEntry[],
  stale: readonly AuxiliaryEntry[],
  atMs: number,
): Manifest | undefined {
  const segment = current.segments.find(({ key }) => key === segmentKey);
  if (segment === undefined) return undefined;
  const gone = new Set(stale.map(({ key }) => key));
  // Two builders may have been at it: the second one's graph would be loaded by nobody, and stay.
  const added = built.filter(
    (graph) => !segment.auxiliary.some((known) => isSameGraph(known, graph)),
  );
  const removed = segment.auxiliary.filter(({ key }) => gone.has(key)).map(({ key }) => key);
  if (added.length + removed.length === 0) return undefined;
  const auxiliary = [...segment.auxiliary.filter(({ key }) => !gone.has(key)), ...added];
  const next: Manifest = {
    ...current,
    version: current.version + 1,
    segments: current.segments.map((entry) =>
      entry === segment ? { ...entry, auxiliary } : entry,
    ),
  };
  return retireKeys(next, removed, atMs);
}

const isSameGraph = (a: AuxiliaryEntry, b: AuxiliaryEntry): boolean =>
  a.kind === b.kind &&
  a.fieldId === b.fieldId &&
  ['metric', 'm', 'efConstruction'].every((fact) => a.facts[fact] === b.facts[fact]);
