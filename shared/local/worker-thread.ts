/**
 * What runs on a worker thread of the invoker: it imports one module and calls its one function
 * for each message, one at a time in the order of arrival, and answers with the call's number.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { assert, must } from '#base/assert.ts';
import { StoreError } from '#base/errors.ts';
import type { WorkerAnswer } from './invoker.ts';

const port = must(parentPort, 'this file runs on a worker thread');
// The invoker starts this file and gives it the module's URL.
const { module } = workerData as { module: string };

const loaded: Promise<Record<string, unknown>> = import(module);
// Whoever calls first learns why the module does not load; until then nobody is there to listen.
loaded.catch(() => undefined);

async function run(call: number, payload: unknown): Promise<WorkerAnswer> {
  try {
    const functions = Object.values(await loaded).filter((part) => typeof part === 'function');
    const only = functions[0];
    assert(only !== undefined && functions.length === 1, `${module} exports one function`);
    return { call, answer: await only(payload) };
  } catch (error) {
    return { call, error: sentError(error) };
  }
}

function sentError(error: unknown): { code?: string; message: string; stack?: string } {
  if (!(error instanceof Error)) return { message: String(error) };
  return {
    message: error.message,
    ...(error instanceof StoreError ? { code: error.code } : {}),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
  };
}

function send(answer: WorkerAnswer): void {
  try {
    port.postMessage(answer);
  } catch (error) {
    port.postMessage({ call: answer.call, error: sentError(error) });
  }
}

let queue: Promise<void> = Promise.resolve();

port.on('message', ({ call, payload }: { call: number; payload: unknown }) => {
  queue = queue.then(async () => send(await run(call, payload)));
});
