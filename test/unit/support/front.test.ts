import { request } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Front, startFront } from '../../support/lambda/front.ts';
import type { Outcome } from '../../support/lambda/function.ts';

/** What the function behind each route was given last, and what it answers. */
let events: Record<string, unknown>[];
let outcome: Outcome;
let front: Front;

const target = {
  invoke: async (event: unknown): Promise<Outcome> => {
    // The front sends objects.
    events.push(event as Record<string, unknown>);
    return outcome;
  },
};
const slow = { invoke: () => new Promise<Outcome>(() => {}) };

beforeAll(async () => {
  front = await startFront([
    { routeKey: 'POST /exact', target },
    { routeKey: 'ANY /any', target },
    { routeKey: 'POST /slow', target: slow, timeoutMs: 50 },
    { routeKey: '$default', target },
  ]);
});
afterAll(() => front.close());
beforeEach(() => {
  events = [];
  outcome = result({ statusCode: 200, body: 'fine' });
});

const result = (payload: unknown): Outcome => ({ kind: 'result', payload });

async function send(path: string, init: RequestInit = {}) {
  const answer = await fetch(front.url + path, init);
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

const json = (body: string): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body,
});

test('an event has the shape of payload format 2.0', async () => {
  await send('/exact?a=1&b=%20x&a=2', {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json; charset=utf-8',
      'X-Own': 'é',
      'user-agent': 'me',
    },
    body: '{"á":1}',
  });
  expect(events).toEqual([
    {
      version: '2.0',
      routeKey: 'POST /exact',
      rawPath: '/exact',
      rawQueryString: 'a=1&b=%20x&a=2',
      queryStringParameters: { a: '1,2', b: ' x' },
      headers: expect.objectContaining({
        'content-type': 'application/json; charset=utf-8',
        'content-length': '8',
        'user-agent': 'me',
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-proto': 'https',
      }),
      requestContext: expect.objectContaining({
        http: {
          method: 'POST',
          path: '/exact',
          protocol: 'HTTP/1.1',
          sourceIp: '127.0.0.1',
          userAgent: 'me',
        },
        routeKey: 'POST /exact',
        stage: '$default',
        requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        timeEpoch: expect.any(Number),
      }),
      body: '{"á":1}',
      isBase64Encoded: false,
    },
  ]);
});

test('headers that came twice are joined, and cookies stand apart', async () => {
  const { hostname, port } = new URL(front.url);
  await new Promise<void>((resolve, reject) => {
    const sent = request(
      { hostname, port, path: '/any', headers: { 'X-Two': ['a', 'b'], cookie: 'c=1; d=2' } },
      (answer) => answer.resume().on('end', resolve),
    );
    sent.on('error', reject);
    sent.end();
  });
  expect(events[0]).toMatchObject({
    routeKey: 'ANY /any',
    headers: { 'x-two': 'a,b' },
    cookies: ['c=1', 'd=2'],
    isBase64Encoded: false,
  });
  expect(events[0]).not.toHaveProperty('body');
  expect(events[0]).not.toHaveProperty('queryStringParameters');
  expect(Object.keys(events[0]?.['headers'] ?? {})).not.toContain('connection');
});

test.each([
  ['text/plain', undefined, false],
  ['application/json', undefined, false],
  ['application/xml;charset=utf-8', undefined, false],
  ['application/javascript', undefined, false],
  ['application/json', 'gzip', true],
  ['application/jsonlines', undefined, true],
  ['application/octet-stream', undefined, true],
  ['application/x-www-form-urlencoded', undefined, true],
  [undefined, undefined, true],
])('a body of %s with encoding %s is base64: %s', async (type, encoding, isBase64Encoded) => {
  const body = encoding === 'gzip' ? gzipSync('{}') : Buffer.from('{}');
  await send('/exact', {
    method: 'POST',
    headers: {
      ...(type === undefined ? {} : { 'content-type': type }),
      ...(encoding === undefined ? {} : { 'content-encoding': encoding }),
    },
    body,
  });
  expect(events[0]).toMatchObject({
    body: body.toString(isBase64Encoded ? 'base64' : 'utf8'),
    isBase64Encoded,
  });
});

test('a reply is status, headers, cookies and body, which may be base64', async () => {
  outcome = result({
    statusCode: 201,
    headers: { 'content-type': 'application/octet-stream', 'x-count': 3 },
    cookies: ['a=1', 'b=2'],
    body: Buffer.from([0, 255, 1]).toString('base64'),
    isBase64Encoded: true,
  });
  const answer = await fetch(`${front.url}/any`);
  expect(answer.status).toBe(201);
  expect(answer.headers.get('x-count')).toBe('3');
  expect(answer.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
  expect([...new Uint8Array(await answer.arrayBuffer())]).toEqual([0, 255, 1]);
});

test('a result without a status code is a body of JSON', async () => {
  outcome = result({ a: 1 });
  const { status, headers, text } = await send('/any');
  expect([status, headers.get('content-type'), text]).toEqual([200, 'application/json', '{"a":1}']);
});

test.each([
  [{ kind: 'error', errorType: 'E', errorMessage: 'x' }, 500, 'Internal Server Error'],
  [{ kind: 'timeout', afterMs: 1 }, 500, 'Internal Server Error'],
  [{ kind: 'killed', errorType: 'E', errorMessage: 'x' }, 500, 'Internal Server Error'],
  [{ kind: 'too-large', sizeBytes: 7, of: 'reply' }, 500, 'Internal Server Error'],
  [{ kind: 'too-large', sizeBytes: 7, of: 'request' }, 413, 'Request Entity Too Large'],
  [{ kind: 'throttled' }, 503, 'Service Unavailable'],
  [{ kind: 'result', payload: { statusCode: 'x' } }, 500, 'Internal Server Error'],
  [{ kind: 'result', payload: { statusCode: 200, body: 1 } }, 500, 'Internal Server Error'],
] as const)('%j is answered %i', async (became, status, message) => {
  outcome = became;
  const answer = await send('/exact', json('{}'));
  expect([answer.status, JSON.parse(answer.text)]).toEqual([status, { message }]);
});

test('what takes longer than the integration may is 503', async () => {
  const { status, text } = await send('/slow', json('{}'));
  expect([status, text]).toEqual([503, '{"message":"Service Unavailable"}']);
});

test('10 MB pass and more is 413, without a call', async () => {
  const most = 10 * 1024 * 1024;
  expect((await send('/exact', json('x'.repeat(most)))).status).toBe(200);
  events = [];
  const { status, text } = await send('/exact', json('x'.repeat(most + 1)));
  expect([status, text]).toEqual([413, '{"message":"Request Entity Too Large"}']);
  expect(events).toEqual([]);
});

test('headers above 10,240 bytes are 431', async () => {
  expect((await send('/any', { headers: { 'x-long': 'x'.repeat(11_000) } })).status).toBe(431);
});

test('what no route names goes to $default, preflights too; without one it is 404', async () => {
  await send('/exact');
  await send('/any', { method: 'OPTIONS' });
  await send('/exact', { method: 'OPTIONS' });
  expect(events.map(({ routeKey }) => routeKey)).toEqual(['$default', 'ANY /any', '$default']);
  const bare = await startFront([{ routeKey: 'POST /exact', target }]);
  const answer = await fetch(`${bare.url}/exact`);
  expect([answer.status, await answer.json()]).toEqual([404, { message: 'Not Found' }]);
  await bare.close();
});
