/** The tables of docs/cost.md as the code has them. */
import { ACTS, type ActName, type Requests } from '#cli/cost-counts.ts';
import { PRICES } from '#cli/cost-prices.ts';

const ACT_NAMES: Readonly<Record<ActName, string>> = {
  insertRowAlone: 'insert of 1 row, tail empty',
  insertRow: 'insert of 1 row behind another that is not applied yet',
  insertRowWithId: 'the same with a `RequestId`',
  insertRows: 'insert of 100 rows, a payload object',
  insertRowsWithId: 'the same with a `RequestId`',
  deleteByKey: 'delete by key, tail empty',
  deleteByFilter: 'delete by filter, columns in memory',
  applyRow: 'apply of a batch of one such insert of 1 row',
  applyRows: 'apply of a batch of one insert of 100 rows',
  applyRowBusy: 'apply of 1 row, above 20 batches in 11 minutes',
  merge: 'merge of 8 small segments',
  search: 'search, warm',
  query: 'query, warm',
  get: 'get, warm',
  searchAfterApply: 'search, the first behind an apply',
  searchCold: 'search in a fresh environment, 3 small segments',
  verifyPassword: 'credentials, looked at every 10 s',
  compactRun: 'a run of `compact` with nothing to look at',
  compactShard: 'what an idle shard adds to it',
  collectRun: 'a run of `collect` with nothing to look at',
  collectShard: 'what an idle shard adds to it',
  collectLook: 'what one adds that changed, or was not looked at for a day',
  scrubRun: 'a run of `scrub` with nothing that is due',
  scrubShard: 'what a shard adds to it',
};

const COLUMNS: readonly (readonly [head: string, of: (counts: Requests) => number])[] = [
  ['S3 PUT, LIST', ({ s3Writes }) => s3Writes],
  ['S3 GET', ({ s3Reads }) => s3Reads],
  ['payload units', ({ streamUnits }) => streamUnits],
  ['read units', ({ readUnits, globalReadUnits }) => readUnits + globalReadUnits],
  ['of them global', ({ globalReadUnits }) => globalReadUnits],
  ['write units', ({ writeUnits, globalWriteUnits }) => writeUnits + globalWriteUnits],
  ['steps: tables', ({ tableSteps }) => tableSteps],
  ['S3', ({ objectSteps }) => objectSteps],
  ['log', ({ logSteps }) => logSteps],
];

const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;

export function countsTable(): string {
  // The names of the acts.
  const names = Object.keys(ACTS) as ActName[];
  return [
    row(['act', ...COLUMNS.map(([head]) => head)]),
    row(['---', ...COLUMNS.map(() => '---:')]),
    ...names.map((name) => row([ACT_NAMES[name], ...COLUMNS.map(([, of]) => of(ACTS[name]))])),
  ].join('\n');
}

export const pricesTable = (): string =>
  [
    row(['dollars', 'for', 'source', 'seen']),
    row(['---:', '---', '---', '---']),
    ...Object.values(PRICES).map(({ dollars, per, unit, source, seen }) =>
      row([
        dollars,
        per === 1 ? unit : `${per.toLocaleString('en-US')} x ${unit}`,
        `[${new URL(source).hostname.replace(/^www\./, '')}](${source})`,
        seen,
      ]),
    ),
  ].join('\n');
