/**
 * A real server in a process of its own: `DIR PACE [HASTE]`.
 *
 * With HASTE its ports acknowledge before the disk has what they were given; see `e2e-hasty-ports.ts`.
 */
import '../../shared/cli/guard.js';
import type { Pace } from '#runtime/embedded.ts';
import { startSterna } from '#runtime/start.ts';
import { HASTES, hastyPorts } from './e2e-hasty-ports.ts';

/** Some eleven days: longer than any test, and as long as a timer can be. */
const NEVER_MS = 1_000_000_000;
const QUICK = {
  applyLingerMs: 20,
  compactEveryMs: 50,
  graphRows: 50,
  levelZeroSegments: 2,
  levelZeroAgeMs: 100,
};
const PACES: Readonly<Record<string, Partial<Pace>>> = {
  usual: {},
  /** Everything becomes a segment of level 1 with a graph as soon as can be. */
  quick: QUICK,
  /** The same without graphs. */
  'no graphs': { ...QUICK, graphRows: 1_000_000 },
  /** Everything stays in level 0. */
  'no compaction': { ...QUICK, compactEveryMs: Number.POSITIVE_INFINITY },
  /** Everything stays in log and tail for some seconds. */
  'slow apply': { applyLingerMs: 4000, compactEveryMs: Number.POSITIVE_INFINITY },
  /** Everything stays in the tail. */
  'no apply': { applyLingerMs: NEVER_MS, compactEveryMs: Number.POSITIVE_INFINITY },
};

const [, , dir = '', paceName = '', hasteName = ''] = process.argv;
const pace = PACES[paceName];
if (pace === undefined) throw new Error(`no pace ${paceName}`);
const haste = HASTES.find((known) => known === hasteName);
const server = await startSterna({
  host: '127.0.0.1',
  port: 0,
  dir,
  logLevel: 'warn',
  pace,
  ...(haste === undefined ? {} : { wrap: (ports) => hastyPorts(ports, haste, dir) }),
});
process.on('SIGTERM', () => {
  void server.close().then(() => process.exit(0));
});
console.log(`ready on ${server.url}`);
