/** One column compared with another, row by row: numbers of any two types, strings, Bools. */
import { assert } from '#base/assert.ts';
import { type Bitmap, bitmapOf, type Column, isPresent, setBit } from '#schema/column.ts';
import type { CompareOp } from './ast.ts';
import { compareNumbers, compareText, holds } from './literal.ts';
import { amongPresent, type Verdict } from './truth.ts';

export function compareColumns(count: number, op: CompareOp, left: Column, right: Column): Verdict {
  const order = orderOf(left, right);
  const yes = bitmapOf(count);
  for (let row = 0; row < count; row++) {
    const present = isPresent(left, row) && isPresent(right, row);
    if (present && holds(op, order(row))) setBit(yes, row);
  }
  return amongPresent(count, yes, bothValid(left.valid, right.valid));
}

function bothValid(a: Bitmap | undefined, b: Bitmap | undefined): Bitmap | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.map((byte, index) => byte & b[index]!);
}

function orderOf(left: Column, right: Column): (row: number) => number {
  if (left.type === 'VarChar' && right.type === 'VarChar') {
    return (row) =>
      compareText(left.dictionary[left.codes[row]!]!, right.dictionary[right.codes[row]!]!);
  }
  const a = numbersOf(left);
  const b = numbersOf(right);
  return (row) => compareNumbers(a[row]!, b[row]!);
}

function numbersOf(column: Column): { readonly [row: number]: number | bigint } {
  const number =
    column.type !== 'VarChar' && column.type !== 'JSON' && column.type !== 'FloatVector';
  assert(number, `${column.type} columns are not compared with others`);
  return column.values;
}
