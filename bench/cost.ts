/**
 * What docs/cost.md needs to know of time: how long the engine is busy with one request, at
 * 100,000 x 768, one client, the platform in the same process.
 *
 * Lambda bills the wall clock of an invocation. The part that is the engine's is measured here, by
 * handing requests to the same handler that a function hands them to; the part that is waiting for
 * DynamoDB and S3 is added by `shared/cli/cost-time.ts` from the number of dependent requests.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openAccess } from '../shared/catalog/access.ts';
import { openTelemetry } from '../shared/local/telemetry.ts';
import { openEmbedded } from '../shared/runtime/embedded.ts';
import { type HttpHandler, http } from '../shared/runtime/http.ts';
import { adminRoutes } from '../shared/service/admin.ts';
import { readRoutes } from '../shared/service/read.ts';
import { writeRoutes } from '../shared/service/write.ts';
import { clusteredVectors, rowOf } from './support/dataset.ts';
import { median, report, spread } from './support/report.ts';

const ROWS = 100_000;
const DIM = 768;
const BATCH = 500;
const ROUNDS = 5;
const QUERIES_PER_ROUND = 200;
/** The share of a query that no segment has: measured where the rows need no graph. */
const FEW_ROWS = 100;

type Ask = (path: string, body: object) => Promise<string>;

async function main(): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'sterna-cost-'));
  const telemetry = openTelemetry({ level: 'error' });
  const engine = await openEmbedded({ dir, telemetry });
  try {
    const access = await openAccess(engine.ports, 'Milvus');
    const handler = http(
      { ...writeRoutes(engine), ...readRoutes(engine), ...adminRoutes(engine) },
      { ...engine.ports, authenticate: (header) => access.authenticate(header) },
    );
    await measureAll((path, body) => ask(handler, path, body));
  } finally {
    await engine.close();
    await rm(dir, { recursive: true, force: true });
  }
}

async function measureAll(call: Ask): Promise<void> {
  const verifying = await timed(() => call('/collections/list', {}));
  const vectors = clusteredVectors(ROWS, DIM, 11);
  await call('/collections/create', { collectionName: 'few', dimension: DIM });
  await fill(call, 'few', vectors, FEW_ROWS);
  await call('/collections/create', { collectionName: 'big', dimension: DIM });
  const started = performance.now();
  const cpuBefore = process.cpuUsage();
  await fill(call, 'big', vectors, ROWS);
  const segments = await untilOneSegment(call, vectors);
  const busySeconds = cpuSeconds(cpuBefore);
  const indexedSeconds = (performance.now() - started) / 1000;

  const few: number[] = [];
  const big: number[] = [];
  const busy: number[] = [];
  await searches(call, 'big', vectors);
  await searches(call, 'few', vectors);
  for (let round = 0; round < ROUNDS; round++) {
    few.push(await searches(call, 'few', vectors));
    const before = process.cpuUsage();
    big.push(await searches(call, 'big', vectors));
    busy.push((cpuSeconds(before) * 1000) / QUERIES_PER_ROUND);
  }
  const single = await inserts(call, vectors, 1);
  const hundred = await inserts(call, vectors, 100);
  report(
    'cost',
    [
      { what: `search, ${ROWS.toLocaleString('en')} rows by graph`, figure: `${spread(big)} ms` },
      { what: 'the same, processor time of the process', figure: `${spread(busy)} ms` },
      { what: `search, ${FEW_ROWS} rows exactly`, figure: `${spread(few)} ms` },
      { what: 'insert of 1 row', figure: `${spread(single)} ms` },
      { what: 'insert of 100 rows', figure: `${spread(hundred)} ms` },
      { what: 'first request of a user, password verified', figure: `${verifying.toFixed(0)} ms` },
      {
        what: 'apply, merge and index, processor time',
        figure: `${((busySeconds * 1000) / ROWS).toFixed(2)} ms a row`,
      },
      { what: 'loaded and indexed after', figure: `${indexedSeconds.toFixed(0)} s` },
    ],
    [
      `${ROWS} x ${DIM}, cosine, k 10, ${QUERIES_PER_ROUND} requests a round, ${ROUNDS} rounds, one after the other, ${segments} segment(s).`,
      'Wall clock per request through the handler, body parsed and reply encoded; tables and objects on the same disk.',
    ],
  );
}

async function ask(handler: HttpHandler, path: string, body: object): Promise<string> {
  const result = await handler(
    {
      rawPath: `/v2/vectordb${path}`,
      headers: { authorization: 'Bearer root:Milvus' },
      requestContext: { requestId: 'bench', http: { method: 'POST' } },
      body: JSON.stringify(body),
      isBase64Encoded: false,
    },
    {},
  );
  if (!/^\{"code":0\b/.test(result.body)) throw new Error(`${path}: ${result.body.slice(0, 300)}`);
  return result.body;
}

async function fill(call: Ask, name: string, vectors: Float32Array, rows: number): Promise<void> {
  for (let first = 0; first < rows; first += BATCH) {
    const data = Array.from({ length: Math.min(BATCH, rows - first) }, (_, index) => ({
      id: first + index,
      vector: Array.from(rowOf(vectors, DIM, first + index)),
    }));
    await call('/entities/insert', { collectionName: name, data });
  }
}

type Explained = Readonly<{ explain: Readonly<{ segments: readonly { method: string }[] }> }>;

/** Waits until an idle shard has merged everything and its graph is loaded; says how many are left. */
async function untilOneSegment(call: Ask, vectors: Float32Array): Promise<number> {
  for (let round = 0; round < 3_600; round++) {
    const body = { ...searchOf('big', vectors, 0), explain: true };
    const { explain } = JSON.parse(await call('/entities/search', body)) as Explained;
    const graphs = explain.segments.filter(({ method }) => method === 'graph');
    if (explain.segments.length === 1 && graphs.length === 1) return 1;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  throw new Error('the shard did not become one segment within an hour');
}

const searchOf = (collectionName: string, vectors: Float32Array, query: number): object => ({
  collectionName,
  data: [Array.from(rowOf(vectors, DIM, query * 37))],
  limit: 10,
});

/** Milliseconds per search. */
async function searches(call: Ask, name: string, vectors: Float32Array): Promise<number> {
  const each: number[] = [];
  for (let query = 0; query < QUERIES_PER_ROUND; query++) {
    const body = searchOf(name, vectors, query);
    each.push(await timed(() => call('/entities/search', body)));
  }
  return median(each);
}

/** Milliseconds per insert, by round. */
async function inserts(call: Ask, vectors: Float32Array, rows: number): Promise<number[]> {
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const each: number[] = [];
    for (let request = 0; request < 20; request++) {
      const data = Array.from({ length: rows }, (_, index) => ({
        id: 1_000_000 + index,
        vector: Array.from(rowOf(vectors, DIM, index)),
      }));
      const body = { collectionName: 'few', data };
      each.push(await timed(() => call('/entities/insert', body)));
    }
    rounds.push(median(each));
  }
  return rounds;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

function cpuSeconds(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

await main();
