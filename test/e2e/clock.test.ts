/**
 * A machine whose clock is set back and forth by hours, under a server and between two of them. What was
 * acknowledged stays, what is sent again takes effect once, expired rows stay away, and background work
 * goes on.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Ledger, NOTHING_WRONG, SHARDS } from '../support/e2e-ledger.ts';
import { killLeftovers, type ServerProcess, serve, until } from '../support/e2e-process.ts';
import type { Envelope } from '../support/server.ts';
import { verifySums } from '../support/verify-sums.ts';

const SERVER = new URL('../support/e2e-killing-server.ts', import.meta.url).pathname;
const PRELOAD = new URL('../support/e2e-set-clock.js', import.meta.url).href;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Hours ahead of the true time, one after the other. */
const JUMPS = [6, -6, 30, 0, -48, 2];

let parent = '';
let dir = '';
let clockFile = '';
let made = 0;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'sterna-clock-'));
});
beforeEach(() => {
  dir = join(parent, `data-${++made}`);
  clockFile = join(parent, `clock-${made}`);
});
afterEach(killLeftovers);
afterAll(() => rm(parent, { recursive: true, force: true }));

async function startAt(aheadMs: number, ...kill: readonly string[]): Promise<ServerProcess> {
  await writeFile(clockFile, String(aheadMs));
  const args = ['--import', PRELOAD, SERVER, dir, ...kill];
  return await serve(args, { env: { CLOCK_FILE: clockFile } });
}

async function setClock(server: ServerProcess, aheadMs: number): Promise<void> {
  const sentence = `ahead by ${aheadMs} ms`;
  const seen = server.said.stdout.split(sentence).length;
  await writeFile(clockFile, String(aheadMs));
  server.tell('SIGWINCH');
  await until('the clock is set', async () => server.said.stdout.split(sentence).length > seen);
}

async function writeSome(server: ServerProcess, ledger: Ledger): Promise<void> {
  await Promise.all(
    Array.from({ length: 3 }, async (_, writer) => {
      for (let count = 0; count < 6; count++) {
        const reply = await ledger.write(server, writer);
        if (reply?.code !== 0) expect(reply).toMatchObject({ retry: 'later' });
      }
    }),
  );
}

const count = async (server: ServerProcess, collectionName: string): Promise<number> => {
  const body = { collectionName, filter: '', outputFields: ['count(*)'] };
  return (await server.must('vectordb/entities/query', body)).data[0]['count(*)'];
};

test('what is acknowledged stays, under a clock that jumps beside merging and collecting', async () => {
  const ledger = new Ledger({ collectionName: 'jumping' });
  const server = await startAt(0);
  await ledger.create(server);
  await writeSome(server, ledger);
  for (const hours of JUMPS) {
    const writing = writeSome(server, ledger);
    await setClock(server, hours * HOUR_MS);
    await writing;
    // What waits to be applied looks as old as the jump is long, and no more is taken until it is applied.
    await until('writes are taken', async () => (await ledger.write(server, 0))?.code === 0);
    const before = ledger.acknowledged;
    await writeSome(server, ledger);
    expect(ledger.acknowledged, `after a jump to ${hours} h`).toBe(before + 18);
    expect(await ledger.settle(server)).toEqual(NOTHING_WRONG);
  }
  expect(await server.stop()).toMatchObject({ code: 0, signal: null });
  expect(await verifySums(dir)).toBe(SHARDS);
});

test('and where it was set while no server ran', async () => {
  const ledger = new Ledger({ collectionName: 'jumping' });
  const first = await startAt(0);
  await ledger.create(first);
  await first.stop();
  for (const [turn, hours] of JUMPS.entries()) {
    const server = await startAt(hours * HOUR_MS);
    expect(await ledger.look(server)).toEqual(NOTHING_WRONG);
    const before = ledger.acknowledged;
    await writeSome(server, ledger);
    expect(ledger.acknowledged, `started at ${hours} h`).toBe(before + 18);
    expect(await ledger.settle(server)).toEqual(NOTHING_WRONG);
    await (turn % 2 === 0 ? server.stop() : server.kill());
  }
  const last = await startAt(0);
  expect(await ledger.settle(last)).toEqual(NOTHING_WRONG);
  await last.stop();
  expect(await verifySums(dir)).toBe(SHARDS);
});

test('a request that is sent again takes effect once, however the clock was set in between', async () => {
  const server = await startAt(0);
  await server.must('vectordb/collections/create', {
    collectionName: 'once',
    dimension: 2,
    autoID: true,
  });
  const insert = (to: ServerProcess, id: string): Promise<Envelope> =>
    to.call(
      'vectordb/entities/insert',
      { collectionName: 'once', data: [{ vector: [1, 2] }] },
      { RequestId: id },
    );
  const first = await insert(server, 'one');
  expect(first).toMatchObject({ code: 0 });
  for (const aheadMs of [-6 * HOUR_MS, 5 * MINUTE_MS, 0]) {
    await setClock(server, aheadMs);
    expect((await insert(server, 'one')).data).toEqual(first.data);
  }
  await server.kill();
  const earlier = await startAt(-3 * HOUR_MS);
  expect((await insert(earlier, 'one')).data).toEqual(first.data);
  expect(await count(earlier, 'once')).toBe(1);
  // In the eyes of the server too late to tell, not too late to have forgotten.
  await setClock(earlier, 12 * MINUTE_MS);
  expect(await insert(earlier, 'one')).toMatchObject({ code: 2, effect: 'unknown' });
  expect(await count(earlier, 'once')).toBe(1);
});

test('rows that have expired stay away where the clock is set back', async () => {
  const server = await startAt(0);
  await server.must('vectordb/collections/create', {
    collectionName: 'passing',
    dimension: 2,
    params: { ttlSeconds: 3600 },
  });
  const insert = (to: ServerProcess, id: number): Promise<Envelope> =>
    to.must('vectordb/entities/insert', {
      collectionName: 'passing',
      data: [{ id, vector: [id, 1] }],
    });
  await insert(server, 1);
  await setClock(server, HOUR_MS / 2);
  await insert(server, 2);
  expect(await count(server, 'passing')).toBe(2);
  await setClock(server, HOUR_MS + 10 * MINUTE_MS);
  expect(await count(server, 'passing')).toBe(1);
  await insert(server, 3);
  await setClock(server, -HOUR_MS);
  expect(await count(server, 'passing')).toBe(2);
  await server.kill();
  const later = await startAt(-2 * HOUR_MS);
  expect(await count(later, 'passing')).toBe(2);
  await insert(later, 4);
  expect(await count(later, 'passing')).toBe(3);
  await later.stop();
  await verifySums(dir);
});

test('a worker that died while the clock was ahead keeps nobody waiting for hours', async () => {
  const ledger = new Ledger({ collectionName: 'leased' });
  const first = await startAt(0);
  await ledger.create(first);
  await writeSome(first, ledger);
  await first.kill();
  // Nothing is written while the clock is ahead, so that no record says how late it was.
  const ahead = await startAt(6 * HOUR_MS, '^table leases/', '1');
  ahead.tell('SIGUSR2');
  expect(await ahead.ended).toMatchObject({ signal: 'SIGKILL' });
  const server = await startAt(0);
  await until('everything is merged', async () => {
    const { data } = await server.must('clusters/inspect', {});
    return data[0].shards.every(
      ({ segments }: Envelope) =>
        segments.length > 0 && segments.every(({ level }: Envelope) => level > 0),
    );
  });
  expect(await ledger.settle(server)).toEqual(NOTHING_WRONG);
  await server.stop();
});
