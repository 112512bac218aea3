/**
 * A real HTTP server between an S3 client and the emulator that does to chosen requests what networks
 * and S3 do to them, and keeps what was asked.
 */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

/** `path` with its query; `nth` counts from 1 the requests received. */
export type Asked = Readonly<{
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  nth: number;
}>;

/**
 * - `pass`: goes through. `reset`: the connection is reset and nothing passed on.
 * - `lose`: passed on, and reset instead of the answer. `stall`: passed on, and no answer.
 * - `cut`: half of the answer's body, then a reset. `stall-body`: half, then nothing.
 * - `flip`: the answer with one bit of the body changed.
 * - `{ status, code }`: S3's error of that code, and nothing passed on; without a body for HEAD.
 * - `{ answer }`: the answer as this function changes it. `{ afterMs }`: goes through that much later.
 */
export type Fate =
  | 'pass'
  | 'reset'
  | 'lose'
  | 'stall'
  | 'cut'
  | 'stall-body'
  | 'flip'
  | Readonly<{ status: number; code: string; passOn?: boolean }>
  | Readonly<{ answer: (answer: Answer) => Answer }>
  | Readonly<{ afterMs: number }>;

export type Answer = Readonly<{ status: number; headers: IncomingHttpHeaders; body: Buffer }>;

export type S3Proxy = Readonly<{
  endpoint: string;
  /** Decides the fate of every later request, and forgets the earlier ones. */
  decide: (fate: (asked: Asked) => Fate) => void;
  /** What was received since the last decision. */
  asked: Asked[];
  close: () => Promise<void>;
}>;

export async function startS3Proxy(target: string): Promise<S3Proxy> {
  let decide: (asked: Asked) => Fate = () => 'pass';
  const asked: Asked[] = [];
  const server = createServer((incoming, outgoing) => {
    const { method = '', url: path = '', headers } = incoming;
    buffer(incoming)
      .then((body) => {
        const one = { method, path, headers, body, nth: asked.length + 1 };
        asked.push(one);
        return meet(target, decide(one), one, incoming, outgoing);
      })
      // A client may leave in the midst of its request, and the emulator in the midst of an answer.
      .catch(() => incoming.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  // A server that listens on a port has an address of this kind.
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    decide: (fate) => {
      asked.length = 0;
      decide = fate;
    },
    asked,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function meet(
  target: string,
  fate: Fate,
  asked: Asked,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const reset = () => incoming.socket.resetAndDestroy();
  if (fate === 'reset') {
    reset();
    return;
  }
  if (typeof fate === 'object' && 'code' in fate) {
    if (fate.passOn === true) await passOn(target, asked);
    const body = `<Error><Code>${fate.code}</Code><Message>planted</Message></Error>`;
    outgoing.writeHead(fate.status, { 'content-type': 'application/xml' });
    outgoing.end(asked.method === 'HEAD' ? undefined : body);
    return;
  }
  if (typeof fate === 'object' && 'afterMs' in fate) await delay(fate.afterMs);
  const found = await passOn(target, asked);
  if (fate === 'stall') return;
  if (fate === 'lose') {
    reset();
    return;
  }
  const { status, headers, body } =
    typeof fate === 'object' && 'answer' in fate ? fate.answer(found) : found;
  outgoing.writeHead(status, headers);
  const half = body.subarray(0, body.length >> 1);
  if (fate === 'cut') outgoing.write(half, reset);
  else if (fate === 'stall-body') outgoing.write(half);
  else outgoing.end(fate === 'flip' ? flipped(body) : body);
}

function flipped(body: Buffer): Buffer {
  const bytes = Buffer.from(body);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  return bytes;
}

function passOn(target: string, { method, path, headers, body }: Asked): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(target);
    const passed = request({ hostname, port, method, path, headers, agent: false }, (answer) => {
      const { statusCode: status = 500 } = answer;
      buffer(answer).then((all) => resolve({ status, headers: answer.headers, body: all }), reject);
    });
    passed.on('error', reject);
    passed.end(body);
  });
}
