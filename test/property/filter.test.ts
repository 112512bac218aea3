import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileFilter } from '#filter/compile.ts';
import { evaluateFilter } from '#filter/evaluate.ts';
import { fieldsOf, type Predicate } from '#filter/predicate.ts';
import { type ColumnStats, mayMatch } from '#filter/prune.ts';
import { type Column, hasBit, isPresent } from '#schema/column.ts';
import { CASE_SCHEMA, caseColumns, caseFilter, caseRow } from '../support/filter-cases.ts';
import { writeFilter } from '../support/filter-text.ts';
import { naiveTruth } from '../support/naive-filter.ts';

/** Numbers that decide how an expression is spelled. */
const spelling = fc.infiniteStream(fc.nat(1_000_000));
const pair = fc.record({
  filter: caseFilter,
  rows: fc.array(caseRow, { maxLength: 20 }),
  spelling,
});

function compiled({
  filter,
  spelling: numbers,
}: {
  filter: Parameters<typeof naiveTruth>[0];
  spelling: Iterator<number>;
}) {
  const written = writeFilter(filter, (count) => (numbers.next().value as number) % count);
  const predicate = compileFilter(written.expression, CASE_SCHEMA, written.params);
  if (predicate === undefined) throw new Error('an expression is not empty');
  return { ...written, predicate };
}

function select(
  predicate: Predicate,
  count: number,
  columns: ReadonlyMap<number, Column>,
): number[] {
  const needed = new Set(fieldsOf(predicate));
  const bitmap = evaluateFilter(predicate, {
    count,
    column(fieldId) {
      const column = columns.get(fieldId);
      if (column === undefined || !needed.has(fieldId))
        throw new Error(`field ${fieldId} was not announced`);
      return column;
    },
  });
  expect(bitmap.length).toBe((count + 7) >> 3);
  return Array.from({ length: bitmap.length * 8 }, (_, row) => row).filter((row) =>
    hasBit(bitmap, row),
  );
}

test('the bitmap engine and the naive interpreter select the same rows', () => {
  void fc.assert(
    fc.property(pair, (each) => {
      const { predicate, expression } = compiled(each);
      const expected = each.rows.flatMap((row, index) =>
        naiveTruth(each.filter, row) === true ? [index] : [],
      );
      expect(select(predicate, each.rows.length, caseColumns(each.rows)), expression).toEqual(
        expected,
      );
    }),
    { numRuns: 2_000 },
  );
});

test('a segment that statistics rule out has no row to select', () => {
  let pruned = 0;
  void fc.assert(
    fc.property(pair, (each) => {
      const { predicate, expression } = compiled(each);
      const columns = caseColumns(each.rows);
      if (mayMatch(predicate, (fieldId) => statsOf(each.rows.length, columns.get(fieldId)))) return;
      pruned++;
      expect(select(predicate, each.rows.length, columns), expression).toEqual([]);
    }),
    { numRuns: 1_000 },
  );
  expect(pruned).toBeGreaterThan(20);
});

function statsOf(rows: number, column: Column | undefined): ColumnStats | undefined {
  if (column === undefined) return undefined;
  const present = Array.from({ length: rows }, (_, row) => row).filter((row) =>
    isPresent(column, row),
  );
  const nulls = rows - present.length;
  if (column.type === 'JSON' || column.type === 'Bool' || column.type === 'FloatVector')
    return { rows, nulls };
  const sorted =
    column.type === 'VarChar'
      ? present
          .map((row) => column.dictionary[column.codes[row] ?? 0] ?? '')
          .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      : present.map((row) => column.values[row] ?? 0).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const [min, max] = [sorted[0], sorted.at(-1)];
  return min === undefined || max === undefined ? { rows, nulls } : { rows, nulls, min, max };
}
