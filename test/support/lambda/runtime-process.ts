/**
 * One process of an environment: Node with the runtime's bootstrap, its Runtime API, and the signals
 * that Lambda would use: stopped while nothing is to be done, killed where a limit is passed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import {
  type Invocation,
  type Reply,
  type RuntimeApi,
  startRuntimeApi,
  type Thrown,
} from './runtime-api.ts';

export type ProcessOptions = Readonly<{
  /** The unpacked code, which becomes the working directory. */
  codeDir: string;
  memoryMb: number;
  /** All of its environment but the Runtime API's address. */
  variables: Readonly<Record<string, string>>;
  /** What it prints, as it comes. */
  log: (text: string) => void;
}>;

const BOOTSTRAP = fileURLToPath(new URL('./bootstrap.mjs', import.meta.url));
/** The functions' runtime is Node 24, whatever runs the tests. */
const NODE_24 = fileURLToPath(new URL('../../../node_modules/.bin/node', import.meta.url));
const NODE = existsSync(NODE_24) ? NODE_24 : process.execPath;

/** Shares of the memory that the runtime gives to V8's old space and to each half of the new one. */
const OLD_SPACE_SHARE = 0.9;
const NEW_SPACE_SHARE = 0.05;

/**
 * What is stopped does not end by itself: nothing of it may outlive the tests. Where these are killed,
 * a shell that was told of each process ends what is left when its input closes; it looks at the command
 * line first, since numbers of processes come again.
 */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
const LAST_WILL = `
  while read -r pid; do pids="$pids $pid"; done
  for pid in $pids; do
    if tr '\\0' ' ' < "/proc/$pid/cmdline" | grep -qF "$0"; then kill -KILL "$pid"; fi
  done`;
let heir: ChildProcess | undefined;

function remember(pid: number): void {
  if (heir === undefined) {
    const stdio = ['pipe', 'ignore', 'ignore'] as const;
    // In a group of its own, so that it is not interrupted together with the tests.
    heir = spawn('/bin/sh', ['-c', LAST_WILL, BOOTSTRAP], { stdio: [...stdio], detached: true });
    heir.on('error', () => undefined);
    heir.unref();
    // The pipe to a child is a socket.
    (heir.stdin as Socket | null)?.unref();
  }
  heir.stdin?.write(`${pid}\n`);
}

/** The answer to one invocation, and when the process is ready for another. */
export type Delivered = Readonly<{ reply: Promise<Reply>; waits: Promise<void> }>;

export class RuntimeProcess {
  readonly pid: number;
  readonly startedMs = performance.now();
  /** Init is over. */
  readonly ready: Promise<void>;
  readonly initFailed: Promise<Thrown>;
  /** How it ended, as a sentence. */
  readonly exited: Promise<string>;
  readonly #child: ChildProcess;
  readonly #api: RuntimeApi;
  readonly #events: Events;
  #alive = true;
  #stopped = false;

  static async start(options: ProcessOptions): Promise<RuntimeProcess> {
    const events = newEvents();
    const api = await startRuntimeApi({
      waits: () => events.waits.resolve(),
      replies: (reply) => events.reply.resolve(reply),
      initFails: (thrown) => events.initFailed.resolve(thrown),
    });
    return new RuntimeProcess(options, api, events);
  }

  private constructor(options: ProcessOptions, api: RuntimeApi, events: Events) {
    this.#api = api;
    this.#events = events;
    this.ready = events.waits.promise;
    this.initFailed = events.initFailed.promise;
    const { memoryMb } = options;
    const child = spawn(
      NODE,
      [
        `--max-old-space-size=${Math.floor(memoryMb * OLD_SPACE_SHARE)}`,
        `--max-semi-space-size=${Math.floor(memoryMb * NEW_SPACE_SHARE)}`,
        BOOTSTRAP,
      ],
      {
        cwd: options.codeDir,
        env: { ...options.variables, AWS_LAMBDA_RUNTIME_API: api.address },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    this.#child = child;
    this.pid = child.pid ?? -1;
    running.add(child);
    remember(this.pid);
    child.stdout.on('data', (chunk: Buffer) => options.log(chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => options.log(chunk.toString()));
    this.exited = new Promise((resolve) => {
      const ended = (how: string): void => {
        this.#alive = false;
        running.delete(child);
        api.close();
        resolve(how);
      };
      child.once('error', (error) => ended(String(error)));
      child.once('exit', (code, signal) =>
        ended(signal === null ? `exit status ${code}` : `signal: ${signal}`),
      );
    });
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** The process must wait for an invocation. */
  deliver(invocation: Invocation): Delivered {
    this.#events.reply = Promise.withResolvers();
    this.#events.waits = Promise.withResolvers();
    const { reply, waits } = this.#events;
    this.#api.deliver(invocation);
    return { reply: reply.promise, waits: waits.promise };
  }

  stop(): void {
    if (!this.#stopped) this.#child.kill('SIGSTOP');
    this.#stopped = true;
  }

  resume(): void {
    if (this.#stopped) this.#child.kill('SIGCONT');
    this.#stopped = false;
  }

  /** Also ends what is stopped. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Resident memory now; 0 where the system does not tell. */
  residentMb(): number {
    try {
      const status = readFileSync(`/proc/${this.pid}/status`, 'latin1');
      return Number(/^VmRSS:\s*(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024;
    } catch {
      // It has just ended, or this is no Linux: V8's own limit holds there, and no other.
      return 0;
    }
  }
}

type Resolvers<T> = Readonly<{ promise: Promise<T>; resolve: (value: T) => void }>;
/** `waits` and `reply` are those of the invocation under way. */
type Events = { waits: Resolvers<void>; reply: Resolvers<Reply>; initFailed: Resolvers<Thrown> };

const newEvents = (): Events => ({
  waits: Promise.withResolvers(),
  reply: Promise.withResolvers(),
  initFailed: Promise.withResolvers(),
});
