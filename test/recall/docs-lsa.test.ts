/**
 * Do we find the neighbours? Real paragraphs as vectors, through HTTP: 1.0 by exact scan while the rows
 * are in the tail and at level 0, and at least 0.95 at default settings once graphs are built.
 *
 * A hit counts when its score ties with the true neighbour's: 767 rows are duplicates of others.
 */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Dataset, loadDocsLsa, rowOf } from '../../bench/support/dataset.ts';
import { startServer, type TestServer } from '../support/server.ts';

const FOLDER = new URL('../../../shared/data/docs-lsa/', import.meta.url).pathname;
const present = existsSync(FOLDER);
if (!present) {
  if (process.env['CI'] !== undefined) throw new Error(`test data is missing: ${FOLDER}`);
  console.warn(`SKIPPED, loudly: the recall test needs ${FOLDER}`);
}

const K = 10;
const BATCH = 1000;
const QUERIES = 200;

describe.runIf(present)('recall on docs-lsa', () => {
  let server: TestServer;
  let data: Dataset;

  beforeAll(async () => {
    data = await loadDocsLsa();
    server = await startServer({ pace: { compactEveryMs: Number.POSITIVE_INFINITY } });
    await server.must('collections/create', { collectionName: 'docs', dimension: data.dim });
    for (let first = 0; first < data.rows; first += BATCH) {
      const rows = Array.from({ length: BATCH }, (_, index) => ({
        id: first + index,
        vector: rowOf(data.base, data.dim, first + index),
      }));
      await server.must('entities/insert', { collectionName: 'docs', data: rows });
    }
  }, 300_000);

  afterAll(() => server?.close());

  test('recall is 1.0 before the build', async () => {
    expect(await recall(server, data, 50)).toBe(1);
  }, 120_000);

  test('recall is at least 0.95 by graph, and every large segment is searched by graph', async () => {
    server = await server.restart({ pace: {} });
    await untilIndexed(server);
    const [index] = await indexes(server);
    expect(index).toMatchObject({ pendingRows: 0, indexedRows: 40_000, totalRows: 40_000 });
    await untilGraphsLoaded(server, data);
    expect(await recall(server, data, QUERIES)).toBeGreaterThanOrEqual(0.95);
  }, 600_000);
});

type IndexFacts = Readonly<{ pendingRows: number; indexedRows: number; totalRows: number }>;
type Explained = Readonly<{ method: string; rows: number; level: number }>;

async function indexes(server: TestServer): Promise<readonly IndexFacts[]> {
  const reply = await server.must('indexes/describe', {
    collectionName: 'docs',
    indexName: 'vector',
  });
  return reply['data'] as readonly IndexFacts[];
}

async function untilIndexed(server: TestServer): Promise<void> {
  for (let round = 0; round < 5000; round++) {
    const [index] = await indexes(server);
    if (index?.pendingRows === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('rows are still pending');
}

/** The first answer does not wait for a graph; a later one has it. */
async function untilGraphsLoaded(server: TestServer, data: Dataset): Promise<void> {
  for (let round = 0; round < 500; round++) {
    const reply = await search(server, data, 0, { explain: true });
    const large = (reply['explain'].segments as readonly Explained[]).filter(
      ({ rows }) => rows >= 5000,
    );
    if (large.length > 0 && large.every(({ method }) => method === 'graph')) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('a large segment is still searched without its graph');
}

const search = (server: TestServer, data: Dataset, query: number, more: object = {}) =>
  server.must('entities/search', {
    collectionName: 'docs',
    data: [rowOf(data.queries, data.dim, query)],
    limit: K,
    ...more,
  });

async function recall(server: TestServer, data: Dataset, queries: number): Promise<number> {
  let hits = 0;
  for (let query = 0; query < queries; query++) {
    const reply = await search(server, data, query);
    const rows = reply['data'] as readonly { id: number }[];
    expect(rows).toHaveLength(K);
    const worst = cosine(data, query, data.truth[query * 100 + K - 1] ?? 0);
    hits += rows.filter(({ id }) => cosine(data, query, id) >= worst - 1e-6).length;
  }
  return hits / (queries * K);
}

function cosine(data: Dataset, query: number, row: number): number {
  const a = rowOf(data.base, data.dim, row);
  const b = rowOf(data.queries, data.dim, query);
  let dot = 0;
  let norm = 0;
  for (const [axis, value] of a.entries()) {
    dot += value * (b[axis] ?? 0);
    norm += value * value;
  }
  return dot / Math.sqrt(norm);
}
