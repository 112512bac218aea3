/** Rows that live for a time only (API.md 1.5): no read sees them afterwards, whatever it asks. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const rows = Array.from({ length: 20 }, (_, id) => ({ id, vector: [id, 1, 0, -1] }));

async function create(collectionName: string, ttlSeconds: number): Promise<void> {
  const params = { ttlSeconds };
  await server.must('collections/create', { collectionName, dimension: 4, params });
  await server.must('entities/insert', { collectionName, data: rows });
}

async function seen(collectionName: string) {
  const filter = 'id >= 0';
  const counted = await server.must('entities/query', {
    ...{ collectionName, filter },
    outputFields: ['count(*)'],
  });
  const queried = await server.must('entities/query', { collectionName, filter, limit: 100 });
  const got = await server.must('entities/get', { collectionName, id: [1, 2, 3] });
  const found = await server.must('entities/search', {
    ...{ collectionName, limit: 10 },
    data: [[1, 1, 0, -1]],
  });
  return {
    count: Number(counted.data[0]['count(*)']),
    queried: queried.data.length,
    got: got.data.length,
    found: found.data.length,
  };
}

/** Polls: a second is over when it is over, on a busy machine too. */
async function expired(collectionName: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    if ((await seen(collectionName)).count === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${collectionName} still has rows`);
}

test('the time to live is a property that describe shows', async () => {
  await create('shown', 3_600);
  const { data } = await server.must('collections/describe', { collectionName: 'shown' });
  expect(data.properties).toEqual([{ key: 'collection.ttl.seconds', value: '3600' }]);
});

test('rows within their time are seen by every read', async () => {
  await create('long', 3_600);
  expect(await seen('long')).toEqual({ count: 20, queried: 20, got: 3, found: 10 });
});

test('rows past their time are seen by none, and a delete by filter does not count them', async () => {
  await create('short', 1);
  await expired('short');
  expect(await seen('short')).toEqual({ count: 0, queried: 0, got: 0, found: 0 });
  const collectionName = 'short';
  await server.must('entities/delete', { collectionName, filter: 'id >= 0' });
  expect((await seen('long')).count).toBe(20);
});

test('a time to live that is no whole number from 0 is refused', async () => {
  for (const ttlSeconds of [-1, 1.5, 'soon']) {
    const answer = await server.call('collections/create', {
      ...{ collectionName: 'bad', dimension: 4 },
      params: { ttlSeconds },
    });
    expect(answer.body, String(ttlSeconds)).toMatchObject({ code: 1100 });
  }
});
