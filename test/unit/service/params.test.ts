/** Settings arrive as JSON values or as text; what is neither is named, never guessed at. */
import { describe, expect, test } from 'vitest';
import { parseJson } from '#base/json.ts';
import { readBoolean, readInteger, readNumber, readText } from '#service/params.ts';
import { readSearchParams } from '#service/search-params.ts';

/** A map as a request carries it: an object that inherits nothing. */
const map = (json: string) => parseJson(json) as Readonly<Record<string, unknown>>;

describe('integers', () => {
  test.each([
    ['7', 7],
    ['"7"', 7],
    ['" -7 "', -7],
    ['9007199254740991', 2 ** 53 - 1],
    ['null', undefined],
  ])('%s is %s', (json, value) => {
    expect(readInteger(map(`{"k":${json}}`), 'k', 'params')).toBe(value);
  });

  test.each(['1.5', '"1.5"', '"x"', '""', 'true', '[]', '[5]', '{}', '{"a":1}', '[{}]', '1e300'])(
    '%s is none',
    (json) => {
      expect(() => readInteger(map(`{"k":${json}}`), 'k', 'params')).toThrow('params.k: expected');
    },
  );

  test('of 64 bits are none: no setting is that large', () => {
    expect(() => readInteger(map('{"k":9007199254740993}'), 'k', 'params')).toThrow('params.k');
  });
});

test.each(['"x"', '" "', '"Infinity"', 'true', '[1]', '{}', '[{}]'])('%s is no number', (json) => {
  expect(() => readNumber(map(`{"k":${json}}`), 'k', 'params')).toThrow('params.k');
});

test('numbers have fractions, also as text', () => {
  expect(readNumber(map('{"k":"-0.5"}'), 'k', 'params')).toBe(-0.5);
  expect(readNumber(map('{"k":2}'), 'k', 'params')).toBe(2);
});

test('booleans and texts', () => {
  expect(readBoolean(map('{"k":"True"}'), 'k', 'params')).toBe(true);
  expect(readBoolean(map('{"k":false}'), 'k', 'params')).toBe(false);
  expect(readText(map('{"k":"x"}'), 'k', 'params')).toBe('x');
  for (const json of ['0', '"yes"', '[]', '{}']) {
    expect(() => readBoolean(map(`{"k":${json}}`), 'k', 'params')).toThrow('params.k');
  }
  for (const json of ['0', '[]', '{}']) {
    expect(() => readText(map(`{"k":${json}}`), 'k', 'params')).toThrow('params.k');
  }
});

describe('searchParams', () => {
  test('inner keys win over outer ones', () => {
    expect(readSearchParams(map('{"ef":8,"params":{"ef":"16","radius":1}}'))).toEqual({
      ef: 16,
      radius: 1,
    });
  });

  test.each(['group_by_field', 'search_iter_v2', 'search_iter_id'])('%s is not built', (key) => {
    expect(() => readSearchParams(map(`{"params":{"${key}":"x"}}`))).toThrow(key);
    expect(readSearchParams(map(`{"${key}":""}`))).toEqual({});
  });

  test('an iterator is not built, unless it is off', () => {
    expect(() => readSearchParams(map('{"iterator":"True"}'))).toThrow('iterator');
    expect(readSearchParams(map('{"iterator":"False"}'))).toEqual({});
  });
});
