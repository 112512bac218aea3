/**
 * Copies of a data directory that a server writes to meanwhile, file by file. What opens them answers with
 * everything that was acknowledged before the copy began, or refuses by the name of a file or an object:
 * nothing is missing silently.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type LocalPlatform, openLocal } from '#local/open-directory.ts';
import { killLeftovers, type ServerProcess, serve } from '../support/e2e-process.ts';

const SERVER = new URL('../support/e2e-killing-server.ts', import.meta.url).pathname;
const COMMITTER = new URL('../support/directory-committer.ts', import.meta.url).pathname;
/** What the committer has in each table once it went round: 40 rounds of four sizes. */
const COMMITTER_ROWS = 160;
const TABLES = ['regional/data.mdb', 'global/table/data.mdb'];
const TORN_COPIES = 12;
const COLLECTION = 'copied';
const WRITERS = 6;
const KEYS_PER_WRITER = 1_000_000;
/** In which folders of the directory are copied: as `cp -r` finds them, and ones that are as unlucky as can be. */
const ORDERS = {
  'as cp does': undefined,
  'as rsync does': ['format.json', 'global', 'lock', 'objects', 'regional'],
  'the table last': ['objects', 'format.json', 'lock', 'global', 'regional'],
  'the table first': ['regional', 'global', 'format.json', 'lock', 'objects'],
} as const;
const COPIES_PER_ORDER = 2;
/** Before the first copy: a table of some MiB, in which pages are used again. */
const WARM_UP_WRITES = 300;

let parent = '';

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'sterna-live-copy-'));
});
afterEach(killLeftovers);
afterAll(() => rm(parent, { recursive: true, force: true }));

/** Writers that insert one key after the other until they are stopped. */
function startWriters(server: ServerProcess) {
  const acknowledged = new Array<number>(WRITERS).fill(0);
  let stopped = false;
  const writers = acknowledged.map(async (_, writer) => {
    for (let next = 0; !stopped; next++) {
      const id = writer * KEYS_PER_WRITER + next;
      const text = `${id} `.repeat(next % 4 === 0 ? 2000 : 200);
      await server.must('vectordb/entities/insert', {
        collectionName: COLLECTION,
        data: [{ id, text, vector: [id, 1, 2, 3] }],
      });
      acknowledged[writer] = next + 1;
    }
  });
  return {
    acknowledged: () => [...acknowledged],
    stop: async () => {
      stopped = true;
      await Promise.all(writers);
    },
  };
}

async function copyInOrder(from: string, to: string, order: readonly string[] | undefined) {
  if (order === undefined) {
    // Files that are gone when their turn comes are complained of.
    spawnSync('cp', ['-r', from, to]);
    return;
  }
  await mkdir(to);
  for (const name of order) {
    spawnSync('cp', ['-r', join(from, name), join(to, name)]);
  }
}

/** Keys of each writer in a copy: how many from its first on there are without a gap. */
async function keysIn(server: ServerProcess): Promise<readonly number[] | string> {
  const counts: number[] = [];
  for (let writer = 0; writer < WRITERS; writer++) {
    const from = writer * KEYS_PER_WRITER;
    const reply = await server.call('vectordb/entities/query', {
      collectionName: COLLECTION,
      filter: `id >= ${from} and id < ${from + KEYS_PER_WRITER}`,
      outputFields: ['id'],
      limit: 16_384,
    });
    if (reply.code !== 0) return JSON.stringify(reply);
    const found = reply.data.map(({ id }: { id: number }) => id - from);
    expect(found, 'no gap').toEqual(Array.from(found, (_, index) => index));
    counts.push(found.length);
  }
  return counts;
}

test('a copy of a directory in use holds what was acknowledged, or is refused by name', async () => {
  const dir = join(parent, 'data');
  const server = await serve([SERVER, dir]);
  await server.must('vectordb/collections/create', {
    collectionName: COLLECTION,
    schema: {
      fields: [
        { fieldName: 'id', dataType: 'Int64', isPrimary: true },
        { fieldName: 'text', dataType: 'VarChar', elementTypeParams: { max_length: '60000' } },
        { fieldName: 'vector', dataType: 'FloatVector', elementTypeParams: { dim: '4' } },
      ],
    },
    indexParams: [{ fieldName: 'vector', indexName: 'vector', metricType: 'L2' }],
    params: { shardsNum: 2 },
  });
  const writers = startWriters(server);
  const total = () => writers.acknowledged().reduce((sum, count) => sum + count, 0);
  while (total() < WARM_UP_WRITES) await new Promise((resolve) => setTimeout(resolve, 20));
  const copies: { order: string; path: string; before: readonly number[] }[] = [];
  for (const [order, names] of Object.entries(ORDERS)) {
    for (let turn = 0; turn < COPIES_PER_ORDER; turn++) {
      const path = join(parent, `${order.replaceAll(' ', '-')}-${turn}`);
      const before = writers.acknowledged();
      await copyInOrder(dir, path, names);
      copies.push({ order, path, before });
    }
  }
  await writers.stop();
  await server.stop();
  const outcomes = new Map<string, number>();
  for (const { order, path, before } of copies) {
    const outcome = await look(path, before);
    outcomes.set(`${order}: ${outcome}`, (outcomes.get(`${order}: ${outcome}`) ?? 0) + 1);
  }
  console.log(`live copies: ${[...outcomes].map((one) => one.join(' x ')).join(', ')}`);
  // Objects live on for a quarter of an hour: a table that was copied first finds all of its own.
  const tableFirst = [...outcomes.keys()].filter((one) => one.startsWith('the table first'));
  expect(tableFirst.some((one) => one.endsWith('whole'))).toBe(true);
  expect(tableFirst.some((one) => one.endsWith('by a read'))).toBe(false);
});

async function look(path: string, before: readonly number[]): Promise<string> {
  const copy = await serve([SERVER, path]).catch((error: unknown) => String(error));
  if (typeof copy === 'string') {
    expect(copy).toContain('"code":1,"signal":null');
    expect(copy).toMatch(
      new RegExp(`StoreError: ${path}/[a-z/]+.mdb was cut off, is damaged, or was`),
    );
    return 'refused at the start';
  }
  const found = await keysIn(copy);
  await copy.kill();
  if (typeof found === 'string') {
    expect(found).toMatch(/"code":1000,.*there is no object collections\//);
    return 'refused by a read';
  }
  for (const [writer, count] of before.entries()) {
    expect(found[writer], 'what was acknowledged before the copy').toBeGreaterThanOrEqual(count);
  }
  return 'whole';
}

test('a table whose pages are of several moments is never opened', async () => {
  const dir = join(parent, 'torn');
  const committer = spawn(process.execPath, [COMMITTER, dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let rounds = 0;
  for await (const _ of createInterface({ input: committer.stdout })) if (++rounds === 60) break;
  committer.stdout.resume();
  let refused = 0;
  try {
    for (let turn = 0; turn < TORN_COPIES; turn++) {
      const path = join(parent, `torn-${turn}`);
      spawnSync('cp', ['-r', dir, path]);
      // The odd ones as slowly as over a network, and so of many moments.
      if (turn % 2 === 1) {
        for (const file of TABLES) await copySlowly(join(dir, file), join(path, file));
      }
      refused += (await isRefused(path, committer.pid ?? 0)) ? 1 : 0;
    }
  } finally {
    committer.kill('SIGKILL');
  }
  console.log(`torn tables: ${refused} of ${TORN_COPIES} copies refused, the others whole`);
  expect(refused).toBeGreaterThanOrEqual(TORN_COPIES / 4);
});

/** False where every row is there. */
async function isRefused(path: string, writer: number): Promise<boolean> {
  const opened = await openLocal(path).catch((error: unknown) => error);
  if (opened instanceof Error) {
    expect(opened).toMatchObject({ code: 'DIRECTORY_UNUSABLE' });
    expect(opened.message).toMatch(/data\.mdb was cut off, is damaged, or was copied while/);
    return true;
  }
  // `openLocal` gives a platform or throws an error.
  const platform = opened as LocalPlatform;
  for (const table of [platform.regionalTable, platform.globalTable]) {
    expect(await table.query(`committer ${writer}`)).toHaveLength(COMMITTER_ROWS);
  }
  await platform.close();
  return false;
}

async function copySlowly(from: string, to: string): Promise<void> {
  const [source, target] = [await open(from, 'r'), await open(to, 'w')];
  const page = Buffer.alloc(4096);
  for (let at = 0; ; at += page.length) {
    const { bytesRead } = await source.read(page, 0, page.length, at);
    if (bytesRead === 0) break;
    await target.write(page, 0, bytesRead, at);
    if (at % (128 * page.length) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await Promise.all([source.close(), target.close()]);
}
