import { describe, expect, test } from 'vitest';
import { compileFilter } from '#filter/compile.ts';
import { evaluateFilter } from '#filter/evaluate.ts';
import { hasBit } from '#schema/column.ts';
import type { Json } from '#schema/field.ts';
import { CASE_SCHEMA, caseColumns } from '../../support/filter-cases.ts';

const MAX = 2n ** 63n - 1n;
const MIN = -(2n ** 63n);
const SAFE = 2n ** 53n;

/** Which of the rows (each one value of `field`, or several fields) the expression selects. */
function selected(expression: string, rows: readonly Readonly<Record<string, Json>>[]): number[] {
  const predicate = compileFilter(expression, CASE_SCHEMA);
  if (predicate === undefined) return rows.map((_, row) => row);
  const columns = caseColumns(rows.map((row) => ({ id: 0n, $meta: {}, ...row })));
  const bitmap = evaluateFilter(predicate, {
    count: rows.length,
    column: (fieldId) => columns.get(fieldId) ?? expect.unreachable(`field ${fieldId}`),
  });
  return rows.flatMap((_, row) => (hasBit(bitmap, row) ? [row] : []));
}

type Case = readonly [expression: string, rows: readonly number[]];
const rowsOf = (field: string, values: readonly Json[]) =>
  values.map((value) => ({ [field]: value }));

describe('64-bit integers are exact', () => {
  const rows = rowsOf('i64', [
    MIN,
    -SAFE - 1n,
    -SAFE,
    -1n,
    0n,
    SAFE,
    SAFE + 1n,
    MAX - 1n,
    MAX,
    null,
  ]);
  test.each<Case>([
    ['i64 == 9007199254740993', [6]],
    ['i64 == 9007199254740992', [5]],
    ['i64 == 9007199254740992.0', [5]],
    ['i64 > 9007199254740992', [6, 7, 8]],
    ['i64 < -9007199254740992', [0, 1]],
    ['i64 == 9223372036854775807', [8]],
    ['i64 >= 9223372036854775807', [8]],
    ['i64 < 9223372036854775807', [0, 1, 2, 3, 4, 5, 6, 7]],
    ['i64 == -9223372036854775808', [0]],
    ['i64 <= -9223372036854775808', [0]],
    ['i64 < -9223372036854775808.0', []],
    ['i64 < 9223372036854775808.0', [0, 1, 2, 3, 4, 5, 6, 7, 8]],
    ['i64 != 0', [0, 1, 2, 3, 5, 6, 7, 8]],
    ['i64 > 1e300', []],
    ['i64 < 1e300', [0, 1, 2, 3, 4, 5, 6, 7, 8]],
    ['i64 == 0.5', []],
    ['i64 != 0.5', [0, 1, 2, 3, 4, 5, 6, 7, 8]],
    ['-0.5 < i64 < 0.5', [4]],
    ['-1 <= i64 <= 0', [3, 4]],
    ['i64 in [9007199254740993, 9223372036854775806, -1]', [3, 6, 7]],
    ['i64 not in [9007199254740993, 9223372036854775806, -1]', [0, 1, 2, 4, 5, 8]],
    ['i64 + 1 == 9007199254740994', [6]],
    ['i64 + 1 > 9223372036854775807', [8]],
    ['i64 - 1 < -9223372036854775808', [0]],
    ['i64 * 2 == 18014398509481984.0', [5]],
    ['i64 * -1 > 9223372036854775807', [0]],
    ['i64 % 2 == 1', [6, 8]],
    ['i64 % 2 == -1', [1, 3]],
    ['i64 % 9223372036854775807 == 0', [4, 8]],
    ['i64 / 9007199254740992 == 1', [5, 6]],
    ['i64 / 2 == 0', [3, 4]],
    ['i64 * 0 == 0', [0, 1, 2, 3, 4, 5, 6, 7, 8]],
    ['i64 / -9007199254740992 == 1', [1, 2]],
  ])('%s', (expression, expected) => {
    expect(selected(expression, rows)).toEqual(expected);
  });
});

describe('small integers', () => {
  const rows = rowsOf('i8', [-128, -3, -1, 0, 1, 3, 127, null]);
  test.each<Case>([
    ['i8 == 1000', []],
    ['i8 != 1000', [0, 1, 2, 3, 4, 5, 6]],
    ['i8 < 9223372036854775807', [0, 1, 2, 3, 4, 5, 6]],
    ['i8 / 2 == 1', [5]],
    ['i8 / 2 == 1.5', [5]],
    ['i8 / 2 == 0', [2, 3, 4]],
    ['i8 / 2 == -1', [1]],
    ['i8 / 2 >= 0', [2, 3, 4, 5, 6]],
    ['i8 / 2 < 0', [0, 1]],
    ['i8 / -2 != 0', [0, 1, 5, 6]],
    ['i8 / 2.0 == 1.5', [5]],
    ['i8 * 3 == 9', [5]],
    ['i8 * -3 >= 3', [0, 1, 2]],
    ['i8 * 3 == 1', []],
    ['i8 + 0.5 == 3.5', [5]],
    ['i8 % 2 == 1', [4, 5, 6]],
    ['i8 % 2 == -1', [1, 2]],
    ['i8 % 2 != 0', [1, 2, 4, 5, 6]],
    ['5 == i8 + 2', [5]],
    ['2 + i8 == 5', [5]],
  ])('%s', (expression, expected) => {
    expect(selected(expression, rows)).toEqual(expected);
  });
});

describe('floats', () => {
  const narrow = rowsOf('f', [Math.fround(0.1), Math.fround(0.3), 16777216, -1e38, null]);
  const wide = rowsOf('d', [0.1, 0.3, 2 ** 53, 2 ** 53 + 2, 1e300, -0, null]);
  test.each<Case>([
    ['f == 0.1', [0]],
    ['f > 0.1', [1, 2]],
    ['f in [0.1, 0.3]', [0, 1]],
    ['f == 16777217', [2]],
    ['f < 1e300', [0, 1, 2, 3]],
    ['f > -1e39', [0, 1, 2, 3]],
    ['f * 3 == 0.3', [0]],
    ['0.1 <= f < 0.3', [0]],
  ])('Float: %s', (expression, expected) => {
    expect(selected(expression, narrow)).toEqual(expected);
  });
  test.each<Case>([
    ['d == 0.1', [0]],
    ['d == 9007199254740993', []],
    ['d < 9007199254740993', [0, 1, 2, 5]],
    ['d >= 9007199254740993', [3, 4]],
    ['d <= 9007199254740993', [0, 1, 2, 5]],
    ['d > 9007199254740993', [3, 4]],
    ['d != 9007199254740993', [0, 1, 2, 3, 4, 5]],
    ['d in [9007199254740993, 9007199254740992]', [2]],
    ['9007199254740993 > d > 9007199254740991', [2]],
    ['d == 0', [5]],
    ['d == 0.1 + 0.0', [0]],
    ['d + 0.2 == 0.30000000000000004', [0]],
    ['d < 0', []],
  ])('Double: %s', (expression, expected) => {
    expect(selected(expression, wide)).toEqual(expected);
  });
});

describe('strings', () => {
  // In the order of their UTF-8 bytes: U+FFEE before U+1F600.
  const rows = rowsOf('s', ['', 'a', 'ab', 'b', '\uffee', '\u{1f600}', null]);
  test.each<Case>([
    ['s == ""', [0]],
    ['s > "\uffee"', [5]],
    ['s < "\u{1f600}"', [0, 1, 2, 3, 4]],
    ['"a" <= s < "b"', [1, 2]],
    ['s != "a"', [0, 2, 3, 4, 5]],
    ['s in ["b", "zz", ""]', [0, 3]],
    ['s not in ["b"]', [0, 1, 2, 4, 5]],
    ['s like "_"', [1, 3, 4, 5]],
    ['s like "a%"', [1, 2]],
    ['s =~ "^.$"', [1, 3, 4, 5]],
    ['s !~ "a"', [0, 3, 4, 5]],
  ])('%s', (expression, expected) => {
    expect(selected(expression, rows)).toEqual(expected);
  });
});

describe('Bool', () => {
  const rows = rowsOf('b', [true, false, null]);
  test.each<Case>([
    ['b == true', [0]],
    ['b != true', [1]],
    ['b in [false]', [1]],
    ['b not in [false]', [0]],
    ['b in []', []],
    ['b not in []', [0, 1]],
    ['b is null', [2]],
  ])('%s', (expression, expected) => {
    expect(selected(expression, rows)).toEqual(expected);
  });
});

describe('three values', () => {
  const rows = [{ i8: 1, i16: 1 }, { i8: 1 }, { i8: 2, i16: 1 }, { i8: 2 }, { i16: 1 }, {}];
  test.each<Case>([
    ['i8 == 1', [0, 1]],
    ['not (i8 == 1)', [2, 3]],
    ['not i8 == 1', [2, 3]],
    ['not not i8 == 1', [0, 1]],
    ['i8 == 1 and i16 == 1', [0]],
    ['not (i8 == 1 and i16 == 1)', [2, 3]],
    ['i8 == 1 or i16 == 1', [0, 1, 2, 4]],
    ['not (i8 == 1 or i16 == 1)', []],
    ['not (i8 == 2 or i16 == 2)', [0]],
    ['i8 is null', [4, 5]],
    ['not (i8 is null)', [0, 1, 2, 3]],
    ['i8 is not null and i16 is null', [1, 3]],
    ['i8 == 1 or i8 is null', [0, 1, 4, 5]],
    ['i8 == i16', [0]],
    ['not (i8 == i16)', [2]],
    ['i8 in []', []],
    ['i8 not in []', [0, 1, 2, 3]],
    ['id is null', []],
    ['id is not null', [0, 1, 2, 3, 4, 5]],
    ['1 < 2', [0, 1, 2, 3, 4, 5]],
    ['1 > 2', []],
    ['1 > 2 or i8 == 1', [0, 1]],
    ['not (1 > 2) and i8 == 1', [0, 1]],
  ])('%s', (expression, expected) => {
    expect(selected(expression, rows)).toEqual(expected);
  });
});

describe('JSON is typed by the constant, per row', () => {
  const rows = rowsOf('j', [
    { a: 1 },
    { a: 1.5 },
    { a: '1' },
    { a: true },
    { a: null },
    { a: [1, '1', true, null, [2]] },
    { a: { b: 1, '0': 'x' } },
    { b: 1 },
    null,
    [10, 20],
    { a: SAFE + 1n },
    { a: MAX },
    { a: 2n ** 64n - 1n },
    { a: 'x"\\\u00e9\n' },
    'a',
  ]);
  test.each<Case>([
    ['j["a"] == 1', [0]],
    ['j["a"] == 1.0', [0]],
    ['j["a"] >= 1', [0, 1, 10, 11, 12]],
    ['j["a"] != 1', [1, 10, 11, 12]],
    ['not (j["a"] == 1)', [1, 10, 11, 12]],
    ['j["a"] == "1"', [2]],
    ['j["a"] != "1"', [13]],
    ['j["a"] < "x"', [2]],
    ['j["a"] == "x\\"\\\\é\\n"', [13]],
    ['j["a"] == true', [3]],
    ['j["a"] != true', []],
    ['j["a"] != false', [3]],
    ['j["a"] == 9007199254740993', [10]],
    ['j["a"] > 9007199254740993', [11, 12]],
    ['j["a"] > 9223372036854775807', [12]],
    ['1 <= j["a"] < 2', [0, 1]],
    ['"0" < j["a"] < "2"', [2]],
    ['j["a"] in [1, "1", true]', [0, 2, 3]],
    ['j["a"] not in [1, "1", true]', [1, 10, 11, 12, 13]],
    ['j["a"] not in ["1"]', [13]],
    ['j["a"] in [9007199254740993, 1.5]', [1, 10]],
    ['j["a"] in []', []],
    ['j["a"] not in []', [0, 1, 2, 3, 5, 6, 10, 11, 12, 13]],
    ['j["a"] like "%\\\\n"', []],
    ['j["a"] like "x%"', [13]],
    ['j["a"] =~ "^[0-9]$"', [2]],
    ['j["a"] !~ "^[0-9]$"', [13]],
    ['j["a"] + 1 == 2', [0]],
    ['j["a"] + 1 == 9223372036854775808.0', [11]],
    ['j["a"] * 2 == 3', [1]],
    ['j["a"] % 2 == 1', [0, 10, 11, 12]],
    ['not (j["a"] % 2 == 0)', [0, 10, 11, 12]],
    ['j["a"] / 2 == 0', [0]],
    ['j["a"] / 2 == 0.5', [0]],
    ['j["a"] is null', [4, 7, 8, 9, 14]],
    ['j["a"] is not null', [0, 1, 2, 3, 5, 6, 10, 11, 12, 13]],
    ['exists j["a"]', [0, 1, 2, 3, 5, 6, 10, 11, 12, 13]],
    ['not exists j["a"]', [4, 7, 8, 9, 14]],
    ['j is null', [8]],
    ['j["a"]["b"] == 1', [6]],
    ['j["a"]["0"] == "x"', [6]],
    ['j["a"][0] == "x"', [6]],
    ['j["a"][0] == 1', [5]],
    ['j["a"]["0"] == 1', [5]],
    ['j["a"][4][0] == 2', [5]],
    ['j["a"][3] is null', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]],
    ['exists j["a"][9]', []],
    ['j[1] == 20', [9]],
    ['j["a"] == [1, "1", true]', []],
    ['j["a"][4] == [2]', [5]],
    ['j["a"][4] == [2.0]', [5]],
    ['j["a"] != [1]', [5]],
    ['json_contains(j["a"], 1)', [5]],
    ['json_contains(j["a"], 1.0)', [5]],
    ['json_contains(j["a"], 2)', []],
    ['json_contains(j["a"], [2])', [5]],
    ['not json_contains(j["a"], 2)', [5]],
    ['json_contains_all(j["a"], [1, "1", true])', [5]],
    ['json_contains_all(j["a"], [1, 3])', []],
    ['json_contains_any(j["a"], [1, 3])', [5]],
    ['json_contains_any(j["a"], [])', []],
    ['json_contains_all(j["a"], [])', [5]],
    ['json_contains(j, 10)', [9]],
    ['array_length(j["a"]) == 5', [5]],
    ['array_length(j) < 5', [9]],
    ['not (array_length(j["a"]) == 1)', [5]],
  ])('%s', (expression, expected) => {
    expect(selected(expression, rows)).toEqual(expected);
  });
});

describe('dynamic keys', () => {
  const rows = [
    { $meta: { x: 1, i8: 5, 'a b': { c: 2 } } },
    { $meta: { x: 'y' } },
    { $meta: {} },
    { i8: 5 },
  ];
  test.each<Case>([
    ['x == 1', [0]],
    ['$meta["x"] == 1', [0]],
    ['x is null', [2, 3]],
    ['exists x', [0, 1]],
    ['$meta["a b"]["c"] == 2', [0]],
    // A column hides the key of its name, which $meta still reaches.
    ['i8 == 5', [3]],
    ['$meta["i8"] == 5', [0]],
    ['$meta is not null', [0, 1, 2, 3]],
  ])('%s', (expression, expected) => {
    expect(selected(expression, rows)).toEqual(expected);
  });
});

describe('columns with columns', () => {
  const rows = [
    { i64: SAFE + 1n, d: 2 ** 53, i8: 1, f: 1, s: 'a', s2: 'b' },
    { i64: SAFE, d: 2 ** 53, i8: 2, f: 1.5, s: '\u{1f600}', s2: '\uffee' },
    { i64: 1n, i8: 1, s: 'a' },
  ];
  test.each<Case>([
    ['i64 > d', [0]],
    ['i64 == d', [1]],
    ['i8 == f', [0]],
    ['f < i8', [1]],
    ['i64 == i8', [2]],
    ['s < s2', [0]],
    ['s > s2', [1]],
    ['b == b', []],
  ])('%s', (expression, expected) => {
    expect(selected(expression, rows)).toEqual(expected);
  });
});

test('no rows, and more rows than one byte', () => {
  expect(selected('i8 == 1 or not j["a"] == 1', [])).toEqual([]);
  const rows = Array.from({ length: 1003 }, (_, row) => ({ i32: row }));
  expect(selected('not (i32 < 1000)', rows)).toEqual([1000, 1001, 1002]);
  expect(selected('not (1 > 2)', rows)).toHaveLength(1003);
});
