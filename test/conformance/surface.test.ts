/** Who is let in, which paths exist, how bodies are read: what holds for every verb. */
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KNOWN_PATHS } from '#api/routes.ts';
import { expectError, startServer, type TestServer } from '../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const BUILT = new Set(
  [
    ...['create', 'list', 'has', 'describe', 'drop', 'load', 'release', 'get_load_state']
      .concat('get_stats', 'flush', 'truncate', 'clone')
      .map((verb) => `collections/${verb}`),
    ...['insert', 'upsert', 'delete', 'get', 'query', 'search'].map((verb) => `entities/${verb}`),
    ...['create', 'list', 'describe', 'drop'].map((verb) => `indexes/${verb}`),
    ...['create', 'list', 'describe', 'drop', 'pin', 'unpin', 'restore'].map(
      (verb) => `snapshots/${verb}`,
    ),
    ...['describe', 'list'].map((verb) => `jobs/snapshot/${verb}`),
    'users/update_password',
  ].map((verb) => `/v2/vectordb/${verb}`),
);
const verbOf = (path: string): string => path.slice('/v2/vectordb/'.length);

describe('routes', () => {
  test.each([...BUILT])('%s is built', async (path) => {
    const { body, status } = await server.call(verbOf(path));
    expect(status).toBe(200);
    expect(body.code).not.toBe(3000);
  });

  test.each([...KNOWN_PATHS].filter((path) => !BUILT.has(path)))(
    '%s says that it is not built',
    async (path) => {
      const answer = await server.call(verbOf(path));
      expectError(answer, 3000, verbOf(path));
      expect(answer.status).toBe(200);
    },
  );

  test.each([
    { path: '/v2/vectordb/entities/erase', method: 'POST' },
    { path: '/v2/vectordb', method: 'POST' },
    { path: '/', method: 'POST' },
    { path: '/v1/vector/search', method: 'POST' },
    { path: '/v2/vectordb/collections/list', method: 'GET' },
    { path: '/v2/vectordb/collections/list', method: 'PUT' },
  ])('$method $path is a 404 in plain text', async ({ path, method }) => {
    const response = await fetch(server.url + path, { method });
    expect(response.status).toBe(404);
    expect(response.headers.get('content-type')).toContain('text/plain');
    expect(await response.text()).toContain('404');
  });

  test('a query string changes nothing', async () => {
    expect((await server.call('collections/list?x=1')).body.code).toBe(0);
  });

  test('a preflight from any origin is answered', async () => {
    const response = await fetch(`${server.url}/v2/vectordb/entities/search`, {
      method: 'OPTIONS',
      headers: { origin: 'https://example.org', 'access-control-request-method': 'POST' },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
    expect(response.headers.get('access-control-allow-methods')).toContain('POST');
  });
});

describe('credentials', () => {
  const list = (authorization: string) => server.call('collections/list', {}, { authorization });

  test.each([
    'Bearer root:Milvus',
    'bearer root:Milvus',
    `Basic ${Buffer.from('root:Milvus').toString('base64')}`,
  ])('%s is let in', async (header) => {
    expect((await list(header)).body.code).toBe(0);
  });

  test.each(['', 'Bearer some-api-key', 'Bearer root:wrong', 'Bearer nobody:Milvus', 'Basic !!'])(
    '%j is not',
    async (header) => {
      const answer = await list(header);
      expect(answer.status).toBe(401);
      expectError(answer, 1800, "user hasn't authenticate");
    },
  );

  test('a verb that is not built asks for them too', async () => {
    const answer = await server.call('roles/list', {}, { authorization: 'Bearer x' });
    expect(answer.status).toBe(401);
  });
});

describe('bodies', () => {
  test.each([
    { what: 'no body', body: '', words: ['{}'] },
    { what: 'half a body', body: '{"dbName"', words: ['character'] },
    { what: 'a list', body: '[]', words: ['object'] },
    { what: 'trailing text', body: '{} {}', words: ['character'] },
    { what: 'equal keys', body: '{"dbName":"a","dbName":"b"}', words: ['dbName'] },
    { what: 'equal keys but for case', body: '{"dbName":"a","dbname":"b"}', words: ['dbName'] },
    { what: 'a name that is a number', body: '{"dbName":1}', words: ['dbName'] },
  ])('$what is 1801', async ({ body, words }) => {
    const answer = await server.call('collections/list', body);
    expect(answer.status).toBe(200);
    expectError(answer, 1801, 'can only accept json format request', ...words);
  });

  test('what is not UTF-8 is 1801', async () => {
    const answer = await server.call('collections/list', Uint8Array.of(0x7b, 0xff, 0x7d));
    expectError(answer, 1801, 'UTF-8');
  });

  test('a missing field is 1802 and named', async () => {
    expectError(
      await server.call('collections/has'),
      1802,
      'missing required parameters',
      'collectionName',
    );
  });

  test('any content type will do', async () => {
    for (const type of ['text/plain;charset=UTF-8', 'application/xml', 'nonsense']) {
      const { body } = await server.call('collections/list', {}, { 'content-type': type });
      expect(body).toEqual({ code: 0, data: [] });
    }
  });

  test('gzip is read, by its size when unpacked', async () => {
    const headers = { 'content-encoding': 'gzip' };
    const { body } = await server.call('collections/list', gzipSync('{}'), headers);
    expect(body.code).toBe(0);
    const bomb = gzipSync(Buffer.alloc(65 * 1024 * 1024, ' '));
    expectError(await server.call('collections/list', bomb, headers), 1102, 'fewer rows');
    expectError(
      await server.call('collections/list', gzipSync('{}'), { 'content-encoding': 'br' }),
      1801,
      'br',
    );
  });

  test('keys match without regard to case, unknown ones are ignored, null is left out', async () => {
    const { body } = await server.call('collections/HAS'.toLowerCase(), {
      COLLECTIONNAME: 'nothing',
      DBNAME: null,
      surprise: { nested: true },
    });
    expect(body).toEqual({ code: 0, data: { has: false } });
  });
});

describe('databases', () => {
  test('the default may be named in the body or in a header; others are 800', async () => {
    const ok = await server.call('collections/list', { dbName: 'default' }, { 'db-name': 'other' });
    expect(ok.body.code).toBe(0);
    expectError(
      await server.call('collections/list', { dbName: 'other' }),
      800,
      'database not found',
    );
    expectError(await server.call('collections/list', {}, { 'db-name': 'other' }), 800, 'other');
    expect((await server.call('collections/list', { dbName: '' })).body.code).toBe(0);
  });
});
