/**
 * Warm search through HTTP beside the ANN library in process, and beside the same server's exact scan.
 *
 * The contenders take turns within every round. Same vectors, same queries, same k; the library runs
 * with the server's default effort. A hit counts when its score ties with the true neighbour's.
 */
import { createRequire } from 'node:module';
import { type Dataset, loadDocsLsa, rowOf } from './support/dataset.ts';
import { median, quantile, report, spread } from './support/report.ts';
import {
  type Call,
  openConnection,
  startServer,
  untilIndexed,
  untilSettled,
} from './support/server.ts';

const ROUNDS = 5;
const QUERIES_PER_ROUND = 400;
const K = 10;
const EF = 64;
const BATCH = 1000;

type Round = { qps: number[]; p50: number[]; p99: number[]; recall: number[] };
const emptyRound = (): Round => ({ qps: [], p50: [], p99: [], recall: [] });

type Search = (query: number) => Promise<readonly number[]>;

async function main(): Promise<void> {
  const data = await loadDocsLsa();
  const server = await startServer();
  const call = openConnection(server.url);
  try {
    await fill(call, 'docs', 'AUTOINDEX', data);
    await fill(call, 'docs_flat', 'FLAT', data);
    const first = Array.from(rowOf(data.queries, data.dim, 0));
    await untilSettled(call, { collectionName: 'docs', data: [first], limit: 1 });
    const library = buildLibrary(data);
    const contenders: [string, number, Search][] = [
      ['hnswlib-node in process', 1, library],
      ['Sterna over HTTP', 1, over(openConnection(server.url), 'docs', data)],
      ['Sterna over HTTP', 8, over(pool(server.url, 8), 'docs', data)],
      ['Sterna over HTTP, exact (FLAT)', 1, over(openConnection(server.url), 'docs_flat', data)],
    ];
    for (const [, , search] of contenders)
      for (let query = 0; query < 50; query++) await search(query);
    const results = contenders.map(() => emptyRound());
    for (let round = 0; round < ROUNDS; round++) {
      for (const [index, [, clients, search]] of contenders.entries()) {
        await measure(search, clients, round, data, results[index] ?? emptyRound());
      }
    }
    const reference = median(results[0]?.qps ?? []);
    report(
      'search',
      contenders.map(([name, clients], index) => {
        const { qps, p50, p99, recall } = results[index] ?? emptyRound();
        return {
          contender: name,
          clients: String(clients),
          QPS: spread(qps),
          'of the library': (median(qps) / reference).toFixed(2),
          'p50 ms': spread(p50),
          'p99 ms': spread(p99),
          'recall@10': median(recall).toFixed(4),
        };
      }),
      [
        `docs-lsa, ${data.rows} x ${data.dim}, cosine, k ${K}, ${QUERIES_PER_ROUND} queries a round, ${ROUNDS} rounds, contenders in turn.`,
        `Median search by graph takes ${(median(results[1]?.p50 ?? []) / median(results[3]?.p50 ?? [])).toFixed(3)} of the same server's exact scan (goal: at most 0.25).`,
      ],
    );
  } finally {
    await server.remove();
  }
}

async function fill(
  call: Call,
  collectionName: string,
  indexType: string,
  data: Dataset,
): Promise<void> {
  await call(
    '/collections/create',
    JSON.stringify({
      collectionName,
      schema: {
        fields: [
          { fieldName: 'id', dataType: 'Int64', isPrimary: true },
          {
            fieldName: 'vector',
            dataType: 'FloatVector',
            elementTypeParams: { dim: String(data.dim) },
          },
        ],
      },
      indexParams: [{ fieldName: 'vector', indexName: 'vector', metricType: 'COSINE', indexType }],
    }),
  );
  for (let first = 0; first < data.rows; first += BATCH) {
    const rows = Array.from({ length: Math.min(BATCH, data.rows - first) }, (_, index) => ({
      id: first + index,
      vector: Array.from(rowOf(data.base, data.dim, first + index)),
    }));
    await call('/entities/insert', JSON.stringify({ collectionName, data: rows }));
  }
  await untilIndexed(call, collectionName, 'vector');
}

function over(call: Call, collectionName: string, data: Dataset): Search {
  const bodies = Array.from({ length: data.queryCount }, (_, query) =>
    JSON.stringify({
      collectionName,
      data: [Array.from(rowOf(data.queries, data.dim, query))],
      limit: K,
      annsField: 'vector',
    }),
  );
  return async (query) => {
    const reply = JSON.parse(await call('/entities/search', bodies[query] ?? '')) as {
      data: readonly { id: number }[];
    };
    return reply.data.map(({ id }) => id);
  };
}

/** As many connections as clients, in rotation. */
function pool(url: string, clients: number): Call {
  const connections = Array.from({ length: clients }, () => openConnection(url));
  let next = 0;
  return (path, body) => {
    next = (next + 1) % clients;
    return connections[next]?.(path, body) ?? Promise.reject(new Error('no connection'));
  };
}

type Library = Readonly<{
  HierarchicalNSW: new (
    space: string,
    dim: number,
  ) => {
    initIndex(rows: number, m: number, efConstruction: number, seed: number): void;
    addPoint(point: number[], label: number): void;
    setEf(ef: number): void;
    searchKnn(query: number[], k: number): { neighbors: number[] };
  };
}>;

function buildLibrary(data: Dataset): Search {
  const { HierarchicalNSW } = createRequire(import.meta.url)('hnswlib-node') as Library;
  const index = new HierarchicalNSW('cosine', data.dim);
  index.initIndex(data.rows, 16, 200, 100);
  for (let row = 0; row < data.rows; row++)
    index.addPoint(Array.from(rowOf(data.base, data.dim, row)), row);
  index.setEf(EF);
  const queries = Array.from({ length: data.queryCount }, (_, query) =>
    Array.from(rowOf(data.queries, data.dim, query)),
  );
  return (query) => Promise.resolve(index.searchKnn(queries[query] ?? [], K).neighbors);
}

async function measure(
  search: Search,
  clients: number,
  round: number,
  data: Dataset,
  into: Round,
): Promise<void> {
  const latencies: number[] = [];
  let hits = 0;
  let next = 0;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (next < QUERIES_PER_ROUND) {
        const query = (round * QUERIES_PER_ROUND + next++) % data.queryCount;
        const before = performance.now();
        const found = await search(query);
        latencies.push(performance.now() - before);
        hits += hitsOf(found, query, data);
      }
    }),
  );
  into.qps.push((latencies.length * 1000) / (performance.now() - started));
  into.p50.push(quantile(latencies, 0.5));
  into.p99.push(quantile(latencies, 0.99));
  into.recall.push(hits / (latencies.length * K));
}

function hitsOf(found: readonly number[], query: number, data: Dataset): number {
  const score = (row: number): number => {
    let dot = 0;
    let norm = 0;
    for (let axis = 0; axis < data.dim; axis++) {
      const value = data.base[row * data.dim + axis] ?? 0;
      dot += value * (data.queries[query * data.dim + axis] ?? 0);
      norm += value * value;
    }
    return dot / Math.sqrt(norm);
  };
  const worst = score(data.truth[query * 100 + K - 1] ?? 0);
  return found.slice(0, K).filter((row) => score(row) >= worst - 1e-6).length;
}

await main();
