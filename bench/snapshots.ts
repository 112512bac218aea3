/**
 * Snapshots and clones of collections of 10,000, 100,000 and a million rows, in turn in every round,
 * through one server: they should take the same time, calls and bytes, whatever the size.
 *
 * Indexes are FLAT, so that a million rows are loaded in minutes; a graph is one key more in the same
 * manifest.
 */
import { parseArgs } from 'node:util';
import { between } from './support/counting.ts';
import { clusteredVectors, rowOf } from './support/dataset.ts';
import { median, type ResultRow, report, spread } from './support/report.ts';
import { type Call, openConnection } from './support/server.ts';
import { startWatched, type Watched, type WatchedServer } from './support/watch.ts';

const { values: given } = parseArgs({
  options: {
    rows: { type: 'string', default: '10000,100000,1000000' },
    rounds: { type: 'string', default: '31' },
  },
});
const SIZES = given.rows.split(',').map(Number);
const ROUNDS = Number(given.rounds);
const DIM = 8;
const BATCH = 5000;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const nameOf = (rows: number): string => `rows_${rows}`;

async function fill(call: Call, rows: number): Promise<void> {
  const collectionName = nameOf(rows);
  await call(
    '/collections/create',
    JSON.stringify({
      collectionName,
      schema: {
        fields: [
          { fieldName: 'id', dataType: 'Int64', isPrimary: true },
          { fieldName: 'vector', dataType: 'FloatVector', elementTypeParams: { dim: String(DIM) } },
        ],
      },
      indexParams: [
        { fieldName: 'vector', indexName: 'vector', metricType: 'L2', indexType: 'FLAT' },
      ],
    }),
  );
  const vectors = clusteredVectors(BATCH, DIM, 3);
  for (let first = 0; first < rows; first += BATCH) {
    const data = Array.from({ length: Math.min(BATCH, rows - first) }, (_, index) => ({
      id: first + index,
      vector: Array.from(rowOf(vectors, DIM, index)),
    }));
    await untilTaken(call, '/entities/insert', JSON.stringify({ collectionName, data }));
  }
}

/** A write that the server has no room for yet is sent again. */
async function untilTaken(call: Call, path: string, body: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await call(path, body);
      return;
    } catch (error) {
      if (tries === 100 || !String(error).includes('"code":8')) throw error;
      await sleep(200);
    }
  }
}

/** Waits until nothing was merged for longer than a shard has to be idle before it is merged once more. */
async function untilCalm(server: WatchedServer): Promise<void> {
  for (let calm = 0; calm < 40; calm++) {
    await sleep(1000);
    const { intervals, underWay } = await server.ask();
    if (intervals.length + underWay > 0) calm = 0;
  }
}

async function countOf(call: Call, collectionName: string): Promise<number> {
  const body = { collectionName, outputFields: ['count(*)'] };
  const reply = JSON.parse(await call('/entities/query', JSON.stringify(body))) as {
    data: readonly { 'count(*)': number }[];
  };
  return reply.data[0]?.['count(*)'] ?? 0;
}

/** What one act took: milliseconds, and what went through the ports meanwhile, the loops' share too. */
type Taken = Readonly<{ ms: number; calls: Record<string, number>; writtenBytes: number }>;

async function timed(server: WatchedServer, act: () => Promise<unknown>): Promise<Taken> {
  const before = await server.ask();
  const started = performance.now();
  await act();
  const ms = performance.now() - started;
  const after = await server.ask();
  return {
    ms,
    calls: between(before.calls, after.calls),
    writtenBytes: sumOf(after) - sumOf(before),
  };
}

const sumOf = ({ written }: Watched): number =>
  Object.values(written).reduce((sum, bytes) => sum + bytes, 0);

/** A write takes a second to be applied; a third of the rounds is enough. */
const WRITTEN_EVERY = 3;
/** What the act before left to do, such as looking at the clone, is done by then. */
const PAUSE_MS = 300;

const ACTS = ['snapshot', 'clone', 'snapshot after a write', 'clone after a write'] as const;
type Act = (typeof ACTS)[number];

async function round(
  server: WatchedServer,
  call: Call,
  rows: number,
  number: number,
  act: Act,
): Promise<Taken> {
  const collectionName = nameOf(rows);
  if (act.endsWith('after a write')) {
    const data = [{ id: number % rows, vector: Array.from({ length: DIM }, () => number) }];
    await call('/entities/upsert', JSON.stringify({ collectionName, data }));
  }
  if (act.startsWith('snapshot')) {
    const body = JSON.stringify({ collectionName, snapshotName: `s_${number}` });
    const taken = await timed(server, () => call('/snapshots/create', body));
    await call('/snapshots/drop', body);
    return taken;
  }
  const targetCollectionName = `clone_${rows}_${number}`;
  const taken = await timed(server, () =>
    call('/collections/clone', JSON.stringify({ collectionName, targetCollectionName })),
  );
  const found = await countOf(call, targetCollectionName);
  if (found !== rows) throw new Error(`${targetCollectionName} has ${found} rows, not ${rows}`);
  await call('/collections/drop', JSON.stringify({ collectionName: targetCollectionName }));
  return taken;
}

async function main(): Promise<void> {
  const server = await startWatched();
  try {
    const call = openConnection(server.url);
    const started = performance.now();
    for (const rows of SIZES) await fill(call, rows);
    await untilCalm(server);
    console.log(`loaded and merged after ${Math.round((performance.now() - started) / 1000)} s`);
    const taken = new Map<string, Taken[]>();
    let number = 0;
    // The first round warms the code and is not counted.
    for (let turn = 0; turn <= ROUNDS; turn++) {
      for (const act of ACTS) {
        if (act.endsWith('after a write') && turn % WRITTEN_EVERY !== 0) continue;
        for (const rows of SIZES) {
          await sleep(PAUSE_MS);
          const one = await round(server, call, rows, number++, act);
          if (turn === 0) continue;
          const name = `${act} ${rows}`;
          taken.set(name, [...(taken.get(name) ?? []), one]);
        }
      }
    }
    conclude(taken);
  } finally {
    await server.remove();
  }
}

const PORTS = [
  ['objects.put', 'puts of objects'],
  ['objects.get', 'gets of objects'],
  ['log.append', 'appends to the log'],
] as const;

function conclude(taken: ReadonlyMap<string, readonly Taken[]>): void {
  const rows: ResultRow[] = [];
  for (const act of ACTS) {
    const first = median((taken.get(`${act} ${SIZES[0]}`) ?? []).map(({ ms }) => ms));
    for (const size of SIZES) {
      const own = taken.get(`${act} ${size}`) ?? [];
      const count = (...names: readonly string[]): string =>
        String(
          median(own.map(({ calls }) => names.reduce((sum, name) => sum + (calls[name] ?? 0), 0))),
        );
      rows.push({
        act,
        rows: size.toLocaleString('en'),
        ms: spread(own.map(({ ms }) => ms)),
        [`of ${SIZES[0]?.toLocaleString('en')}`]: (median(own.map(({ ms }) => ms)) / first).toFixed(
          2,
        ),
        'writes of rows': count('table.put', 'global.put', 'table.delete', 'global.delete'),
        'reads of rows': count('table.get', 'table.query', 'global.get', 'global.query'),
        ...Object.fromEntries(PORTS.map(([name, title]) => [title, count(name)])),
        'bytes written': spread(own.map(({ writtenBytes }) => writtenBytes)),
      });
    }
  }
  report('snapshots', rows, [
    `${DIM} dimensions, FLAT, one shard each, ${ROUNDS} rounds after one that is not counted (after a write ${Math.floor(ROUNDS / WRITTEN_EVERY)}), sizes in turn; a clone is one more collection, whose count is compared each time and which is dropped again.`,
    'Calls are medians of what the whole server did meanwhile, its loops included, so the longer an act waits, the more reads of heads it shows. A snapshot is two conditional puts of its pin and one object, the cut; a clone is the same and the rows of a new collection.',
    'After a write, both wait until it is applied: up to a second of gathering.',
  ]);
}

await main();
