/** Histories side by side, one process per core: each has its own memory, and one that dies is seen. */
import { type ChildProcess, fork } from 'node:child_process';
import type { Ask } from './options.ts';
import type { Report } from './totals.ts';

const WORKER = new URL('./worker.ts', import.meta.url);

/**
 * Runs the histories and tells of each as it ends.
 *
 * @param heard false ends the run before its time
 * @throws Error where a worker dies: that history is no evidence of anything
 */
export async function runAll(
  asks: Iterable<Ask>,
  jobs: number,
  heard: (report: Report, ask: Ask) => boolean,
): Promise<void> {
  const queue = asks[Symbol.iterator]();
  let going = true;
  const work = async (): Promise<void> => {
    const worker = fork(WORKER, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    try {
      for (let next = queue.next(); going && next.done !== true; next = queue.next()) {
        const report = await runOne(worker, next.value);
        if (going && !heard(report, next.value)) going = false;
      }
    } finally {
      worker.kill();
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
}

function runOne(worker: ChildProcess, ask: Ask): Promise<Report> {
  return new Promise((resolve, reject) => {
    const died = (code: number | null): void => {
      reject(new Error(`the history of seed ${ask.seed} ended its process with ${code}`));
    };
    worker.once('exit', died);
    worker.once('message', (report) => {
      worker.off('exit', died);
      resolve(report as Report); // What worker.ts sends.
    });
    worker.send(ask);
  });
}
