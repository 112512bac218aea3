import { describe, expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { acceptDelete, acceptRows } from '#ingest/accept.ts';
import { DEADLINE_MS, SKEW_MS } from '#ingest/deadline.ts';
import { deleteByFilter } from '#ingest/delete.ts';
import { ID_WINDOW_MS } from '#ingest/fold.ts';
import {
  ATTEMPT_ROW_MS,
  beginAttempt,
  isLatestAttempt,
  RETRY_WINDOW_MS,
  type RequestIdentity,
  recordIdOf,
} from '#ingest/idempotency.ts';
import {
  applyAll,
  liveRows,
  liveValues,
  manifestOf,
  openWorld,
  passTime,
  row,
  start,
  type World,
} from './world.ts';

const identity: RequestIdentity = { user: 'u', route: 'r', requestId: 'q', bodyHash: 'h' };
const noKeys = async () => undefined;
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'ok',
    (error: unknown) => (isStoreError(error) ? error.code : String(error)),
  );

/** A retry waits for apply: both go on together. */
async function retried<T>(world: World, work: Promise<T>): Promise<T> {
  const applying = world.clock.sleep(300).then(() => applyAll(start(world)));
  const result = await passTime(world.clock, work);
  await passTime(world.clock, applying);
  return result;
}

describe('attempts', () => {
  test('are counted; only the latest is the latest; keys are taken once', async () => {
    const { disk } = await openWorld();
    let taken = 0;
    const takeKeys = async () => BigInt(++taken);
    const first = await beginAttempt(disk, identity, takeKeys);
    expect(first).toMatchObject({ number: 1, first: true, firstKey: 1n });
    expect(await isLatestAttempt(disk.global, first)).toBe(true);
    const second = await beginAttempt(disk, identity, takeKeys);
    expect(second).toMatchObject({ number: 2, first: false, firstKey: 1n });
    expect(await isLatestAttempt(disk.global, first)).toBe(false);
    expect(await isLatestAttempt(disk.global, second)).toBe(true);
  });

  test('the same id with another body is refused, for another user or route it is another id', async () => {
    const { disk } = await openWorld();
    await beginAttempt(disk, identity, noKeys);
    expect(await codeOf(beginAttempt(disk, { ...identity, bodyHash: 'x' }, noKeys))).toBe(
      'INVALID_ARGUMENT',
    );
    expect(
      await beginAttempt(disk, { ...identity, user: 'v', bodyHash: 'x' }, noKeys),
    ).toMatchObject({ first: true });
    expect(await beginAttempt(disk, { ...identity, route: 's' }, noKeys)).toMatchObject({
      first: true,
    });
  });

  test('a retry that comes too late to be recognised is refused as uncertain, later it is a new request', async () => {
    const { disk, clock } = await openWorld();
    await beginAttempt(disk, identity, noKeys);
    await clock.advance(RETRY_WINDOW_MS);
    expect(await beginAttempt(disk, identity, noKeys)).toMatchObject({ number: 2, first: false });
    await clock.advance(1);
    expect(await codeOf(beginAttempt(disk, identity, noKeys))).toBe('WRITE_UNCERTAIN');
    await clock.advance(ATTEMPT_ROW_MS);
    expect(await beginAttempt(disk, identity, noKeys)).toMatchObject({ number: 3, first: true });
  });

  test('an attempt whose process slept until the request was forgotten is no first one', async () => {
    const { disk, clock } = await openWorld();
    const untilMs = clock.nowMs() + 25_000;
    // Another process took the retry; its row expires while this one sleeps.
    await beginAttempt(disk, identity, noKeys);
    await clock.advance(ATTEMPT_ROW_MS + 1);
    expect(await codeOf(beginAttempt(disk, identity, noKeys, untilMs))).toBe('WRITE_UNCERTAIN');
    const laterMs = clock.nowMs() + 25_000;
    expect(await beginAttempt(disk, identity, noKeys, laterMs)).toMatchObject({ first: true });
  });

  test('the windows fit into one another', () => {
    // The last retry's record arrives while the first one's id is remembered.
    expect(RETRY_WINDOW_MS + DEADLINE_MS + 2 * SKEW_MS).toBeLessThanOrEqual(ID_WINDOW_MS);
    // When the row is forgotten the last attempt's record has long been forgotten too.
    expect(ATTEMPT_ROW_MS).toBeGreaterThan(ID_WINDOW_MS + DEADLINE_MS + 2 * SKEW_MS);
  });

  test('racing attempts get different numbers', async () => {
    const { disk } = await openWorld();
    const all = await Promise.all([1, 2, 3, 4].map(() => beginAttempt(disk, identity, noKeys)));
    expect(all.map(({ number }) => number).sort()).toEqual([1, 2, 3, 4]);
    expect(all.filter(({ first }) => first)).toHaveLength(1);
  });

  test('expired rows are swept by those who come later', async () => {
    const { disk, clock } = await openWorld();
    for (let index = 0; index < 400; index++) {
      await beginAttempt(disk, { ...identity, requestId: `old ${index}` }, noKeys);
    }
    await clock.advance(ATTEMPT_ROW_MS + 1);
    const count = async () => {
      let rows = 0;
      for (let part = 0; part < 256; part++) {
        const name = part.toString(16).padStart(2, '0');
        rows += (await disk.global.query(`requests/${name}`)).length;
      }
      return rows;
    };
    expect(await count()).toBe(400);
    for (let index = 0; index < 6000; index++) {
      await beginAttempt(disk, { ...identity, requestId: `new ${index}` }, noKeys);
    }
    expect(await count()).toBeLessThan(6200);
  });

  test('a record id is of the request and the shard', () => {
    const ids = [
      recordIdOf(identity, 7, 0),
      recordIdOf(identity, 7, 1),
      recordIdOf({ ...identity, bodyHash: 'x' }, 7, 0),
      recordIdOf({ ...identity, user: 'ur', route: '' }, 7, 0),
    ];
    expect(new Set(ids).size).toBe(4);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
  });
});

test('a repeated insert takes effect once, answers the same, and undoes nothing', async () => {
  const world = await openWorld({ shards: 2, autoId: true });
  const ports = start(world);
  const rows = [
    { value: 1, vector: [1, 1, 0, -1] },
    { value: 2, vector: [2, 1, 0, -1] },
  ];
  const request = { kind: 'insert', rows, partitionId: 1, identity } as const;
  const first = await acceptRows(ports, world.collection, request);
  await acceptDelete(ports, world.collection, { victims: [{ key: first.ids[0] as bigint }] });
  const again = await retried(world, acceptRows(start(world), world.collection, request));
  expect(again).toEqual(first);
  expect(await liveValues(world)).toEqual([[String(first.ids[1]), 2]]);
});

test('a repeated delete by filter answers with what the first one deleted', async () => {
  const world = await openWorld({ shards: 3 });
  const ports = start(world);
  const rows = Array.from({ length: 9 }, (_, index) => row(index, index));
  await acceptRows(ports, world.collection, { kind: 'insert', rows, partitionId: 1 });
  const resolve = async () =>
    [...(await liveRows(world))]
      .filter(([, { value }]) => Number(value) < 5)
      .map(([key, { position }]) => ({ key, position }));
  const request = { filter: 'value < 5', identity };
  expect(await deleteByFilter(ports, resolve, world.collection, request)).toMatchObject({
    count: 5,
  });
  await acceptRows(ports, world.collection, { kind: 'insert', rows: [row(1, 1)], partitionId: 1 });
  const again = await retried(world, deleteByFilter(ports, resolve, world.collection, request));
  expect(again).toMatchObject({ count: 5 });
  // What was written since is not the first request's to delete.
  expect((await liveValues(world)).map(([key]) => key)).toEqual(['1', '5', '6', '7', '8']);
});

test('a repeated delete by filter deletes nothing in shards where the first one found nothing', async () => {
  const world = await openWorld({ shards: 3 });
  const ports = start(world);
  const insert = (value: number, ...ids: readonly number[]) =>
    acceptRows(ports, world.collection, {
      kind: 'insert',
      rows: ids.map((id) => row(id, value)),
      partitionId: 1,
    });
  const resolve = async () =>
    [...(await liveRows(world))]
      .filter(([, { value }]) => Number(value) < 5)
      .map(([key, { position }]) => ({ key, position }));
  const request = { filter: 'value < 5', identity };
  await insert(1, 1);
  expect(await deleteByFilter(ports, resolve, world.collection, request)).toMatchObject({
    count: 1,
  });
  // Among these some lie in every shard.
  const later = [1, 2, 3, 4, 5, 6, 7, 8, 9];
  await insert(2, ...later);
  const again = await retried(world, deleteByFilter(ports, resolve, world.collection, request));
  expect(again).toMatchObject({ count: 1 });
  expect((await liveValues(world)).map(([key]) => key)).toEqual(later.map(String));
});

test('ids older than the window leave the manifest, and the window bounds its length', async () => {
  const world = await openWorld();
  const ports = start(world);
  for (let value = 0; value < 15; value++) {
    await acceptRows(ports, world.collection, {
      kind: 'insert',
      rows: [row(1, value)],
      partitionId: 1,
    });
    await applyAll(ports);
    await world.clock.advance(60_000);
  }
  const { idWindow, segments } = await manifestOf(world);
  expect(segments).toHaveLength(15);
  expect(idWindow).toHaveLength(12);
});
