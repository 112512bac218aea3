/** A real server that, once SIGUSR2 came, ends itself behind an effect: `DIR [PATTERN NTH]`. */
import '../../shared/cli/guard.js';
import { startSterna } from '#runtime/start.ts';
import { type EffectTrigger, killingBehind } from './e2e-effect-kills.ts';

const [, , dir = '', pattern, nth = '1'] = process.argv;
const trigger: EffectTrigger | undefined =
  pattern === undefined
    ? undefined
    : { armed: false, pattern: new RegExp(pattern), left: Number(nth) };
process.on('SIGUSR2', () => {
  if (trigger !== undefined) trigger.armed = true;
  console.log('armed');
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
    levelZeroSegments: 2,
    levelZeroAgeMs: 100,
    collectEveryMs: 200,
  },
  ...(trigger === undefined ? {} : { wrap: (ports) => killingBehind(ports, trigger) }),
});
console.log(`ready on ${server.url}`);
process.on('SIGTERM', () => {
  void server.close().then(() => process.exit(0));
});
