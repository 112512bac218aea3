/**
 * A real server that ends itself at a named point: `DIR POINT before|after NTH`, armed by SIGUSR2.
 * Without a point it is an ordinary one with small batches, so that much happens in little time.
 */
import '../../shared/cli/guard.js';
import { startSterna } from '#runtime/start.ts';
import { KILL_POINTS, killingPorts, type Trigger } from './kill-points.ts';

const [, , dir = '', name = '', when = '', nth = '1'] = process.argv;
const point = KILL_POINTS.find((known) => known === name);
const trigger: Trigger | undefined =
  point === undefined
    ? undefined
    : { armed: false, point, when: when === 'after' ? 'after' : 'before', nth: Number(nth) };
process.on('SIGUSR2', () => {
  if (trigger !== undefined) trigger.armed = true;
});
const server = await startSterna({
  host: '127.0.0.1',
  port: 0,
  dir,
  logLevel: 'error',
  pace: {
    applyLingerMs: 20,
    compactEveryMs: 50,
    graphRows: 50,
    levelZeroSegments: 4,
    levelZeroAgeMs: 200,
  },
  ...(trigger === undefined ? {} : { wrap: (ports) => killingPorts(ports, trigger) }),
});
console.log(`ready on ${server.url}`);
process.on('SIGTERM', () => {
  void server.close().then(() => process.exit(0));
});
