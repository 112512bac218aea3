import { describe, expect, it } from 'vitest';
import { type Hit, mergeHits } from '#query/merge.ts';
import type { Key } from '#schema/column.ts';
import type { Metric } from '#schema/field.ts';

const hit = (key: Key, score: number, position = 'a', source = 0): Hit => ({
  key,
  score,
  position,
  source,
  row: 0,
});

type Case = Readonly<{
  name: string;
  metric?: Metric;
  lists: Hit[][];
  limit?: number;
  offset?: number;
  keys: Key[];
}>;

const CASES: readonly Case[] = [
  { name: 'nothing', lists: [], keys: [] },
  { name: 'empty lists', lists: [[], []], keys: [] },
  {
    name: 'nearest first: smallest distance',
    lists: [[hit(1n, 4)], [hit(2n, 1)], [hit(3n, 2)]],
    keys: [2n, 3n, 1n],
  },
  {
    name: 'nearest first: largest similarity',
    metric: 'IP',
    lists: [[hit(1n, 4)], [hit(2n, -1)], [hit(3n, 2)]],
    keys: [1n, 3n, 2n],
  },
  {
    name: 'cosine as similarity',
    metric: 'COSINE',
    lists: [[hit(1n, 0.1), hit(2n, 0.9)]],
    keys: [2n, 1n],
  },
  {
    name: 'equal scores by key, Int64 by value',
    lists: [[hit(10n, 1)], [hit(-3n, 1)], [hit(9n, 1)]],
    keys: [-3n, 9n, 10n],
  },
  {
    name: 'equal scores by key, VarChar by UTF-8 bytes',
    lists: [[hit('\u{10000}', 1)], [hit('\uffff', 1)], [hit('b', 1), hit('', 1)]],
    keys: ['', 'b', '\uffff', '\u{10000}'],
  },
  {
    name: 'limit and offset count together',
    lists: [
      [hit(1n, 1), hit(2n, 2)],
      [hit(3n, 3), hit(4n, 4)],
    ],
    limit: 2,
    offset: 1,
    keys: [2n, 3n],
  },
  { name: 'offset beyond the end', lists: [[hit(1n, 1)]], offset: 5, keys: [] },
  {
    name: 'the newest version of a key decides, though it is farther',
    lists: [[hit(1n, 0, 'a')], [hit(1n, 9, 'b'), hit(2n, 5, 'a')]],
    keys: [2n, 1n],
  },
  {
    name: 'the newest version of a key decides, whichever list it comes from',
    lists: [[hit(1n, 9, 'b')], [hit(1n, 0, 'a')], [hit(2n, 5)]],
    limit: 1,
    keys: [2n],
  },
  {
    name: 'the same version twice is one row',
    lists: [[hit(1n, 1, 'a')], [hit(1n, 1, 'a')]],
    keys: [1n],
  },
];

describe('mergeHits', () => {
  it.each(CASES)('$name', ({ metric = 'L2', lists, limit = 10, offset = 0, keys }) => {
    expect(mergeHits(lists, { metric, limit, offset }).map(({ key }) => key)).toEqual(keys);
  });
});
