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
import {
  BUSY,
  type Busy,
  classify,
  latencies,
  p99ByCycle,
  type Sample,
} from './support/classes.ts';
import { type Mixture, openMixture } from './support/mixture.ts';
import { quantile, type ResultRow, report, spread } from './support/report.ts';
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
    /** Upserts a second; a fifth as many rows are deleted and inserted. */
    upserts: { type: 'string', default: '100' },
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
const STALL_MS = 10;
const MIB = 2 ** 20;

const nowMs = () => performance.timeOrigin + performance.now();
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const dataOf = (rows: Mixture, keys: readonly number[]) =>
  keys.map((id) => ({ id, vector: Array.from(rows.renew(id)) }));

/** What writes have been acknowledged. */
const acked = { upserted: 0, inserted: 0, deleted: 0 };
const rowBytes = DIM * 4 + 8;
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

type Recall = Readonly<{ churn: number; recall: number; byGraph: number; segments: number }>;

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

type Space = Readonly<{
  total: number;
  allocated: number;
  live: number;
  kinds: Record<string, number>;
}>;

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

type Marks = Readonly<{
  written: Watched['written'];
  io: Awaited<ReturnType<WatchedServer['io']>>;
  bytes: number;
  serverSeconds: number;
  machineSeconds: number;
  atMs: number;
}>;

async function mark(server: WatchedServer, seen: (watched: Watched) => Watched): Promise<Marks> {
  const { written } = seen(await server.ask());
  return {
    written,
    io: await server.io(),
    bytes: ackedBytes(),
    serverSeconds: await server.processorSeconds(),
    machineSeconds: await machineSeconds(),
    atMs: nowMs(),
  };
}

async function main(): Promise<void> {
  const server = await startWatched();
  try {
    const rows = await openMixture(ROWS, DIM, SEED);
    const call = openConnection(server.url);
    const intervals: Interval[] = [];
    const stalls: Stall[] = [];
    const seen = (watched: Watched): Watched => {
      intervals.push(...watched.intervals);
      stalls.push(...watched.stalls);
      return watched;
    };
    await call('/collections/list', '{}');
    const emptyBytes = await server.residentBytes();
    const marks = [await mark(server, seen)];
    await load(call, rows);
    marks.push(await mark(server, seen));
    const loadPeakBytes = await server.residentPeakBytes();
    const spaces = [await spaceNow(server, rows)];
    const recalls = [await recallNow(call, rows)];
    console.log(`loaded and indexed ${ROWS} rows, recall ${recalls[0]?.recall}`);
    await server.forgetPeak();
    const samples: Sample[] = [];
    const writeMs: number[] = [];
    const loads: number[] = [];
    const resident: number[] = [];
    const reading: Reading = { writing: undefined, cycle: 0, paused: false, ended: false };
    const read = readOn(server.url, rows, reading, samples);
    const endMs = nowMs() + MINUTES * 60_000;
    for (; nowMs() < endMs; reading.cycle += 1) {
      reading.writing = true;
      await writeOn(call, rows, Math.min(endMs, nowMs() + WRITING_MS), writeMs);
      reading.writing = undefined;
      loads.push(loadavg()[0] ?? 0);
      reading.paused = true;
      recalls.push(await recallNow(call, rows));
      reading.paused = false;
      await sleep(CALM_MS);
      reading.writing = false;
      await sleep(QUIET_MS);
      reading.writing = undefined;
      seen(await server.ask());
      loads.push(loadavg()[0] ?? 0);
      resident.push(await server.residentBytes());
      spaces.push(await spaceNow(server, rows));
      const { churn, recall, byGraph } = recalls.at(-1) ?? { churn: 0, recall: 0, byGraph: 0 };
      const { total = 0, live = 1 } = spaces.at(-1) ?? {};
      console.log(
        `cycle ${reading.cycle}: churn ${churn.toFixed(2)}, recall ${recall}, by graph ${byGraph.toFixed(2)}, space ${(total / live).toFixed(1)}, load ${loads.at(-1)}`,
      );
    }
    reading.ended = true;
    await read;
    await untilIndexed(call, NAME, 'vector');
    recalls.push(await recallNow(call, rows));
    marks.push(await mark(server, seen));
    const peakBytes = await server.residentPeakBytes();
    const found = { samples, intervals, stalls, recalls, spaces, writeMs, loads, resident, marks };
    if (given.raw !== undefined) {
      writeFileSync(given.raw, JSON.stringify({ ...found, emptyBytes, loadPeakBytes, peakBytes }));
    }
    conclude({ ...found, emptyBytes, loadPeakBytes, peakBytes });
  } finally {
    await server.remove();
  }
}

type Found = Readonly<{
  samples: readonly Sample[];
  intervals: readonly Interval[];
  stalls: readonly Stall[];
  recalls: readonly Recall[];
  spaces: readonly Space[];
  writeMs: readonly number[];
  loads: readonly number[];
  resident: readonly number[];
  marks: readonly Marks[];
  emptyBytes: number;
  loadPeakBytes: number;
  peakBytes: number;
}>;

const mib = (bytes: number): string => `${Math.round(bytes / MIB)} MiB`;

function conclude(found: Found): void {
  const classed = classify(found.samples, found.intervals);
  const of = (kind: Sample['kind'], writing: boolean, busy: readonly Busy[]) =>
    classed.filter(
      (sample) => sample.kind === kind && sample.writing === writing && busy.includes(sample.busy),
    );
  const p99 = (samples: readonly Sample[]) => quantile(latencies(samples), 0.99);
  const rows: ResultRow[] = [];
  for (const kind of ['search', 'get'] as const) {
    const rest = p99(of(kind, false, ['nothing']));
    for (const writing of [false, true]) {
      for (const busy of BUSY) {
        const own = of(kind, writing, [busy]);
        const times = latencies(own);
        const byCycle = p99ByCycle(own);
        rows.push({
          read: kind,
          beside: `${writing ? 'writes' : 'no writes'}, ${busy === 'nothing' ? 'no maintenance' : busy}`,
          count: String(own.length),
          'p50 ms': quantile(times, 0.5).toFixed(1),
          'p99 ms': p99(own).toFixed(1),
          'p99 by cycle': byCycle.length === 0 ? '' : spread(byCycle),
          'longest ms': times.length === 0 ? '' : Math.max(...times).toFixed(0),
          'p99 of rest': (p99(own) / rest).toFixed(1),
        });
      }
    }
  }
  report('mixed', rows, notesOf(found, p99(of('search', false, ['nothing']))));
}

function notesOf(found: Found, restMs: number): readonly string[] {
  const { marks, spaces, recalls, intervals, stalls } = found;
  const [empty, loaded, end] = marks;
  if (empty === undefined || loaded === undefined || end === undefined) return [];
  const total = (from: Marks, to: Marks): number => sumOf(to.written) - sumOf(from.written);
  const bytes = end.bytes - loaded.bytes;
  const parts = Object.keys(end.written)
    .map((kind): [string, number] => [
      kind,
      ((end.written[kind] ?? 0) - (loaded.written[kind] ?? 0)) / bytes,
    ])
    .sort((a, b) => b[1] - a[1])
    .map(([kind, share]) => `${kind} ${share.toFixed(1)}`);
  const seconds = (end.atMs - loaded.atMs) / 1000;
  const spent = end.serverSeconds - loaded.serverSeconds;
  const others = end.machineSeconds - loaded.machineSeconds - spent - process.cpuUsage().user / 1e6;
  const halfway = recalls.filter(({ churn }) => churn >= 0.5);
  const last = spaces.at(-1);
  const lengths = (kind: Interval['kind'], from: readonly Interval[]) =>
    from
      .filter((one) => one.kind === kind && one.fromMs >= loaded.atMs)
      .map((one) => one.toMs - one.fromMs);
  const own = classify(stalls, intervals).filter(
    (stall) => stall.fromMs >= loaded.atMs && stall.workedMs >= STALL_MS,
  );
  const stood = BUSY.map((busy) => {
    const here = own.filter((stall) => stall.busy === busy).map((stall) => stall.workedMs);
    return `${here.length} times beside ${busy === 'nothing' ? 'no maintenance' : `a ${busy}`} (${Math.max(0, ...here).toFixed(0)} ms at the most)`;
  });
  return [
    `${ROWS} x ${DIM} mixed of docs-lsa, seed ${SEED}; ${MINUTES} minutes, in turn ${WRITING_MS / 1000} s of writes and ${QUIET_MS / 1000} s of none; ${1000 / SEARCH_EVERY_MS} searches and ${1000 / GET_EVERY_MS} gets a second throughout, ${UPSERTS_PER_SECOND} rows a second written (nine in eleven upserts, one insert, one delete by filter).`,
    `Goal: p99 of searches during maintenance at most twice the p99 at rest, ${restMs.toFixed(1)} ms.`,
    `Merges were under way ${share(lengths('merge', intervals), seconds)} of the time, builds of graphs ${share(lengths('build', intervals), seconds)}. The serving thread itself worked for ${STALL_MS} ms or more without a pause: ${stood.join(', ')}; besides, it waited for its turn.`,
    `Written through the ports for each byte of rows acknowledged (a row is ${rowBytes} bytes, a deleted key 8): ${(total(loaded, end) / bytes).toFixed(1)} under the mixed load (${parts.join(', ')}), ${(total(empty, loaded) / (loaded.bytes - empty.bytes)).toFixed(1)} while loading.`,
    `By the kernel's count, scratch files and whole pages included: ${((end.io.written - loaded.io.written) / bytes).toFixed(1)} written, ${((end.io.toDisk - loaded.io.toDisk) / bytes).toFixed(1)} reached the disk; while loading ${((loaded.io.written - empty.io.written) / loaded.bytes).toFixed(1)} and ${((loaded.io.toDisk - empty.io.toDisk) / loaded.bytes).toFixed(1)}.`,
    `The directory for each byte of live rows: ${spaces.map((space) => (space.total / space.live).toFixed(1)).join(', ')} after loading and after each cycle (what is retired stays for at least 15 minutes); at the end ${mib(last?.total ?? 0)}: ${Object.entries(
      last?.kinds ?? {},
    )
      .sort((a, b) => b[1] - a[1])
      .map(([kind, size]) => `${kind} ${(size / (last?.live ?? 1)).toFixed(1)}`)
      .join(', ')}.`,
    `Recall@10 beside exact comparison, by share of the first rows replaced or deleted: ${recalls.map(({ churn, recall }) => `${recall.toFixed(3)} at ${Math.round(churn * 100)} %`).join(', ')}; ${spread(halfway.map(({ recall }) => recall))} from half on (goal: at least 0.95). ${Math.round((recalls.at(-1)?.byGraph ?? 0) * 100)} % of the rows were searched by graph at the end.`,
    `Resident: ${mib(found.emptyBytes)} empty, ${mib(found.loadPeakBytes)} at the most while loading, ${mib(found.peakBytes)} at the most under the mixed load, ${mib(Math.max(...found.resident))} between; the caches may take 256 MiB of sections and 2 GiB of graphs, the vectors are ${mib(ROWS * DIM * 4)}.`,
    `Writes took ${quantile(found.writeMs, 0.5).toFixed(1)} ms in the median, p99 ${quantile(found.writeMs, 0.99).toFixed(1)} ms.`,
    `The server took ${(spent / seconds).toFixed(2)} of a processor, other work on the machine ${(others / seconds).toFixed(2)} of ${2}; load average ${spread(found.loads)}.`,
  ];
}

const sumOf = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);
const share = (lengthsMs: readonly number[], seconds: number): string =>
  `${((lengthsMs.reduce((sum, ms) => sum + ms, 0) / seconds / 1000) * 100).toFixed(1)} %`;

await main();
