/** The local server: real sockets, API Gateway's events, bounded bodies, a shutdown that waits. */
import { request as httpRequest } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import type { HttpEvent, HttpResult } from '#runtime/http.ts';
import { type RunningServer, startServer } from '#runtime/server.ts';
import { silentTelemetry } from '#sim/silent-telemetry.ts';

const BODY_BYTES_MAX = 100_000;
const running: RunningServer[] = [];

afterEach(async () => {
  for (const server of running.splice(0)) await server.close(0);
});

type Handle = (event: HttpEvent) => Promise<HttpResult> | HttpResult;

async function start(
  handle: Handle,
  ready = true,
  bodiesBytesMax = 10 * BODY_BYTES_MAX,
): Promise<RunningServer> {
  const server = await startServer({
    host: '127.0.0.1',
    port: 0,
    handler: async (event) => handle(event),
    health: () => ({ ready, version: '1.2.3', rows: 2n ** 60n }),
    metrics: async () => 'requests 7\n',
    bodyBytesMax: BODY_BYTES_MAX,
    bodiesBytesMax,
    clock: openClock(),
    entropy: systemEntropy,
    telemetry: silentTelemetry,
  });
  running.push(server);
  return server;
}

const answer = (body: string, statusCode = 200): HttpResult => ({
  statusCode,
  headers: { 'content-type': 'text/plain', 'x-ours': 'yes' },
  body,
});

/** The event that a request becomes. */
async function eventOf(path: string, init: RequestInit): Promise<HttpEvent> {
  let seen: HttpEvent | undefined;
  const { url } = await start((event) => {
    seen = event;
    return answer('ok');
  });
  await fetch(url + path, init);
  if (seen === undefined) throw new Error('the handler was not reached');
  return seen;
}

describe('events', () => {
  test('carry text as text, whatever the content type says', async () => {
    const event = await eventOf('/v2/vectordb/entities/insert?a=b', {
      method: 'POST',
      headers: { RequestId: 'r', ContentType: 'application/json' },
      body: '{"name":"größe"}',
    });
    expect(event).toMatchObject({
      rawPath: '/v2/vectordb/entities/insert',
      isBase64Encoded: false,
      body: '{"name":"größe"}',
      headers: { requestid: 'r', contenttype: 'application/json' },
    });
    expect(event.requestContext.http.method).toBe('POST');
    expect(event.requestContext.requestId).toMatch(/^[0-9a-f]{16}$/);
  });

  test('carry bytes that are no text as base64', async () => {
    const bytes = Uint8Array.of(0x7b, 0xff, 0x7d);
    const event = await eventOf('/x', { method: 'POST', body: bytes });
    expect(event.isBase64Encoded).toBe(true);
    expect(Buffer.from(event.body ?? '', 'base64')).toEqual(Buffer.from(bytes));
  });

  test('carry a compressed body as it came', async () => {
    const zipped = gzipSync('{}');
    const event = await eventOf('/x', {
      method: 'POST',
      headers: { 'content-encoding': 'gzip' },
      body: zipped,
    });
    expect(event).toMatchObject({
      isBase64Encoded: true,
      headers: { 'content-encoding': 'gzip' },
      body: zipped.toString('base64'),
    });
  });
});

test('an answer travels with status, headers and body', async () => {
  const { url } = await start(() => answer('größe', 401));
  const response = await fetch(url, { method: 'POST' });
  expect(response.status).toBe(401);
  expect(response.headers.get('x-ours')).toBe('yes');
  expect(await response.text()).toBe('größe');
});

describe('a body beyond the bound', () => {
  test('is refused by its announced length, and the connection lives on', async () => {
    let reached = 0;
    const { url } = await start(() => {
      reached += 1;
      return answer('ok');
    });
    const response = await fetch(url, { method: 'POST', body: 'x'.repeat(BODY_BYTES_MAX + 1) });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ code: 1102, retry: 'never', effect: 'none' });
    expect(reached).toBe(0);
    expect(await (await fetch(url, { method: 'POST', body: 'x' })).text()).toBe('ok');
  });

  test('is refused when it grows beyond it unannounced', async () => {
    const { port } = await start(() => answer('ok'));
    const text = await new Promise<string>((resolve, reject) => {
      const request = httpRequest({ port, host: '127.0.0.1', method: 'POST' }, (response) => {
        let body = '';
        response.on('data', (part) => {
          body += part;
        });
        response.on('end', () => resolve(body));
      });
      request.on('error', reject);
      for (let sent = 0; sent <= BODY_BYTES_MAX; sent += 1000) request.write('x'.repeat(1000));
      request.end();
    });
    expect(JSON.parse(text)).toMatchObject({ code: 1102 });
  });
});

test('bodies in work are bounded together; what comes beyond may come later', async () => {
  const gate: { open?: () => void; entered?: () => void } = {};
  const entered = new Promise<void>((resolve) => {
    gate.entered = resolve;
  });
  const opened = new Promise<void>((resolve) => {
    gate.open = resolve;
  });
  const { url } = await start(
    async () => {
      gate.entered?.();
      await opened;
      return answer('ok');
    },
    true,
    15_000,
  );
  const send = () => fetch(url, { method: 'POST', body: 'x'.repeat(10_000) });
  const first = send();
  await entered;
  expect(await (await send()).json()).toMatchObject({ code: 8, retry: 'later', effect: 'none' });
  gate.open?.();
  expect(await (await first).text()).toBe('ok');
  expect(await (await send()).text()).toBe('ok');
});

describe('without credentials', () => {
  test.each([
    { ready: true, status: 200 },
    { ready: false, status: 503 },
  ])('/healthz answers $status', async ({ ready, status }) => {
    const { url } = await start(() => answer('no'), ready);
    const response = await fetch(`${url}/healthz`);
    expect(response.status).toBe(status);
    expect(await response.text()).toBe(
      `{"ready":${ready},"version":"1.2.3","rows":1152921504606846976}`,
    );
  });

  test('/metrics answers Prometheus text', async () => {
    const { url } = await start(() => answer('no'));
    const response = await fetch(`${url}/metrics`);
    expect(response.headers.get('content-type')).toContain('version=0.0.4');
    expect(await response.text()).toBe('requests 7\n');
  });
});

describe('shutdown', () => {
  test('lets what is in flight finish and takes nothing new', async () => {
    const gate: { open?: () => void; entered?: () => void } = {};
    const entered = new Promise<void>((resolve) => {
      gate.entered = resolve;
    });
    const server = await start(async () => {
      gate.entered?.();
      await new Promise<void>((resolve) => {
        gate.open = resolve;
      });
      return answer('finished');
    });
    const inFlight = fetch(server.url, { method: 'POST' });
    await entered;
    const closing = server.close(30_000);
    await expect(fetch(server.url, { method: 'POST' })).rejects.toThrow();
    gate.open?.();
    expect(await (await inFlight).text()).toBe('finished');
    await closing;
  });

  test('cuts off what does not finish', async () => {
    const server = await start(() => new Promise(() => {}));
    const inFlight = fetch(server.url, { method: 'POST' }).catch(() => 'cut off');
    await fetch(`${server.url}/healthz`);
    await server.close(10);
    expect(await inFlight).toBe('cut off');
  });
});

test('an address that is taken is refused with a sentence', async () => {
  const { port } = await start(() => answer('ok'));
  const again = startServer({
    host: '127.0.0.1',
    port,
    handler: async () => answer('ok'),
    health: () => ({ ready: true }),
    metrics: async () => '',
    bodyBytesMax: 1,
    clock: openClock(),
    entropy: systemEntropy,
    telemetry: silentTelemetry,
  });
  await expect(again).rejects.toThrow(`cannot listen on 127.0.0.1 port ${port}`);
});
