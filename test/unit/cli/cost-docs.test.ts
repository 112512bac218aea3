/** docs/cost.md says what the code computes: its tables, its examples, its goals. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, it, test } from 'vitest';
import { peersOf } from '#cli/cost-peers.ts';
import { countsTable, pricesTable } from '../../support/cost-tables.ts';

const docs = readFileSync('docs/cost.md', 'utf8');

test('the table of counts is that of the code', () => {
  expect(docs).toContain(countsTable());
});

test('the table of prices is that of the code', () => {
  expect(docs).toContain(pricesTable());
});

const examples = [...docs.matchAll(/```\n\$ npx sterna (cost[^\n]*)\n([\s\S]*?)```/g)].map(
  ([, command = '', printed = '']) => [command, printed] as const,
);

test('there are examples', () => {
  expect(examples.length).toBeGreaterThanOrEqual(4);
});

it.each(examples)('prints what the page shows: %s', (command, printed) => {
  expect(runSterna(command.split(' '))).toBe(printed);
});

test('the goals are compared with what is printed', () => {
  const printed = (command: string) => examples.find(([asked]) => asked === command)?.[1] ?? '';
  const idle = printed('cost');
  const dollarsOf = (line: RegExp) => line.exec(idle)?.[1];
  const [total, free] = [dollarsOf(/total a month +([0-9.]+)/), dollarsOf(/allowances +([0-9.]+)/)];
  expect(docs).toContain(`$${total} with one collection of one shard; $${free} where`);
  const queries = printed('cost --rows 1000000 --queries-per-month 1000000');
  const million = /A million queries: (.* for being ready)/.exec(queries)?.[1];
  expect(docs).toContain(`| at most $2 per million queries at 1 M x 768 | ${million} |`);
});

test('every peer has its source on the page', () => {
  const workload = { rows: 1, dim: 1, writesPerMonth: 1, rowsPerWrite: 1, queriesPerMonth: 1 };
  for (const { source } of peersOf(workload)) expect(docs).toContain(`](${source})`);
});

function runSterna(options: readonly string[]): string {
  return execFileSync(process.execPath, ['shared/cli/sterna.js', ...options], {
    encoding: 'utf8',
  });
}
