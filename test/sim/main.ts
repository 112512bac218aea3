/**
 * `npm run sim -- --histories 1000 [--seed N]`: many histories, each from a seed of its own (N, N + 1,
 * ...; fresh ones unless given). Ends with 1 where one violates an invariant, or where what must occur
 * did not.
 */
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { runHistory } from './history.ts';
import { type Ask, commandOf, toOptions } from './options.ts';
import { runAll } from './pool.ts';
import { shrink } from './shrink.ts';
import { type Report, reportOf, Totals } from './totals.ts';

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '100' },
    seed: { type: 'string' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    operations: { type: 'string' },
    faults: { type: 'string' },
    without: { type: 'string' },
    skip: { type: 'string' },
    calm: { type: 'boolean', default: false },
    /** Writes the trace of the first history to this file. */
    trace: { type: 'string' },
    'no-shrink': { type: 'boolean', default: false },
    /** Ends with the first history that fails. */
    first: { type: 'boolean', default: false },
  },
});

/** Seeds are 32 bits; room for the histories behind the first. */
const SEEDS = 2 ** 31;
/** Histories that are shrunk; the others are told as they are. */
const SHRUNK_MAX = 3;
/** Between two lines of progress; also the number that must show everything that is required. */
const HUNDRED = 100;

function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  console.error(`sim: --${name} wants a whole number, found ${text}`);
  process.exit(2);
}

const first = wholeNumber('seed', values.seed) ?? randomInt(SEEDS);
const histories = wholeNumber('histories', values.histories) ?? 0;
const jobs = Math.max(1, wholeNumber('jobs', values.jobs) ?? 1);
const common = {
  operations: wholeNumber('operations', values.operations),
  faults: wholeNumber('faults', values.faults),
  without: values.without?.split(','),
  skip: values.skip?.split(',').map(Number),
  calm: values.calm,
};

function* asks(): Iterable<Ask> {
  for (let index = 0; index < histories; index++) yield { ...common, seed: first + index };
}

const totals = new Totals();
let hundred = new Totals();
const failed: { ask: Ask; report: Report }[] = [];
const absent = new Set<string>();
const started = performance.now();

function tell(report: Report, ask: Ask): boolean {
  totals.add(report);
  hundred.add(report);
  if (report.violations.length > 0) {
    failed.push({ ask, report });
    const [violation] = report.violations;
    console.log(`seed ${report.seed}: ${violation?.invariant}: ${violation?.what}`);
    console.log(`  ${commandOf(ask)}`);
    if (values.first) return false;
  }
  if (hundred.histories === HUNDRED) {
    console.log(`${totals.histories} histories: ${hundred.shown()}`);
    for (const name of hundred.missing()) absent.add(name);
    hundred = new Totals();
  }
  return true;
}

async function one(ask: Ask): Promise<void> {
  const lines: string[] = [];
  const onTrace = values.trace === undefined ? undefined : (line: string) => lines.push(line);
  const report = reportOf(await runHistory({ ...toOptions(ask), onTrace }));
  if (values.trace !== undefined) writeFileSync(values.trace, lines.join(''));
  tell(report, ask);
  console.log(`seed ${ask.seed}: trace ${report.traceHash}, ${report.events} events`);
}

console.log(`sim: seeds from ${first}, ${histories} histories, ${jobs} at once`);
if (histories === 1) await one({ ...common, seed: first });
else await runAll(asks(), Math.min(jobs, histories), tell);

if (!values['no-shrink']) {
  for (const { ask, report } of failed.slice(0, SHRUNK_MAX)) {
    const small = await shrink(ask, report);
    console.log(
      `seed ${ask.seed} shrunk from ${report.operations} operations and ${report.faults} faults to ${small.report.operations} and ${small.report.faults} in ${small.runs} runs:`,
    );
    for (const { invariant, what } of small.report.violations)
      console.log(`  ${invariant}: ${what}`);
    console.log(`  ${commandOf(small.ask)}`);
  }
}
const minutes = (performance.now() - started) / 60_000;
const hostile = !values.calm && common.operations === undefined && common.faults === undefined;
if (hostile && absent.size > 0) console.log(`sim: nothing of: ${[...absent].join(', ')}`);
if (hostile && totals.counted < totals.histories) {
  console.log(
    `sim: ${totals.histories - totals.counted} histories are too short or too calm to count`,
  );
}
console.log(`sim: ${totals.shown()}`);
console.log(
  `sim: ${totals.histories} histories (${totals.counted} count), ${totals.operations} operations, ${totals.faults} faults (${totals.faultsShown()}), ${totals.violated} violations, ${Math.round(totals.histories / minutes)} histories/minute`,
);
process.exitCode = totals.violated > 0 || (hostile && absent.size > 0) ? 1 : 0;
