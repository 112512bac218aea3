import { expect, test } from 'vitest';
import { type Ask, commandOf } from './options.ts';
import { shrink } from './shrink.ts';
import type { Report } from './totals.ts';

/** A history that breaks I4 with 57 operations or more, by its thirteenth fault, if there are kills. */
async function run({
  operations = 240,
  faults = 300,
  without = [],
  skip = [],
}: Ask): Promise<Report> {
  const fails = operations >= 57 && faults >= 13 && !skip.includes(13) && !without.includes('kill');
  return {
    seed: 7,
    violations: fails ? [{ invariant: 'I4', what: 'a read goes back' }] : [],
    traceHash: '',
    operations,
    faults: Math.min(faults, operations),
    kinds: [
      ['kill', 5],
      ['freeze', 5],
      ['late', 5],
    ],
    events: 1,
    tally: {
      compactions: 1,
      collections: 1,
      voids: 1,
      duplicates: 1,
      fences: 1,
      retries: 1,
      ...{ truncations: 1, snapshots: 1, clones: 1, parked: 1, setAside: 1, expired: 1 },
      undecided: 0,
    },
    actors: 5,
    counts: true,
  };
}

test('a failing history is shrunk to what it takes', async () => {
  const { ask, report } = await shrink({ seed: 7 }, await run({ seed: 7 }), run);
  expect(ask.operations).toBe(57);
  expect(ask.faults).toBe(13);
  expect(ask.without).toEqual(['freeze', 'late']);
  expect(ask.skip).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  expect(report.violations[0]?.invariant).toBe('I4');
  expect(commandOf(ask)).toBe(
    'npm run sim -- --seed 7 --histories 1 --operations 57 --faults 13 --without freeze,late --skip 12,11,10,9,8,7,6,5,4,3,2,1',
  );
});
