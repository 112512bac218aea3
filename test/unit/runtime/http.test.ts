/** The door: routes, credentials, bodies, deadlines and errors, by API Gateway's events. */
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { StoreError } from '#base/errors.ts';
import { type HttpEvent, http } from '#runtime/http.ts';
import { type RequestContext, type Routes, readRoute, writeRoute } from '#service/route.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { RecordingTelemetry } from '#sim/silent-telemetry.ts';

const LIST = '/v2/vectordb/collections/list';
const INSERT = '/v2/vectordb/entities/insert';

type Answer = (request: { n?: number | undefined }, context: RequestContext) => Promise<number>;

function open(answer: Answer = async () => 1) {
  const clock = new ManualClock();
  const telemetry = new RecordingTelemetry();
  const schema = z.object({ n: z.number().optional() });
  const handle = async (request: z.output<typeof schema>, context: RequestContext) => ({
    data: await answer(request, context),
  });
  const routes: Routes = {
    [`POST ${LIST}`]: readRoute(schema, handle),
    [`POST ${INSERT}`]: writeRoute(schema, handle),
  };
  const handler = http(routes, {
    authenticate: async (header) => {
      if (header === 'Bearer a:b') return 'a';
      throw new StoreError('UNAUTHENTICATED', "user hasn't authenticated");
    },
    clock,
    telemetry,
    bodyBytesMax: 1000,
  });
  const call = async (change: Partial<HttpEvent> & { method?: string } = {}) => {
    const { method = 'POST', ...rest } = change;
    const { statusCode, headers, body } = await handler(
      {
        rawPath: LIST,
        body: '{}',
        isBase64Encoded: false,
        requestContext: { requestId: 'r-1', http: { method } },
        ...rest,
        headers: { authorization: 'Bearer a:b', ...rest.headers },
      },
      {},
    );
    const isJson = headers['content-type']?.startsWith('application/json');
    return { statusCode, headers, body: isJson ? JSON.parse(body) : body };
  };
  return { call, clock, telemetry };
}

describe('routing', () => {
  test('a route answers in the envelope, open to every origin', async () => {
    const { statusCode, headers, body } = await open(async ({ n }) => (n ?? 0) + 1).call({
      body: '{"n":41}',
    });
    expect(statusCode).toBe(200);
    expect(body).toEqual({ code: 0, data: 42 });
    expect(headers['access-control-allow-origin']).toBe('*');
  });

  test.each([
    { path: '/v2/vectordb/collections/nothing', method: 'POST' },
    { path: '/v2/vectordb/collections/list/', method: 'POST' },
    { path: '/', method: 'POST' },
    { path: '/constructor', method: 'POST' },
    { path: LIST, method: 'GET' },
  ])('$method $path is a 404 in plain text, also without credentials', async ({ path, method }) => {
    const reply = await open().call({ rawPath: path, method, headers: { authorization: '' } });
    expect(reply.statusCode).toBe(404);
    expect(reply.headers['content-type']).toContain('text/plain');
    expect(reply.body).toContain('404');
  });

  test('a preflight needs nothing', async () => {
    const reply = await open().call({ method: 'OPTIONS', headers: { authorization: undefined } });
    expect(reply.statusCode).toBe(204);
    expect(reply.headers['access-control-allow-headers']).toBe('Authorization, *');
  });

  test('a verb that is not built says which, after the credentials', async () => {
    const path = '/v2/vectordb/roles/create';
    const reply = await open().call({ rawPath: path });
    expect(reply).toMatchObject({ statusCode: 200, body: { code: 3000, effect: 'none' } });
    expect(reply.body.message).toContain('roles/create');
    const stranger = await open().call({ rawPath: path, headers: { authorization: 'Bearer k' } });
    expect(stranger).toMatchObject({ statusCode: 401, body: { code: 1800 } });
  });
});

describe('headers', () => {
  const contextOf = async (headers: Record<string, string>): Promise<RequestContext> => {
    let seen: RequestContext | undefined;
    await open(async (_, context) => {
      seen = context;
      return 1;
    }).call({ headers });
    if (seen === undefined) throw new Error('the route was not reached');
    return seen;
  };

  test('say who, which database, how integers travel, and how long to wait', async () => {
    const start = new ManualClock().nowMs();
    expect(await contextOf({})).toMatchObject({
      user: 'a',
      route: LIST,
      dbName: undefined,
      int64AsText: false,
      deadlineMs: start + 30_000,
      idempotency: undefined,
    });
    expect(
      await contextOf({
        'db-name': 'other',
        'accept-type-allow-int64': 'FALSE',
        'request-timeout': '2',
      }),
    ).toMatchObject({ dbName: 'other', int64AsText: true, deadlineMs: start + 2000 });
    expect((await contextOf({ 'request-timeout': 'soon' })).deadlineMs).toBe(start + 30_000);
    expect((await contextOf({ 'request-timeout': '0' })).deadlineMs).toBe(start + 30_000);
  });

  test('a RequestId comes with the hash of the body', async () => {
    const { idempotency } = await contextOf({ requestid: 'abc' });
    expect(idempotency?.requestId).toBe('abc');
    expect(idempotency?.bodyHash).toMatch(/^[0-9a-f]{64}$/);
  });

  test('a RequestId that is too long is refused', async () => {
    const reply = await open().call({ headers: { requestid: 'x'.repeat(257) } });
    expect(reply.body).toMatchObject({ code: 1100 });
  });
});

describe('failure', () => {
  test.each([
    { body: '', code: 1801 },
    { body: '{', code: 1801 },
    { body: '{"n":"1"}', code: 1801 },
    { body: `{"n":1,"m":"${'x'.repeat(1000)}"}`, code: 1102 },
  ])('a body is refused with $code', async ({ body, code }) => {
    const reply = await open().call({ body });
    expect(reply.statusCode).toBe(200);
    expect(reply.body).toMatchObject({ code, retry: 'never', effect: 'none' });
  });

  test('of ours travels with its advice', async () => {
    const reply = await open(async () => {
      throw new StoreError('OVERLOADED', 'the tail is full');
    }).call();
    expect(reply.body).toMatchObject({ code: 8, retry: 'later', effect: 'none' });
  });

  test('of a bug is 500 without its text; the log has the stack', async () => {
    const { call, telemetry } = open(async () => {
      throw new TypeError('row 7 is 42');
    });
    const reply = await call();
    expect(reply.statusCode).toBe(500);
    expect(JSON.stringify(reply.body)).not.toMatch(/row 7|TypeError|\.ts/);
    const logged = telemetry.events.filter(({ name }) => name === 'request-failed');
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatchObject({ level: 'error', facts: { requestId: 'r-1', path: LIST } });
    expect(String(logged[0]?.facts['error'])).toContain('row 7 is 42');
  });

  test.each([
    { path: LIST, effect: 'none' },
    { path: INSERT, effect: 'unknown' },
  ])('to answer in time is 408, and the effect of $path is $effect', async ({ path, effect }) => {
    const { call, clock } = open(() => new Promise(() => {}));
    const reply = call({ rawPath: path, headers: { 'request-timeout': '1' } });
    await clock.advance(1000);
    expect(await reply).toMatchObject({
      statusCode: 408,
      body: { code: 10_001, retry: 'later', effect },
    });
    expect((await reply).body.message).toContain('request timeout');
  });

  test('of a write after its caller gave up goes to the log, not up the stack', async () => {
    const fail: { now?: (error: Error) => void } = {};
    const { call, clock, telemetry } = open(
      () =>
        new Promise((_, reject) => {
          fail.now = reject;
        }),
    );
    const reply = call({ rawPath: INSERT, headers: { 'request-timeout': '1' } });
    await clock.advance(1000);
    await reply;
    fail.now?.(new Error('too late'));
    await clock.advance(1);
    expect(telemetry.events.some(({ name }) => name === 'request-failed')).toBe(true);
  });
});

test('every request is counted by path and code, unknown paths together', async () => {
  const { call, telemetry } = open();
  await call();
  await call({ rawPath: '/v2/vectordb/a' });
  await call({ rawPath: '/v2/vectordb/b' });
  const [known, unknown] = [
    { path: LIST, code: '0' },
    { path: 'other', code: '404' },
  ];
  expect(telemetry.counted('http_requests_total', known)).toBe(1);
  expect(telemetry.counted('http_requests_total', unknown)).toBe(2);
});

test.each([
  ['answered', 'debug', undefined],
  ['refused', 'info', new StoreError('INVALID_ARGUMENT', 'planted')],
  ['later', 'warn', new StoreError('OVERLOADED', 'planted')],
  ['later', 'warn', new StoreError('TIMEOUT', 'planted')],
  ['failed', 'error', new StoreError('UNCERTAIN', 'planted')],
  ['failed', 'error', new StoreError('DATA_CORRUPT', 'planted')],
  ['failed', 'error', new StoreError('PLATFORM_REFUSED', 'planted')],
  ['failed', 'error', new Error('planted')],
])(
  'what became of a request is logged in a word that alarms count: %s',
  async (outcome, level, error) => {
    const { call, telemetry } = open(async () => {
      if (error !== undefined) throw error;
      return 1;
    });
    await call();
    const said = telemetry.events.find(({ name }) => name === 'request');
    expect(said).toMatchObject({ level, facts: { outcome } });
  },
);
