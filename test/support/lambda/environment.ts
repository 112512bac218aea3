/**
 * An execution environment of Lambda: a process that serves one invocation at a time and is frozen in
 * between, with a `/tmp` of its own. The rules are those of the developer guide, "Understanding the
 * Lambda execution environment lifecycle":
 *
 * - Init has 10 s. Where it fails or takes longer it is tried once more, as part of the invocation and
 *   within the function's time.
 * - The environment is frozen when the runtime asks for the next invocation; timers, sockets and
 *   promises that a handler left behind go on only while a later invocation is under way.
 * - At the function's timeout, above its memory, and where the process ends by itself, the invocation
 *   fails and the process is gone. The environment is reset, not replaced: its `/tmp` stays, and the
 *   next invocation begins with another init.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Outcome } from './function.ts';
import type { Invocation, Reply, Thrown } from './runtime-api.ts';
import { RuntimeProcess } from './runtime-process.ts';

export type EnvironmentOptions = Readonly<{
  /** Unique among all environments of a test. */
  id: string;
  codeDir: string;
  memoryMb: number;
  timeoutMs: number;
  /** Without what names the folders of this environment. */
  variables: Readonly<Record<string, string>>;
  /** An existing folder; `/tmp` of the environment is made in it. */
  scratchRoot: string;
  log: (text: string) => void;
}>;

/** One invocation in one environment. */
export type Run = Readonly<{
  requestId: string;
  environment: Environment;
  /** The handler was called; false where the environment did not get that far. */
  begun: Promise<boolean>;
  outcome: Promise<Outcome>;
  /** The environment is frozen again, or its process is gone. */
  done: Promise<void>;
}>;

/** An invocation as its invoker gives it; its deadline counts from when the function gets it. */
export type Request = Omit<Invocation, 'deadlineMs'>;

const INIT_MS_MAX = 10_000;
/** Memory is looked at this often: 2 GB/s, which is more than a handler fills, are 40 MB. */
const MEMORY_LOOK_MS = 20;

type Limits = { passed: Outcome | undefined };

export class Environment {
  readonly id: string;
  readonly scratchDir: string;
  readonly #options: EnvironmentOptions;
  #process: RuntimeProcess | undefined;
  #underWay: string | undefined;
  #initMs: number | undefined;
  #inits = 0;
  #isEnded = false;

  constructor(options: EnvironmentOptions) {
    this.#options = options;
    this.id = options.id;
    this.scratchDir = join(options.scratchRoot, options.id);
  }

  /** Of the process; undefined before the first init and after a reset. */
  get pid(): number | undefined {
    return this.#process?.alive === true ? this.#process.pid : undefined;
  }

  /** The request that the handler has begun and not answered. */
  get underWay(): string | undefined {
    return this.#underWay;
  }

  /** From the start of the process to its first `next`, the last time. */
  get initMs(): number | undefined {
    return this.#initMs;
  }

  /** Processes started so far. */
  get inits(): number {
    return this.#inits;
  }

  /** The one before must be done. */
  run(request: Request): Run {
    const begun = Promise.withResolvers<boolean>();
    const outcome = Promise.withResolvers<Outcome>();
    const done = this.#serve(request, begun.resolve, outcome.resolve).catch((error: unknown) => {
      begun.resolve(false);
      outcome.reject(error);
    });
    const { requestId } = request;
    return { requestId, environment: this, begun: begun.promise, outcome: outcome.promise, done };
  }

  /** SIGKILL, whatever it does. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#process?.kill();
    await this.#process?.exited;
  }

  /** Frozen in the midst of what it does, until `thaw`. */
  freeze(): void {
    this.#process?.stop();
  }

  thaw(): void {
    this.#process?.resume();
  }

  /** For ever, with its `/tmp`. */
  async end(): Promise<void> {
    this.#isEnded = true;
    await this.kill();
    await rm(this.scratchDir, { recursive: true, force: true });
  }

  async #serve(
    request: Request,
    begun: (did: boolean) => void,
    answer: (outcome: Outcome) => void,
  ): Promise<void> {
    const failed = await this.#initialise();
    const process = this.#process;
    if (failed !== undefined || process === undefined) {
      begun(false);
      return answer(failed ?? exited('it ended'));
    }
    const { timeoutMs } = this.#options;
    const limits: Limits = { passed: undefined };
    process.resume();
    const { reply, waits } = process.deliver({ ...request, deadlineMs: Date.now() + timeoutMs });
    this.#underWay = request.requestId;
    begun(true);
    const timer = setTimeout(() => {
      limits.passed ??= { kind: 'timeout', afterMs: timeoutMs };
      process.kill();
    }, timeoutMs);
    const watch = this.#watchMemory(process, limits);
    try {
      const replied = await Promise.race([reply, process.exited]);
      this.#underWay = undefined;
      answer(typeof replied === 'string' ? (limits.passed ?? exited(replied)) : outcomeOf(replied));
      await Promise.race([waits, process.exited]);
      if (process.alive) process.stop();
    } finally {
      this.#underWay = undefined;
      clearTimeout(timer);
      clearInterval(watch);
    }
  }

  /** Undefined where a process waits for an invocation. */
  async #initialise(): Promise<Outcome | undefined> {
    if (this.#process?.alive === true) return undefined;
    await mkdir(this.scratchDir, { recursive: true });
    const failed = await this.#init(INIT_MS_MAX);
    if (failed === undefined || this.#isEnded) return failed;
    return this.#init(this.#options.timeoutMs);
  }

  async #init(limitMs: number): Promise<Outcome | undefined> {
    const { codeDir, memoryMb, log } = this.#options;
    const variables = {
      ...this.#options.variables,
      TMPDIR: this.scratchDir,
      STERNA_SCRATCH: join(this.scratchDir, 'sterna'),
    };
    const process = await RuntimeProcess.start({ codeDir, memoryMb, variables, log });
    this.#process = process;
    this.#inits += 1;
    const limits: Limits = { passed: undefined };
    const watch = this.#watchMemory(process, limits);
    const timer = new AbortController();
    const late = sleep(limitMs, 'late' as const, { signal: timer.signal }).catch(() => 'late');
    const end = await Promise.race([process.ready, process.initFailed, process.exited, late]);
    timer.abort();
    clearInterval(watch);
    if (end === undefined) {
      this.#initMs = performance.now() - process.startedMs;
      return undefined;
    }
    process.kill();
    await process.exited;
    if (typeof end === 'object') return { kind: 'error', ...end };
    if (end === 'late') return { kind: 'timeout', afterMs: limitMs };
    return limits.passed ?? exited(end);
  }

  #watchMemory(process: RuntimeProcess, limits: Limits): NodeJS.Timeout {
    const { memoryMb } = this.#options;
    return setInterval(() => {
      if (process.residentMb() <= memoryMb) return;
      const errorMessage = 'Error: Runtime exited with error: signal: killed';
      limits.passed ??= { kind: 'killed', errorType: 'Runtime.OutOfMemory', errorMessage };
      process.kill();
    }, MEMORY_LOOK_MS);
  }
}

const exited = (how: string): Outcome => ({
  kind: 'killed',
  errorType: 'Runtime.ExitError',
  errorMessage: `Error: Runtime exited with error: ${how}`,
});

function outcomeOf(reply: Reply): Outcome {
  switch (reply.kind) {
    case 'result':
      return { kind: 'result', payload: JSON.parse(reply.payload.toString()) };
    case 'error':
      return errorOf(reply.thrown);
    case 'too-large':
      return { ...reply, of: 'reply' };
  }
}

const errorOf = (thrown: Thrown): Outcome => ({ kind: 'error', ...thrown });
