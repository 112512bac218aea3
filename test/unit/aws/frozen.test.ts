/**
 * A process that is frozen with SIGSTOP, as Lambda freezes an environment, in the midst of a call and
 * between two calls.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';

const WRITER = fileURLToPath(new URL('../../support/frozen-writer.ts', import.meta.url));
/** As short as a machine that is busy with other tests allows. */
const ANSWER_MS = 3_000;
const PAST_MS = 3_500;

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

type Call = Readonly<{ request: IncomingMessage; response: ServerResponse }>;

async function startTable(): Promise<Readonly<{ server: Server; next: () => Promise<Call> }>> {
  const calls: Call[] = [];
  const waiting: ((call: Call) => void)[] = [];
  const server = createServer((request, response) => {
    request.resume();
    request.once('end', () => {
      const call = { request, response };
      const waiter = waiting.shift();
      if (waiter === undefined) calls.push(call);
      else waiter(call);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const next = async (): Promise<Call> =>
    calls.shift() ?? (await new Promise<Call>((resolve) => waiting.push(resolve)));
  return { server, next };
}

const answer = ({ response }: Call): void => {
  response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' });
  response.end('{}');
};

type Writer = Readonly<{
  process: ChildProcessWithoutNullStreams;
  put: (sort: string) => void;
  outcome: () => Promise<string>;
}>;

function startWriter(server: Server): Writer {
  // A TCP server that listens has an address with a port.
  const { port } = server.address() as AddressInfo;
  const args = [WRITER, `http://127.0.0.1:${port}`, String(ANSWER_MS)];
  const child = spawn(process.execPath, args);
  closing.push(() => child.kill('SIGKILL'));
  const lines: Interface = createInterface({ input: child.stdout });
  return {
    process: child,
    put: (sort) => child.stdin.write(`${sort}\n`),
    outcome: async () => String((await once(lines, 'line'))[0]),
  };
}

const pass = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('an answer that came while the process was frozen counts, though its time is over', async () => {
  const { server, next } = await startTable();
  const writer = startWriter(server);
  const outcome = writer.outcome();
  writer.put('a');
  const call = await next();
  writer.process.kill('SIGSTOP');
  answer(call);
  await pass(PAST_MS);
  writer.process.kill('SIGCONT');
  expect(await outcome).toBe('version 1');
});

test('a call whose answer never came is uncertain, not refused', async () => {
  const { server, next } = await startTable();
  const writer = startWriter(server);
  const outcome = writer.outcome();
  writer.put('a');
  const call = await next();
  writer.process.kill('SIGSTOP');
  call.request.socket.destroy();
  await pass(100);
  writer.process.kill('SIGCONT');
  expect(await outcome).toBe('UNCERTAIN');
});

test('a socket that was closed during the freeze is not used again', async () => {
  const { server, next } = await startTable();
  const writer = startWriter(server);
  const first = writer.outcome();
  writer.put('a');
  answer(await next());
  expect(await first).toBe('version 1');
  writer.process.kill('SIGSTOP');
  server.closeAllConnections();
  writer.put('b');
  await pass(100);
  const second = writer.outcome();
  writer.process.kill('SIGCONT');
  answer(await next());
  expect(await second).toBe('version 1');
});
