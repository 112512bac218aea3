import { describe, expect, test } from 'vitest';
import { compileFilter } from '#filter/compile.ts';
import { fieldsOf, keyLookup, type Predicate } from '#filter/predicate.ts';
import { type ColumnStats, mayMatch } from '#filter/prune.ts';
import { CASE_SCHEMA } from '../../support/filter-cases.ts';

function predicateOf(expression: string): Predicate {
  return compileFilter(expression, CASE_SCHEMA) ?? expect.unreachable('the expression is blank');
}

const idOf = (name: string): number =>
  CASE_SCHEMA.fields.find((field) => field.name === name)?.id ?? -1;

const STATS: ReadonlyMap<number, ColumnStats> = new Map([
  [idOf('i64'), { rows: 10, nulls: 0, min: 10n, max: 20n }],
  [idOf('i8'), { rows: 10, nulls: 3, min: 5, max: 5 }],
  [idOf('i16'), { rows: 10, nulls: 10 }],
  [idOf('f'), { rows: 10, nulls: 0, min: Math.fround(0.1), max: Math.fround(0.3) }],
  [idOf('s'), { rows: 10, nulls: 0, min: 'b', max: 'd\u{1f600}' }],
  [idOf('j'), { rows: 10, nulls: 10 }],
  [idOf('$meta'), { rows: 10, nulls: 0 }],
]);

describe('segments are ruled out by statistics', () => {
  test.each<[string, boolean]>([
    ['i64 == 9', false],
    ['i64 == 10', true],
    ['i64 == 10.5', true],
    ['i64 != 9', true],
    ['not (i64 != 9)', false],
    ['i64 < 10', false],
    ['i64 <= 10', true],
    ['i64 > 20', false],
    ['i64 >= 20', true],
    ['not (i64 >= 10)', false],
    ['not (i64 > 10)', true],
    ['1 < i64 < 10', false],
    ['1 < i64 <= 10', true],
    ['20 < i64 < 30', false],
    ['not (1 < i64 < 30)', false],
    ['i64 in [1, 30]', false],
    ['i64 in [1, 15]', true],
    ['i64 not in [15]', true],
    ['i64 in []', false],
    ['i8 == 5', true],
    ['i8 != 5', false],
    ['not (i8 == 5)', false],
    ['i8 is null', true],
    ['i64 is null', false],
    ['i64 is not null', true],
    ['i16 == 1', false],
    ['not (i16 == 1)', false],
    ['i16 is null', true],
    ['i16 is not null', false],
    ['i16 == i64', false],
    ['i64 == i8', true],
    ['f == 0.1', true],
    ['f < 0.1', false],
    ['f > 0.3', false],
    ['s == "a"', false],
    ['s == "c"', true],
    ['s > "d\u{1f600}"', false],
    ['s like "c%"', true],
    ['s like "a%"', false],
    ['s like "e%"', false],
    ['s like "b%"', true],
    ['s like "d%"', true],
    ['s like "%a"', true],
    ['s like "a\\\\%"', false],
    ['not (s like "a%")', true],
    ['j["a"] == 1', false],
    ['exists j["a"]', false],
    ['j["a"] is null', true],
    ['x == 1', true],
    ['x is null', true],
    ['i64 + 1 == 100', true],
    ['i64 == 9 and s == "c"', false],
    ['i64 == 9 or s == "c"', true],
    ['i64 == 9 or s == "a"', false],
    ['not (i64 == 9 or s == "a")', true],
    ['1 > 2', false],
    ['not (1 < 2)', false],
    // Nothing is known of this column.
    ['d == 1', true],
    ['d is null', true],
  ])('%s may match: %s', (expression, expected) => {
    expect(mayMatch(predicateOf(expression), (fieldId) => STATS.get(fieldId))).toBe(expected);
  });
});

test('the fields of a predicate, each once', () => {
  const ids = (...names: string[]) => names.map(idOf);
  expect(fieldsOf(predicateOf('s == "a" and (i8 > 1 or not i64 == i8) and s like "x"'))).toEqual(
    ids('i8', 'i64', 's'),
  );
  expect(fieldsOf(predicateOf('x == 1 or exists j["a"]'))).toEqual(ids('j', '$meta'));
  expect(fieldsOf(predicateOf('1 < 2'))).toEqual([]);
});

describe('a filter by key alone is a look-up', () => {
  test.each<[string, string, readonly unknown[] | undefined]>([
    ['id == 5', 'id', [5n]],
    ['5 == id', 'id', [5n]],
    ['id == 5.0', 'id', [5n]],
    ['id == 5.5', 'id', []],
    ['id == 1e300', 'id', []],
    ['id in [3, 1, 3, -9223372036854775808]', 'id', [3n, 1n, -(2n ** 63n)]],
    ['id in []', 'id', []],
    ['s == "a"', 's', ['a']],
    ['s in ["a", "b", "a"]', 's', ['a', 'b']],
    ['id != 5', 'id', undefined],
    ['id not in [5]', 'id', undefined],
    ['id > 5', 'id', undefined],
    ['id == 5 and s == "a"', 'id', undefined],
    ['id == 5 or id == 6', 'id', undefined],
    ['i64 == 5', 'id', undefined],
    ['id + 1 == 5', 'id', undefined],
    ['id == i64', 'id', undefined],
  ])('%s', (expression, key, keys) => {
    expect(keyLookup(predicateOf(expression), idOf(key))).toEqual(keys);
  });
});
