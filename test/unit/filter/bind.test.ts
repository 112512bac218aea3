import { describe, expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { compileFilter } from '#filter/compile.ts';
import type { CollectionSchema, JsonObject } from '#schema/field.ts';
import { CASE_SCHEMA } from '../../support/filter-cases.ts';

/** Without the dynamic field a name that is no column is an error. */
const STATIC_SCHEMA: CollectionSchema = {
  ...CASE_SCHEMA,
  fields: CASE_SCHEMA.fields.filter(({ dynamic }) => !dynamic),
};

const compile = (expression: string, params?: JsonObject, schema = CASE_SCHEMA) =>
  compileFilter(expression, schema, params);

function failureOf(expression: string, params?: JsonObject, schema = CASE_SCHEMA): unknown {
  try {
    compile(expression, params, schema);
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('accepted', () => {
  test.each([
    // Comparisons, either side first, integers on float columns and floats on integer columns.
    'i8 == 1',
    '1 <= i64',
    'f > 1',
    'd == 9007199254740993',
    'i64 > 1.5',
    'b == true',
    'false != b',
    's >= "a"',
    'i64 == -9223372036854775808',
    '+i64 == 1',
    // Names that are no column are keys of $meta.
    'x == 1',
    'x["y"][0] == "z"',
    '$meta["x"] == 1',
    '$meta[0] == 1',
    // JSON paths take any constant.
    'j["a"] == true',
    'j["a"][0] == [1, "x"]',
    'j["a"] != []',
    'j["a"] < "x"',
    // Constants are folded.
    'i64 > 2 * 3 + 1',
    'i64 == 7 % 4',
    'f < 2 ** 0.5',
    'i64 in [1 + 1, 2 ** 10, -3]',
    '1 < 2',
    '"a" < "b" and i8 == 1',
    'true == false or i8 == 1',
    // Columns with columns.
    'i8 < f',
    'i64 == d',
    's != s2',
    'b == b',
    // Ranges.
    '1 <= i64 < 5.5',
    '"a" < s <= "b"',
    '9 > j["a"] > 1',
    '1 < i8 < 1',
    // Lists.
    'i8 in []',
    'f in [1, 2.5]',
    's not in ["a"]',
    'b in [true]',
    'j["a"] in [1, "a", true, 2.5]',
    // Patterns.
    's like "a%"',
    'j["a"] LIKE "_"',
    's =~ "^a+$"',
    'x !~ r"\\d"',
    // Nulls and existence.
    'i8 is null',
    'j is not null',
    'j["a"] is null',
    'x is null',
    '$meta is not null',
    'exists j["a"]',
    'exists x',
    'not exists $meta["x"]["y"]',
    // Arithmetic: one column, one operator, one constant.
    'i64 % 3 == 0',
    'i64 + 1 > 5',
    '1 + i64 > 5',
    '2 * d < 1.5',
    'f - 0.5 != 1',
    'i64 / 2 == 1',
    'j["a"] % 2 == 1',
    'x * 2 >= 3',
    'i64 + 1.1 == 2.1',
    '1 + 2 + i64 == 5',
    '5 < i64 + 1',
    // JSON lists.
    'json_contains(j["a"], 1)',
    'JSON_CONTAINS(j, [1, 2])',
    'array_contains(x, "a")',
    'json_contains_all(j["a"], [1, "2", 3.0])',
    'ARRAY_CONTAINS_ANY(j["a"], [])',
    'array_length(j["a"]) == 2',
    '3 > array_length(x)',
    // The documented leniencies.
    'not i64 == 1',
    'i8 is   null',
  ])('%s', (expression) => {
    expect(compile(expression)).toBeDefined();
  });

  test.each(['', '   ', '\t\n'])('the blank filter %j is every row', (expression) => {
    expect(compile(expression)).toBeUndefined();
  });
});

describe('refused with a sentence, before any row is read (I11)', () => {
  test.each<[string, string]>([
    // A predicate must be boolean.
    ['b', 'a Bool column is no predicate, write b == true'],
    ['i64', 'i64 is no predicate'],
    ['j["a"]', 'j["a"] is no predicate'],
    ['true', 'a constant is no predicate'],
    ['1', 'a constant is no predicate'],
    ['"a"', 'a constant is no predicate'],
    ['i64 + 1', 'arithmetic is no predicate'],
    ['array_length(j["a"])', 'arithmetic is no predicate'],
    ['i64 > 1 and true', 'a constant is no predicate'],
    ['false or i64 > 1', 'a constant is no predicate'],
    ['true and false', 'a constant is no predicate'],
    ['i64 > 1 and b', 'a Bool column is no predicate'],
    ['not b', 'a Bool column is no predicate'],
    ['not true', 'a constant is no predicate'],
    ['{x}', 'exprParams has no value for {x}'],
    // Types must meet.
    ['i64 == "a"', 'cannot compare Int64 field i64 with a string'],
    ['s == 1', 'cannot compare VarChar field s with an integer'],
    ['s > 1.5', 'cannot compare VarChar field s with a float'],
    ['b == 1', 'cannot compare Bool field b with an integer'],
    ['b > true', '> has no meaning for a boolean'],
    ['j["a"] < true', '< has no meaning for a boolean'],
    ['i64 == [1]', 'cannot compare Int64 field i64 with a list'],
    ['j["a"] > [1]', '> has no meaning for a list; use == or !='],
    ['true < false', 'a boolean < a boolean has no meaning'],
    ['1 == "a"', 'an integer == a string has no meaning'],
    ['[1] == [1]', 'a list == a list has no meaning'],
    ['(i8 > 1) == true', 'a condition does not compare with a constant'],
    ['(i8 > 1) == (i8 > 2)', 'only a column or path and a constant'],
    ['i8 < 1 == 2', 'a condition does not compare with a constant'],
    // Columns with columns.
    ['s == i64', 'cannot compare VarChar field s with Int64 field i64'],
    ['b < b', '< has no meaning for Bool fields'],
    ['j["a"] == i64', 'JSON does not compare with another column'],
    ['x == y', 'JSON does not compare with another column'],
    // A JSON field needs a path.
    ['j == 1', 'JSON field j needs a path here'],
    ['$meta > 0', 'JSON field $meta needs a path here'],
    ['0 < j < 1', 'JSON field j needs a path here'],
    ['j in [1]', 'JSON field j needs a path here'],
    ['j like "a"', 'JSON field j needs a path here'],
    ['j + 1 == 2', 'JSON field j needs a path here'],
    // Paths lead into JSON only; vectors are no filter.
    ['i64["a"] == 1', 'only JSON fields have paths, and i64 is Int64'],
    ['v == 1', 'vector field v cannot be filtered'],
    ['v is null', 'vector field v cannot be filtered'],
    // Ranges.
    ['5 < i64 < 1', 'the lower bound of the range is above the upper'],
    ['1 > i64 > 5', 'the lower bound of the range is above the upper'],
    ['"b" < s < "a"', 'the lower bound of the range is above the upper'],
    ['1 < s < 2', 'an integer cannot bound VarChar field s'],
    ['false < b < true', 'a boolean cannot bound Bool field b'],
    ['true < j["a"] < false', 'a boolean cannot bound JSON path j["a"]'],
    ['1 < j["a"] < "x"', 'the bounds of a range must have one type'],
    ['i8 < i64 < 5', 'a range is a column or path between two constants'],
    ['1 < i64 < i8', 'a range is a column or path between two constants'],
    ['[1] < j["a"] < [2]', 'a list cannot bound'],
    // Lists.
    ['i64 in [1, 1.5]', 'a float cannot be a value of Int64 field i64'],
    ['i64 in [4.0]', 'a float cannot be a value of Int64 field i64'],
    ['s in ["a", 1]', 'an integer cannot be a value of VarChar field s'],
    ['f in [1, true]', 'a boolean cannot be a value of Float field f'],
    ['b in [1]', 'an integer cannot be a value of Bool field b'],
    ['j["a"] in [[1]]', 'a list cannot be a value of JSON path j["a"]'],
    ['i64 in [i8]', 'expected a constant here'],
    ['i64 in 1', 'expected a list behind in'],
    ['i64 in i8', 'expected a list behind in'],
    ['1 in [1]', 'only a column or path can be in a list'],
    ['i64 + 1 in [1]', 'only a column or path can be in a list'],
    // Patterns.
    ['i64 like "a"', 'like is for strings, and this is Int64 field i64'],
    ['s like 1', 'expected a string behind like'],
    ['s like s2', 'expected a string behind like'],
    ['"a" like "a"', 'like is for a column or path'],
    ['f =~ "a"', '=~ is for strings'],
    ['s =~ "("', 'regular expression: a ( without its )'],
    ['s =~ r"(a)\\1"', 'regular expression: the escape \\1'],
    ['s =~ "(?=a)"', 'regular expression: a group of an unknown kind'],
    ['s !~ "((a{500}){500})"', 'regular expression: larger than 2000 instructions'],
    // Nulls and existence.
    ['1 is null', 'is null is for a column or a JSON path'],
    ['(i8 + 1) is null', 'is null is for a column or a JSON path'],
    ['exists i64', 'exists is for a JSON path, not for the field i64'],
    ['exists j', 'exists is for a JSON path, not for the field j'],
    ['exists $meta', 'exists is for a JSON path'],
    ['exists 1', 'exists is for a column or a JSON path'],
    ['exists $meta["A"] > 10', 'a condition does not compare with a constant'],
    // Arithmetic.
    ['i64 + i8 == 1', 'arithmetic takes one column or path'],
    ['i64 + 1 + 2 == 1', 'arithmetic takes one column or path'],
    ['i64 + 1 == i8', 'only a column or path and a constant'],
    ['2 - i64 == 1', 'a constant before - is not evaluated'],
    ['2 / i64 == 1', 'a constant before / is not evaluated'],
    ['2 % i64 == 1', 'a constant before % is not evaluated'],
    ['i64 / 0 == 1', 'division by zero'],
    ['i64 % 0 == 1', 'division by zero'],
    ['d / 0.0 == 1', 'division by zero'],
    ['i64 == 1 / 0', 'division by zero'],
    ['i64 == 1 % 0', 'division by zero'],
    ['d % 2 == 1', '% is for integers only'],
    ['i64 % 2.5 == 1', '% is for integers only'],
    ['i64 == 5 % 2.5', '% is for integers only'],
    ['s + 1 == 2', '+ is for numbers, and this is VarChar field s'],
    ['b * 2 == 2', '* is for numbers, and this is Bool field b'],
    ['i64 + "a" == 2', '+ is for numbers, not for a string'],
    ['i64 + 1 == "a"', 'arithmetic compares with a number, not with a string'],
    ['"a" + "b" == s', '+ is for numbers only'],
    ['true + 1 == i8', '+ is for numbers only'],
    ['-i64 == 1', '- before anything but a number'],
    ['-"a" == s', '- before anything but a number'],
    ['i64 ** 2 == 4', '** is for constants only'],
    ['2 < i64 + 1 < 5', 'a column or path between its bounds'],
    // Bit operators are parsed, then refused.
    ['i64 & 1 == 1', 'bit operators are not evaluated: &'],
    ['i64 | 1', 'bit operators are not evaluated: |'],
    ['1 ^ 2', 'bit operators are not evaluated: ^'],
    ['i64 << 1 == 2', 'bit operators are not evaluated: <<'],
    ['i64 == 8 >> 1', 'bit operators are not evaluated: >>'],
    ['i64 == ~1', 'bit operators are not evaluated: ~'],
    // 64 bits.
    ['i64 == 9223372036854775808', 'integer 9223372036854775808 is beyond 64 bits'],
    ['i64 == 9223372036854775807 + 1', 'beyond 64 bits'],
    ['i64 == -9223372036854775808 - 1', 'beyond 64 bits'],
    ['d == 1e308 * 10', 'beyond a double'],
    ['d == 10.0 ** 400', 'beyond a double'],
    // Functions.
    ['foo(i64)', 'function foo does not exist'],
    ['Json_Contains(j["a"], 1)', 'function Json_Contains does not exist'],
    ['json_contains(j["a"])', 'json_contains takes two arguments'],
    ['json_contains(j["a"], 1, 2)', 'json_contains takes two arguments'],
    ['json_contains(s, "a")', 'the first argument of json_contains is a JSON path'],
    ['json_contains([1], 1)', 'the first argument of json_contains is a JSON path'],
    ['json_contains($meta, 1)', 'json_contains needs a path into $meta'],
    ['json_contains(x, y)', 'the second argument of json_contains is a constant'],
    ['json_contains(x, y > 1)', 'the second argument of json_contains is a constant'],
    ['json_contains_all(x, 1)', 'the second argument of json_contains_all is a list'],
    ['json_contains(x, 1, threshold=1)', 'json_contains has no option threshold'],
    ['array_length(i64) == 1', 'the first argument of array_length is a JSON path'],
    ['array_length(x, y) == 1', 'array_length takes one argument'],
    ['array_length(x) == 1.5', 'array_length compares with an integer'],
    ['array_length(x) + 1 == 2', 'arithmetic takes one column or path'],
    ['json_contains(x, 1) == true', 'a condition does not compare with a constant'],
  ])('%s', (expression, what) => {
    const error = failureOf(expression);
    expect(error).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(what),
    });
    expect(isStoreError(error) && error.message).toMatch(
      /^failed to create query plan: cannot parse expression: .*, error: .* \(column [0-9]+\)$/s,
    );
  });

  test('the column is that of the offending part', () => {
    expect(failureOf('i64 > 1 and s == 1')).toMatchObject({
      message: expect.stringContaining('(column 15)'),
    });
    expect(failureOf('s == "\u{1f600}" and nosuch(1)')).toMatchObject({
      message: expect.stringContaining('(column 14)'),
    });
  });

  test.each(['A == 0', 'A["x"] > 0', '0 < A < 100', 'exists A', '$meta["A"] == 1', 'A in [1]'])(
    'without a dynamic field: %s',
    (expression) => {
      expect(failureOf(expression, {}, STATIC_SCHEMA)).toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining('does not exist'),
      });
    },
  );
});

describe('in the grammar and not evaluated', () => {
  test.each([
    ['text_match(s, "a")', 'text_match'],
    ['TEXT_MATCH(s, "a", minimum_should_match=2)', 'text_match'],
    ['text_match_fuzzy(s, "a")', 'text_match_fuzzy'],
    ['i64 > 1 and phrase_match(s, "a", 1)', 'phrase_match'],
    ['random_sample(0.5)', 'random_sample'],
    ['i64 > 1 and random_sample(0.5)', 'random_sample'],
    ['element_filter(st, $[x] > 1)', 'element_filter'],
    ['match_all(st, $[x] > 1)', 'match_all'],
    ['MATCH_EXACT(st, $[x] > 1, threshold=2)', 'match_exact'],
    ['st_within(g, "POLYGON((0 0, 1 1, 1 0, 0 0))")', 'st_within'],
    ['st_dwithin(g, "POINT(0 0)", 5)', 'st_dwithin'],
    ['st_isvalid(g)', 'st_isvalid'],
    ['$[x] == 1', 'struct matcher element $'],
    ['i64[x] == 1', 'struct field i64[x]'],
    ["i64 > iso '2025-01-01'", 'timestamptz comparison (iso)'],
    ["i64 + interval 'P1D' > iso '2025-01-01'", 'timestamptz comparison (interval)'],
  ])('%s', (expression, construct) => {
    expect(failureOf(expression)).toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining(`filter construct not supported: ${construct} (column`),
    });
  });
});

describe('templates', () => {
  test.each<[string, JsonObject]>([
    ['i64 == {x}', { x: 9223372036854775807n }],
    ['i64 == {x}', { x: 5 }],
    ['i64 in {x}', { x: [1, 2n ** 60n] }],
    ['f in {x}', { x: [1, 2.5] }],
    ['s in {x}', { x: [] }],
    ['s like {x}', { x: 'a%' }],
    ['s =~ {x}', { x: '^a' }],
    ['{low} < i64 <= {high}', { low: 1, high: 2 }],
    ['b == {x}', { x: true }],
    ['json_contains_any(j["a"], {x})', { x: ['a', 'b'] }],
    ['json_contains(j["a"], {x})', { x: [[1], [2]] }],
    ['i64 + {x} == {y}', { x: 1, y: 2 }],
  ])('%s with %o', (expression, params) => {
    expect(compile(expression, params)).toBeDefined();
  });

  test.each<[string, JsonObject, string]>([
    ['i64 == {x}', {}, 'exprParams has no value for {x}'],
    ['i64 == {toString}', {}, 'exprParams has no value for {toString}'],
    ['i64 == {x}', { x: null }, 'exprParams.x must be'],
    ['i64 == {x}', { x: { a: 1 } }, 'exprParams.x must be'],
    ['i64 == {x}', { x: 2n ** 63n }, 'exprParams.x must be'],
    ['i64 in {x}', { x: [1, 'a'] }, 'exprParams.x must be'],
    ['i64 in {x}', { x: [1, null] }, 'exprParams.x must be'],
    ['i64 in {x}', { x: 1 }, 'expected a list behind in'],
    ['i64 in {x}', { x: ['a'] }, 'a string cannot be a value of Int64 field i64'],
    ['i64 == {x}', { x: 'a' }, 'cannot compare Int64 field i64 with a string'],
    [
      '{low} < i64 < {high}',
      { low: 2, high: 1 },
      'the lower bound of the range is above the upper',
    ],
    ['{x} and i64 > 1', { x: true }, 'a constant is no predicate'],
    ['i64 / {x} == 1', { x: 0 }, 'division by zero'],
    ['s =~ {x}', { x: '(' }, 'regular expression'],
  ])('%s with %o is refused', (expression, params, what) => {
    expect(failureOf(expression, params)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(what),
    });
  });
});
