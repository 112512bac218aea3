/**
 * A real server in a process of its own, with a pace of its own: `DIR [PACE] [HASTE]`, PACE as JSON.
 *
 * With HASTE its ports acknowledge before the disk has what they were given; see `e2e-hasty-ports.ts`.
 */
import '../../shared/cli/guard.js';
import { startSterna } from '#runtime/start.ts';
import { HASTES, hastyPorts } from './e2e-hasty-ports.ts';

const [, , dir = '', pace = '{}', name = ''] = process.argv;
const haste = HASTES.find((known) => known === name);
const server = await startSterna({
  host: '127.0.0.1',
  port: 0,
  dir,
  logLevel: 'warn',
  pace: JSON.parse(pace),
  ...(haste === undefined ? {} : { wrap: (ports) => hastyPorts(ports, haste, dir) }),
});
console.log(`ready on ${server.url}`);
process.on('SIGTERM', () => {
  void server.close().then(() => process.exit(0));
});
