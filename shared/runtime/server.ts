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
  clock: Clock;
  entropy: Entropy;
  telemetry: Telemetry;
}>;

/** Longer than API Gateway's and most clients' 60 s, so that the client closes first. */
const KEEP_ALIVE_MS = 65_000;
/** Time for one request to arrive: 64 MB over 2 Mbit/s. */
const RECEIVE_MS = 300_000;
const REQUEST_ID_BYTES = 8;
/** What is read past a body that was refused, so that the client gets to see the refusal. */
const DISCARD_BYTES_MAX = 256 * 1024 * 1024;

export class RunningServer {
  readonly url: string;
  readonly port: number;
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #state: { draining: boolean };

  constructor(server: Server, clock: Clock, state: { draining: boolean }, host: string) {
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
  const state = { draining: false };
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
  state: Readonly<{ draining: boolean }>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  const local = request.method === 'GET' ? await localAnswer(options, path) : undefined;
  const result = local ?? (await routed(options, request, path));
  const body = Buffer.from(result.body);
  // A connection that stays open after its last answer would hold up the shutdown.
  if (state.draining) response.setHeader('connection', 'close');
  response.writeHead(result.statusCode, { ...result.headers, 'content-length': body.length });
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
  request: IncomingMessage,
  path: string,
): Promise<HttpResult> {
  const requestId = toHex(options.entropy.bytes(REQUEST_ID_BYTES));
  try {
    const bytes = await receive(request, options.bodyBytesMax);
    return await options.handler(eventOf(request, path, requestId, bytes), {});
  } catch (error) {
    if (!isStoreError(error)) throw error;
    const { statusCode, body } = errorReply(error, { requestId });
    return { statusCode, headers: { 'content-type': 'application/json; charset=utf-8' }, body };
  }
}

/** @throws StoreError `TOO_LARGE` as soon as it is known; the rest is discarded meanwhile */
async function receive(request: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  const announced = Number(request.headers['content-length'] ?? 0);
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  if (announced <= bytesMax) {
    // The body of an IncomingMessage without an encoding comes as Buffers.
    for await (const part of request.iterator({
      destroyOnReturn: false,
    }) as AsyncIterable<Buffer>) {
      sizeBytes += part.length;
      if (sizeBytes > bytesMax) break;
      parts.push(part);
    }
  }
  if (announced <= bytesMax && sizeBytes <= bytesMax) return concatBytes(parts);
  discard(request);
  throw tooLarge(bytesMax);
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
