/** `npm run garbage -- --each 1000 [--seed N] [--only ROUTE]`: the garbage property at length. */
import { parseArgs } from 'node:util';
import { hunt } from './hunt.ts';
import { SUBJECTS } from './routes.ts';
import { World } from './world.ts';

const { values } = parseArgs({
  options: {
    each: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    only: { type: 'string', default: '' },
  },
});
const each = Number(values.each);
const subjects = SUBJECTS.filter(({ name }) => name.startsWith(values.only));
if (!Number.isSafeInteger(each) || each < 1 || subjects.length === 0) {
  console.error(
    `garbage: --each wants a number, --only the beginning of one of\n  ${SUBJECTS.map(({ name }) => name).join('\n  ')}`,
  );
  process.exit(2);
}

console.log(`garbage: seed ${values.seed}, ${each} mutants for each of ${subjects.length} bodies`);
const world = await World.open();
let mutants = 0;
let failures = 0;
for (const subject of subjects) {
  const started = performance.now();
  try {
    const counts = await hunt(world, subject, { seed: values.seed, each, withListed: true });
    mutants += counts.mutants;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const { refused, succeeded } = counts;
    console.log(
      `${subject.name.padEnd(48)} ${counts.mutants} mutants, ${refused} refused, ${succeeded} succeeded, ${seconds} s`,
    );
  } catch (error) {
    failures++;
    console.error(error instanceof Error ? error.message : error);
  }
}
await world.close();
console.log(`garbage: ${mutants} mutants, ${failures} failures`);
process.exitCode = failures === 0 ? 0 : 1;
