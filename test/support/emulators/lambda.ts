/**
 * The part of Lambda that a synchronous Invoke sees, as a small HTTP server in this process. The
 * rules are those of Lambda's API reference, "Invoke": POST
 * /2015-03-31/functions/{name}/invocations, the payload as the body, `X-Amz-Function-Error` where the
 * function failed, and then `errorType`, `errorMessage` and `trace` of what it threw, as Node's
 * runtime writes them.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Handler = (event: unknown) => Promise<unknown>;

/** What the service answers without running the function, or instead of the function's answer. */
export type LambdaFault = Readonly<{ status: number; errorType: string; message: string }>;

export type LambdaEmulator = Readonly<{
  endpoint: string;
  /** The next call gets this from the service; its function does not run. */
  refuse: (fault: LambdaFault) => void;
  /** The next call's function runs, and then this is the answer, with `X-Amz-Function-Error`. */
  stop: (body: unknown) => void;
  /** The next call's function runs, and then the connection is reset. */
  loseAnswer: () => void;
  /** `name tenant` of each call, in order. */
  calls: readonly string[];
  close: () => Promise<void>;
}>;

const BODY_BYTES_MAX = 6 * 1024 * 1024;
const PATH = /^\/2015-03-31\/functions\/([^/]+)\/invocations/;

type Next = Readonly<{ fault?: LambdaFault; stopped?: unknown; lost?: boolean }>;

export async function startLambda(
  functions: Readonly<Record<string, Handler>>,
): Promise<LambdaEmulator> {
  const waiting: Next[] = [];
  const calls: string[] = [];
  const server = createServer((incoming, outgoing) => {
    const name = PATH.exec(incoming.url ?? '')?.[1] ?? '';
    calls.push(`${name} ${incoming.headers['x-amz-tenant-id'] ?? '-'}`);
    void serve(functions[name], waiting.shift() ?? {}, incoming, outgoing);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  // A server that listens on a port has an address of this kind.
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    refuse: (fault) => void waiting.push({ fault }),
    stop: (stopped) => void waiting.push({ stopped }),
    loseAnswer: () => void waiting.push({ lost: true }),
    calls,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function serve(
  handler: Handler | undefined,
  next: Next,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of incoming) parts.push(part);
  const body = Buffer.concat(parts);
  if (next.fault !== undefined) return refuse(outgoing, next.fault);
  if (handler === undefined) {
    const fault = { status: 404, errorType: 'ResourceNotFoundException', message: 'not found' };
    return refuse(outgoing, fault);
  }
  if (body.length > BODY_BYTES_MAX) {
    const fault = { status: 413, errorType: 'RequestTooLargeException', message: 'too large' };
    return refuse(outgoing, fault);
  }
  const result = await run(handler, body);
  if (next.lost === true) {
    incoming.socket.resetAndDestroy();
  } else if (next.stopped !== undefined) {
    answer(outgoing, JSON.stringify(next.stopped), true);
  } else if (result.json.length > BODY_BYTES_MAX) {
    const errorType = 'Function.ResponseSizeTooLarge';
    answer(outgoing, JSON.stringify({ errorType, errorMessage: 'Response payload size' }), true);
  } else {
    answer(outgoing, result.json, result.failed);
  }
}

async function run(handler: Handler, body: Buffer): Promise<{ json: string; failed: boolean }> {
  try {
    const value = await handler(JSON.parse(body.toString()));
    return { json: JSON.stringify(value) ?? 'null', failed: false };
  } catch (error) {
    const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
    const thrown = { errorType: name, errorMessage: message, trace: (stack ?? '').split('\n') };
    return { json: JSON.stringify(thrown), failed: true };
  }
}

function refuse(outgoing: ServerResponse, { status, errorType, message }: LambdaFault): void {
  outgoing.writeHead(status, {
    'content-type': 'application/json',
    'x-amzn-errortype': errorType,
  });
  outgoing.end(JSON.stringify({ Type: 'User', Message: message, message }));
}

function answer(outgoing: ServerResponse, json: string, failed: boolean): void {
  outgoing.writeHead(200, {
    'content-type': 'application/json',
    'x-amz-executed-version': '$LATEST',
    ...(failed ? { 'x-amz-function-error': 'Unhandled' } : {}),
  });
  outgoing.end(json);
}
