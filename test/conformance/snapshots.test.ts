/** snapshots/*, collections/clone, collections/truncate: what they keep, share and refuse (API.md 1.4; I9). */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const row = (id: number, tag: string) => ({ id, tag, vector: [id, 1, 0, Math.sin(id)] });
const rows = (first: number, count: number, tag = 'a') =>
  Array.from({ length: count }, (_, at) => row(first + at, tag));
const create = (collectionName: string, shardsNum = 1) =>
  server.must('collections/create', { collectionName, dimension: 4, params: { shardsNum } });
const insert = (collectionName: string, data: object[]) =>
  server.must('entities/upsert', { collectionName, data });
const all = async (collectionName: string): Promise<{ id: number; tag: string }[]> => {
  const { data } = await server.must('entities/query', {
    collectionName,
    filter: 'id >= 0',
    outputFields: ['id', 'tag'],
    limit: 16_384,
  });
  return data.sort((a: { id: number }, b: { id: number }) => a.id - b.id);
};
const restore = (sourceCollectionName: string, snapshotName: string, target: string) =>
  server.must('snapshots/restore', {
    sourceCollectionName,
    snapshotName,
    targetCollectionName: target,
  });
const inspect = async (collectionName: string) => {
  const response = await fetch(`${server.url}/v2/clusters/inspect`, {
    method: 'POST',
    headers: { authorization: 'Bearer root:Milvus' },
    body: JSON.stringify({ collectionName }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: assertions look into it
  return ((await response.json()) as any).data[0].shards;
};

for (const shards of [1, 4]) {
  test(`a snapshot of ${shards} shards keeps what was there, whatever happens after it`, async () => {
    const name = `kept${shards}`;
    await create(name, shards);
    await insert(name, rows(0, 200));
    await server.must('entities/delete', { collectionName: name, filter: 'id in [3, 4]' });
    const before = await all(name);
    await server.must('snapshots/create', { collectionName: name, snapshotName: 'monday' });
    await insert(name, rows(100, 200, 'b'));
    await server.must('entities/delete', { collectionName: name, filter: 'id < 50' });
    const { data } = await restore(name, 'monday', `${name}_back`);
    expect(await all(`${name}_back`)).toEqual(before);
    expect((await all(name)).length).toBe(250);
    const job = await server.must('jobs/snapshot/describe', { jobId: data.jobId });
    expect(job.data).toMatchObject({ state: 'RestoreSnapshotCompleted', progress: 100 });
  });
}

test('a clone and its parent go their own ways, and dropping either hurts the other not', async () => {
  await create('parent', 2);
  await insert('parent', rows(0, 100));
  await server.must('collections/clone', {
    collectionName: 'parent',
    targetCollectionName: 'child',
  });
  await insert('child', rows(50, 100, 'child'));
  await server.must('entities/delete', { collectionName: 'parent', filter: 'id < 10' });
  await server.must('collections/flush', { collectionName: 'child' });
  const child = await all('child');
  expect(child).toHaveLength(150);
  expect(child.filter(({ tag }) => tag === 'child')).toHaveLength(100);
  expect(await all('parent')).toHaveLength(90);

  await server.must('collections/clone', {
    collectionName: 'child',
    targetCollectionName: 'grandchild',
  });
  await server.must('collections/drop', { collectionName: 'parent' });
  expect(await all('child')).toEqual(child);
  await server.must('collections/drop', { collectionName: 'child' });
  expect(await all('grandchild')).toEqual(child);
});

test('a clone has the sums of its parent at the cut (I7)', async () => {
  await create('summed', 3);
  await insert('summed', rows(0, 300));
  await server.must('collections/flush', { collectionName: 'summed' });
  await server.must('collections/clone', {
    collectionName: 'summed',
    targetCollectionName: 'summed2',
  });
  const sums = (shards: { sumIn: string; sumHeld: string }[]) =>
    shards.map(({ sumIn, sumHeld }) => [sumIn, sumHeld]);
  expect(sums(await inspect('summed2'))).toEqual(sums(await inspect('summed')));
});

test('a snapshot outlives its collection, is found by its name, and describes itself', async () => {
  await create('gone');
  await insert('gone', rows(0, 10));
  await server.must('snapshots/create', {
    collectionName: 'gone',
    snapshotName: 'last',
    description: 'before the move',
  });
  await server.must('collections/drop', { collectionName: 'gone' });
  expect((await server.must('snapshots/list', { collectionName: 'gone' })).data).toEqual(['last']);
  const { data } = await server.must('snapshots/describe', {
    collectionName: 'gone',
    snapshotName: 'last',
  });
  expect(data).toMatchObject({
    snapshotName: 'last',
    description: 'before the move',
    collectionName: 'gone',
    partitionNames: ['_default'],
  });
  expect(data.s3Location).toMatch(/^snapshots\//);
  const { clock } = server.ports;
  expect(clock.nowMs() - data.createTs).toBeLessThan(60_000);
  expect(data.createTs).toBeLessThanOrEqual(clock.nowMs());
  await restore('gone', 'last', 'gone');
  expect(await all('gone')).toHaveLength(10);
});

test('names are refused where they are taken or missing, before anything is made', async () => {
  await create('named');
  const call = (verb: string, body: object) => server.call(verb, { ...body });
  const snapshot = { collectionName: 'named', snapshotName: 'one' };
  await server.must('snapshots/create', snapshot);
  expect((await call('snapshots/create', snapshot)).body).toMatchObject({ code: 1100 });
  expect((await call('snapshots/create', { ...snapshot, snapshotName: '1-' })).body.code).toBe(
    1100,
  );
  expect(
    (await call('snapshots/create', { ...snapshot, collectionName: 'nobody' })).body.code,
  ).toBe(100);
  const two = { ...snapshot, snapshotName: 'two' };
  expect((await call('snapshots/describe', two)).body.code).toBe(2600);
  expect((await call('snapshots/drop', two)).body.code).toBe(2600);
  const target = {
    sourceCollectionName: 'named',
    snapshotName: 'one',
    targetCollectionName: 'named',
  };
  expect((await call('snapshots/restore', target)).body).toMatchObject({ code: 1100 });
  const clone = { collectionName: 'named', targetCollectionName: 'named' };
  expect((await call('collections/clone', clone)).body).toMatchObject({ code: 1100 });
  expect((await call('jobs/snapshot/describe', { jobId: 5 })).body.code).toBe(1100);
});

test('a pinned snapshot cannot be dropped until it is unpinned', async () => {
  await create('pinned');
  const snapshot = { collectionName: 'pinned', snapshotName: 'held' };
  await server.must('snapshots/create', snapshot);
  const { data } = await server.must('snapshots/pin', { ...snapshot, ttlSeconds: 3600 });
  expect((await server.call('snapshots/drop', snapshot)).body).toMatchObject({
    code: 2601,
    retry: 'later',
    effect: 'none',
  });
  await server.must('snapshots/unpin', { pinId: data.pinId });
  await server.must('snapshots/drop', snapshot);
  expect((await server.must('snapshots/list', { collectionName: 'pinned' })).data).toEqual([]);
  await server.must('snapshots/create', snapshot);
});

test('a snapshot taken beside writers holds a prefix of each of them', async () => {
  await create('busy', 4);
  let stop = false;
  // Each row is written when the one before it was acknowledged, wherever it falls.
  const writer = async (base: number) => {
    let written = 0;
    for (; !stop; written++) await insert('busy', [row(base + written, 'w')]);
    return written;
  };
  const writers = [0, 10_000].map(writer);
  for (let at = 0; at < 5; at++) {
    await server.must('snapshots/create', { collectionName: 'busy', snapshotName: `s${at}` });
  }
  stop = true;
  await Promise.all(writers);
  for (let at = 0; at < 5; at++) {
    await restore('busy', `s${at}`, `busy${at}`);
    const ids = (await all(`busy${at}`)).map(({ id }) => id);
    for (const base of [0, 10_000]) {
      const own = ids.filter((id) => id >= base && id < base + 10_000);
      expect(own).toEqual(own.map((_, index) => base + index));
    }
  }
}, 60_000);

test('truncating empties every shard, and what is written afterwards stays', async () => {
  await create('emptied', 2);
  await insert('emptied', rows(0, 100));
  await server.must('collections/truncate', { collectionName: 'emptied' });
  expect(await all('emptied')).toEqual([]);
  await insert('emptied', rows(50, 10, 'new'));
  expect(await all('emptied')).toHaveLength(10);
  expect((await server.call('collections/truncate', { collectionName: 'none' })).body.code).toBe(
    100,
  );
});
