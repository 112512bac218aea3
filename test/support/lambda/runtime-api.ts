/**
 * Lambda's Runtime API for one process of one environment, over loopback HTTP. The rules are those of
 * the developer guide, "Using the Lambda runtime API for custom runtimes": `next` waits until there is
 * an invocation, an answer is accepted with 202 and only for the invocation under way, and an answer of
 * more than 6 MB is refused with 413.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** What is sent to Lambda and back in one synchronous invocation: 6 MB and 100 bytes ("Lambda quotas"). */
export const PAYLOAD_BYTES_MAX = 6_291_556;

export type Invocation = Readonly<{
  requestId: string;
  /** When the function's time is up, in milliseconds since 1970. */
  deadlineMs: number;
  functionArn: string;
  traceId: string;
  payload: Uint8Array;
}>;

/** What a function says of an error: a name, a sentence, and a line per frame of the stack. */
export type Thrown = Readonly<{
  errorType: string;
  errorMessage: string;
  trace: readonly string[];
}>;

export type Reply =
  | Readonly<{ kind: 'result'; payload: Buffer }>
  | Readonly<{ kind: 'error'; thrown: Thrown }>
  | Readonly<{ kind: 'too-large'; sizeBytes: number }>;

/** What the process does, as it does it. */
export type RuntimeEvents = Readonly<{
  /** It waits for an invocation: init is over, or the one before. */
  waits: () => void;
  replies: (reply: Reply) => void;
  initFails: (thrown: Thrown) => void;
}>;

export type RuntimeApi = Readonly<{
  /** For AWS_LAMBDA_RUNTIME_API: host and port. */
  address: string;
  /** Answers the `next` that waits. */
  deliver: (invocation: Invocation) => void;
  close: () => void;
}>;

const PATH = /^\/2018-06-01\/runtime\/(?:invocation\/([^/]+)\/(response|error)|(init\/error))$/;
const NEXT = '/2018-06-01/runtime/invocation/next';

type State = { waiting: ServerResponse | undefined; under: string | undefined };

export async function startRuntimeApi(events: RuntimeEvents): Promise<RuntimeApi> {
  const state: State = { waiting: undefined, under: undefined };
  const server = createServer((incoming, outgoing) => {
    if (incoming.method === 'GET' && incoming.url === NEXT) {
      state.waiting = outgoing;
      state.under = undefined;
      events.waits();
      return;
    }
    // A process that is killed in the midst of its reply leaves nobody to answer.
    take(state, events, incoming, outgoing).catch(() => outgoing.destroy());
  });
  // A frozen process neither sends nor closes, for as long as it is frozen.
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  server.headersTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  // A server that listens on a port has an address of this kind.
  const { port } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    deliver: (invocation) => deliver(state, invocation),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function deliver(state: State, invocation: Invocation): void {
  const { waiting } = state;
  if (waiting === undefined) throw new Error('the runtime does not wait for an invocation');
  state.waiting = undefined;
  state.under = invocation.requestId;
  waiting.writeHead(200, {
    'content-type': 'application/json',
    'content-length': invocation.payload.length,
    'lambda-runtime-aws-request-id': invocation.requestId,
    'lambda-runtime-deadline-ms': invocation.deadlineMs,
    'lambda-runtime-invoked-function-arn': invocation.functionArn,
    'lambda-runtime-trace-id': invocation.traceId,
  });
  waiting.end(invocation.payload);
}

async function take(
  state: State,
  events: RuntimeEvents,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const body = await buffer(incoming);
  const [, id, verb, init] = PATH.exec(incoming.url ?? '') ?? [];
  if (incoming.method !== 'POST' || (verb === undefined && init === undefined)) {
    return answer(outgoing, 404, 'NotFound', `${incoming.method} ${incoming.url}`);
  }
  if (init !== undefined) {
    events.initFails(thrownOf(body));
    return accept(outgoing);
  }
  if (id !== state.under) return answer(outgoing, 400, 'InvalidRequestID', `not ${id}`);
  state.under = undefined;
  if (body.length > PAYLOAD_BYTES_MAX) {
    events.replies({ kind: 'too-large', sizeBytes: body.length });
    const message = `Exceeded maximum allowed payload size (${PAYLOAD_BYTES_MAX} bytes).`;
    return answer(outgoing, 413, 'RequestEntityTooLarge', message);
  }
  events.replies(
    verb === 'error'
      ? { kind: 'error', thrown: thrownOf(body) }
      : { kind: 'result', payload: body },
  );
  accept(outgoing);
}

function thrownOf(body: Buffer): Thrown {
  // The bootstrap writes all three; another runtime may leave some out.
  const given = JSON.parse(body.toString()) as Partial<Thrown>;
  const { errorType = 'Unhandled', errorMessage = '', trace = [] } = given;
  return { errorType, errorMessage, trace };
}

const accept = (outgoing: ServerResponse): void => {
  outgoing.writeHead(202, { 'content-type': 'application/json' });
  outgoing.end('{"status":"OK"}');
};

function answer(
  outgoing: ServerResponse,
  status: number,
  errorType: string,
  errorMessage: string,
): void {
  outgoing.writeHead(status, { 'content-type': 'application/json' });
  outgoing.end(JSON.stringify({ errorType, errorMessage }));
}
