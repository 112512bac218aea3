/**
 * Predicates over columns, to a bitmap.
 *
 * Within `and` and `or` the cheap operands come first, and the others are told which rows are still
 * undecided: JSON, the dearest, is read for those only.
 */
import { assert } from '#base/assert.ts';
import type { Bitmap, Column } from '#schema/column.ts';
import { compareColumns } from './evaluate-columns.ts';
import { presentJson, testJson } from './evaluate-json.ts';
import { testBooleans, testNumbers } from './evaluate-number.ts';
import { testStrings } from './evaluate-string.ts';
import type { Predicate, Subject, Test } from './predicate.ts';
import {
  amongPresent,
  conjoin,
  constantVerdict,
  disjoin,
  negate,
  undecidedAfter,
  type Verdict,
} from './truth.ts';

/** A run of rows; `column` answers for every id of `fieldsOf(predicate)`, with `count` rows. */
export type ColumnSource = Readonly<{ count: number; column(fieldId: number): Column }>;

/** The rows for which the predicate is true: a new bitmap. Rows where it is unknown are not in it. */
export function evaluateFilter(predicate: Predicate, source: ColumnSource): Bitmap {
  return judge(predicate, source, undefined).yes;
}

/** Rows outside `wanted` are already decided: their verdict is ignored. */
function judge(predicate: Predicate, source: ColumnSource, wanted: Bitmap | undefined): Verdict {
  const { count } = source;
  switch (predicate.kind) {
    case 'literal':
      return constantVerdict(count, predicate.value);
    case 'and':
    case 'or':
      return judgeRun(predicate, source, wanted);
    case 'not':
      return negate(judge(predicate.operand, source, wanted));
    case 'exists':
      return judgePresence(predicate.subject, source, wanted);
    case 'test':
      return judgeTest(predicate.subject, predicate.test, source, wanted);
    case 'columns':
      return compareColumns(
        count,
        predicate.op,
        source.column(predicate.left.fieldId),
        source.column(predicate.right.fieldId),
      );
  }
}

function judgeRun(
  { kind, operands }: Extract<Predicate, { kind: 'and' | 'or' }>,
  source: ColumnSource,
  wanted: Bitmap | undefined,
): Verdict {
  const [first, ...rest] = [...operands].sort((a, b) => costOf(a) - costOf(b));
  assert(first !== undefined, 'a run has operands');
  let verdict = judge(first, source, wanted);
  for (const operand of rest) {
    const undecided = undecidedAfter(kind, verdict, wanted);
    if (undecided === undefined) break;
    const next = judge(operand, source, undecided);
    verdict = kind === 'and' ? conjoin(verdict, next) : disjoin(verdict, next);
  }
  return verdict;
}

/** A JSON test costs about what a hundred number tests cost. */
function costOf(predicate: Predicate): number {
  switch (predicate.kind) {
    case 'literal':
      return 0;
    case 'and':
    case 'or':
      return predicate.operands.reduce((sum, operand) => sum + costOf(operand), 0);
    case 'not':
      return costOf(predicate.operand);
    case 'columns':
      return 10;
    default:
      return predicate.subject.path !== undefined
        ? 100
        : predicate.subject.type === 'VarChar'
          ? 4
          : 1;
  }
}

function judgePresence(
  subject: Subject,
  source: ColumnSource,
  wanted: Bitmap | undefined,
): Verdict {
  const { count } = source;
  const column = source.column(subject.fieldId);
  if (subject.path === undefined) {
    const { yes } = amongPresent(count, constantVerdict(count, true).yes, column.valid);
    return { count, yes };
  }
  assert(column.type === 'JSON', 'a path leads into JSON');
  return presentJson(column, subject, wanted);
}

function judgeTest(
  subject: Subject,
  test: Test,
  source: ColumnSource,
  wanted: Bitmap | undefined,
): Verdict {
  const { count } = source;
  const column = source.column(subject.fieldId);
  assert(
    column.type === subject.type,
    `field ${subject.fieldId} is ${subject.type}, its column ${column.type}`,
  );
  switch (column.type) {
    case 'JSON':
      return testJson(column, subject, test, wanted);
    case 'VarChar':
      return amongPresent(count, testStrings(column, test), column.valid);
    case 'Bool':
      return amongPresent(count, testBooleans(column, test), column.valid);
    default:
      return amongPresent(count, testNumbers(column, test), column.valid);
  }
}
