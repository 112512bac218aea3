/**
 * A route table as a Lambda handler: API Gateway's payload 2.0 in, status, headers and body out.
 *
 * The local server feeds it the same events. The only user of middy: `before` answers what needs no
 * route (preflight, unknown paths, bad credentials), `onError` turns errors into envelopes.
 */
import { createHash } from 'node:crypto';
import middy from '@middy/core';
import { readBody } from '#api/body.ts';
import { errorReply, type HttpReply, successReply, WIRES } from '#api/envelope.ts';
import { LIMITS } from '#api/names.ts';
import { BASE_PATH, KNOWN_PATHS, routeKey } from '#api/routes.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import type { RequestContext, Route, Routes } from '#service/route.ts';
import { packReply, type ReplyBounds, replyTooLarge } from './reply.ts';

/** The parts of API Gateway's event (payload format 2.0) that are looked at. */
export type HttpEvent = Readonly<{
  rawPath: string;
  /** Lower-case names, as API Gateway sends them. */
  headers: Readonly<Record<string, string | undefined>>;
  requestContext: Readonly<{
    requestId: string;
    http: Readonly<{ method: string }>;
    /** When API Gateway took the request, in milliseconds since 1970. */
    timeEpoch?: number;
  }>;
  body?: string | undefined;
  isBase64Encoded: boolean;
}>;

export type HttpResult = Readonly<{
  statusCode: number;
  headers: Readonly<Record<string, string>>;
  body: string;
  /** The body is bytes, as base64. */
  isBase64Encoded?: boolean;
}>;

export type HttpHandler = (event: HttpEvent, context: object) => Promise<HttpResult>;

export type HttpOptions = Readonly<{
  /** Who a header `Authorization` speaks for. @throws StoreError `UNAUTHENTICATED` */
  authenticate: (header: string | undefined) => Promise<string>;
  clock: Clock;
  telemetry: Telemetry;
  /** Decoded bytes of a body; default 64 MB, on Lambda less. */
  bodyBytesMax?: number;
  /** Where the header `Request-Timeout` says nothing; default 30 s, as in Milvus. */
  timeoutMs?: number;
  /** When somebody else ends the request, whatever its header says; by the engine's clock. */
  endMs?: (event: HttpEvent, context: object) => number;
  /** Where answers have a largest size. */
  reply?: ReplyBounds;
}>;

const TIMEOUT_MS = 30_000;
/** A caller may ask for more time, but no request lives longer than a Lambda: 15 minutes. */
const TIMEOUT_MS_MAX = 15 * 60_000;
/** A `RequestId` is hashed into a row key and logged. */
const REQUEST_ID_CHARS_MAX = 256;

const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'POST, GET, OPTIONS',
  // A star does not stand for Authorization, which every request has.
  'access-control-allow-headers': 'Authorization, *',
  'access-control-max-age': '86400',
} as const;

const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8', ...CORS } as const;

/** @param options what differs between the doors: credentials, limits, time */
export function http(routes: Routes, options: HttpOptions): HttpHandler {
  const handler = middy<HttpEvent, HttpResult>(async (event: HttpEvent, context: object) =>
    jsonResult(await answer(routes, options, event, context)),
  )
    .before(({ event }) => unroutable(routes, event))
    .onError((request) => {
      const { requestId } = request.event.requestContext;
      request.response = jsonResult(errorReply(request.error, { requestId }));
      logBug(options.telemetry, request.event, request.error);
    });
  return async (event, context) => {
    const startMs = options.clock.nowMs();
    // Middy answers with what handler, `before` or `onError` return, all of them HttpResults.
    const said = (await handler(event, context as never)) as HttpResult;
    const { result, sent } = await pack(routes, options, event, said);
    // Paths that nobody knows share one label: labels must not grow with what clients send.
    const path = isKnown(routes, event.rawPath) ? event.rawPath : 'other';
    measure(options, path, event, result, sent.body.length, options.clock.nowMs() - startMs);
    return sent;
  };
}

/** The answer in clear and as it is sent; where it does not fit, the refusal that says so. */
async function pack(
  routes: Routes,
  { reply }: HttpOptions,
  event: HttpEvent,
  result: HttpResult,
): Promise<Readonly<{ result: HttpResult; sent: HttpResult }>> {
  if (reply === undefined) return { result, sent: result };
  const packed = await packReply(result, event.headers['accept-encoding'], reply);
  if (packed.result !== undefined) return { result, sent: packed.result };
  const wrote = routeOf(routes, event)?.writes === true;
  const error = replyTooLarge(packed.sizeBytes, reply.bytesMax, wrote);
  // Of the two words that a client knows, the one that makes it look before it writes again (I12).
  const refused = jsonResult(errorReply(error, wrote ? { effect: 'unknown' } : {}));
  return { result: refused, sent: refused };
}

const jsonResult = ({ statusCode, body }: HttpReply): HttpResult => ({
  statusCode,
  headers: JSON_HEADERS,
  body,
});

/** Answers that need neither credentials nor a route; undefined where the request goes on. */
function unroutable(
  routes: Routes,
  { requestContext, rawPath }: HttpEvent,
): HttpResult | undefined {
  const { method } = requestContext.http;
  if (method === 'OPTIONS') return { statusCode: 204, headers: CORS, body: '' };
  if (method === 'POST' && isKnown(routes, rawPath)) return undefined;
  const headers = { 'content-type': 'text/plain; charset=utf-8', ...CORS };
  return { statusCode: 404, headers, body: '404 page not found' };
}

/** Of Milvus's surface, built or not, or a route of our own. */
const isKnown = (routes: Routes, path: string): boolean =>
  KNOWN_PATHS.has(path) || Object.hasOwn(routes, routeKey(path));

/** A path is untrusted text: `constructor` must not be found. */
function routeOf(routes: Routes, { rawPath }: HttpEvent): Route | undefined {
  const key = routeKey(rawPath);
  return Object.hasOwn(routes, key) ? routes[key] : undefined;
}

/** Credentials, body and route, all within the time of the request. */
async function answer(
  routes: Routes,
  options: HttpOptions,
  event: HttpEvent,
  invocation: object,
): Promise<HttpReply> {
  const startMs = options.clock.nowMs();
  const ownMs = timeoutOf(event.headers['request-timeout'], options.timeoutMs ?? TIMEOUT_MS);
  const endMs = options.endMs?.(event, invocation) ?? Number.POSITIVE_INFINITY;
  const deadlineMs = Math.min(startMs + ownMs, endMs);
  const stage: Stage = { name: 'before' };
  if (deadlineMs <= startMs) return timedOut(stage, 0);
  const work = async (): Promise<HttpReply> => {
    const user = await options.authenticate(event.headers['authorization']);
    const text = await readBody(
      {
        body: event.body,
        isBase64Encoded: event.isBase64Encoded,
        contentEncoding: event.headers['content-encoding'],
      },
      options.bodyBytesMax ?? LIMITS.bodyBytes,
    );
    const route = routeOf(routes, event);
    if (route === undefined) throw notBuilt(event.rawPath);
    const context = contextOf(event, user, text, deadlineMs, options.reply?.bytesMax);
    if (stage.name === 'over') throw new StoreError('TIMEOUT', 'the caller was told already');
    stage.name = route.writes ? 'writing' : 'reading';
    return successReply(await route.answer(text, context));
  };
  return withinTime(options, event, stage, deadlineMs - startMs, work());
}

/** How far a request has got; once it is `over`, nothing may be begun. */
type Stage = { name: 'before' | 'reading' | 'writing' | 'over' };

const notBuilt = (path: string): StoreError =>
  new StoreError('UNSUPPORTED', `${path.slice(BASE_PATH.length + 1)} is not built yet`);

/** Whole seconds; whatever is no positive number is ignored, as in Milvus. */
function timeoutOf(header: string | undefined, fallbackMs: number): number {
  const seconds = header !== undefined && /^\s*[0-9]{1,9}\s*$/.test(header) ? Number(header) : 0;
  return seconds > 0 ? Math.min(seconds * 1000, TIMEOUT_MS_MAX) : fallbackMs;
}

function contextOf(
  event: HttpEvent,
  user: string,
  text: string,
  deadlineMs: number,
  replyBytesMax: number | undefined,
): RequestContext {
  const { headers, rawPath } = event;
  const requestId = headers['requestid'];
  if (requestId !== undefined && requestId.length > REQUEST_ID_CHARS_MAX) {
    const message = `RequestId: ${requestId.length} characters, the maximum is ${REQUEST_ID_CHARS_MAX}`;
    throw new StoreError('INVALID_ARGUMENT', message);
  }
  return {
    user,
    route: rawPath,
    dbName: headers['db-name'],
    idempotency: requestId ? { requestId, bodyHash: sha256(text) } : undefined,
    int64AsText: headers['accept-type-allow-int64']?.trim().toLowerCase() === 'false',
    deadlineMs,
    replyBytesMax,
  };
}

/** Why a request's timer ends. */
const IN_TIME = 'answered in time';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * The answer, or at the deadline the truth about it: a read is given up; a write goes on and may
 * take effect, so its effect is unknown (I12). An answer that is there in time always wins, also one
 * that waits in a socket while the timer of an environment that was frozen comes first.
 */
async function withinTime(
  { clock, telemetry }: HttpOptions,
  event: HttpEvent,
  stage: Stage,
  timeoutMs: number,
  work: Promise<HttpReply>,
): Promise<HttpReply> {
  const timer = new AbortController();
  const late = clock.sleep(timeoutMs, timer.signal).then(
    () => undefined,
    () => undefined,
  );
  try {
    const reply = await Promise.race([work, late]);
    if (reply !== undefined) return reply;
    await pollOnce();
    const lastMoment = await Promise.race([work, undefined]);
    if (lastMoment !== undefined) return lastMoment;
  } finally {
    // A reason of our own: without one each request would make a DOMException with its stack.
    timer.abort(IN_TIME);
  }
  // Nobody waits for it any more; what becomes of it is for the log only.
  work.catch((error: unknown) => logBug(telemetry, event, error));
  return timedOut(stage, timeoutMs);
}

/** Lets the event loop hand over what has arrived. */
const pollOnce = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function timedOut(stage: Stage, timeoutMs: number): HttpReply {
  const wrote = stage.name === 'writing';
  stage.name = 'over';
  const waited =
    timeoutMs > 0
      ? `request timeout after ${timeoutMs} ms`
      : 'request timeout: no time was left when the request came here, and nothing was begun';
  const message = wrote
    ? `${waited}: the write is under way and may take effect; read, or repeat it under the same RequestId`
    : waited;
  return errorReply(new StoreError('TIMEOUT', message), { effect: wrote ? 'unknown' : 'none' });
}

/**
 * What is no refusal of ours is a bug, damage, or AWS that refuses us: somebody has to look, so it goes
 * to the log, with the code that operators search for, its stack and what AWS itself said. The caller
 * gets neither stack nor AWS's words, which name accounts and roles.
 */
const FOR_THE_LOG = ['INTERNAL', 'DATA_CORRUPT', 'OBJECT_NOT_FOUND', 'PLATFORM_REFUSED'] as const;

function logBug(telemetry: Telemetry, event: HttpEvent, error: unknown): void {
  if (isStoreError(error) && !isStoreError(error, ...FOR_THE_LOG)) return;
  const cause = error instanceof Error ? error.cause : undefined;
  telemetry.event('error', 'request-failed', {
    path: event.rawPath,
    requestId: event.requestContext.requestId,
    code: isStoreError(error) ? error.code : 'INTERNAL',
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    ...(cause instanceof Error ? { cause: `${cause.name}: ${cause.message}` } : {}),
  });
}

function measure(
  { telemetry }: HttpOptions,
  path: string,
  event: HttpEvent,
  { statusCode, body }: HttpResult,
  bytesOut: number,
  durationMs: number,
): void {
  const code = codeOf(statusCode, body);
  const outcome = outcomeOf(statusCode, code);
  telemetry.count('http_requests_total', 1, { path, code });
  telemetry.observe('http_request_duration_ms', durationMs, { path, outcome });
  telemetry.event(LEVELS[outcome], 'request', {
    path: event.rawPath.slice(0, 200),
    code,
    outcome,
    durationMs,
    bytesIn: event.body?.length ?? 0,
    bytesOut,
    requestId: event.requestContext.requestId,
    clientRequestId: event.headers['requestid']?.slice(0, REQUEST_ID_CHARS_MAX),
  });
}

/** Milvus's code, which every envelope opens with; the HTTP status of what is no envelope. */
const codeOf = (statusCode: number, body: string): string =>
  /^\{"code":([0-9]+)/.exec(body.slice(0, 20))?.[1] ?? String(statusCode);

/**
 * What an operator wants to know of a request, in four words: `refused` is the caller's affair, `later`
 * passes by itself or the engine is too small, `failed` is ours. Alarms count the last two, since both
 * travel as HTTP 200.
 */
type Outcome = 'answered' | 'refused' | 'later' | 'failed';

const LEVELS = { answered: 'debug', refused: 'info', later: 'warn', failed: 'error' } as const;

const numbersOf = (...codes: readonly (keyof typeof WIRES)[]): ReadonlySet<string> =>
  new Set(codes.map((code) => String(WIRES[code].code)));
const LATER = numbersOf('OVERLOADED', 'NOT_READY', 'TIMEOUT');
const FAILED = numbersOf('UNCERTAIN', ...FOR_THE_LOG);

function outcomeOf(statusCode: number, code: string): Outcome {
  if (code === '0' || statusCode === 204) return 'answered';
  if (LATER.has(code)) return 'later';
  return FAILED.has(code) ? 'failed' : 'refused';
}
