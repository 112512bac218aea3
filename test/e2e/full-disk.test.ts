/**
 * A disk that has no room: on a file system in memory that a file beside the data directory fills up.
 *
 * While it is full, reads are right and writes are refused with a code and an effect that are true; once
 * there is room, the same server goes on, and a new one finds everything that was acknowledged.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Ledger, NOTHING_WRONG, SHARDS } from '../support/e2e-ledger.ts';
import {
  fillUp,
  makeRoom,
  mountMemory,
  resize,
  unmountLeftovers,
  whyNoMount,
} from '../support/e2e-mount.ts';
import {
  CLI,
  killLeftovers,
  run,
  type ServerProcess,
  serve,
  until,
} from '../support/e2e-process.ts';
import type { Envelope } from '../support/server.ts';
import { verifySums } from '../support/verify-sums.ts';

const SERVER = new URL('../support/e2e-server.ts', import.meta.url).pathname;
const MIB = 1024 * 1024;
const PAGE_BYTES = 4096;
/** What a server says that cannot start for lack of room, or could only say so to its own table. */
const NO_ROOM = /cannot be opened: [^"]*no (space|room)|did not take [^"]*no space/i;
const WRITERS = 4;
/** Of all writers together. */
const REFUSALS = 8;
/** A write whose record the log did not take waits for its fate, by itself for 10 s. */
const IMPATIENT = { 'request-timeout': '2' };

const obstacle = await whyNoMount();
if (obstacle !== undefined) console.error(`\n  NOT TESTED: full disks. ${obstacle}\n`);
const mounting = describe.skipIf(obstacle !== undefined);

let disk = '';
let dir = '';

beforeAll(async () => {
  if (obstacle === undefined) disk = await mkdtemp(join(tmpdir(), 'sterna-full-'));
});
beforeEach(() => {
  dir = join(disk, 'data');
});
afterEach(async () => {
  await killLeftovers();
  unmountLeftovers();
});
afterAll(() => rm(disk, { recursive: true, force: true }));

const start = (pace: string): Promise<ServerProcess> => serve([SERVER, dir, pace]);

/** Writes until the disk refused often enough. */
async function writeUntilRefused(server: ServerProcess, ledger: Ledger): Promise<void> {
  let refused = 0;
  await Promise.all(
    Array.from({ length: WRITERS }, async (_, writer) => {
      while (refused < REFUSALS) {
        const reply = await ledger.write(server, writer, IMPATIENT);
        expect(reply, 'every write is answered').toBeDefined();
        if (reply?.code === 0) continue;
        refused++;
        expectTrueRefusal(reply);
      }
    }),
  );
}

/** Overloaded or not ready, and nothing was written; or nobody knows. All of it may be tried again. */
function expectTrueRefusal(reply: Envelope | undefined): void {
  expect(reply).toMatchObject({ retry: 'later' });
  const { code, effect } = reply ?? { code: 0 };
  const text = JSON.stringify(reply);
  expect(
    [
      [8, 'none'],
      [1, 'none'],
      [2, 'unknown'],
      [10001, 'unknown'],
    ],
    text,
  ).toContainEqual([code, effect]);
}

async function expectGoingOn(server: ServerProcess, ledger: Ledger): Promise<void> {
  await until('writes are taken again', async () => {
    return (await ledger.write(server, 0))?.code === 0;
  });
  expect(await ledger.settle(server)).toEqual(NOTHING_WRONG);
  const before = ledger.acknowledged;
  for (let count = 0; count < 10; count++) await ledger.write(server, count % WRITERS);
  expect(ledger.acknowledged).toBe(before + 10);
  expect(await ledger.settle(server)).toEqual(NOTHING_WRONG);
}

async function expectSoundDirectory(ledger: Ledger): Promise<void> {
  const server = await start('usual');
  expect(await ledger.settle(server)).toEqual(NOTHING_WRONG);
  expect(await server.stop()).toMatchObject({ code: 0, signal: null });
  expect(await verifySums(dir)).toBe(SHARDS);
}

const segmentsOf = async (server: ServerProcess): Promise<readonly Envelope[]> => {
  const { data } = await server.must('clusters/inspect', {});
  return data.flatMap(({ shards }: Envelope) =>
    shards.flatMap(({ segments }: Envelope) => segments),
  );
};

/** With as little room as a server can start with: it refuses where there is none for its lock. */
async function startNearlyFull(): Promise<ServerProcess> {
  for (let leftBytes = 0; ; leftBytes += 4 * PAGE_BYTES) {
    await makeRoom(disk);
    await fillUp(disk, leftBytes);
    const server = await start('quick').catch((error: unknown) => String(error));
    if (typeof server !== 'string') return server;
    expect(server).toMatch(NO_ROOM);
    expect(leftBytes, 'room that is enough').toBeLessThan(64 * PAGE_BYTES);
  }
}

mounting('a disk that fills up', () => {
  // What fills it first: objects, or the map of the log and the table.
  test.each([
    { what: 'under payloads and segments', pace: 'quick', textLength: 30_000 },
    { what: 'under the log alone, whose map grows', pace: 'slow apply', textLength: 500 },
  ])('$what, twice, with a kill in between', async ({ pace, textLength }) => {
    mountMemory(disk, 40 * MIB);
    const ledger = new Ledger({ collectionName: 'filling', textLength });
    const first = await start(pace);
    await ledger.create(first);
    await fillUp(disk, 4 * MIB);
    await writeUntilRefused(first, ledger);
    expect(ledger.acknowledged).toBeGreaterThan(10);
    expect(await ledger.look(first)).toEqual(NOTHING_WRONG);
    expect(await first.health()).toMatchObject({ ready: true });
    await makeRoom(disk);
    await expectGoingOn(first, ledger);

    await fillUp(disk, 1 * MIB);
    await writeUntilRefused(first, ledger);
    expect(await first.kill()).toMatchObject({ signal: 'SIGKILL' });
    // On a full disk a server serves, or says what it lacks room for; it does not crash.
    const atFull = await serve([SERVER, dir, pace]).catch((error: unknown) => String(error));
    if (typeof atFull === 'string') {
      expect(atFull).toMatch(NO_ROOM);
      expect(atFull).toContain('"signal":null');
    } else {
      expect(await ledger.look(atFull)).toEqual(NOTHING_WRONG);
      await atFull.kill();
    }
    await makeRoom(disk);
    const second = await start(pace);
    await expectGoingOn(second, ledger);
    expect(await second.stop()).toMatchObject({ code: 0, signal: null });
    await expectSoundDirectory(ledger);
    console.log(
      `full disk ${pace}: ${[...ledger.replies].map((one) => one.join(' x ')).join(', ')}`,
    );
  });

  test('before segments are merged and graphs are built: both wait for room', async () => {
    mountMemory(disk, 64 * MIB);
    const ledger = new Ledger({ collectionName: 'merging', textLength: 20_000, rowsPerWrite: 60 });
    const filling = await start('no compaction');
    await ledger.create(filling);
    for (let count = 0; count < 12; count++) {
      expect(await ledger.write(filling, count % WRITERS)).toMatchObject({ code: 0 });
      await filling.must('vectordb/collections/flush', { collectionName: 'merging' });
    }
    await filling.stop();
    await fillUp(disk, MIB / 2);
    const merging = await start('no graphs');
    await until('merging was tried', async () =>
      merging.said.stderr.includes('"maintenance-failed"'),
    );
    expect(merging.said.stderr).toContain('ENOSPC');
    expect(await ledger.look(merging)).toEqual(NOTHING_WRONG);
    await makeRoom(disk);
    await until('everything is merged', async () =>
      (await segmentsOf(merging)).every(({ level }) => level > 0),
    );
    await merging.stop();
    const building = await startNearlyFull();
    await until('building was tried', async () => {
      const failed = building.said.stderr.includes('"maintenance-failed"');
      return failed || (await segmentsOf(building)).every(({ graph }) => graph !== '');
    });
    expect(await ledger.look(building)).toEqual(NOTHING_WRONG);
    await makeRoom(disk);
    await until('everything has a graph', async () =>
      (await segmentsOf(building)).every(({ graph }) => graph !== ''),
    );
    await expectGoingOn(building, ledger);
    await building.stop();
    await expectSoundDirectory(ledger);
  });

  test('before a snapshot and a clone: they are refused, and their names are free', async () => {
    mountMemory(disk, 24 * MIB);
    const ledger = new Ledger({ collectionName: 'source', textLength: 3_000 });
    const server = await start('no compaction');
    await ledger.create(server);
    for (let count = 0; count < 8; count++) await ledger.write(server, count % WRITERS);
    await server.must('vectordb/collections/flush', { collectionName: 'source' });
    await fillUp(disk, 0);
    const requests = [
      ['snapshots/create', { collectionName: 'source', snapshotName: 'full' }],
      ['collections/clone', { collectionName: 'source', targetCollectionName: 'copy' }],
      ['collections/create', { collectionName: 'another', dimension: 4 }],
    ] as const;
    // Each waits for as long as a write may take to be applied.
    await Promise.all(
      requests.map(async ([verb, body]) => {
        const reply = await server.call(`vectordb/${verb}`, body);
        if (reply.code !== 0) expect(reply, verb).toMatchObject({ retry: 'later' });
      }),
    );
    expect(await ledger.look(server)).toEqual(NOTHING_WRONG);
    await makeRoom(disk);
    await expectGoingOn(server, ledger);
    for (const [verb, body] of requests) {
      const has = await server.must('vectordb/collections/has', {
        collectionName:
          'targetCollectionName' in body ? body.targetCollectionName : body.collectionName,
      });
      if (verb === 'snapshots/create') {
        const { data } = await server.must('vectordb/snapshots/list', { collectionName: 'source' });
        if (data.includes('full')) continue;
      } else if (has.data.has) continue;
      await server.must(`vectordb/${verb}`, body);
    }
    const count = { filter: '', outputFields: ['count(*)'] };
    const [source, copy] = await Promise.all(
      ['source', 'copy'].map((collectionName) =>
        server.must('vectordb/entities/query', { collectionName, ...count }),
      ),
    );
    expect(copy?.data).toEqual(source?.data);
    await server.stop();
    expect(await verifySums(dir)).toBe(2 * SHARDS + 1);
  });
});

mounting('a disk without room for a first start', () => {
  const KIB = 1024;
  /** Too little for LMDB's first page, for its lock, for its first commit, for the next environment. */
  test.each([4, 16, 32, 64, 160])('of %i KiB is refused or enough', async (sizeKib) => {
    mountMemory(disk, sizeKib * KIB);
    const serving = [CLI, 'serve', '--port', '0', '--data', dir];
    const server = await serve(serving).catch(() => undefined);
    if (server === undefined) {
      const ended = await run(serving);
      expect(ended).toMatchObject({ code: 1, signal: null, stdout: '' });
      expect(ended.stderr).toMatch(/error: [^\n]*sterna-full-[^\n]*\n$/);
    } else {
      await server.kill();
    }
    resize(disk, 8 * MIB);
    const later = await serve(serving);
    await later.must('vectordb/collections/create', { collectionName: 'roomy', dimension: 2 });
    expect(await later.stop()).toMatchObject({ code: 0, signal: null });
  });
});
