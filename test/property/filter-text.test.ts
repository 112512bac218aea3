import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { compileFilter } from '#filter/compile.ts';
import { compileRegex } from '#filter/regex.ts';
import { CASE_SCHEMA } from '../support/filter-cases.ts';

/** Tokens, whole and broken, in any order. */
const soup = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'i64',
        's',
        'j',
        'b',
        'x',
        '$meta',
        '$',
        'v',
        'not',
        'and',
        'or',
        'in',
        'like',
        'exists',
        'is null',
        'is',
        'is not null',
        '(',
        ')',
        '[',
        ']',
        '{',
        '}',
        ',',
        '+',
        '-',
        '*',
        '/',
        '%',
        '**',
        '==',
        '!=',
        '<',
        '<=',
        '>',
        '>=',
        '=~',
        '!~',
        '=',
        '&',
        '|',
        '^',
        '~',
        '!',
        '<<',
        '>>',
        '&&',
        '||',
        '"a"',
        "'b'",
        'r"\\d"',
        '"',
        "'",
        '\\',
        '1',
        '0x1f',
        '017',
        '1.5',
        '.5',
        '1e5',
        '9223372036854775808',
        'true',
        'json_contains',
        'array_length',
        'text_match',
        'iso',
        'interval',
        '\u{1f600}',
        '\ud800',
        '\u0000',
      ),
      fc.string({ maxLength: 3 }),
    ),
    { maxLength: 12 },
  )
  .chain((parts) => fc.constantFrom(' ', '').map((glue) => parts.join(glue)));

test('any text is compiled, or refused with a sentence', () => {
  let compiled = 0;
  void fc.assert(
    fc.property(soup, (expression) => {
      try {
        compileFilter(expression, CASE_SCHEMA);
        compiled++;
      } catch (error) {
        const refused = isStoreError(error, 'INVALID_ARGUMENT', 'UNSUPPORTED');
        expect(refused, `${expression}: ${String(error)}`).toBe(true);
        expect(String(error)).toMatch(/\(column [0-9]+\)/);
        expect(/\p{Surrogate}/u.test(String(error))).toBe(false);
      }
    }),
    { numRuns: 5_000 },
  );
  expect(compiled).toBeGreaterThan(0);
});

const regexAtom = fc.constantFrom(
  'a',
  'b',
  'c',
  '.',
  '[ab]',
  '[^b]',
  '中',
  '\\w',
  '\\d',
  '\\s',
  '\\b',
  '^',
  '$',
  '(?:)',
  '[a-c]',
  '\u{1f600}',
);
const quantifier = fc.constantFrom('', '', '', '*', '+', '?', '{2}', '{1,2}', '{2,}', '*?', '+?');
const regex: fc.Arbitrary<string> = fc.letrec<{ any: string }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    regexAtom,
    fc.tuple(tie('any'), quantifier).map(([inner, many]) => `(${inner})${many}`),
    fc.array(tie('any'), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('')),
    fc.array(tie('any'), { minLength: 2, maxLength: 3 }).map((parts) => `(?:${parts.join('|')})`),
  ),
})).any;
const subject = fc.string({
  maxLength: 8,
  unit: fc.constantFrom('a', 'b', 'c', '1', ' ', '中', '\u{1f600}', '\n'),
});

test("our regular expressions agree with JavaScript's where the two mean the same", () => {
  void fc.assert(
    fc.property(regex, fc.constantFrom('', 's', 'm', 'i'), subject, (pattern, flag, text) => {
      const ours = compileRegex(flag === '' ? pattern : `(?${flag})${pattern}`);
      expect(ours(text)).toBe(new RegExp(pattern, `u${flag}`).test(text));
    }),
    { numRuns: 5_000 },
  );
});
