/**
 * `clusters/parked/*` and `sterna parked`: a record that cannot be applied, from the alarm to its end, on a
 * server whose log and objects are damaged past it (I1, I4, I12).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { StoreError } from '#base/errors.ts';
import { type JsonOut, parseJson, stringifyJson } from '#base/json.ts';
import type { Log } from '#ports/log.ts';
import { CLI } from '../support/e2e-process.ts';
import { type Envelope, ROOT, startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let log: Log | undefined;
/** How far the server's clock is ahead, so that nobody waits for a writer's deadline here. */
let aheadMs = 0;
/** Objects that cannot be found. */
const lost = new Set<string>();
let losePayloads = false;

beforeAll(async () => {
  server = await startServer({
    wrap: (ports) => {
      ({ log } = ports);
      const { objects, clock } = ports;
      return {
        ...ports,
        clock: {
          nowMs: () => clock.nowMs() + aheadMs,
          sleep: (ms, signal) => clock.sleep(ms, signal),
        },
        objects: {
          put: async (key, bytes) => {
            if (losePayloads && key.includes('/payload/')) lost.add(key);
            await objects.put(key, bytes);
          },
          get: async (key, range) => {
            if (lost.has(key)) throw new StoreError('OBJECT_NOT_FOUND', `no object ${key}`);
            return await objects.get(key, range);
          },
          head: async (key) => (lost.has(key) ? undefined : await objects.head(key)),
          list: (...rest) => objects.list(...rest),
          delete: (keys) => objects.delete(keys),
          copy: (from, to) => objects.copy(from, to),
        },
      };
    },
  });
});
afterAll(() => server.close());

async function ask(verb: string, body: Readonly<Record<string, JsonOut>>): Promise<Envelope> {
  const response = await fetch(`${server.url}/v2/clusters/${verb}`, {
    method: 'POST',
    headers: { authorization: ROOT },
    body: stringifyJson(body),
  });
  // Every route answers with an envelope.
  return parseJson(await response.text()) as Envelope;
}

async function command(...args: readonly string[]) {
  const child = spawn(process.execPath, [CLI, 'parked', ...args], {
    env: { PATH: process.env['PATH'], STERNA_URL: server.url, STERNA_USER: 'root:Milvus' },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  await once(child, 'close');
  return { code: child.exitCode, said };
}

/** Asks until it holds: the server applies by itself. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let look = 0; look < 200; look++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`never: ${what}`);
}

const row = (id: number) => ({ id, vector: [id, 1] });
const insert = (collectionName: string, ...ids: readonly number[]) =>
  server.must('entities/insert', { collectionName, data: ids.map(row) });
const idsIn = async (collectionName: string): Promise<number[]> => {
  const { data } = await server.must('entities/query', {
    collectionName,
    filter: 'id >= 0',
    outputFields: ['id'],
    limit: 10_000,
  });
  return data.map(({ id }: { id: number }) => id);
};

const create = async (collectionName: string): Promise<number> => {
  await server.must('collections/create', { collectionName, dimension: 2 });
  const { data } = await ask('inspect', { collectionName });
  return data[0].collectionID;
};

const parkedIn = async (collectionName: string): Promise<Envelope | undefined> =>
  (await ask('parked/list', { collectionName })).data[0];

/** A collection with a row that is applied, garbage in its log, and one row behind it. */
async function poisoned(collectionName: string): Promise<{ id: number; sequence: string }> {
  const id = await create(collectionName);
  await insert(collectionName, 1);
  await server.must('collections/flush', { collectionName });
  const appended = await log?.append(`c${id}-0`, new TextEncoder().encode('no record at all'));
  await insert(collectionName, 3);
  await until('parked', async () => (await parkedIn(collectionName)) !== undefined);
  return { id, sequence: appended?.sequence ?? '' };
}

describe('garbage in the log', () => {
  test('parks its shard, hides nothing, and is named wherever somebody waits', async () => {
    const collectionName = 'garbage';
    const { id, sequence } = await poisoned(collectionName);
    await insert('garbage', 4);
    expect(await idsIn(collectionName)).toEqual([1, 3, 4]);
    const listed = await parkedIn(collectionName);
    expect(listed).toMatchObject({
      collectionName,
      collectionID: id,
      shard: 0,
      state: 'parked',
      parked: { sequence, code: 'DATA_CORRUPT', record: { kind: 'unreadable', bytes: 16 } },
      setAside: [],
    });
    expect(stringifyJson(listed as JsonOut)).not.toContain('no record at all');
    const flush = await server.call('collections/flush', { collectionName });
    expect(flush.body).toMatchObject({ code: 1, retry: 'later', effect: 'none' });
    expect(flush.body.message).toContain(`record ${sequence}`);
    const truncate = await server.call('collections/truncate', { collectionName });
    expect(truncate.body).toMatchObject({ code: 1, retry: 'later', effect: 'none' });
    expect(truncate.body.message).toContain('DATA_CORRUPT');
    const { data } = await ask('inspect', { collectionName });
    expect(data[0].shards[0].parked).toContain(`record ${sequence}`);
    // Nobody else waits for it.
    await server.must('collections/create', { collectionName: 'other', dimension: 2 });
    await insert('other', 1);
    await server.must('collections/flush', { collectionName: 'other' });
  });

  test('is set aside from the command line, and kept', async () => {
    const sequence = (await parkedIn('garbage'))?.['parked'].sequence;
    const early = await command('set-aside', 'garbage', '0', sequence);
    expect(early.code).toBe(1);
    expect(early.said).toContain('may still acknowledge it');
    aheadMs += 100_000;
    expect((await command('replay', 'garbage')).said).toContain(`parked at record ${sequence}`);
    const wrong = await command('set-aside', 'garbage', '0', '1');
    expect(wrong.said).toContain(sequence);
    const done = await command('set-aside', 'garbage', '0', sequence);
    expect(done.said).toContain('nobody was told that this write is durable');
    expect(done.said).toContain('goes on: 2 records, 2 rows applied');
    expect(done.code).toBe(0);
    await server.must('collections/flush', { collectionName: 'garbage' });
    expect(await idsIn('garbage')).toEqual([1, 3, 4]);
    const listed = await command('list', 'garbage');
    expect(listed.said).toContain('garbage, shard 0: open');
    expect(listed.said).toContain('void');
    const folder = await mkdtemp(join(tmpdir(), 'sterna-export-'));
    const file = join(folder, 'record');
    expect((await command('export', 'garbage', '0', sequence, file)).code).toBe(0);
    expect(await readFile(file, 'utf8')).toBe('no record at all');
    const again = await command('export', 'garbage', '0', sequence, file);
    expect(again).toMatchObject({ code: 1, said: expect.stringContaining('cannot write') });
    await rm(folder, { recursive: true });
  });
});

describe('an acknowledged write whose payload is gone', () => {
  const collectionName = 'payload';
  const many = Array.from({ length: 900 }, (_, index) => 100 + index);

  test('fails reads by its name, and is applied when its object is back', async () => {
    await create(collectionName);
    losePayloads = true;
    await insert(collectionName, ...many);
    losePayloads = false;
    const [key = ''] = lost;
    await until('parked', async () => (await parkedIn(collectionName)) !== undefined);
    const read = await server.call('entities/query', { collectionName, filter: 'id >= 0' });
    expect(read.body).toMatchObject({ code: 1000 });
    expect(read.body.message).toContain(key);
    // An operator who looks is told all the same.
    const { data } = await ask('inspect', { collectionName });
    expect(data[0]).toMatchObject({ unreadable: expect.stringContaining(key) });
    expect(await parkedIn(collectionName)).toMatchObject({
      parked: { code: 'OBJECT_NOT_FOUND', record: { kind: 'write', rows: 900, payload: key } },
    });
    lost.clear();
    const { data: replayed } = await ask('parked/replay', { collectionName });
    expect(replayed).toEqual([expect.objectContaining({ state: 'open', appliedRows: 900 })]);
    expect(await idsIn(collectionName)).toEqual(many);
    expect(await parkedIn(collectionName)).toBeUndefined();
  });

  test('set aside, it is lost to readers, and the answer says so', async () => {
    losePayloads = true;
    await insert(collectionName, ...many.map((id) => id + 10_000));
    losePayloads = false;
    await until('parked', async () => (await parkedIn(collectionName)) !== undefined);
    await insert(collectionName, 1);
    const sequence = (await parkedIn(collectionName))?.['parked'].sequence;
    aheadMs += 100_000;
    const body = { collectionName, shard: 0, sequence };
    const { data } = await ask('parked/set_aside', body);
    expect(data).toMatchObject({ verdict: 'void', rows: 900, wasVisible: true, state: 'open' });
    expect(data.consequence).toContain('900 rows');
    expect(data.consequence).toContain('its payload is gone');
    expect(await idsIn(collectionName)).toEqual([1, ...many]);
    // Its object comes back: the decision stands.
    lost.clear();
    expect((await ask('parked/set_aside', body)).data).toMatchObject({ verdict: 'void' });
    await server.must('collections/flush', { collectionName });
    expect(await idsIn(collectionName)).toEqual([1, ...many]);
  });
});

test('a collection with a parked shard is dropped, and listed no longer', async () => {
  await poisoned('leaving');
  await server.must('collections/drop', { collectionName: 'leaving' });
  const { data } = await ask('parked/list', {});
  expect(data.map((each: Envelope) => each['collectionName'])).toEqual(['garbage', 'payload']);
});

describe('requests', () => {
  test.each([
    ['parked/list', { collectionName: 7 }],
    ['parked/replay', {}],
    ['parked/replay', { collectionName: 'garbage', shard: 1 }],
    ['parked/replay', { collectionName: 'garbage', shard: -1 }],
    ['parked/set_aside', { collectionName: 'garbage', shard: 0 }],
    ['parked/set_aside', { collectionName: 'garbage', shard: 0, sequence: '01' }],
    ['parked/set_aside', { collectionName: 'garbage', shard: 0, sequence: 1 }],
    ['parked/set_aside', { collectionName: 'other', shard: 0, sequence: '1' }],
    ['parked/export', { collectionName: 'garbage', shard: 0, sequence: '1', part: 'record' }],
    ['parked/export', { collectionName: 'nowhere', shard: 0, sequence: '1', part: 'record' }],
  ])('%s %j is refused', async (verb, body) => {
    const answer = await ask(verb, body);
    expect(answer.code).toBeGreaterThan(0);
    expect(answer).toMatchObject({ effect: 'none', retry: 'never' });
  });

  test('replaying where nothing is parked does nothing', async () => {
    expect(await ask('parked/replay', { collectionName: 'other' })).toEqual({ code: 0, data: [] });
  });
});
