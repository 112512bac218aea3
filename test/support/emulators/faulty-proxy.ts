/**
 * A real HTTP server between a client and an emulator that lets requests suffer what networks and
 * services do to them. Nothing is simulated in the client's process but the other end of a socket.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * - `pass`: goes through.
 * - `reset`: the connection is reset before the request is passed on.
 * - `lose-answer`: passed on and answered, and then the connection is reset without the answer.
 * - `cut-answer`: as above, after the head and half of the answer's body.
 * - `stall`: passed on, and the answer never comes.
 * - an answer: that one, and the request is not passed on. With `passOn` it is, as when a service
 *   fails after its work was done.
 */
export type ProxyFault =
  | 'pass'
  | 'reset'
  | 'lose-answer'
  | 'cut-answer'
  | 'stall'
  | Readonly<{ status: number; body: string; passOn?: boolean }>;

export type FaultyProxy = Readonly<{
  endpoint: string;
  /** Faults of the next requests, in order; beyond them requests pass. */
  suffer: (...faults: readonly ProxyFault[]) => void;
  /** The bodies of the requests received so far. */
  received: () => readonly string[];
  /** The most requests that were under way at one moment. */
  mostAtOnce: () => number;
  /** Resolves when what was received was passed on and its answer, wanted or not, has come. */
  settled: () => Promise<unknown>;
  close: () => Promise<void>;
}>;

export async function startFaultyProxy(target: string): Promise<FaultyProxy> {
  const waiting: ProxyFault[] = [];
  const received: string[] = [];
  const handled: Promise<void>[] = [];
  let atOnce = 0;
  let mostAtOnce = 0;
  const server = createServer((incoming, outgoing) => {
    const fault = waiting.shift() ?? 'pass';
    atOnce += 1;
    mostAtOnce = Math.max(mostAtOnce, atOnce);
    outgoing.once('close', () => {
      atOnce -= 1;
    });
    const work = readAll(incoming).then((body) => {
      received.push(body.toString());
      return handle(target, fault, { incoming, body }, outgoing);
    });
    handled.push(work);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  // A server that listens on a port has an address of this kind.
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    suffer: (...faults) => {
      waiting.push(...faults);
    },
    received: () => received,
    mostAtOnce: () => mostAtOnce,
    settled: () => Promise.all(handled),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function handle(
  target: string,
  fault: ProxyFault,
  { incoming, body }: Readonly<{ incoming: IncomingMessage; body: Buffer }>,
  outgoing: ServerResponse,
): Promise<void> {
  const passesOn = typeof fault === 'object' ? fault.passOn === true : fault !== 'reset';
  const answer = passesOn ? await passOn(target, incoming, body) : undefined;
  if (typeof fault === 'object') {
    outgoing.writeHead(fault.status, { 'content-type': 'application/x-amz-json-1.0' });
    outgoing.end(fault.body);
    return;
  }
  if (fault === 'stall') return;
  if (answer === undefined || fault === 'lose-answer') {
    incoming.socket.resetAndDestroy();
    return;
  }
  const { 'transfer-encoding': _, ...headers } = answer.headers;
  outgoing.writeHead(answer.status, { ...headers, 'content-length': answer.body.length });
  if (fault === 'pass') {
    outgoing.end(answer.body);
    return;
  }
  outgoing.write(answer.body.subarray(0, answer.body.length >> 1), () =>
    incoming.socket.resetAndDestroy(),
  );
}

type Answer = Readonly<{ status: number; headers: IncomingMessage['headers']; body: Buffer }>;

function passOn(target: string, incoming: IncomingMessage, body: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(target);
    const { method, url: path, headers } = incoming;
    const passed = request({ hostname, port, method, path, headers, agent: false }, (answer) => {
      readAll(answer).then(
        (all) => resolve({ status: answer.statusCode ?? 500, headers: answer.headers, body: all }),
        reject,
      );
    });
    passed.on('error', reject);
    passed.end(body);
  });
}

async function readAll(stream: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}
