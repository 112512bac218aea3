/** The door of a function behind an HTTP API: its time, its sizes, its users, and a reader. */
import { readSecret } from '#aws/secrets.ts';
import { StoreError } from '#base/errors.ts';
import { Access, ensureRoot } from '#catalog/access.ts';
import type { Clock } from '#ports/clock.ts';
import type { EngineParts } from '#service/engine.ts';
import type { Routes } from '#service/route.ts';
import { type AwsBase, awsBase } from './aws-base.ts';
import { type EngineCore, withReader } from './engine.ts';
import { type HttpEvent, type HttpHandler, http } from './http.ts';
import { bodyBytesFor, type ReadMemory, scanMemory } from './memory.ts';
import type { ReplyBounds } from './reply.ts';

export type AwsEngine = AwsBase & EngineCore;

/**
 * A platform with a reader, opened once.
 *
 * @param memory how much of its memory the function gives to what it reads; default: no graphs
 */
export function awsEngine(
  memory: (memoryMb: number) => ReadMemory = scanMemory,
): () => Promise<AwsEngine> {
  const base = awsBase();
  let engine: AwsEngine | undefined;
  return async () => {
    const opened = await base();
    const { scratchDir, config } = opened;
    // Graphs are the affair of `compact`, which has the library; others need not know it.
    const options = { scratchDir, graphsAreBuilt: true, ...memory(config.memoryMb) };
    engine ??= { ...opened, ...withReader(opened, options) };
    return engine;
  };
}

/**
 * Lambda takes 6 MB (6,291,556 bytes) of JSON as a function's answer. From 32 KiB on an answer is
 * compressed where the client takes that: about a millisecond, which the client's network gives back.
 */
export const REPLY_BOUNDS: ReplyBounds = {
  bytesMax: 6 * 1024 * 1024,
  gzipFromBytes: 32 * 1024,
};

/** API Gateway gives up 30 s after it took a request: our answer, which says more, is there before. */
const GATEWAY_MS = 28_000;
/** Lambda stops a function at its timeout without a word; so much earlier the answer is written. */
const STOP_MS = 1_000;

/** What Lambda tells of the time that is left. */
type Invocation = Readonly<{ getRemainingTimeInMillis?: () => number }>;

/**
 * When API Gateway or Lambda ends the request, whichever comes first. The gateway's time runs also
 * while a new environment starts, which Lambda's does not count.
 */
function endOf(clock: Clock, { requestContext }: HttpEvent, invocation: Invocation): number {
  const nowMs = clock.nowMs();
  const takenMs = requestContext.timeEpoch ?? nowMs;
  // Clocks of ours and of the gateway may differ: the request was not taken in the future.
  const gatewayMs = Math.min(takenMs, nowMs) + GATEWAY_MS;
  const leftMs = invocation.getRemainingTimeInMillis?.() ?? Number.POSITIVE_INFINITY;
  return Math.min(gatewayMs, nowMs + leftMs - STOP_MS);
}

/** A route table as the handler of a function behind an HTTP API. */
export function awsHttp(
  routesOf: (engine: EngineParts, access: Access) => Routes,
  engine: () => Promise<AwsEngine> = awsEngine(),
): HttpHandler {
  let handler: HttpHandler | undefined;
  return async (event, context) => {
    const opened = await engine();
    handler ??= openHandler(routesOf, opened);
    try {
      return await handler(event, context);
    } finally {
      opened.flush();
    }
  };
}

function openHandler(
  routesOf: (engine: EngineParts, access: Access) => Routes,
  opened: AwsEngine,
): HttpHandler {
  const { ports, config } = opened;
  const access = new Access(ports);
  const rooted = untilDone(() => ensureRoot(ports, () => rootPassword(opened)));
  return http(routesOf(opened, access), {
    ...ports,
    // Within the request's time, and what fails is answered like any failure.
    async authenticate(header) {
      await rooted();
      return access.authenticate(header);
    },
    bodyBytesMax: bodyBytesFor(config.memoryMb),
    timeoutMs: GATEWAY_MS,
    endMs: (event, context) => endOf(ports.clock, event, context),
    reply: REPLY_BOUNDS,
  });
}

/** Runs `work` until it succeeded once; calls that come meanwhile wait for the one under way. */
function untilDone(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work().catch((error: unknown) => {
      done = undefined;
      throw error;
    });
    return done;
  };
}

async function rootPassword({ config, settings }: AwsEngine): Promise<string> {
  if (config.rootSecret === '-') {
    const message =
      'there is no user root yet, and STERNA_ROOT_SECRET names no secret to take its password from';
    throw new StoreError('PLATFORM_REFUSED', message);
  }
  return readSecret(settings, config.rootSecret);
}
