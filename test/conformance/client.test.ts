/** A real Milvus client drives the server: the HttpClient of @zilliz/milvus2-sdk-node. */
import { HttpClient } from '@zilliz/milvus2-sdk-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let client: HttpClient;
const collection_name = 'books';
const scope = { dbName: 'default', collectionName: collection_name };

beforeAll(async () => {
  server = await startServer();
  client = new HttpClient({ endpoint: server.url, username: 'root', password: 'Milvus' });
});
afterAll(() => server.close());

describe('HttpClient, in order', () => {
  test('creates a collection', async () => {
    const created = await client.createCollection({
      collectionName: collection_name,
      dimension: 4,
      metricType: 'L2',
      primaryFieldName: 'id',
      vectorFieldName: 'vector',
    });
    expect(created).toMatchObject({ code: 0 });
    expect(await client.hasCollection(scope)).toMatchObject({ code: 0, data: { has: true } });
    expect((await client.listCollections()).data).toEqual([collection_name]);
    const described = await client.describeCollection(scope);
    expect(described.data).toMatchObject({
      collectionName: collection_name,
      enableDynamicField: true,
      shardsNum: 1,
      indexes: [{ fieldName: 'vector', metricType: 'L2' }],
    });
    expect(await client.getCollectionLoadState(scope)).toMatchObject({
      data: { loadState: 'LoadStateLoaded', loadProgress: 100 },
    });
  });

  test('inserts', async () => {
    const inserted = await client.insert({
      ...scope,
      data: Array.from({ length: 10 }, (_, id) => ({
        id,
        vector: [id, 0, 0, 0],
        title: `book ${id}`,
      })),
    });
    expect(inserted).toMatchObject({ code: 0, data: { insertCount: 10 } });
    // The client asks for 64-bit integers as text unless told otherwise.
    expect(inserted.data.insertIds).toEqual(Array.from({ length: 10 }, (_, id) => String(id)));
  });

  test('searches one and several vectors', async () => {
    const one = await client.search({
      ...scope,
      data: [[3, 0, 0, 0]],
      limit: 2,
      outputFields: ['title'],
    });
    expect(one.data).toEqual([
      { id: '3', distance: 0, title: 'book 3' },
      { id: '2', distance: 1, title: 'book 2' },
    ]);
    expect(one.topks).toEqual([2]);
    const two = await client.search({
      ...scope,
      data: [
        [0, 0, 0, 0],
        [9, 0, 0, 0],
      ],
      limit: 2,
      outputFields: ['id'],
    });
    // It slices the flat answer by topks.
    expect(two.data).toMatchObject([
      [{ id: '0' }, { id: '1' }],
      [{ id: '9' }, { id: '8' }],
    ]);
  });

  test('queries and gets', async () => {
    const queried = await client.query({
      ...scope,
      filter: 'title == "book 7"',
      outputFields: ['id', 'title'],
    });
    expect(queried.data).toEqual([{ id: '7', title: 'book 7' }]);
    const got = await client.get({ ...scope, id: ['1', '2'], outputFields: ['title'] });
    expect(got.data).toEqual([
      { id: '1', title: 'book 1' },
      { id: '2', title: 'book 2' },
    ]);
  });

  test('upserts', async () => {
    const upserted = await client.upsert({
      ...scope,
      data: [{ id: 1, vector: [1, 0, 0, 0], title: 'second edition' }],
    });
    expect(upserted).toMatchObject({ code: 0, data: { upsertCount: 1, upsertIds: ['1'] } });
    const got = await client.get({ ...scope, id: 1, outputFields: ['title'] });
    expect(got.data).toEqual([{ id: '1', title: 'second edition' }]);
  });

  test('deletes', async () => {
    expect(await client.delete({ ...scope, filter: 'id in [1, 2]' })).toMatchObject({ code: 0 });
    const left = await client.query({ ...scope, outputFields: ['count(*)'] });
    expect(left.data).toEqual([{ 'count(*)': 8 }]);
  });

  test('looks after indexes, load state and statistics', async () => {
    expect((await client.listIndexes(scope)).data).toEqual(['vector']);
    const described = await client.describeIndex({ ...scope, indexName: 'vector' });
    expect(described.data).toMatchObject([{ fieldName: 'vector', metricType: 'L2' }]);
    expect(await client.flushCollection(scope)).toMatchObject({ code: 0 });
    const { rowCount } = (await client.getCollectionStatistics(scope)).data;
    expect(rowCount).toBe(11);
    expect(await client.releaseCollection(scope)).toMatchObject({ code: 0 });
    const refused = await client.search({ ...scope, data: [[0, 0, 0, 0]], outputFields: [] });
    expect(refused).toMatchObject({ code: 101 });
    expect(await client.loadCollection(scope)).toMatchObject({ code: 0 });
  });

  test('drops', async () => {
    expect(await client.dropCollection(scope)).toMatchObject({ code: 0 });
    expect(await client.hasCollection(scope)).toMatchObject({ data: { has: false } });
  });
});

test('with numbers for 64-bit integers on request', async () => {
  const numeric = new HttpClient({ endpoint: server.url, token: 'root:Milvus', acceptInt64: true });
  const names = { dbName: 'default', collectionName: 'numbers' };
  await numeric.createCollection({ ...names, dimension: 2 });
  const inserted = await numeric.insert({ ...names, data: [{ id: 7, vector: [1, 2] }] });
  expect(inserted.data.insertIds).toEqual([7]);
});

test('without credentials it gets a 401', async () => {
  const stranger = new HttpClient({ endpoint: server.url, token: 'an-api-key' });
  await expect(stranger.listCollections()).rejects.toMatchObject({ status: 401 });
});
