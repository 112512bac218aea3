/**
 * Graphs of vectors (HNSW): opening and searching them. The only importer of the graph library,
 * which is optional: where its addon could not be compiled every search is exact.
 *
 * COSINE graphs hold vectors of length 1, the others vectors scaled by a power of two that brings the
 * longest near 1: the library computes `1 - a.b` and sums of squares in float32, which would lose
 * short vectors in the 1 and overflow with long ones. Normalising is ours rather than the library's,
 * which does it in float32.
 */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { HierarchicalNSW } from 'hnswlib-node';
import { assert } from '#base/assert.ts';
import { ByteReader } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import { METRICS, type Metric } from '#schema/field.ts';
import type { SectionCache } from './cache.ts';
import { dotProduct, norm, toScore } from './distance.ts';
import type { AuxiliaryEntry } from './entry.ts';
import { type Ranked, TopK } from './exact.ts';
import { type Footer, requireKnown, type Section } from './layout.ts';
import { GRAPH_SECTIONS } from './names.ts';
import { type ObjectReads, readFooterFromEnd, readSection, readSectionRange } from './sections.ts';

export type GraphSupport = Readonly<{ available: boolean; reason?: string }>;

type Library = typeof import('hnswlib-node');

let library: Promise<Library | Error> | undefined;

/** The library, or why it is not there. Tried once in a process. */
function loadLibrary(): Promise<Library | Error> {
  library ??= import('hnswlib-node').then(
    // It is CommonJS: Node gives all of it as the default export, which its types do not say.
    (module) => (module as unknown as { default: Library }).default,
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  );
  return library;
}

/** Whether graphs can be built and searched here; if not, why. */
export async function graphSupport(): Promise<GraphSupport> {
  const loaded = await loadLibrary();
  if (!(loaded instanceof Error)) return { available: true };
  return { available: false, reason: loaded.message.split('\n', 1)[0] ?? 'unknown' };
}

/** @throws StoreError `UNSUPPORTED` where the library is missing */
export async function requireLibrary(): Promise<Library> {
  const loaded = await loadLibrary();
  if (!(loaded instanceof Error)) return loaded;
  throw new StoreError('UNSUPPORTED', `graphs need hnswlib-node: ${loaded.message}`, {
    cause: loaded,
  });
}

/** What a graph object says of its graph. */
export type GraphFacts = Readonly<{
  metric: Metric;
  dim: number;
  m: number;
  efConstruction: number;
  /** Points in the graph; rows without a vector are not among them. */
  rows: number;
  /** What the vectors were multiplied by; 1 for COSINE, whose vectors have length 1. */
  scale: number;
}>;

/** The library's name for a space. COSINE is the inner product of vectors of length 1. */
export const spaceOf = (metric: Metric): 'l2' | 'ip' => (metric === 'L2' ? 'l2' : 'ip');

/** Writes a vector into `point` as the graph of that metric holds it. */
export function writePoint(
  point: number[],
  metric: Metric,
  scale: number,
  values: Float32Array,
): void {
  const length = metric === 'COSINE' ? norm(values) : 1;
  const factor = length === 0 ? 0 : scale / length;
  for (let at = 0; at < values.length; at++) point[at] = (values[at] ?? 0) * factor;
}

/** Which rows may be returned; called for every row that the search comes across. */
export type RowFilter = (row: number) => boolean;

/** A loaded graph. Its memory lies outside of the JavaScript heap and is freed by `close`. */
export class Graph {
  readonly facts: GraphFacts;
  readonly sizeBytes: number;
  #index: HierarchicalNSW | undefined;

  constructor(facts: GraphFacts, sizeBytes: number, index: HierarchicalNSW) {
    this.facts = facts;
    this.sizeBytes = sizeBytes;
    this.#index = index;
  }

  /** False once it has left the cache: ask for it anew. */
  get isOpen(): boolean {
    return this.#index !== undefined;
  }

  search(query: Float32Array, k: number, ef: number, allowed?: RowFilter): Ranked {
    const { metric, dim, rows, scale } = this.facts;
    const index = this.#index;
    assert(index !== undefined, 'an open graph');
    assert(query.length === dim, `a query of ${dim} components, not ${query.length}`);
    const count = Math.min(k, rows);
    const top = new TopK(Math.max(1, count), metric);
    if (count === 0) return top.finish();
    const length = norm(query);
    const point = new Array<number>(dim);
    // Inner products are linear in the query: one of length 1 neither overflows nor underflows.
    writePoint(point, metric === 'L2' ? 'L2' : 'COSINE', metric === 'L2' ? scale : 1, query);
    index.setEf(Math.max(ef, count));
    const { neighbors, distances } = index.searchKnn(point, count, allowed);
    neighbors.forEach((row, at) => {
      top.offer(row, scoreOf(metric, distances[at] ?? 0, scale, length));
    });
    return top.finish();
  }

  /** Frees the memory. Searches are synchronous, so none is under way. */
  close(): void {
    const index = this.#index;
    this.#index = undefined;
    // The library frees a graph when another takes its place, not when it is told to.
    index?.initIndex(1);
  }
}

/** From the library's distance, between scaled vectors, to a score. */
function scoreOf(metric: Metric, distance: number, scale: number, queryLength: number): number {
  if (metric === 'L2') return toScore('L2', distance / scale / scale);
  if (metric === 'IP') return toScore('IP', ((1 - distance) / scale) * queryLength);
  return toScore('COSINE', queryLength === 0 ? 0 : 1 - distance);
}

/** The nearest `k` rows of those that the graph reaches with width `ef`, nearest first. */
export const searchGraph = (
  graph: Graph,
  query: Float32Array,
  k: number,
  ef: number,
  allowed?: RowFilter,
): Ranked => graph.search(query, k, ef, allowed);

/** The power of two that brings a length near 1; 1 where all vectors are zero. */
export function scaleFor(metric: Metric, values: Float32Array, dim: number): number {
  if (metric === 'COSINE') return 1;
  let longest = 0;
  for (let from = 0; from + dim <= values.length; from += dim) {
    const vector = values.subarray(from, from + dim);
    longest = Math.max(longest, dotProduct(vector, vector, 0));
  }
  return longest === 0 ? 1 : 2 ** -Math.round(Math.log2(longest) / 2);
}

const graphName = (entry: AuxiliaryEntry): string => `${entry.key}#graph`;

/** False where a graph is larger than all the memory that graphs may take here. */
export const graphFits = (entry: AuxiliaryEntry, cache: SectionCache): boolean =>
  entry.sizeBytes <= cache.limits.graphBytesMax;

/** The graph if it is in memory now: the first answers do not wait for it. */
export function loadedGraph(entry: AuxiliaryEntry, cache: SectionCache): Graph | undefined {
  const graph = cache.loadedGraph(graphName(entry));
  return graph instanceof Graph && graph.isOpen ? graph : undefined;
}

/**
 * Loads a graph into memory by way of a file in `scratchDir`, which is deleted again; a crash leaves
 * the file there, so a server empties its scratch directory when it starts.
 *
 * Search it before the next `await`, or check `isOpen`: later loads may push it out of the cache.
 *
 * @throws StoreError `DATA_CORRUPT` naming the object; `UNSUPPORTED` where the library is missing;
 *   `OVERLOADED` where the scratch directory takes no more
 */
export function openGraph(
  ports: Readonly<{ objects: ObjectReads }>,
  entry: AuxiliaryEntry,
  scratchDir: string,
  cache: SectionCache,
): Promise<Graph> {
  const load = async () => {
    const graph = await loadGraph(ports.objects, entry, scratchDir);
    return { value: graph, sizeBytes: graph.sizeBytes };
  };
  return cache.graph(graphName(entry), load, entry.sizeBytes);
}

async function loadGraph(
  objects: ObjectReads,
  entry: AuxiliaryEntry,
  scratchDir: string,
): Promise<Graph> {
  const { HierarchicalNSW } = await requireLibrary();
  const { key } = entry;
  const footer = await readFooterFromEnd(objects, entry);
  requireKnown(footer, GRAPH_SECTIONS);
  const facts = decodeFacts(await readSection(objects, key, sectionOf(footer, 'facts')), key);
  const section = sectionOf(footer, 'graph');
  const index = new HierarchicalNSW(spaceOf(facts.metric), facts.dim);
  const folder = await scratch(() => mkdtemp(join(scratchDir, 'graph-')));
  try {
    const path = join(folder, 'graph');
    await copyToFile(objects, key, section, facts, path);
    await index.readIndex(path).catch((error: unknown) => {
      throw new StoreError('DATA_CORRUPT', `${key}: the graph cannot be loaded`, { cause: error });
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  if (index.getCurrentCount() !== facts.rows) {
    throw new StoreError('DATA_CORRUPT', `${key}: a graph of ${index.getCurrentCount()} points`);
  }
  return new Graph(facts, section.length, index);
}

function sectionOf(footer: Footer, name: keyof typeof GRAPH_SECTIONS): Section {
  const section = footer.sections.get(name);
  if (section !== undefined) return section;
  throw new StoreError('DATA_CORRUPT', `${footer.key}: no section ${name}`);
}

/** Verified bytes on their way to the file: one piece is written while the next is read. */
const PIECE_BYTES = 8 * 1024 * 1024;

async function copyToFile(
  objects: ObjectReads,
  key: string,
  section: Section,
  facts: GraphFacts,
  path: string,
): Promise<void> {
  const read = (at: number): Promise<Uint8Array> => {
    const length = Math.min(PIECE_BYTES, section.length - at);
    return readSectionRange(objects, key, section, at, length);
  };
  const file = await scratch(() => open(path, 'wx'));
  try {
    let next = read(0);
    for (let at = 0; at < section.length; at += PIECE_BYTES) {
      const bytes = await next;
      if (at === 0) checkSaved(bytes, key, section.length, facts);
      if (at + PIECE_BYTES < section.length) {
        next = read(at + PIECE_BYTES);
        // Reported when its turn comes, not as an unhandled rejection.
        next.catch(() => {});
      }
      await scratch(() => file.writeFile(bytes));
    }
  } finally {
    await file.close();
  }
}

async function scratch<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new StoreError('OVERLOADED', `the scratch directory failed: ${message}`, {
      cause: error,
    });
  }
}

/**
 * Compares the head of the saved graph with what the object says of it. The library trusts its files:
 * one of another dimension would make it read beyond its memory.
 */
function checkSaved(bytes: Uint8Array, key: string, length: number, facts: GraphFacts): void {
  const { dim, m, rows } = facts;
  const reader = new ByteReader(bytes, `graph of ${key}`);
  const u64 = (): number => Number(reader.i64());
  const links = 2 * m * 4 + 4;
  const perRow = links + dim * 4 + 8;
  const saved = [u64(), u64(), u64(), u64(), u64(), u64()];
  const [firstLevel, rowsMax = 0, count, size, labelAt, dataAt] = saved;
  reader.raw(8);
  const [mMax, mMax0, mSaved] = [u64(), u64(), u64()];
  const matches =
    firstLevel === 0 &&
    count === rows &&
    rowsMax >= rows &&
    size === perRow &&
    labelAt === links + dim * 4 &&
    dataAt === links &&
    mMax === m &&
    mMax0 === 2 * m &&
    mSaved === m &&
    length >= rows * perRow;
  if (!matches) reader.fail('the graph is not the one that its facts describe');
}

export const encodeFacts = (facts: GraphFacts): Uint8Array => Buffer.from(JSON.stringify(facts));

function decodeFacts(bytes: Uint8Array, key: string): GraphFacts {
  let facts: unknown;
  try {
    facts = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    throw new StoreError('DATA_CORRUPT', `${key}: facts that are no JSON`, { cause: error });
  }
  if (isFacts(facts)) return facts;
  throw new StoreError('DATA_CORRUPT', `${key}: facts that describe no graph`);
}

function isFacts(facts: unknown): facts is GraphFacts {
  if (typeof facts !== 'object' || facts === null) return false;
  const { metric, dim, m, efConstruction, rows, scale } = facts as Partial<GraphFacts>;
  const whole = (value: unknown, min: number): boolean =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min;
  return (
    METRICS.some((known) => known === metric) &&
    whole(dim, 1) &&
    whole(m, 2) &&
    whole(efConstruction, 1) &&
    whole(rows, 0) &&
    typeof scale === 'number' &&
    scale > 0 &&
    Number.isFinite(scale)
  );
}
