/**
 * A handful of histories with every test run, some of known seeds and some of fresh ones, and the
 * promise that a seed is a history: the same one each time, in this process and in another.
 */
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runHistory } from './history.ts';
import { type Ask, commandOf, toOptions } from './options.ts';
import { runAll } from './pool.ts';
import { type Report, Totals } from './totals.ts';

const FRESH = 20;
/** Two processes: the machine of a test run has two cores at least. */
const JOBS = 2;

/**
 * Seeds that found something once, with what it was. They are run as they are: what they do has moved
 * on with the code, and the unit tests that they led to hold the bugs themselves.
 */
const REGRESSIONS: readonly (readonly [number, string])[] = [
  [1098, 'a drop that was refused behind its mark promised that nothing was changed (I12)'],
  [5007, 'a slow drop freed the name of the collection that was made meanwhile (I1)'],
  [20252, 'a delete by filter that was sent again deleted newer rows of other shards (I2)'],
  [20592, 'a lease renewal that was throttled broke a promise that nobody heard (I12)'],
  [987, 'an archive that left the id window was deleted under its readers (I6)'],
  [4271, 'a clone that was refused behind its name was there all the same (I12)'],
  [70007, 'a restore whose job could not be noted said that nothing was made (I12)'],
  [70067, 'a truncation that was on its way said that nothing was changed (I12)'],
  [90342, 'a drop whose mark was not heard of said that nothing was changed (I12)'],
  [4242, 'scrub missed the cut of a clone that was dropped and collected (I9)'],
];
const FIXED = [1, 2, 3, 4, 5];

async function runSeeds(seeds: readonly number[]): Promise<readonly Report[]> {
  const reports: Report[] = [];
  const asks: Ask[] = seeds.map((seed) => ({ seed }));
  await runAll(asks, JOBS, (report) => {
    reports.push(report);
    return true;
  });
  return reports;
}

/** Failures as a developer wants to read them. */
const failures = (reports: readonly Report[]): string[] =>
  reports
    .filter(({ violations }) => violations.length > 0)
    .map(({ seed, violations }) => {
      const [first] = violations;
      return `${first?.invariant}: ${first?.what}\n  ${commandOf({ seed })}`;
    });

test('I1, I2, I4-I7, I9, I11, I12 hold in histories of known seeds', {
  timeout: 240_000,
}, async () => {
  const reports = await runSeeds([...FIXED, ...REGRESSIONS.map(([seed]) => seed)]);
  expect(failures(reports)).toEqual([]);
  expect(reports.filter(({ counts }) => !counts).map(({ seed }) => seed)).toEqual([]);
  const totals = new Totals();
  for (const report of reports) totals.add(report);
  expect(totals.missing()).toEqual([]);
});

test('and in histories of fresh seeds', { timeout: 480_000 }, async () => {
  const first = randomInt(2 ** 31);
  console.log(`sim: fresh seeds ${first} to ${first + FRESH - 1}`);
  const reports = await runSeeds(Array.from({ length: FRESH }, (_, index) => first + index));
  expect(failures(reports)).toEqual([]);
});

test('every planted bug is in the table, as its patch says, and three at least per invariant', () => {
  const folder = 'test/sim/mutants';
  const table = readFileSync(`${folder}/README.md`, 'utf8');
  const patches = readdirSync(folder).filter((file) => file.endsWith('.patch'));
  const invariants = patches.map((file) => {
    const [head = ''] = readFileSync(`${folder}/${file}`, 'utf8').split('\n', 1);
    const [invariant = '', ...rest] = head.split(': ');
    const sentence = rest.join(': ');
    expect(table).toContain(`| \`${file.replace('.patch', '')}\` | ${invariant} | ${sentence} |`);
    return invariant;
  });
  expect(table.split('\n').filter((line) => line.startsWith('| `'))).toHaveLength(patches.length);
  for (const invariant of ['I1', 'I2', 'I4', 'I5', 'I6', 'I7', 'I9', 'I11', 'I12']) {
    expect(invariants.filter((one) => one === invariant).length).toBeGreaterThanOrEqual(3);
  }
});

test('a seed is one history, byte for byte, here and in another process', {
  timeout: 120_000,
}, async () => {
  const ask = { seed: 12_345 };
  const first = await runHistory(toOptions(ask));
  const again = await runHistory(toOptions(ask));
  expect(again.traceHash).toBe(first.traceHash);
  const args = ['test/sim/main.ts', '--seed', String(ask.seed), '--histories', '1', '--no-shrink'];
  const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(stdout).toContain(`trace ${first.traceHash}, ${first.events} events`);
  const other = await runHistory(toOptions({ seed: 12_346 }));
  expect(other.traceHash).not.toBe(first.traceHash);
});

test('a fault that is left out changes nothing before it', { timeout: 120_000 }, async () => {
  const prefix = async (faultsMax: number): Promise<readonly string[]> => {
    const lines: string[] = [];
    const omitted = { faultsMax };
    await runHistory({ seed: 99, operations: 60, omitted, onTrace: (line) => lines.push(line) });
    return lines;
  };
  const [few, many] = [await prefix(10), await prefix(20)];
  const same = few.findIndex((line, index) => line !== many[index]);
  expect(few.length).not.toBe(many.length);
  // Ten faults are a good part of the way.
  expect(same).toBeGreaterThan(200);
});
