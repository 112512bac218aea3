/**
 * API Gateway's HTTP API in front of functions: payload format 2.0, routes by method and path, and the
 * answers that the gateway gives itself. The rules are those of the developer guide ("Create AWS Lambda
 * proxy integrations for HTTP APIs", "Quotas for configuring and running an HTTP API") and, where it
 * does not say, what people measured on AWS and wrote down:
 *
 * - A body is text for `text/*`, JSON, XML and JavaScript, and base64 for every other content type, for
 *   none, and where it has a content encoding.
 * - 10 MB in, headers of 10,240 bytes, 30 s for an integration; then 413, 431 and 503.
 * - A function that fails, is killed, runs out of time or answers more than 6 MB: 500. One that is
 *   throttled: 503.
 *
 * Its throttling (429) is left out: it depends on settings of the account.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LambdaFunction, Outcome } from './function.ts';

export type Route = Readonly<{
  /** `POST /v2/vectordb/entities/insert`, `ANY /path` or `$default`. */
  routeKey: string;
  target: Pick<LambdaFunction, 'invoke'>;
  /** Default 30 s. */
  timeoutMs?: number;
}>;

export type Front = Readonly<{ url: string; close: () => Promise<void> }>;

const BODY_BYTES_MAX = 10 * 1024 * 1024;
const HEADER_BYTES_MAX = 10_240;
const INTEGRATION_MS = 30_000;
/** "Idle connection timeout" of a client's connection. */
const KEEP_ALIVE_MS = 65_000;
/** Of a body that is refused, so that its sender gets to read the answer. */
const DISCARD_BYTES_MAX = 256 * 1024 * 1024;
const ACCOUNT = '000000000000';
const API_ID = 'sterna';

export async function startFront(routes: readonly Route[]): Promise<Front> {
  const byKey = new Map(routes.map((route) => [route.routeKey, route]));
  const server = createServer({ maxHeaderSize: HEADER_BYTES_MAX }, (incoming, outgoing) => {
    // A client that goes away in the midst has nobody to tell; its invocation goes on.
    serve(byKey, incoming, outgoing).catch(() => outgoing.destroy());
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  // A server that listens on a port has an address of this kind.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function serve(
  routes: ReadonlyMap<string, Route>,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const requestId = randomUUID();
  outgoing.setHeader('apigw-requestid', requestId);
  const body = await receive(incoming);
  if (body === undefined) return say(outgoing, 413, 'Request Entity Too Large');
  const { method = 'GET', url = '/' } = incoming;
  const [path = '/'] = url.split('?', 1);
  const route =
    routes.get(`${method} ${path}`) ?? routes.get(`ANY ${path}`) ?? routes.get('$default');
  if (route === undefined) return say(outgoing, 404, 'Not Found');
  const event = eventOf(incoming, route.routeKey, body, requestId);
  const timer = new AbortController();
  const late = sleep(route.timeoutMs ?? INTEGRATION_MS, undefined, { signal: timer.signal });
  const outcome = await Promise.race([route.target.invoke(event), late.catch(() => undefined)]);
  timer.abort();
  // The function goes on: the gateway lets go of its invocation, and nobody cancels it.
  if (outcome === undefined) return say(outgoing, 503, 'Service Unavailable');
  answer(outgoing, outcome);
}

/** Undefined where it is too large. */
async function receive(incoming: IncomingMessage): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  const stream = incoming.iterator({ destroyOnReturn: false });
  // The body of an IncomingMessage without an encoding comes as Buffers.
  for await (const part of stream as AsyncIterable<Buffer>) {
    sizeBytes += part.length;
    if (sizeBytes > BODY_BYTES_MAX) {
      discard(incoming);
      return undefined;
    }
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function discard(incoming: IncomingMessage): void {
  let discarded = 0;
  incoming.on('data', (part: Buffer) => {
    discarded += part.length;
    if (discarded > DISCARD_BYTES_MAX) incoming.destroy();
  });
}

/** What ends at the gateway. */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'cookie']);
const TEXT = /^(text\/|application\/(json|xml|javascript)\s*(;|$))/i;

function eventOf(incoming: IncomingMessage, routeKey: string, body: Buffer, requestId: string) {
  const { method = 'GET', url = '/', headersDistinct, httpVersion, socket } = incoming;
  const at = url.indexOf('?');
  const rawPath = at < 0 ? url : url.slice(0, at);
  const rawQueryString = at < 0 ? '' : url.slice(at + 1);
  const sourceIp = socket.remoteAddress ?? '';
  const headers: Record<string, string> = {};
  for (const [name, values = []] of Object.entries(headersDistinct)) {
    if (!HOP_BY_HOP.has(name)) headers[name] = values.join(',');
  }
  headers['content-length'] = String(body.length);
  headers['x-amzn-trace-id'] = `Root=1-${Date.now().toString(16).slice(0, 8)}-${requestId}`;
  headers['x-forwarded-for'] = sourceIp;
  headers['x-forwarded-port'] = '443';
  headers['x-forwarded-proto'] = 'https';
  const query: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(rawQueryString)) {
    query[name] = Object.hasOwn(query, name) ? `${query[name]},${value}` : value;
  }
  const cookies = (headersDistinct['cookie'] ?? []).flatMap((line) => line.split(/;\s*/));
  const isText =
    headers['content-encoding'] === undefined && TEXT.test(headers['content-type'] ?? '');
  const now = new Date();
  return {
    version: '2.0',
    routeKey,
    rawPath,
    rawQueryString,
    ...(cookies.length > 0 ? { cookies } : {}),
    headers,
    ...(rawQueryString === '' ? {} : { queryStringParameters: query }),
    requestContext: {
      accountId: ACCOUNT,
      apiId: API_ID,
      domainName: headers['host'] ?? '',
      domainPrefix: API_ID,
      http: {
        method,
        path: rawPath,
        protocol: `HTTP/${httpVersion}`,
        sourceIp,
        userAgent: headers['user-agent'] ?? '',
      },
      requestId,
      routeKey,
      stage: '$default',
      time: now.toUTCString(),
      timeEpoch: now.getTime(),
    },
    ...(body.length === 0 ? {} : { body: body.toString(isText ? 'utf8' : 'base64') }),
    isBase64Encoded: body.length > 0 && !isText,
  };
}

function answer(outgoing: ServerResponse, outcome: Outcome): void {
  const reply = outcome.kind === 'result' ? replyOf(outcome.payload) : undefined;
  if (outcome.kind === 'throttled') {
    say(outgoing, 503, 'Service Unavailable');
  } else if (outcome.kind === 'too-large' && outcome.of === 'request') {
    // Lambda refuses the invocation with 413, and the gateway passes that on.
    say(outgoing, 413, 'Request Entity Too Large');
  } else if (reply === undefined) {
    say(outgoing, 500, 'Internal Server Error');
  } else {
    send(outgoing, reply);
  }
}

function send(outgoing: ServerResponse, reply: GatewayReply): void {
  const { statusCode, headers, cookies, body } = reply;
  // A header of Node's server is text or a list of texts.
  for (const [name, value] of Object.entries(headers)) outgoing.setHeader(name, String(value));
  if (cookies.length > 0) outgoing.setHeader('set-cookie', cookies);
  if (!outgoing.hasHeader('content-type')) {
    outgoing.setHeader('content-type', 'text/plain;charset=UTF-8');
  }
  if (statusCode !== 204) outgoing.setHeader('content-length', body.length);
  outgoing.writeHead(statusCode);
  outgoing.end(body);
}

type GatewayReply = Readonly<{
  statusCode: number;
  headers: Readonly<Record<string, unknown>>;
  cookies: readonly string[];
  body: Buffer;
}>;

/**
 * "Lambda function response for format 2.0": without a status code the whole result is the body, as
 * JSON. Undefined where the gateway makes nothing of it.
 */
function replyOf(payload: unknown): GatewayReply | undefined {
  if (typeof payload !== 'object' || payload === null || !('statusCode' in payload)) {
    const headers = { 'content-type': 'application/json' };
    const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
    return { statusCode: 200, headers, cookies: [], body: Buffer.from(text) };
  }
  // The shape is looked at below, member by member.
  const given = payload as Readonly<Record<string, unknown>>;
  const { statusCode, headers = {}, cookies = [], body = '' } = given;
  const status = Number(statusCode);
  const isValid =
    Number.isInteger(status) && status >= 100 && status <= 599 && typeof body === 'string';
  if (!isValid || typeof headers !== 'object' || headers === null || !Array.isArray(cookies)) {
    return undefined;
  }
  return {
    statusCode: status,
    // An object, as was seen.
    headers: headers as Readonly<Record<string, unknown>>,
    cookies: cookies.map(String),
    body: Buffer.from(body, given['isBase64Encoded'] === true ? 'base64' : 'utf8'),
  };
}

function say(outgoing: ServerResponse, status: number, message: string): void {
  const body = JSON.stringify({ message });
  outgoing.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  });
  outgoing.end(body);
}
