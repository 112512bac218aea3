/**
 * Upserts, deletes, inserts and reads for half an hour, on a real directory through a real server:
 * write and space amplification, reads during maintenance beside reads at rest, recall under churn,
 * memory.
 *
 * Times of writing and quiet ones take turns, and reads come at an even pace through both, whether
 * the one before was answered or not. Each read counts where the server was when it was under way: at
 * a merge, at the build of a graph, at neither; beside writes, or not.
 */
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import type { Sample } from './support/classes.ts';
import {
  bareRowBytes,
  type Found,
  type Marks,
  type Plan,
  type Recall,
  reportMixed,
  type Space,
} from './support/mixed-report.ts';
import { type Mixture, openMixture } from './support/mixture.ts';
import { type Call, openConnection, untilIndexed } from './support/server.ts';
import {
  directoryBytes,
  type Interval,
  type Stall,
  startWatched,
  type Watched,
  type WatchedServer,
} from './support/watch.ts';

const { values: given } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    rows: { type: 'string', default: '100000' },
    dim: { type: 'string', default: '128' },
    seed: { type: 'string', default: '5' },
    /** A tenth of its turns is a delete of two batches and an insert of as many instead. */
    upserts: { type: 'string', default: '100' },
    /** A file for all that was measured, as JSON. */
    raw: { type: 'string' },
  },
});
const MINUTES = Number(given.minutes);
const ROWS = Number(given.rows);
const DIM = Number(given.dim);
const SEED = Number(given.seed);
const UPSERTS_PER_SECOND = Number(given.upserts);

const NAME = 'mixed';
const K = 10;
const WRITING_MS = 110_000;
const QUIET_MS = 70_000;
/** Apply is through with the last writes by then. */
const CALM_MS = 3_000;
const SEARCH_EVERY_MS = 50;
const GET_EVERY_MS = 100;
const BATCH = 20;
const RECALL_QUERIES = 100;

const PLAN: Plan = {
  rows: ROWS,
  dim: DIM,
  seed: SEED,
  minutes: MINUTES,
  upsertsPerSecond: UPSERTS_PER_SECOND,
  searchesPerSecond: 1000 / SEARCH_EVERY_MS,
  getsPerSecond: 1000 / GET_EVERY_MS,
  writingMs: WRITING_MS,
  quietMs: QUIET_MS,
};

const nowMs = () => performance.timeOrigin + performance.now();
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const dataOf = (rows: Mixture, keys: readonly number[]) =>
  keys.map((id) => ({ id, vector: Array.from(rows.renew(id)) }));

/** What writes have been acknowledged. */
const acked = { upserted: 0, inserted: 0, deleted: 0 };
const rowBytes = bareRowBytes(DIM);
const ackedBytes = () => (acked.upserted + acked.inserted) * rowBytes + acked.deleted * 8;

type Reading = { writing: boolean | undefined; cycle: number; paused: boolean; ended: boolean };

/** Reads at an even pace until told to end. */
async function readOn(
  url: string,
  rows: Mixture,
  reading: Reading,
  samples: Sample[],
): Promise<void> {
  const calls = Array.from({ length: 8 }, () => openConnection(url));
  const bodies = Array.from({ length: 500 }, (_, query) => searchBody(rows, query));
  let next = 0;
  let failed = 0;
  const ask = async (kind: Sample['kind'], path: string, body: string): Promise<void> => {
    const call = calls[next++ % calls.length];
    const { writing, cycle } = reading;
    const fromMs = nowMs();
    await call?.(path, body);
    // One that began in one phase and ended in another belongs to neither.
    if (reading.writing === writing) samples.push({ kind, fromMs, toMs: nowMs(), writing, cycle });
  };
  const even = async (everyMs: number, send: () => Promise<void>): Promise<void> => {
    for (let dueMs = nowMs(); !reading.ended; dueMs += everyMs) {
      const waitMs = dueMs - nowMs();
      if (waitMs > 0) await sleep(waitMs);
      else if (waitMs < -1000) dueMs = nowMs();
      if (!reading.paused) {
        send().catch((error: unknown) => {
          failed += 1;
          if (failed < 10) console.error(String(error));
        });
      }
    }
  };
  await Promise.all([
    even(SEARCH_EVERY_MS, () => ask('search', '/entities/search', bodies[next % 500] ?? '')),
    even(GET_EVERY_MS, () =>
      ask(
        'get',
        '/entities/get',
        JSON.stringify({ collectionName: NAME, id: [rows.pick()], outputFields: ['id'] }),
      ),
    ),
  ]);
  if (failed > 0) throw new Error(`${failed} reads failed`);
}

const searchBody = (rows: Mixture, query: number): string =>
  JSON.stringify({
    collectionName: NAME,
    data: [Array.from(rows.query(query))],
    limit: K,
    annsField: 'vector',
  });

/** Writes at an even pace, one after the other, until `untilMs`. */
async function writeOn(call: Call, rows: Mixture, untilMs: number, times: number[]): Promise<void> {
  const everyMs = (BATCH * 1000) / UPSERTS_PER_SECOND;
  const timed = async (path: string, body: object): Promise<void> => {
    const before = nowMs();
    await call(path, JSON.stringify(body));
    times.push(nowMs() - before);
  };
  for (let turn = 0, dueMs = nowMs(); nowMs() < untilMs; turn++, dueMs += everyMs) {
    await sleep(Math.max(0, dueMs - nowMs()));
    if (turn % 10 === 9) {
      const gone = distinct(BATCH * 2, rows);
      await timed('/entities/delete', {
        collectionName: NAME,
        filter: `id in [${gone.join(',')}]`,
      });
      for (const key of gone) rows.remove(key);
      acked.deleted += gone.length;
      const data = dataOf(
        rows,
        Array.from({ length: BATCH * 2 }, () => rows.nextKey()),
      );
      await timed('/entities/insert', { collectionName: NAME, data });
      acked.inserted += data.length;
    } else {
      const data = dataOf(rows, distinct(BATCH, rows));
      await timed('/entities/upsert', { collectionName: NAME, data });
      acked.upserted += data.length;
    }
  }
}

function distinct(count: number, rows: Mixture): readonly number[] {
  const keys = new Set<number>();
  while (keys.size < count) keys.add(rows.pick());
  return [...keys];
}

async function recallNow(call: Call, rows: Mixture): Promise<Recall> {
  let hits = 0;
  for (let index = 0; index < RECALL_QUERIES; index++) {
    // Not the queries that are asked all the time.
    const query = 500 + index;
    const reply = JSON.parse(await call('/entities/search', searchBody(rows, query))) as {
      data: readonly { id: number }[];
    };
    hits += rows.hits(
      rows.query(query),
      reply.data.map(({ id }) => id),
      K,
    );
  }
  const body = { ...JSON.parse(searchBody(rows, 500)), explain: true };
  const { explain } = JSON.parse(await call('/entities/search', JSON.stringify(body))) as {
    explain: { segments: readonly { rows: number; method: string }[] };
  };
  const all = explain.segments.reduce((sum, segment) => sum + segment.rows, 0);
  const graph = explain.segments.filter(({ method }) => method === 'graph');
  return {
    churn: rows.churn(),
    recall: hits / (RECALL_QUERIES * K),
    byGraph: graph.reduce((sum, segment) => sum + segment.rows, 0) / all,
    segments: explain.segments.length,
  };
}

const spaceNow = async (server: WatchedServer, rows: Mixture): Promise<Space> => ({
  ...(await directoryBytes(server.dir)),
  live: rows.live * rowBytes,
});

/** Seconds of processor time that the whole machine has worked so far. */
async function machineSeconds(): Promise<number> {
  const fields =
    (await readFile('/proc/stat', 'utf8')).split('\n')[0]?.split(/\s+/).slice(1, 9) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, soft = 0] = fields.map(Number);
  return (user + nice + system + irq + soft) / 100;
}

async function load(call: Call, rows: Mixture): Promise<void> {
  await call(
    '/collections/create',
    JSON.stringify({
      collectionName: NAME,
      schema: {
        fields: [
          { fieldName: 'id', dataType: 'Int64', isPrimary: true },
          { fieldName: 'vector', dataType: 'FloatVector', elementTypeParams: { dim: String(DIM) } },
        ],
      },
      indexParams: [{ fieldName: 'vector', indexName: 'vector', metricType: 'COSINE' }],
    }),
  );
  for (let first = 0; first < ROWS; first += 1000) {
    const data = dataOf(
      rows,
      Array.from({ length: Math.min(1000, ROWS - first) }, () => rows.nextKey()),
    );
    await call('/entities/insert', JSON.stringify({ collectionName: NAME, data }));
    acked.inserted += data.length;
  }
  await untilIndexed(call, NAME, 'vector');
}

async function mark(server: WatchedServer, seen: Seen): Promise<Marks> {
  const { written } = await askServer(server, seen);
  return {
    written,
    io: await server.io(),
    bytes: ackedBytes(),
    serverSeconds: await server.processorSeconds(),
    machineSeconds: await machineSeconds(),
    atMs: nowMs(),
  };
}

/** What was seen so far; of the server's intervals each is told once. */
type Seen = {
  readonly samples: Sample[];
  readonly intervals: Interval[];
  readonly stalls: Stall[];
  readonly recalls: Recall[];
  readonly spaces: Space[];
  readonly writeMs: number[];
  readonly loads: number[];
  readonly resident: number[];
  readonly marks: Marks[];
};

async function askServer(server: WatchedServer, seen: Seen): Promise<Watched> {
  const watched = await server.ask();
  seen.intervals.push(...watched.intervals);
  seen.stalls.push(...watched.stalls);
  return watched;
}

/** Writes, then none, until the time is over; reads all the while. */
async function mix(server: WatchedServer, call: Call, rows: Mixture, seen: Seen): Promise<void> {
  const reading: Reading = { writing: undefined, cycle: 0, paused: false, ended: false };
  const read = readOn(server.url, rows, reading, seen.samples);
  const endMs = nowMs() + MINUTES * 60_000;
  for (; nowMs() < endMs; reading.cycle += 1) {
    reading.writing = true;
    await writeOn(call, rows, Math.min(endMs, nowMs() + WRITING_MS), seen.writeMs);
    reading.writing = undefined;
    seen.loads.push(loadavg()[0] ?? 0);
    reading.paused = true;
    const recall = await recallNow(call, rows);
    reading.paused = false;
    await sleep(CALM_MS);
    reading.writing = false;
    await sleep(QUIET_MS);
    reading.writing = undefined;
    await askServer(server, seen);
    const space = await spaceNow(server, rows);
    seen.recalls.push(recall);
    seen.spaces.push(space);
    seen.loads.push(loadavg()[0] ?? 0);
    seen.resident.push(await server.residentBytes());
    console.log(
      `cycle ${reading.cycle}: churn ${recall.churn.toFixed(2)}, recall ${recall.recall}, by graph ${recall.byGraph.toFixed(2)}, space ${(space.total / space.live).toFixed(1)}, load ${seen.loads.at(-1)}`,
    );
  }
  reading.ended = true;
  await read;
}

async function measure(server: WatchedServer): Promise<Found> {
  const rows = await openMixture(ROWS, DIM, SEED);
  const call = openConnection(server.url);
  const seen: Seen = {
    ...{ samples: [], intervals: [], stalls: [], recalls: [], spaces: [] },
    ...{ writeMs: [], loads: [], resident: [], marks: [] },
  };
  await call('/collections/list', '{}');
  const emptyBytes = await server.residentBytes();
  seen.marks.push(await mark(server, seen));
  await load(call, rows);
  seen.marks.push(await mark(server, seen));
  const loadPeakBytes = await server.residentPeakBytes();
  seen.spaces.push(await spaceNow(server, rows));
  seen.recalls.push(await recallNow(call, rows));
  console.log(`loaded and indexed ${ROWS} rows`);
  await server.forgetPeak();
  await mix(server, call, rows, seen);
  // What merging and indexing owe is counted as well.
  await untilIndexed(call, NAME, 'vector');
  seen.recalls.push(await recallNow(call, rows));
  seen.marks.push(await mark(server, seen));
  const peakBytes = await server.residentPeakBytes();
  return { plan: PLAN, ...seen, emptyBytes, loadPeakBytes, peakBytes };
}

async function main(): Promise<void> {
  const server = await startWatched();
  try {
    const found = await measure(server);
    if (given.raw !== undefined) writeFileSync(given.raw, JSON.stringify(found));
    reportMixed(found);
  } finally {
    await server.remove();
  }
}

await main();
