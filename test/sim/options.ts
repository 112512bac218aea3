/** What a history is told on the command line, and how it is told again to replay it. */
import type { HistoryOptions } from './history.ts';

/** A history as plain data, for another process. */
export type Ask = Readonly<{
  seed: number;
  operations?: number | undefined;
  faults?: number | undefined;
  without?: readonly string[] | undefined;
  skip?: readonly number[] | undefined;
  calm?: boolean | undefined;
}>;

export const toOptions = ({
  seed,
  operations,
  faults,
  without,
  skip,
  calm,
}: Ask): HistoryOptions => ({
  seed,
  operations,
  calm,
  omitted: {
    faultsMax: faults,
    kinds: new Set(without),
    numbers: new Set(skip),
  },
});

export function commandOf({ seed, operations, faults, without, skip, calm }: Ask): string {
  const parts = ['npm run sim --', `--seed ${seed}`, '--histories 1'];
  if (operations !== undefined) parts.push(`--operations ${operations}`);
  if (faults !== undefined) parts.push(`--faults ${faults}`);
  if (without !== undefined && without.length > 0) parts.push(`--without ${without.join(',')}`);
  if (skip !== undefined && skip.length > 0) parts.push(`--skip ${skip.join(',')}`);
  if (calm === true) parts.push('--calm');
  return parts.join(' ');
}
