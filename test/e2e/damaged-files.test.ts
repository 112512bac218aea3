/**
 * Damage to every other kind of file of a data directory than the objects of corruption.test.ts: LMDB's own, the
 * format files, the lock, snapshots, and what lies about. Each ends in right answers, or in a refusal
 * that names what is damaged; no server crashes.
 */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { must } from '#base/assert.ts';
import { flipAt } from '../support/e2e-damage.ts';
import { killLeftovers, type ServerProcess, serve } from '../support/e2e-process.ts';
import type { Envelope } from '../support/server.ts';

const SERVER = new URL('../support/e2e-server.ts', import.meta.url).pathname;
const COLLECTIONS = ['applied', 'waiting', 'cloned'] as const;
const ROWS = 60;
const FLIPS = 10;
const TABLES = ['regional/data.mdb', 'global/table/data.mdb'];
/** A server each, on machines of two cores. */
const AT_ONCE = 3;
const PAGE = 4096;

let parent = '';
let healthy = '';
let made = 0;
let truth: Readonly<Record<string, readonly Envelope[]>> = {};

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'sterna-damaged-'));
  healthy = join(parent, 'healthy');
  const server = await serve([SERVER, healthy, 'quick']);
  await fill(server, 'applied');
  await server.must('vectordb/collections/flush', { collectionName: 'applied' });
  const named = { collectionName: 'applied', snapshotName: 'kept' };
  await server.must('vectordb/snapshots/create', named);
  await server.must('vectordb/collections/clone', {
    collectionName: 'applied',
    targetCollectionName: 'cloned',
  });
  await server.stop();
  const waiting = await serve([SERVER, healthy, 'no apply']);
  await fill(waiting, 'waiting');
  truth = must(await answers(waiting), 'answers');
  await waiting.kill();
}, 120_000);
afterEach(killLeftovers);
afterAll(() => rm(parent, { recursive: true, force: true }));

async function fill(server: ServerProcess, collectionName: string): Promise<void> {
  await server.must('vectordb/collections/create', {
    collectionName,
    dimension: 4,
    params: { shardsNum: 2 },
  });
  for (let from = 0; from < ROWS; from += 10) {
    const data = Array.from({ length: 10 }, (_, index) => ({
      id: from + index,
      vector: [from, index, 1, 2],
      text: `${from + index} `.repeat(from % 20 === 0 ? 1000 : 10),
    }));
    await server.must('vectordb/entities/insert', { collectionName, data });
  }
  const filter = 'id in [3, 17, 42]';
  await server.must('vectordb/entities/delete', { collectionName, filter });
}

/** What all collections hold; throws an envelope's text where one is not answered. */
async function answers(server: ServerProcess): Promise<typeof truth> {
  const found: Record<string, readonly Envelope[]> = {};
  for (const collectionName of COLLECTIONS) {
    const reply = await server.call('vectordb/entities/query', {
      collectionName,
      filter: '',
      outputFields: ['*'],
      limit: 1000,
    });
    if (reply.code !== 0) throw new Refused(JSON.stringify(reply));
    found[collectionName] = reply.data;
  }
  return found;
}

class Refused extends Error {}

type Outcome = 'right' | 'refused at the start' | 'refused by a read';

/** Opens a damaged copy and asks for everything. `named`: what a refusal has to name. */
async function tryOut(path: string, named: RegExp, pace = 'quick'): Promise<Outcome> {
  const server = await serve([SERVER, path, pace]).catch((error: unknown) => String(error));
  if (typeof server === 'string') {
    expect(server).toContain('"code":1,"signal":null');
    expect(server).toMatch(named);
    return 'refused at the start';
  }
  try {
    expect(await answers(server)).toEqual(truth);
    return 'right';
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    expect(error.message).toMatch(named);
    return 'refused by a read';
  } finally {
    expect(await server.stop()).toMatchObject({ code: 0, signal: null });
  }
}

async function copied(): Promise<string> {
  const path = join(parent, `copy-${++made}`);
  await cp(healthy, path, { recursive: true });
  return path;
}

type Harm = Readonly<{ what: string; harm: (path: string) => Promise<unknown> }>;

const HARMS: readonly Harm[] = [
  { what: 'a bit flipped early', harm: (path) => change(path, (bytes) => flipAt(bytes, 9)) },
  {
    what: 'a bit flipped in the middle',
    harm: (path) => change(path, (bytes) => flipAt(bytes, bytes.length >> 1)),
  },
  {
    what: 'a bit flipped late',
    harm: (path) => change(path, (bytes) => flipAt(bytes, bytes.length - 3)),
  },
  {
    what: 'half of it',
    harm: (path) => change(path, (bytes) => bytes.subarray(0, bytes.length / 2)),
  },
  { what: 'nothing in it', harm: (path) => truncate(path, 0) },
  { what: 'zeros', harm: (path) => change(path, (bytes) => Buffer.alloc(bytes.length)) },
  {
    what: 'garbage',
    harm: (path) => change(path, (bytes) => Buffer.alloc(bytes.length, 'garbage')),
  },
  { what: 'deleted', harm: (path) => rm(path) },
  { what: 'a folder', harm: (path) => rm(path).then(() => mkdir(path)) },
];

async function change(path: string, how: (bytes: Buffer) => Buffer): Promise<void> {
  await writeFile(path, how(await readFile(path)));
}

type Trial = Readonly<{ about: string; harm: (path: string) => Promise<unknown>; named: RegExp }>;

/** Tries them a few at a time, and says how they ended. */
async function tryAll(trials: readonly Trial[]): Promise<ReadonlyMap<Outcome, number>> {
  const limit = pLimit(AT_ONCE);
  const outcomes = new Map<Outcome, number>();
  const tryOne = async ({ about, harm, named }: Trial): Promise<void> => {
    const path = await copied();
    await harm(path);
    const outcome = await tryOut(path, named).catch((error: unknown) => {
      throw new Error(`${about}: ${String(error)}`, { cause: error });
    });
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    await rm(path, { recursive: true });
  };
  const ends = await Promise.allSettled(trials.map((trial) => limit(() => tryOne(trial))));
  // All that failed, not the first.
  expect(ends.flatMap((end) => (end.status === 'rejected' ? [String(end.reason)] : []))).toEqual(
    [],
  );
  return outcomes;
}

const report = (what: string, outcomes: ReadonlyMap<Outcome, number>): void =>
  console.log(
    `${what}: ${[...outcomes].map(([outcome, count]) => `${count} ${outcome}`).join(', ')}`,
  );

/** Spread over the file, at another place of a page each time. */
const placeOf = (turn: number, size: number): number =>
  (Math.floor((turn * size) / FLIPS / PAGE) * PAGE + ((turn * 997) % PAGE)) % size;

test('bits of tables that flipped', async () => {
  const trials = TABLES.flatMap((file) =>
    Array.from({ length: FLIPS }, (_, turn): Trial => {
      const harm = (path: string) =>
        change(join(path, file), (bytes) => flipAt(bytes, placeOf(turn, bytes.length)));
      return { about: `${file}, flip ${turn}`, harm, named: /data\.mdb (was|has|does)/ };
    }),
  );
  const outcomes = await tryAll(trials);
  report('flipped bits of tables', outcomes);
  expect(outcomes.get('refused at the start')).toBeGreaterThan(0);
});

test('bits of rows that flipped, in keys and in values', async () => {
  // What stands in keys and values of the tail, the log, heads, gates and the catalog.
  const marks = [
    'tail/',
    '-0\u0000head',
    '\u0000gate',
    'SREC',
    'STAL',
    'SHED',
    'checkpoint',
    'last',
    'names/',
  ];
  const trials = TABLES.flatMap((file) =>
    marks.map((mark): Trial => {
      const harm = (path: string) =>
        change(join(path, file), (bytes) => {
          const at = bytes.lastIndexOf(mark, undefined, 'latin1');
          return at < 0 ? bytes : flipAt(bytes, at + 2);
        });
      return {
        about: `${file} at ${JSON.stringify(mark)}`,
        harm,
        named: /data\.mdb (was|has|does)/,
      };
    }),
  );
  const outcomes = await tryAll(trials);
  report('flipped bits of rows', outcomes);
  expect(outcomes.get('refused at the start')).toBeGreaterThan(0);
  expect(outcomes.get('refused by a read')).toBeUndefined();
});

/** What LMDB makes anew at each start is damaged in fewer ways. */
const isLock = (file: string): boolean => file.includes('lock');
const ROUGH = ['nothing in it', 'garbage', 'deleted', 'a folder'];

test.each([
  ...TABLES,
  'lock/data.mdb',
  'lock/lock.mdb',
  'regional/lock.mdb',
  'global/table/lock.mdb',
  'format.json',
  'global/format.json',
])('%s in every state', async (file) => {
  const named = new RegExp(file.endsWith('.json') ? 'format' : file);
  const harms = HARMS.filter(({ what }) => !isLock(file) || ROUGH.includes(what));
  const trials = harms.map(
    ({ what, harm }): Trial => ({
      about: `${file}: ${what}`,
      harm: (path) => harm(join(path, file)),
      named,
    }),
  );
  report(file, await tryAll(trials));
});

test('tables in the place of each other', async () => {
  const [regional = '', global = ''] = TABLES;
  const put = (from: string, to: string): Trial => ({
    about: `${from} as ${to}`,
    harm: (path) => cp(join(healthy, from), join(path, to)),
    named: /data\.mdb/,
  });
  const outcomes = await tryAll([put(regional, global), put(global, regional)]);
  expect([...outcomes]).toEqual([['refused at the start', 2]]);
});

test('a snapshot whose cut is damaged is refused by name, and nobody else is harmed', async () => {
  for (const { what, harm } of HARMS) {
    if (what === 'a folder') continue;
    const path = await copied();
    const [cut = ''] = (
      await readdir(join(path, 'objects', 'snapshots'), { recursive: true, withFileTypes: true })
    )
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((name) => !name.includes('/segment/'));
    await harm(cut);
    const server = await serve([SERVER, path, 'quick']);
    const reply = await server.call('vectordb/snapshots/restore', {
      snapshotName: 'kept',
      sourceCollectionName: 'applied',
      targetCollectionName: 'restored',
    });
    // The clone's cut may be the one that was harmed: nobody needs it any more.
    if (reply.code !== 0) {
      expect([1000, 1009], what).toContain(reply.code);
      expect(reply.message, what).toContain(cut.slice(cut.indexOf('snapshots/')));
    }
    expect(await answers(server)).toEqual(truth);
    await server.stop();
  }
});

test('what lies about harms nobody', async () => {
  const path = await copied();
  await mkdir(join(path, 'lost+found'));
  await mkdir(join(path, 'tmp', 'folder'));
  const litter = [
    'notes.txt',
    'tmp/1-1',
    'tmp/folder/file',
    'scratch/graph',
    'objects/.DS_Store',
    'objects/Thumbs.db',
    'objects/collections/strange',
    'objects/snapshots/strange',
    'regional/room.new',
    'regional/data.mdb.bak',
    'lock/strange',
    'global/strange',
    'format.json.77.new',
  ];
  for (const name of litter) await writeFile(join(path, name), 'litter');
  expect(await tryOut(path, /nothing/)).toBe('right');
  expect(await readdir(join(path, 'tmp'))).toEqual([]);
  expect(await readdir(join(path, 'scratch'))).toEqual([]);
  expect(await readFile(join(path, 'notes.txt'), 'utf8')).toBe('litter');
});
