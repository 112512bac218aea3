/**
 * The local server: node:http on one address, feeding the Lambda handler the events that API
 * Gateway would, so that there is one way in.
 *
 * Beside the routes it answers `GET /healthz` and `GET /metrics`, which need no credentials.
 */
import { isUtf8 } from 'node:buffer';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tooLarge } from '#api/body.ts';
import { errorReply } from '#api/envelope.ts';
import { concatBytes, toHex } from '#base/bytes.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import { type JsonOut, stringifyJson } from '#base/json.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import type { HttpEvent, HttpHandler, HttpResult } from './http.ts';

/** What `/healthz` says; `ready` false answers with status 503. */
export type Health = Readonly<{ ready: boolean; [fact: string]: JsonOut | undefined }>;

export type ServerOptions = Readonly<{
  host: string;
  /** 0 takes a free one. */
  port: number;
  handler: HttpHandler;
  health: () => Health;
  /** Prometheus text. */
  metrics: () => Promise<string>;
  bodyBytesMax: number;
  /** Bytes of all bodies in work at a time; default {@link BODIES_BYTES_MAX}. */
  bodiesBytesMax?: number;
  clock: Clock;
  entropy: Entropy;
  telemetry: Telemetry;
}>;

/** Longer than API Gateway's and most clients' 60 s, so that the client closes first. */
const KEEP_ALIVE_MS = 65_000;
/** Time for one request to arrive: 64 MB over 2 Mbit/s. */
const RECEIVE_MS = 300_000;
const REQUEST_ID_BYTES = 8;
/**
 * Bodies in work at a time: eight of the largest. Parsed they take some five times as much, so about
 * 2.5 GB at worst; what comes beyond is told to come later.
 */
const BODIES_BYTES_MAX = 512 * 1024 * 1024;
/** What is read past a body that was refused, so that the client gets to see the refusal. */
const DISCARD_BYTES_MAX = 256 * 1024 * 1024;

/** What the requests of one server share. */
type State = { draining: boolean; bodiesBytes: number };

export class RunningServer {
  readonly url: string;
  readonly port: number;
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #state: State;

  constructor(server: Server, clock: Clock, state: State, host: string) {
    this.#server = server;
    this.#clock = clock;
    this.#state = state;
    // A TCP server that listens has an address with a port.
    this.port = (server.address() as AddressInfo).port;
    this.url = `http://${host.includes(':') ? `[${host}]` : host}:${this.port}`;
  }

  /** Takes no more requests, lets those in flight finish for up to `graceMs`, then cuts them off. */
  async close(graceMs: number): Promise<void> {
    this.#state.draining = true;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeIdleConnections();
    const timer = new AbortController();
    const late = this.#clock.sleep(graceMs, timer.signal).catch(() => undefined);
    await Promise.race([closed, late]);
    timer.abort();
    this.#server.closeAllConnections();
    await closed;
  }
}

/** @throws StoreError `INVALID_ARGUMENT` where the address cannot be listened on */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const state: State = { draining: false, bodiesBytes: 0 };
  const server = createServer((request, response) => {
    serve(options, state, request, response).catch((error: unknown) => {
      // A client that went away in the middle is no event; anything else is.
      if (!request.destroyed) {
        options.telemetry.event('error', 'connection-failed', { error: String(error) });
      }
      response.destroy();
    });
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.requestTimeout = RECEIVE_MS;
  await listen(server, options);
  return new RunningServer(server, options.clock, state, options.host);
}

function listen(server: Server, { host, port }: ServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `cannot listen on ${host} port ${port}: ${cause.message}`;
      reject(new StoreError('INVALID_ARGUMENT', message, { cause }));
    });
    server.listen(port, host, () => resolve());
  });
}

async function serve(
  options: ServerOptions,
  state: State,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  const isLook = request.method === 'GET' || request.method === 'HEAD';
  const local = isLook ? await localAnswer(options, path) : undefined;
  const result = local ?? (await routed(options, state, request, path));
  const body = Buffer.from(result.body, result.isBase64Encoded ? 'base64' : 'utf8');
  if (result.statusCode !== 204) response.setHeader('content-length', body.length);
  // A connection that stays open after its last answer would hold up the shutdown.
  if (state.draining) response.setHeader('connection', 'close');
  response.writeHead(result.statusCode, result.headers);
  response.end(body);
}

async function localAnswer(options: ServerOptions, path: string): Promise<HttpResult | undefined> {
  if (path === '/healthz') {
    const health = options.health();
    const headers = { 'content-type': 'application/json; charset=utf-8' };
    return { statusCode: health.ready ? 200 : 503, headers, body: stringifyJson(health) };
  }
  if (path !== '/metrics') return undefined;
  const headers = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' };
  return { statusCode: 200, headers, body: await options.metrics() };
}

async function routed(
  options: ServerOptions,
  state: State,
  request: IncomingMessage,
  path: string,
): Promise<HttpResult> {
  const requestId = toHex(options.entropy.bytes(REQUEST_ID_BYTES));
  const body: Body = { parts: [], sizeBytes: 0 };
  try {
    await receive(options, state, request, body);
    const bytes = concatBytes(body.parts.splice(0));
    return await options.handler(eventOf(request, path, requestId, bytes), {});
  } catch (error) {
    if (!isStoreError(error)) throw error;
    discard(request);
    const { statusCode, body: text } = errorReply(error, { requestId });
    const headers = { 'content-type': 'application/json; charset=utf-8' };
    return { statusCode, headers, body: text };
  } finally {
    state.bodiesBytes -= body.sizeBytes;
  }
}

/** `sizeBytes` counts in `State.bodiesBytes` until the request is answered. */
type Body = { readonly parts: Uint8Array[]; sizeBytes: number };

/** @throws StoreError `TOO_LARGE`, `OVERLOADED` as soon as it is known */
async function receive(
  { bodyBytesMax, bodiesBytesMax = BODIES_BYTES_MAX }: ServerOptions,
  state: State,
  request: IncomingMessage,
  body: Body,
): Promise<void> {
  if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) throw tooLarge(bodyBytesMax);
  const stream = request.iterator({ destroyOnReturn: false });
  // The body of an IncomingMessage without an encoding comes as Buffers.
  for await (const part of stream as AsyncIterable<Buffer>) {
    body.sizeBytes += part.length;
    state.bodiesBytes += part.length;
    if (body.sizeBytes > bodyBytesMax) throw tooLarge(bodyBytesMax);
    if (state.bodiesBytes > bodiesBytesMax) {
      const message = `requests of ${bodiesBytesMax} bytes together are in work; try again`;
      throw new StoreError('OVERLOADED', message);
    }
    body.parts.push(part);
  }
}

/** A client that is still sending reads no answer; one that never ends is cut off. */
function discard(request: IncomingMessage): void {
  let discarded = 0;
  request.on('data', (part: Uint8Array) => {
    discarded += part.length;
    if (discarded > DISCARD_BYTES_MAX) request.destroy();
  });
}

/** As API Gateway does: text as it is, everything else as base64. */
function eventOf(
  request: IncomingMessage,
  path: string,
  requestId: string,
  bytes: Uint8Array,
): HttpEvent {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(',') : value;
  }
  const isText = headers['content-encoding'] === undefined && isUtf8(bytes);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    rawPath: path,
    headers,
    requestContext: { requestId, http: { method: request.method ?? 'GET' } },
    body: isText ? buffer.toString('utf8') : buffer.toString('base64'),
    isBase64Encoded: !isText,
  };
}
