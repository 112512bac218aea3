/**
 * Durable ingest through HTTP, beside the fsync rate of the same disk and beside a script that only
 * parses the body exactly, encodes the rows and writes them once.
 *
 * The contenders take turns within every round; indexing is timed apart, and so are the time from
 * acknowledgement to visibility and from start to first answer.
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseJson } from '../shared/base/json.ts';
import { defineCollection } from '../shared/schema/define.ts';
import { rowsToBatch } from '../shared/schema/row.ts';
import { encodePayload } from '../shared/wal/payload.ts';
import { clusteredVectors, loadDocsLsa, rowOf } from './support/dataset.ts';
import { quantile, type ResultRow, report, spread } from './support/report.ts';
import { type Call, openConnection, startServer, untilIndexed } from './support/server.ts';

const DIM = 256;
const ROUNDS = 5;
const SHAPES = [
  { batch: 1, clients: 1, requests: 200 },
  { batch: 1, clients: 8, requests: 800 },
  { batch: 100, clients: 1, requests: 40 },
  { batch: 100, clients: 8, requests: 80 },
  { batch: 1000, clients: 1, requests: 10 },
  { batch: 1000, clients: 8, requests: 16 },
] as const;

const vectors = clusteredVectors(20_000, DIM, 7);
let nextId = 0;

const bodyOf = (collectionName: string, rows: number): string =>
  JSON.stringify({
    collectionName,
    data: Array.from({ length: rows }, () => ({
      id: nextId++,
      vector: Array.from(rowOf(vectors, DIM, nextId % 20_000)),
      tag: `tag-${nextId % 100}`,
    })),
  });

const create = (call: Call, collectionName: string) =>
  call(
    '/collections/create',
    JSON.stringify({ collectionName, dimension: DIM, metricType: 'COSINE' }),
  );

/** Rows per second over HTTP, acknowledged, with `clients` connections. */
async function overHttp(url: string, shape: (typeof SHAPES)[number]): Promise<number> {
  const bodies = Array.from({ length: shape.requests }, () => bodyOf('ingest', shape.batch));
  const started = performance.now();
  await Promise.all(
    Array.from({ length: shape.clients }, async () => {
      const call = openConnection(url);
      for (let body = bodies.pop(); body !== undefined; body = bodies.pop()) {
        await call('/entities/insert', body);
      }
    }),
  );
  return (shape.requests * shape.batch * 1000) / (performance.now() - started);
}

/** Parse exactly, make columnar, encode, write once, fdatasync: what cannot be avoided. */
function bareScript(dir: string): number {
  const schema = defineCollection({
    enableDynamic: true,
    fields: [
      { name: 'id', type: 'Int64', primaryKey: true },
      { name: 'vector', type: 'FloatVector', dim: DIM },
    ],
  });
  const tombstones = { keys: { type: 'Int64', values: new BigInt64Array(0) }, bounds: [] } as const;
  const bodies = Array.from({ length: 10 }, () => bodyOf('ingest', 1000));
  const file = openSync(join(dir, 'bare'), 'w');
  const started = performance.now();
  for (const body of bodies) {
    const { data } = parseJson(body) as { data: Parameters<typeof rowsToBatch>[1] };
    const rows = rowsToBatch(schema, data, { partitionId: 1 });
    writeSync(file, encodePayload({ schemaVersion: 1, rows, tombstones }));
    fdatasyncSync(file);
  }
  const rate = (bodies.length * 1000 * 1000) / (performance.now() - started);
  closeSync(file);
  return rate;
}

function fsyncsPerSecond(dir: string): number {
  const file = openSync(join(dir, 'fsync'), 'w');
  const block = new Uint8Array(4096);
  const started = performance.now();
  let count = 0;
  for (; count < 200; count++) {
    writeSync(file, block);
    fdatasyncSync(file);
  }
  const rate = (count * 1000) / (performance.now() - started);
  closeSync(file);
  return rate;
}

async function visibility(call: Call): Promise<number[]> {
  const delays: number[] = [];
  for (let round = 0; round < 50; round++) {
    const body = bodyOf('ingest', 1);
    await call('/entities/insert', body);
    const acked = performance.now();
    const id = nextId - 1;
    for (let tries = 0; tries < 1000; tries++) {
      const reply = await call(
        '/entities/get',
        JSON.stringify({ collectionName: 'ingest', id, outputFields: ['id'] }),
      );
      if ((JSON.parse(reply) as { data: unknown[] }).data.length === 1) break;
    }
    delays.push(performance.now() - acked);
  }
  return delays;
}

async function indexing(): Promise<{
  rowsPerSecond: number;
  /** From the last acknowledgement until no row is pending. */
  indexedMs: number;
  firstAnswerMs: number[];
  rows: number;
}> {
  const data = await loadDocsLsa();
  let server = await startServer();
  try {
    const call = openConnection(server.url);
    await call(
      '/collections/create',
      JSON.stringify({ collectionName: 'docs', dimension: data.dim }),
    );
    const started = performance.now();
    for (let first = 0; first < data.rows; first += 1000) {
      const rows = Array.from({ length: 1000 }, (_, index) => ({
        id: first + index,
        vector: Array.from(rowOf(data.base, data.dim, first + index)),
      }));
      await call('/entities/insert', JSON.stringify({ collectionName: 'docs', data: rows }));
    }
    const acknowledged = performance.now();
    await untilIndexed(call, 'docs', 'vector');
    const rowsPerSecond = (data.rows * 1000) / (performance.now() - started);
    const indexedMs = performance.now() - acknowledged;
    const query = JSON.stringify({
      collectionName: 'docs',
      data: [Array.from(rowOf(data.queries, data.dim, 0))],
      limit: 10,
    });
    const firstAnswerMs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await server.stop();
      const before = performance.now();
      server = await startServer(server.dir);
      await openConnection(server.url)('/entities/search', query);
      firstAnswerMs.push(performance.now() - before);
    }
    return { rowsPerSecond, indexedMs, firstAnswerMs, rows: data.rows };
  } finally {
    await server.remove();
  }
}

async function main(): Promise<void> {
  const server = await startServer();
  const scratch = mkdtempSync(join(tmpdir(), 'sterna-bench-'));
  try {
    const call = openConnection(server.url);
    await create(call, 'ingest');
    await call('/entities/insert', bodyOf('ingest', 100));
    const rates = SHAPES.map((): number[] => []);
    const bare: number[] = [];
    const fsyncs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      fsyncs.push(fsyncsPerSecond(scratch));
      bare.push(bareScript(scratch));
      for (const [index, shape] of SHAPES.entries())
        rates[index]?.push(await overHttp(server.url, shape));
    }
    const delays = await visibility(call);
    const { rowsPerSecond, indexedMs, firstAnswerMs, rows } = await indexing();
    const rate = (index: number) => quantile(rates[index] ?? [], 0.5);
    const table: ResultRow[] = [
      ...SHAPES.map(({ batch, clients }, index) => ({
        what: `Sterna over HTTP, batches of ${batch}, ${clients} client${clients === 1 ? '' : 's'}`,
        figure: `${spread(rates[index] ?? [])} rows/s`,
      })),
      {
        what: 'script: parse exactly, encode, write once, batches of 1000',
        figure: `${spread(bare)} rows/s`,
      },
      { what: 'fdatasync of 4 KiB on the same disk', figure: `${spread(fsyncs)} /s` },
      { what: 'acknowledged to visible', figure: `${spread(delays)} ms` },
      {
        what: `load and index ${rows} x ${DIM} (docs-lsa), batches of 1000`,
        figure: `${Math.round(rowsPerSecond)} rows/s`,
      },
      {
        what: `index alone: ${rows} rows, from the last acknowledgement until none is pending`,
        figure: `${Math.round((rows * 1000) / indexedMs)} rows/s`,
      },
      {
        what: 'process start to first search answered, 40,000 rows',
        figure: `${spread(firstAnswerMs)} ms`,
      },
    ];
    report('ingest', table, [
      `${DIM} dimensions, one key and one dynamic field; ${ROUNDS} rounds, contenders in turn, one server throughout.`,
      `Batches of 1000 by one client run at ${(rate(4) / quantile(bare, 0.5)).toFixed(2)} of the script (goal: at least 0.3).`,
      `Eight clients with single rows run at ${(rate(1) / rate(0)).toFixed(2)} of one client (goal: at least 2).`,
    ]);
  } finally {
    await server.remove();
    rmSync(scratch, { recursive: true, force: true });
  }
}

await main();
