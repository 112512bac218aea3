/**
 * A filter that has been checked against a schema: plain data, evaluated by `evaluate.ts`.
 *
 * `exists` is true or false, never unknown. Every test of a subject without a value is unknown, and
 * so is a test of a JSON value of the wrong type; `and`, `or`, `not` follow Kleene.
 */
import type { Key } from '#schema/column.ts';
import type { ScalarType } from '#schema/field.ts';
import type { ArithmeticOp, CompareOp } from './ast.ts';
import {
  type Constant,
  compareNumbers,
  INT64_MAX,
  INT64_MIN,
  type NumberConstant,
  type ScalarConstant,
} from './literal.ts';

/** A column, or a place in the JSON of each of its rows. */
export type Subject = Readonly<{
  fieldId: number;
  type: ScalarType;
  /** JSON only: keys, and indexes from 0. Undefined stands for the column itself. */
  path?: readonly (string | number)[];
}>;

export type Bound = Readonly<{ value: ScalarConstant; inclusive: boolean }>;

export type Test =
  | Readonly<{ kind: 'compare'; op: CompareOp; value: Constant }>
  | Readonly<{ kind: 'between'; lower: Bound; upper: Bound }>
  | Readonly<{ kind: 'in'; values: readonly ScalarConstant[] }>
  | Readonly<{ kind: 'like'; pattern: string }>
  | Readonly<{ kind: 'regex'; pattern: string }>
  | ArithmeticTest
  /** JSON arrays only. */
  | Readonly<{ kind: 'contains'; mode: 'all' | 'any'; values: readonly Constant[] }>
  | Readonly<{ kind: 'length'; op: CompareOp; value: bigint }>;

/** `subject arithmetic operand op value`; of integers unless a float takes part. */
export type ArithmeticTest = Readonly<{
  kind: 'arithmetic';
  arithmetic: ArithmeticOp;
  operand: NumberConstant;
  op: CompareOp;
  value: NumberConstant;
}>;

export type Predicate =
  /** Two constants, compared. */
  | Readonly<{ kind: 'literal'; value: boolean }>
  | Readonly<{ kind: 'and' | 'or'; operands: readonly Predicate[] }>
  | Readonly<{ kind: 'not'; operand: Predicate }>
  /** The column has a value, or the path leads to one that is not JSON's null. */
  | Readonly<{ kind: 'exists'; subject: Subject }>
  | Readonly<{ kind: 'test'; subject: Subject; test: Test }>
  | Readonly<{ kind: 'columns'; op: CompareOp; left: Subject; right: Subject }>;

/** The ids of the fields that a predicate reads, each once, ascending. */
export function fieldsOf(predicate: Predicate): readonly number[] {
  const ids = new Set<number>();
  collectFields(predicate, ids);
  return [...ids].sort((a, b) => a - b);
}

function collectFields(predicate: Predicate, ids: Set<number>): void {
  switch (predicate.kind) {
    case 'and':
    case 'or':
      for (const operand of predicate.operands) collectFields(operand, ids);
      break;
    case 'not':
      collectFields(predicate.operand, ids);
      break;
    case 'exists':
    case 'test':
      ids.add(predicate.subject.fieldId);
      break;
    case 'columns':
      ids.add(predicate.left.fieldId).add(predicate.right.fieldId);
  }
}

/**
 * The keys of a predicate that is exactly `pk == x` or `pk in [...]`, each once; undefined for every
 * other predicate. Values that no key can have (`pk == 1.5`) are left out.
 */
export function keyLookup(predicate: Predicate, pkFieldId: number): readonly Key[] | undefined {
  if (predicate.kind !== 'test' || predicate.subject.fieldId !== pkFieldId) return undefined;
  const { subject, test } = predicate;
  if (subject.path !== undefined) return undefined;
  if (test.kind === 'in') return [...new Set(test.values.flatMap(keysOf))];
  return test.kind === 'compare' && test.op === '==' ? keysOf(test.value) : undefined;
}

function keysOf(value: Constant): readonly Key[] {
  if (typeof value === 'string') return [value];
  if (typeof value === 'number' && Number.isInteger(value)) return keysOf(BigInt(value));
  const fits =
    typeof value === 'bigint' &&
    compareNumbers(value, INT64_MIN) >= 0 &&
    compareNumbers(value, INT64_MAX) <= 0;
  return fits ? [value] : [];
}
