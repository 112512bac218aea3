/** Roles inside one process: called directly, or each on a worker thread of its own. */
import { Worker } from 'node:worker_threads';
import { ERRORS, type ErrorCode, StoreError } from '#base/errors.ts';
import type { Invoker } from '#ports/invoker.ts';

export type RoleFunction = (payload: unknown) => Promise<unknown> | unknown;

/** Calls functions of this thread. Payloads and answers are copied, as Lambda would. */
export function directInvoker(roles: Readonly<Record<string, RoleFunction>>): Invoker {
  return {
    async invoke(role, payload) {
      const run = Object.hasOwn(roles, role) ? roles[role] : undefined;
      if (run === undefined) throw unknownRole(role);
      return structuredClone(await run(structuredClone(payload)));
    },
  };
}

export type WorkerInvoker = Readonly<{
  /** As the port says; `transfer` moves buffers of the payload instead of copying them. */
  invoke(role: string, payload: unknown, transfer?: readonly ArrayBuffer[]): Promise<unknown>;
  close: () => Promise<void>;
}>;

/**
 * Calls of a role share one worker thread, which takes them one after the other; each waiting one
 * holds its payload in memory.
 */
const WAITING_CALLS_MAX = 64;

/**
 * Runs each role, given as the URL of a module that exports one function, on a worker thread
 * that its first call starts, so that long computations do not keep the calling thread from serving.
 * A worker ends when no call waits for it any more: the memory of a long computation goes with it at
 * once, and starting another costs a tenth of a second.
 *
 * A call throws what the function threw (a StoreError stays one), `OVERLOADED` where too many wait,
 * and `UNCERTAIN` where the worker ended before it answered; the next call starts another.
 */
export function workerInvoker(roles: Readonly<Record<string, URL>>): WorkerInvoker {
  const workers = new Map<string, RoleWorker>();
  let closed = false;
  return {
    async invoke(role, payload, transfer = []) {
      const module = Object.hasOwn(roles, role) ? roles[role] : undefined;
      if (module === undefined) throw unknownRole(role);
      if (closed)
        throw new StoreError('UNCERTAIN', `role ${role} is not run: the invoker is closed`);
      let worker = workers.get(role);
      if (worker === undefined || worker.ended) {
        worker = new RoleWorker(role, module);
        workers.set(role, worker);
      }
      return worker.call(payload, transfer);
    },
    async close() {
      closed = true;
      await Promise.all([...workers.values()].map((worker) => worker.close()));
      workers.clear();
    },
  };
}

/** What travels back from `worker-thread.ts`. */
export type WorkerAnswer = Readonly<
  | { call: number; answer: unknown }
  | { call: number; error: Readonly<{ code?: string; message: string; stack?: string }> }
>;

type Waiting = Readonly<{ resolve: (answer: unknown) => void; reject: (error: unknown) => void }>;

class RoleWorker {
  readonly #role: string;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;
  #ended = false;

  constructor(role: string, module: URL) {
    this.#role = role;
    this.#worker = new Worker(new URL('./worker-thread.ts', import.meta.url), {
      workerData: { module: module.href },
      name: role,
    });
    this.#worker.on('message', (answer: WorkerAnswer) => this.#settle(answer));
    this.#worker.on('error', (error) => this.#end(error));
    this.#worker.on('exit', (code) => this.#end(`its worker ended with code ${code}`));
  }

  get ended(): boolean {
    return this.#ended;
  }

  call(payload: unknown, transfer: readonly ArrayBuffer[]): Promise<unknown> {
    if (this.#waiting.size >= WAITING_CALLS_MAX) {
      const message = `role ${this.#role} has ${WAITING_CALLS_MAX} calls waiting`;
      throw new StoreError('OVERLOADED', message);
    }
    const call = ++this.#calls;
    return new Promise((resolve, reject) => {
      this.#worker.postMessage({ call, payload }, transfer);
      this.#waiting.set(call, { resolve, reject });
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #settle(answer: WorkerAnswer): void {
    const waiting = this.#waiting.get(answer.call);
    this.#waiting.delete(answer.call);
    if (this.#waiting.size === 0) {
      this.#ended = true;
      void this.#worker.terminate();
    }
    if (waiting === undefined) return;
    if ('error' in answer) waiting.reject(receivedError(answer.error));
    else waiting.resolve(answer.answer);
  }

  #end(reason: unknown): void {
    this.#ended = true;
    const message = `role ${this.#role} did not answer: ${String(reason)}`;
    for (const waiting of this.#waiting.values()) {
      waiting.reject(new StoreError('UNCERTAIN', message, { cause: reason }));
    }
    this.#waiting.clear();
  }
}

const isErrorCode = (code: string | undefined): code is ErrorCode =>
  code !== undefined && Object.hasOwn(ERRORS, code);

function receivedError(error: Readonly<{ code?: string; message: string; stack?: string }>): Error {
  const received = isErrorCode(error.code)
    ? new StoreError(error.code, error.message)
    : new Error(error.message);
  if (error.stack !== undefined) received.stack = error.stack;
  return received;
}

function unknownRole(role: string): StoreError {
  return new StoreError('INVALID_ARGUMENT', `there is no role ${JSON.stringify(role)} to invoke`);
}
