import { describe, expect, it } from 'vitest';
import { utf8 } from '#base/bytes.ts';
import {
  addSum,
  emptySum,
  equalSums,
  formatSum,
  itemSum,
  parseSum,
  subtractSum,
  sumOf,
} from '#base/setsum.ts';

describe('set-sums', () => {
  const a = itemSum(utf8('a'));
  const b = itemSum(utf8('b'));

  it('do not depend on order, but on how often an item is there', () => {
    expect(equalSums(sumOf(a, b), sumOf(b, a))).toBe(true);
    expect(equalSums(sumOf(a), sumOf(a, a))).toBe(false);
    expect(equalSums(sumOf(a), sumOf(b))).toBe(false);
  });

  it('carry and borrow over all limbs', () => {
    const sum = parseSum('ff'.repeat(32));
    const one = parseSum(`01${'00'.repeat(31)}`);
    addSum(sum, one);
    expect(formatSum(sum)).toBe('00'.repeat(32));
    subtractSum(sum, one);
    expect(formatSum(sum)).toBe('ff'.repeat(32));
  });

  it('leave the sums they add alone', () => {
    const before = formatSum(a);
    sumOf(a, b);
    subtractSum(emptySum(), a);
    expect(formatSum(a)).toBe(before);
  });

  it.each(['', 'ff', 'FF'.repeat(32), 'zz'.repeat(32), `${'00'.repeat(32)}0`])(
    'refuse the text %j',
    (text) => {
      expect(() => parseSum(text)).toThrow('not a set-sum');
    },
  );
});
