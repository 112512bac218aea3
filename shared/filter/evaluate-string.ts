/** Tests of VarChar columns: each distinct string once, then rows by their codes. */
import { assert } from '#base/assert.ts';
import { StoreError } from '#base/errors.ts';
import { type Bitmap, bitmapOf, type StringColumn } from '#schema/column.ts';
import { compareText, holds } from './literal.ts';
import { compileLike } from './pattern.ts';
import type { Bound, Test } from './predicate.ts';
import { compileRegex, type TextTest } from './regex.ts';

/** Rows for which the test is true; those without a value may have either bit. */
export function testStrings({ dictionary, codes }: StringColumn, test: Test): Bitmap {
  const matches = textTest(test);
  const hits = new Uint8Array(dictionary.length);
  for (let code = 0; code < hits.length; code++) hits[code] = matches(dictionary[code]!) ? 1 : 0;
  const yes = bitmapOf(codes.length);
  for (let row = 0, byte = 0; row < codes.length; byte++) {
    const end = Math.min(row + 8, codes.length);
    let bits = 0;
    // A row without a value may have a code where the dictionary has no entry.
    for (let shift = 0; row < end; row++, shift++) bits |= (hits[codes[row]!] ?? 0) << shift;
    yes[byte] = bits;
  }
  return yes;
}

/** What a test asks of a string, also of one in JSON. */
export function textTest(test: Test): TextTest {
  switch (test.kind) {
    case 'compare': {
      const { op, value } = test;
      assert(typeof value === 'string', 'a string compares with a string');
      if (op === '==') return (text) => text === value;
      if (op === '!=') return (text) => text !== value;
      return (text) => holds(op, compareText(text, value));
    }
    case 'between':
      return betweenTexts(test.lower, test.upper);
    case 'in': {
      const members = new Set(test.values);
      return (text) => members.has(text);
    }
    case 'like':
      return compileLike(test.pattern);
    case 'regex':
      return compileRegex(test.pattern);
    default:
      throw new StoreError('INTERNAL', `no ${test.kind} on a string`);
  }
}

function betweenTexts({ value: low, ...lower }: Bound, { value: high, ...upper }: Bound): TextTest {
  assert(typeof low === 'string' && typeof high === 'string', 'the bounds of a string are strings');
  const [above, below] = [lower.inclusive ? '>=' : '>', upper.inclusive ? '<=' : '<'] as const;
  return (text) => holds(above, compareText(text, low)) && holds(below, compareText(text, high));
}
