/**
 * Which segments cannot hold a row that a filter selects, by column statistics alone.
 *
 * Conservative: "may" is the answer wherever statistics are missing or say nothing. Because of `not`
 * both questions are asked of every part: can it be true of some row, can it be false of some row.
 */
import {
  type Constant,
  compareNumbers,
  compareText,
  holds,
  type NumberConstant,
} from './literal.ts';
import type { Predicate, Subject, Test } from './predicate.ts';

/**
 * Of one column of one segment. `min` and `max` bound the values that are not null (they need not be
 * attained): numbers, bigints for Int64, strings in UTF-8 order. They are left out where there are none
 * or where the type has no order (Bool, JSON).
 */
export type ColumnStats = Readonly<{
  rows: number;
  nulls: number;
  min?: number | bigint | string;
  max?: number | bigint | string;
}>;

export type StatsOf = (fieldId: number) => ColumnStats | undefined;

type Chance = Readonly<{ yes: boolean; no: boolean }>;

const ANYTHING: Chance = { yes: true, no: true };
const NOTHING: Chance = { yes: false, no: false };

/** False only where no row of the segment can be selected. */
export const mayMatch = (predicate: Predicate, stats: StatsOf): boolean =>
  chanceOf(predicate, stats).yes;

function chanceOf(predicate: Predicate, stats: StatsOf): Chance {
  switch (predicate.kind) {
    case 'literal':
      return { yes: predicate.value, no: !predicate.value };
    case 'and': {
      const chances = predicate.operands.map((operand) => chanceOf(operand, stats));
      return { yes: chances.every(({ yes }) => yes), no: chances.some(({ no }) => no) };
    }
    case 'or': {
      const chances = predicate.operands.map((operand) => chanceOf(operand, stats));
      return { yes: chances.some(({ yes }) => yes), no: chances.every(({ no }) => no) };
    }
    case 'not': {
      const { yes, no } = chanceOf(predicate.operand, stats);
      return { yes: no, no: yes };
    }
    case 'exists':
      return presenceChance(predicate.subject, stats(predicate.subject.fieldId));
    case 'test':
      return testChance(predicate.subject, predicate.test, stats(predicate.subject.fieldId));
    case 'columns': {
      const sides = [stats(predicate.left.fieldId), stats(predicate.right.fieldId)];
      return sides.some(isAllNull) ? NOTHING : ANYTHING;
    }
  }
}

const isAllNull = (stats: ColumnStats | undefined): boolean =>
  stats !== undefined && stats.nulls === stats.rows;

function presenceChance({ path }: Subject, stats: ColumnStats | undefined): Chance {
  if (stats === undefined) return ANYTHING;
  return { yes: stats.nulls < stats.rows, no: path !== undefined || stats.nulls > 0 };
}

function testChance({ path, type }: Subject, test: Test, stats: ColumnStats | undefined): Chance {
  if (isAllNull(stats)) return NOTHING;
  const { min, max } = stats ?? {};
  if (path !== undefined || min === undefined || max === undefined) return ANYTHING;
  const span: Span = { min, max, narrow: type === 'Float' };
  switch (test.kind) {
    case 'compare':
      return compareChance(test.op, test.value, span);
    case 'between': {
      const { lower, upper } = test;
      const above = compareChance(lower.inclusive ? '>=' : '>', lower.value, span);
      const below = compareChance(upper.inclusive ? '<=' : '<', upper.value, span);
      return { yes: above.yes && below.yes, no: above.no || below.no };
    }
    case 'in':
      return { yes: test.values.some((value) => compareChance('==', value, span).yes), no: true };
    case 'like':
      return { yes: prefixMayMatch(literalPrefix(test.pattern), span), no: true };
    default:
      return ANYTHING;
  }
}

type Span = Readonly<{
  min: number | bigint | string;
  max: number | bigint | string;
  narrow: boolean;
}>;

/** The order of a bound and a constant; undefined where their types do not meet. */
function orderOf(
  bound: number | bigint | string,
  value: Constant,
  narrow: boolean,
): number | undefined {
  if (typeof bound === 'string')
    return typeof value === 'string' ? compareText(bound, value) : undefined;
  if (typeof value !== 'number' && typeof value !== 'bigint') return undefined;
  const constant: NumberConstant = narrow ? Math.fround(Number(value)) : value;
  return compareNumbers(bound, constant);
}

function compareChance(
  op: '==' | '!=' | '<' | '<=' | '>' | '>=',
  value: Constant,
  { min, max, narrow }: Span,
): Chance {
  const low = orderOf(min, value, narrow);
  const high = orderOf(max, value, narrow);
  if (low === undefined || high === undefined) return ANYTHING;
  const inside = low <= 0 && high >= 0;
  const only = low === 0 && high === 0;
  if (op === '==') return { yes: inside, no: !only };
  if (op === '!=') return { yes: !only, no: inside };
  // An order that holds at either end may hold of some value; one that fails at either may fail.
  return {
    yes: holds(op, low) || holds(op, high),
    no: !holds(op, low) || !holds(op, high),
  };
}

/** The characters of a `like` pattern before its first wildcard or escape. */
const literalPrefix = (pattern: string): string => /^[^%_\\]*/.exec(pattern)?.[0] ?? '';

function prefixMayMatch(prefix: string, { min, max }: Span): boolean {
  if (typeof min !== 'string' || typeof max !== 'string') return true;
  // Every string with the prefix is at or above it, and none is above a string whose own beginning is.
  return compareText(max, prefix) >= 0 && compareText(min.slice(0, prefix.length), prefix) <= 0;
}
