/**
 * What replies say about themselves (API.md 1.10) and what a client may rely on: reads see what was
 * acknowledged (I4), a repeated request takes effect once (I2), deadlines tell the truth (I12).
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectError, startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
/** The ack of a write that is in the log already. */
const acks: { until: Promise<void> | undefined } = { until: undefined };

beforeAll(async () => {
  server = await startServer({ heldAcks: acks });
  await server.must('collections/create', { collectionName: 'c', dimension: 2 });
  await server.must('collections/create', { collectionName: 'other', dimension: 2 });
});
afterAll(() => server.close());

const row = (id: number, name = 'n') => ({ id, vector: [1, 2], name });
const insert = (rows: readonly unknown[], headers: Record<string, string> = {}) =>
  server.call('entities/insert', { collectionName: 'c', data: rows }, headers);
const query = (rest: Record<string, unknown>) =>
  server.call('entities/query', { collectionName: 'c', outputFields: ['name'], ...rest });

describe('reads', () => {
  test.each(['Strong', 'Session', 'Bounded', 'Eventually', 'Customized'])(
    'under %s see every acknowledged write at once',
    async (consistencyLevel) => {
      for (let round = 0; round < 20; round++) {
        const name = `${consistencyLevel} ${round}`;
        await insert([row(1, name)]);
        const { body } = await query({ filter: 'id == 1', consistencyLevel });
        expect(body.data).toEqual([{ id: 1, name }]);
      }
    },
  );

  test('say as of when they are, positions only on request', async () => {
    for (const verb of ['query', 'get', 'search']) {
      const ask = { collectionName: 'c', id: 1, data: [[1, 2]], limit: 1 };
      const body = verb === 'search' ? { ...ask, id: undefined } : { ...ask, data: undefined };
      const plain = await server.must(`entities/${verb}`, body);
      expect(plain['asOf']).toEqual({ epoch: expect.any(Number), lagMs: 0 });
      const asked = await server.must(`entities/${verb}`, { ...body, asOf: true });
      expect(asked['asOf'].positions).toEqual({ '0': expect.any(String) });
    }
  });

  test('honour tokens, one or several, and refuse what is none', async () => {
    const [first, second] = [await insert([row(2, 'a')]), await insert([row(2, 'b')])];
    const tokens = [first.body['token'], second.body['token']];
    for (const token of [tokens[0], tokens[1], tokens]) {
      const { body } = await query({ filter: 'id == 2', token });
      expect(body.data).toEqual([{ id: 2, name: 'b' }]);
    }
    for (const verb of ['query', 'get', 'search']) {
      const body = { collectionName: 'c', token: 'nonsense' };
      const need = { query: {}, get: { id: 1 }, search: { data: [[1, 2]] } }[verb];
      expectError(await server.call(`entities/${verb}`, { ...body, ...need }), 1100, 'token');
    }
    const alien = await server.must('entities/insert', { collectionName: 'other', data: [row(1)] });
    expectError(await query({ token: alien['token'] }), 1100, 'another collection');
    expectError(await query({ token: 7 }), 1801, 'token');
    const deleted = await server.must('entities/delete', {
      collectionName: 'c',
      filter: 'id == 2',
    });
    expect((await query({ filter: 'id == 2', token: deleted['token'] })).body.data).toEqual([]);
  });

  test('accept a bound on staleness, which the primary always meets', async () => {
    expect((await query({ maxStalenessMs: 0, limit: 1 })).body.code).toBe(0);
    expectError(await query({ maxStalenessMs: 'soon' }), 1801, 'maxStalenessMs');
    expectError(await query({ maxStalenessMs: -1 }), 1100, 'maxStalenessMs');
  });
});

describe('a RequestId', () => {
  test('makes a repeated insert one insert, with the same generated keys', async () => {
    const collectionName = 'generated';
    await server.must('collections/create', { collectionName, dimension: 2, autoID: true });
    const body = { collectionName, data: [{ vector: [1, 2] }, { vector: [3, 4] }] };
    const send = () => server.call('entities/insert', body, { RequestId: 'once' });
    const [first, second] = [await send(), await send()];
    expect(first.body.code, first.text).toBe(0);
    expect(second.body.data).toEqual(first.body.data);
    const { data } = await server.must('entities/query', {
      collectionName,
      outputFields: ['count(*)'],
    });
    expect(data).toEqual([{ 'count(*)': 2 }]);
  });

  test('of another body is refused', async () => {
    const headers = { RequestId: 'mine' };
    expect((await insert([row(10)], headers)).body.code).toBe(0);
    expectError(await insert([row(11)], headers), 1100, 'RequestId');
    expect((await query({ filter: 'id == 11' })).body.data).toEqual([]);
  });

  test('belongs to its verb: the same id elsewhere is another request', async () => {
    const headers = { RequestId: 'shared' };
    expect((await insert([row(12)], headers)).body.code).toBe(0);
    const deleted = await server.call(
      'entities/delete',
      { collectionName: 'c', filter: 'id == 12' },
      headers,
    );
    expect(deleted.body.data).toEqual({ deleteCount: 1 });
  });

  test('that is too long is refused', async () => {
    expectError(await insert([row(13)], { RequestId: 'x'.repeat(300) }), 1100, 'RequestId');
  });
});

describe('Request-Timeout', () => {
  test.each(['soon', '', '-1', '0', '1.5'])('%j is ignored', async (timeout) => {
    const { body } = await server.call('collections/list', {}, { 'request-timeout': timeout });
    expect(body.code).toBe(0);
  });

  test('of a write that was not acknowledged in time is 408, effect unknown (trap 15)', async () => {
    const hold: { release?: () => void } = {};
    acks.until = new Promise((resolve) => {
      hold.release = resolve;
    });
    const answer = await insert([row(20, 'late')], { 'request-timeout': '1', RequestId: 'late' });
    acks.until = undefined;
    hold.release?.();
    expect(answer.status).toBe(408);
    expect(answer.body).toMatchObject({ code: 10_001, retry: 'later', effect: 'unknown' });
    expect(answer.body.message).toContain('request timeout');
    expect(answer.body.message).toContain('may take effect');
    // Sent again under the same id, it is one write whichever attempt took effect.
    const again = await insert([row(20, 'late')], { RequestId: 'late' });
    expect(again.body, again.text).toMatchObject({ code: 0, data: { insertIds: [20] } });
    expect((await query({ filter: 'id == 20' })).body.data).toEqual([{ id: 20, name: 'late' }]);
  });
});
