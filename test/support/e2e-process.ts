/** Real processes for the end-to-end tests: one that runs to its end, and servers that are spoken to. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type JsonOut, parseJson, stringifyJson } from '#base/json.ts';
import type { Envelope } from './server.ts';

export type Ended = Readonly<{
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}>;

export type RunOptions = Readonly<{
  cwd?: string;
  env?: Readonly<Record<string, string | undefined>>;
  /** Put before `node`: a tracer and its options. */
  under?: readonly string[];
}>;

export const CLI = new URL('../../shared/cli/sterna.js', import.meta.url).pathname;
/** A Node process that neither ends nor says that it is ready in this time is stuck. */
const STUCK_MS = 60_000;

/** Servers that a test left running, because it failed or on purpose. */
const running = new Set<ChildProcess>();

/** For `afterEach`: ends what still runs. */
export async function killLeftovers(): Promise<void> {
  await Promise.all([...running].map((child) => kill(child)));
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

function start(args: readonly string[], options: RunOptions) {
  const [program = process.execPath, ...rest] = [
    ...(options.under ?? []),
    process.execPath,
    ...args,
  ];
  const child = spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: options.cwd,
    // Vitest's own settings must not reach a server under test.
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...options.env },
  });
  running.add(child);
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    said.stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    said.stderr += chunk.toString();
  });
  const ended = once(child, 'close').then((): Ended => {
    running.delete(child);
    return { code: child.exitCode, signal: child.signalCode, ...said };
  });
  return { child, said, ended };
}

/** Runs `node ARGS` to its end. */
export async function run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { child, ended } = start(args, options);
  const stuck = setTimeout(() => child.kill('SIGKILL'), STUCK_MS);
  return ended.finally(() => clearTimeout(stuck));
}

export type ServerProcess = Readonly<{
  url: string;
  /** What it printed so far. */
  said: Readonly<{ stdout: string; stderr: string }>;
  /** POST /v2/`path`. 64-bit integers are exact both ways. */
  call(path: string, body: object, headers?: Readonly<Record<string, string>>): Promise<Envelope>;
  /** As `call`; throws where the code is not 0. */
  must(path: string, body: object, headers?: Readonly<Record<string, string>>): Promise<Envelope>;
  health(): Promise<Readonly<Record<string, unknown>>>;
  /** Sends the signal that asks for an orderly end, and waits for it. */
  stop(): Promise<Ended>;
  kill(): Promise<Ended>;
  /** Sends a signal that does not end it. */
  tell(signal: NodeJS.Signals): void;
  ended: Promise<Ended>;
}>;

/** Starts `node ARGS`, a server, and returns once it printed `ready on URL`. */
export async function serve(
  args: readonly string[],
  options: RunOptions = {},
): Promise<ServerProcess> {
  const { child, said, ended } = start(args, options);
  const stuck = setTimeout(() => child.kill('SIGKILL'), STUCK_MS);
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', () => {
      const match = /ready on (http:\/\/[0-9.:]+)/.exec(said.stdout);
      if (match?.[1] !== undefined) resolve(match[1]);
    });
    ended.then(
      (end) => reject(new Error(`it ended before it was ready: ${JSON.stringify(end)}`)),
      reject,
    );
  }).finally(() => clearTimeout(stuck));
  const call: ServerProcess['call'] = async (path, body, headers = {}) => {
    const response = await fetch(`${url}/v2/${path}`, {
      method: 'POST',
      headers: { authorization: 'Bearer root:Milvus', ...headers },
      // Tests send JSON.
      body: stringifyJson(body as JsonOut),
    });
    // Every routed path answers with an envelope.
    return parseJson(await response.text()) as Envelope;
  };
  const signal = (name: NodeJS.Signals): Promise<Ended> => {
    child.kill(name);
    return ended;
  };
  return {
    url,
    said,
    call,
    async must(path, body, headers) {
      const reply = await call(path, body, headers);
      if (reply.code === 0) return reply;
      throw new Error(
        `${path}: ${stringifyJson(reply)}; the server said: ${said.stderr.slice(-2000)}`,
      );
    },
    async health() {
      const response = await fetch(`${url}/healthz`);
      return (await response.json()) as Readonly<Record<string, unknown>>;
    },
    stop: () => signal('SIGTERM'),
    kill: () => signal('SIGKILL'),
    tell: (name) => {
      child.kill(name);
    },
    ended,
  };
}

/** Asks until the answer is yes; fails after a minute, on the busiest of machines. */
export async function until(what: string, ask: () => Promise<boolean>): Promise<void> {
  const started = performance.now();
  while (!(await ask())) {
    if (performance.now() - started > 60_000) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
