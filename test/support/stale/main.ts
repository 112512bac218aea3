/** `npm run stale -- --minutes 5 [--seed N]`: the stale-version property at length. */
import { parseArgs } from 'node:util';
import { History } from './history.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) {
  console.error('stale: --minutes wants a number');
  process.exit(2);
}

const REPORT_MS = 30_000;
console.log(`stale: seed ${values.seed}, ${minutes} minutes`);
const history = await History.open(values.seed);
const end = performance.now() + minutes * 60_000;
let next = performance.now() + REPORT_MS;
try {
  while (performance.now() < end) {
    await history.step();
    if (performance.now() < next) continue;
    next += REPORT_MS;
    console.log(JSON.stringify(history.tally));
  }
  const { steps, reads, graphSearches } = history.tally;
  console.log(JSON.stringify(history.tally));
  console.log(`stale: ${steps} steps, ${reads} reads, ${graphSearches} by graph, 0 failures`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  console.error(`stale: 1 failure; npm run stale -- --minutes ${minutes} --seed ${values.seed}`);
  process.exitCode = 1;
} finally {
  await history.close();
}
