/**
 * Makes a failing history smaller while it fails in the same way: fewer operations, fewer faults,
 * fewer kinds of them. What is left out of a run changes nothing before it, so a fault that matters
 * stays where it is.
 */
import { runHistory } from './history.ts';
import { type Ask, toOptions } from './options.ts';
import { type Report, reportOf } from './totals.ts';

/** Runs in all: a few minutes at worst. */
const RUNS_MAX = 120;
/** Below so many faults they are left out one by one. */
const SINGLE_MAX = 48;

export type Shrunk = Readonly<{ ask: Ask; report: Report; runs: number }>;

const runHere = async (ask: Ask): Promise<Report> => reportOf(await runHistory(toOptions(ask)));

export async function shrink(
  ask: Ask,
  failed: Report,
  run: (ask: Ask) => Promise<Report> = runHere,
): Promise<Shrunk> {
  const invariant = failed.violations[0]?.invariant;
  let best = { ask, report: failed };
  let runs = 0;
  /** True where the smaller history still breaks the same invariant; it is the best then. */
  const fails = async (smaller: Ask): Promise<boolean> => {
    if (runs >= RUNS_MAX) return false;
    runs += 1;
    const report = await run(smaller);
    if (!report.violations.some((violation) => violation.invariant === invariant)) return false;
    best = { ask: smaller, report };
    return true;
  };
  await fewer(failed.operations, (operations) => fails({ ...best.ask, operations }));
  await fewer(best.report.faults, (faults) => fails({ ...best.ask, faults }));
  for (const [kind] of best.report.kinds) {
    await fails({ ...best.ask, without: [...(best.ask.without ?? []), kind] });
  }
  await fewer(best.report.faults, (faults) => fails({ ...best.ask, faults }));
  if (best.report.faults <= SINGLE_MAX) {
    for (let number = best.report.faults; number >= 1; number--) {
      await fails({ ...best.ask, skip: [...(best.ask.skip ?? []), number] });
    }
  }
  return { ...best, runs };
}

/** The smallest number that still fails, as a bisection finds it; failing need not be monotonous. */
async function fewer(from: number, fails: (count: number) => Promise<boolean>): Promise<void> {
  let low = 0;
  let high = from;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await fails(middle)) high = middle;
    else low = middle;
  }
}
