/**
 * Snapshots, clones, restores, truncations and drops of which the process dies in the middle: behind each
 * of their effects, and at random moments beside writers. Afterwards the source is whole, what was half
 * made is not to be seen or complete, and its name can be used: asked again, the act succeeds.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { must } from '#base/assert.ts';
import { shardOf } from '#schema/hash.ts';
import { Ledger, NOTHING_WRONG, SHARDS } from '../support/e2e-ledger.ts';
import { killLeftovers, type ServerProcess, serve, until } from '../support/e2e-process.ts';
import type { Envelope } from '../support/server.ts';
import { verifySums } from '../support/verify-sums.ts';

const SERVER = new URL('../support/e2e-killing-server.ts', import.meta.url).pathname;
/** The source of the acts: nobody writes to it meanwhile, so that their results are known. */
const STILL = 'still';
const COPY = 'copy';
const SNAPSHOT = 'kept';
const ROWS = 120;
const RANDOM_ROUNDS = 6;
/** Longer than any act takes, on the busiest of machines. */
const LATE_MS = 30_000;

type Act = Readonly<{ verb: string; body: object }>;
const ACTS = {
  snapshot: {
    verb: 'snapshots/create',
    body: { collectionName: STILL, snapshotName: 'fresh' },
  },
  'snapshot drop': {
    verb: 'snapshots/drop',
    body: { collectionName: STILL, snapshotName: 'fresh' },
  },
  clone: {
    verb: 'collections/clone',
    body: { collectionName: STILL, targetCollectionName: COPY },
  },
  restore: {
    verb: 'snapshots/restore',
    body: {
      sourceCollectionName: STILL,
      snapshotName: SNAPSHOT,
      targetCollectionName: COPY,
    },
  },
  truncation: { verb: 'collections/truncate', body: { collectionName: COPY } },
  drop: { verb: 'collections/drop', body: { collectionName: COPY } },
} as const satisfies Readonly<Record<string, Act>>;
type ActName = keyof typeof ACTS;

type Round = Readonly<{ act: ActName; pattern: string; nth: number }>;

const round = (act: ActName, pattern: string, count: number): readonly Round[] =>
  Array.from({ length: count }, (_, index) => ({ act, pattern, nth: index + 1 }));

/** Effects by their names, in the order in which they happen. */
const ROUNDS: readonly Round[] = [
  ...round('snapshot', '^table pins/', 2),
  ...round('snapshot', '^log ', 1),
  ...round('snapshot', '^object snapshots/', 1),
  ...round('snapshot drop', '^table pins/', 1),
  ...round('clone', '^global collections/', 2),
  ...round('clone', '^table pins/', 2),
  ...round('clone', '^object snapshots/', 1),
  ...round('clone', '^table [^/]+/head new', SHARDS),
  ...round('clone', '^table [^/]+/gate new', SHARDS),
  ...round('clone', '^global names/', 1),
  ...round('restore', '^table pins/', 1),
  ...round('restore', '^table [^/]+/head new', SHARDS),
  ...round('restore', '^global names/', 1),
  ...round('restore', '^global collections/', 2),
  ...round('truncation', '^table [^/]+/gate changed', SHARDS),
  ...round('truncation', '^log ', SHARDS),
  ...round('truncation', '^table [^/]+/head changed', SHARDS),
  ...round('drop', '^global collections/', 1),
  ...round('drop', '^log ', 1),
  ...round('drop', '^global names/', 1),
];

let dir = '';
let expected: readonly Envelope[] = [];
const live = new Ledger({ collectionName: 'live' });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sterna-kill-snapshots-'));
  const server = await serve([SERVER, dir]);
  await live.create(server);
  await new Ledger({ collectionName: STILL }).create(server);
  const vector = [1, 2, 3, 4, 5, 6, 7, 8];
  const data = Array.from({ length: ROWS }, (_, id) => ({ id, stamp: id, text: `${id}`, vector }));
  await server.must('vectordb/entities/insert', { collectionName: STILL, data });
  await server.must('vectordb/collections/flush', { collectionName: STILL });
  const upsert = {
    collectionName: STILL,
    data: data.slice(0, 20).map((row) => ({ ...row, stamp: -row.id })),
  };
  await server.must('vectordb/entities/upsert', upsert);
  await server.must('vectordb/entities/delete', { collectionName: STILL, filter: 'id >= 100' });
  expected = await rowsOf(server, STILL);
  expect(expected).toHaveLength(100);
  await server.must('vectordb/snapshots/create', { collectionName: STILL, snapshotName: SNAPSHOT });
  await server.stop();
}, 120_000);
afterEach(killLeftovers);
afterAll(() => rm(dir, { recursive: true, force: true }));

async function rowsOf(server: ServerProcess, collectionName: string): Promise<readonly Envelope[]> {
  const { data } = await server.must('vectordb/entities/query', {
    collectionName,
    filter: '',
    outputFields: ['*'],
    limit: 1000,
  });
  return data;
}

const has = async (server: ServerProcess): Promise<boolean> =>
  (await server.must('vectordb/collections/has', { collectionName: COPY })).data.has;
const snapshots = async (server: ServerProcess): Promise<readonly string[]> =>
  (await server.must('vectordb/snapshots/list', { collectionName: STILL })).data;

/** What an act needs before it. */
async function prepare(server: ServerProcess, act: ActName): Promise<void> {
  if (act === 'snapshot drop' && !(await snapshots(server)).includes('fresh'))
    await perform(server, 'snapshot');
  if ((act === 'truncation' || act === 'drop') && !(await has(server)))
    await perform(server, 'clone');
}

async function perform(server: ServerProcess, act: ActName): Promise<Envelope> {
  const { verb, body } = ACTS[act];
  return await server.must(`vectordb/${verb}`, body);
}

/** Looks at what a killed act left, asks for it again, and takes it back. */
async function verify(server: ServerProcess, act: ActName): Promise<void> {
  expect(await rowsOf(server, STILL)).toEqual(expected);
  if (act === 'snapshot' || act === 'snapshot drop') {
    if (!(await snapshots(server)).includes('fresh')) await perform(server, 'snapshot');
    const restored = { ...ACTS.restore.body, snapshotName: 'fresh' };
    await server.must('vectordb/snapshots/restore', restored);
    expect(await rowsOf(server, COPY)).toEqual(expected);
    await perform(server, 'snapshot drop');
    expect(await snapshots(server)).toEqual([SNAPSHOT]);
  } else if (act === 'clone' || act === 'restore') {
    if (!(await has(server))) await perform(server, act);
    expect(await rowsOf(server, COPY)).toEqual(expected);
  } else if (act === 'truncation') {
    const left = await rowsOf(server, COPY);
    expectWholeShards(left);
    await perform(server, 'truncation');
    expect(await rowsOf(server, COPY)).toEqual([]);
    await server.must('vectordb/entities/insert', { collectionName: COPY, data: expected });
    expect(await rowsOf(server, COPY)).toEqual(expected);
  } else if (await has(server)) {
    expect(await rowsOf(server, COPY)).toEqual(expected);
  }
  await perform(server, 'drop');
  expect(await has(server)).toBe(false);
}

/** A truncation empties shard by shard. */
function expectWholeShards(left: readonly Envelope[]): void {
  for (let shard = 0; shard < SHARDS; shard++) {
    const of = (rows: readonly Envelope[]) =>
      rows.filter((row) => shardOf(BigInt(row['id']), SHARDS) === shard);
    if (of(left).length > 0) expect(of(left)).toEqual(of(expected));
  }
}

async function arm(server: ServerProcess): Promise<void> {
  server.tell('SIGUSR2');
  await until('the server is armed', async () => server.said.stdout.includes('armed'));
}

test('behind every effect: the source is whole, and the act can be asked for again', async () => {
  let before: ActName | undefined;
  for (const { act, pattern, nth } of ROUNDS) {
    const server = await serve([SERVER, dir, pattern, String(nth)]);
    if (before !== undefined) await verify(server, before);
    await prepare(server, act);
    await arm(server);
    const about = `${act} behind ${pattern} ${nth}`;
    const { verb, body } = ACTS[act];
    const reply = await server.call(`vectordb/${verb}`, body).catch(() => undefined);
    // Where an effect comes behind the answer, its server dies a moment later.
    if (reply !== undefined) expect(reply, about).toMatchObject({ code: 0 });
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
      void server.kill();
    }, LATE_MS);
    expect(await server.ended, about).toMatchObject({ signal: 'SIGKILL' });
    clearTimeout(late);
    expect(isLate, `${about} was never reached`).toBe(false);
    before = act;
  }
  const last = await serve([SERVER, dir]);
  await verify(last, must(before, 'an act'));
  await last.stop();
  // The collection that was killed while it was made has no shards yet, or all of them.
  expect(await verifySums(dir)).toBe(2 * SHARDS);
});

test('at random moments, beside writers of the source', async () => {
  const targets: string[] = [];
  for (let turn = 0; turn < RANDOM_ROUNDS; turn++) {
    const server = await serve([SERVER, dir]);
    expect(await live.settle(server)).toEqual(NOTHING_WRONG);
    const name = `live_${turn}`;
    targets.push(name);
    const ended = server.ended;
    const timer = setTimeout(() => void server.kill(), 200 + Math.random() * 1500);
    let dead = false;
    const writers = Array.from({ length: 3 }, async (_, writer) => {
      while (!dead && (await live.write(server, writer)) !== undefined);
    });
    const acts = (async () => {
      const call = (verb: string, body: object) =>
        server.call(`vectordb/${verb}`, body).catch(() => undefined);
      const source = { collectionName: 'live' };
      while (!dead) {
        await call('snapshots/create', { ...source, snapshotName: name });
        await call('collections/clone', { ...source, targetCollectionName: name });
        await call('snapshots/drop', { ...source, snapshotName: name });
        await call('collections/truncate', { collectionName: name });
        await call('collections/drop', { collectionName: name });
      }
    })();
    expect(await ended).toMatchObject({ signal: 'SIGKILL' });
    clearTimeout(timer);
    dead = true;
    await Promise.all([...writers, acts]);
  }
  const server = await serve([SERVER, dir]);
  expect(await live.settle(server)).toEqual(NOTHING_WRONG);
  expect(await rowsOf(server, STILL)).toEqual(expected);
  for (const collectionName of targets) {
    const exists = { collectionName };
    if ((await server.must('vectordb/collections/has', exists)).data.has) {
      await server.must('vectordb/collections/drop', exists);
    }
    await server.must('vectordb/collections/clone', {
      collectionName: 'live',
      targetCollectionName: collectionName,
    });
    const count = { filter: '', outputFields: ['count(*)'] };
    const [source, copy] = await Promise.all(
      ['live', collectionName].map((one) =>
        server.must('vectordb/entities/query', { collectionName: one, ...count }),
      ),
    );
    expect(copy?.data).toEqual(source?.data);
  }
  await server.stop();
  expect(await verifySums(dir)).toBe((2 + targets.length) * SHARDS);
  console.log(`kill-snapshots: ${[...live.replies].map((one) => one.join(' x ')).join(', ')}`);
});
