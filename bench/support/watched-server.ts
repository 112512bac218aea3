/**
 * The server of `sterna serve` in a process of its own, over ports that count: bytes written by what
 * they are for, calls by port, when maintenance was under way, and when the serving thread stood still.
 *
 * Started by `watch.ts`, which asks over the process's own channel.
 */
import { startSterna } from '../../shared/runtime/start.ts';
import { countPorts, noCounts } from './counting.ts';
import type { Interval, Stall, Watched } from './watch.ts';

/** Milliseconds since 1970 by a clock that does not jump, the same in every process of the machine. */
const nowMs = () => performance.timeOrigin + performance.now();

const counts = noCounts();
const began = new Map<string, number>();
let intervals: Interval[] = [];

/** Maintenance holds a lease named `compact/...` or `index/...` for exactly as long as it works. */
function noteLease(name: string, held: boolean): void {
  const kind = /^(compact|index)\//.exec(name)?.[1];
  if (kind === undefined) return;
  const fromMs = began.get(name);
  if (held) {
    if (fromMs === undefined) began.set(name, nowMs());
  } else if (fromMs !== undefined) {
    intervals.push({ kind: kind === 'compact' ? 'merge' : 'build', fromMs, toMs: nowMs() });
    began.delete(name);
  }
}

/** How often the thread is asked whether it still answers. */
const TICK_MS = 5;
/** Shorter stops are not worth a line. */
const STALL_MS = 10;
let stalls: Stall[] = [];

/** Milliseconds of processor time of this thread alone. */
function workedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function watchStalls(): void {
  let dueMs = nowMs() + TICK_MS;
  let beforeMs = workedMs();
  setInterval(() => {
    const atMs = nowMs();
    const afterMs = workedMs();
    if (atMs - dueMs >= STALL_MS) {
      stalls.push({ kind: 'stall', fromMs: dueMs, toMs: atMs, workedMs: afterMs - beforeMs });
    }
    dueMs = atMs + TICK_MS;
    beforeMs = afterMs;
  }, TICK_MS).unref();
}

const server = await startSterna({
  port: 0,
  dir: process.argv[2],
  wrap: (ports) => countPorts(ports, counts, noteLease),
});
watchStalls();

process.on('message', () => {
  const answer: Watched = {
    written: { ...counts.written },
    read: { ...counts.read },
    calls: { ...counts.calls },
    intervals: [
      ...intervals,
      ...[...began].map(([name, fromMs]): Interval => {
        return { kind: name.startsWith('index') ? 'build' : 'merge', fromMs, toMs: nowMs() };
      }),
    ],
    underWay: began.size,
    stalls,
  };
  stalls = [];
  intervals = [];
  for (const name of began.keys()) began.set(name, nowMs());
  process.send?.(answer);
});
const end = async (): Promise<void> => {
  await server.close();
  process.exit(0);
};
process.once('SIGTERM', end);
// Whoever measured is gone.
process.once('disconnect', end);
process.send?.({ url: server.url });
