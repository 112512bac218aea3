import { describe, expect, it } from 'vitest';
import { asksForCount, distanceOf, KEY_ONLY, resolveOutput } from '#query/output.ts';
import { rangeOf } from '#query/range.ts';
import { SCHEMA, VALUE, VECTOR } from './hand-built-shard.ts';

const FIXED = { ...SCHEMA, fields: SCHEMA.fields.filter(({ dynamic }) => !dynamic) };
const ALL = { fields: [VALUE, VECTOR], dynamic: 'all' };

describe('resolveOutput', () => {
  it.each([
    ['no names, all', undefined, 'all', ALL],
    ['no names, key', [], 'key', KEY_ONLY],
    ['everything', ['*'], 'key', ALL],
    ['everything and more', ['*', 'value', 'other'], 'key', ALL],
    ['the key is always shown', ['id'], 'all', KEY_ONLY],
    ['fields in the order of the schema', ['vector', 'value'], 'all', { ...ALL, dynamic: [] }],
    ['a dynamic key', ['tag'], 'all', { fields: [], dynamic: ['tag'] }],
    ['a path to one', ['$meta["tag"]'], 'all', { fields: [], dynamic: ['tag'] }],
    ['all dynamic keys', ['$meta', 'tag'], 'all', { fields: [], dynamic: 'all' }],
  ] as const)('%s', (_, names, fallback, output) => {
    expect(resolveOutput(SCHEMA, names, fallback)).toEqual(output);
  });

  it('knows no dynamic key where the collection has no dynamic field', () => {
    expect(resolveOutput(FIXED, ['*'], 'key')).toEqual({ ...ALL, dynamic: [] });
    for (const names of [['tag'], ['*', 'tag'], ['$meta']]) {
      expect(() => resolveOutput(FIXED, names, 'all')).toThrow(/outputFields: field .* not exist/);
    }
  });
});

it('count(*) is asked for alone', () => {
  expect(asksForCount(['count(*)'])).toBe(true);
  expect(asksForCount(['COUNT( * )'])).toBe(true);
  expect(asksForCount(['count(*)', 'id'])).toBe(false);
  expect(asksForCount(undefined)).toBe(false);
});

it.each([
  [0.1, undefined, 0.1],
  [0.1, -1, 0.1],
  [2.345_67, 2, 2.35],
  [-2.345_67, 2, -2.35],
  [2.5, 0, 3],
  [16_777_217, undefined, 16_777_216],
] as const)('distance of %s to %s decimals', (score, decimals, shown) => {
  expect(distanceOf(score, decimals)).toBe(shown);
});

describe('rangeOf', () => {
  it.each([
    ['L2', { radius: 2 }, [0, 1.9], [2, 3]],
    ['L2', { radius: 2, rangeFilter: 1 }, [1, 1.9], [0.9, 2]],
    ['IP', { radius: 0.5 }, [0.6, 99], [0.5, -1]],
    ['COSINE', { radius: 0.5, rangeFilter: 0.9 }, [0.6, 0.9], [0.5, 0.91]],
  ] as const)('%s %o', (metric, ends, inside, outside) => {
    const range = rangeOf(metric, ends);
    expect(inside.map(range.accepts)).toEqual([true, true]);
    expect(outside.map(range.accepts)).toEqual([false, false]);
    expect(range.cutsNear).toBe('rangeFilter' in ends);
  });

  it('refuses ends in the wrong order', () => {
    expect(() => rangeOf('L2', { radius: 1, rangeFilter: 1 })).toThrow(/range_filter/);
    expect(() => rangeOf('IP', { radius: 1, rangeFilter: 0.5 })).toThrow(/range_filter/);
  });
});
