import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Key, KeyColumn } from '#schema/column.ts';
import { keyAt } from '#schema/gather.ts';
import { buildKeyIndex, compareKeys, findKey, joinKeys, keyInOrder } from '#segment/key-index.ts';
import { buildStamps, placeAt } from '#segment/stamps.ts';
import { Dice, field, randomBatch, randomRuns } from './random-rows.ts';

const byUtf8 = (a: Key, b: Key): number =>
  typeof a === 'string' && typeof b === 'string'
    ? Buffer.compare(Buffer.from(a), Buffer.from(b))
    : a < b
      ? -1
      : a > b
        ? 1
        : 0;

function randomIndex(dice: Dice, type: 'Int64' | 'VarChar', count: number) {
  const schema = { version: 1, fields: [field(100, type, { primaryKey: true })] };
  const column = randomBatch(dice, schema, count).columns.get(100) as KeyColumn;
  // Shuffled runs: positions need not ascend with the row.
  const runs = randomRuns(dice, count, 1).sort(() => dice.float());
  const stamps = buildStamps(runs);
  return { column, stamps, index: buildKeyIndex(column, stamps) };
}

describe('key index', () => {
  it('orders texts by their UTF-8 bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        expect(Math.sign(compareKeys(a, b))).toBe(Math.sign(byUtf8(a, b)));
      }),
    );
    expect(compareKeys('\uffff', '\u{10000}')).toBeLessThan(0);
  });

  it.each(['Int64', 'VarChar'] as const)('sorts %s by key, then by position', (type) => {
    for (const count of [0, 1, 50, 300, 5000]) {
      const { column, stamps, index } = randomIndex(new Dice(`${type}${count}`), type, count);
      const naive = Uint32Array.from({ length: count }, (_, row) => row).sort(
        (a, b) =>
          byUtf8(keyAt(column, a), keyAt(column, b)) || placeAt(stamps, a) - placeAt(stamps, b),
      );
      expect(index.order).toEqual(naive);
    }
  });

  it.each(['Int64', 'VarChar'] as const)('finds the rows of a %s key', (type) => {
    const { column, index } = randomIndex(new Dice(7), type, 200);
    const keys = Array.from({ length: 200 }, (_, row) => keyAt(column, row));
    const absent: Key[] = type === 'Int64' ? [99n, -5n, 2n ** 62n] : ['zz', '', '\u{10ffff}'];
    for (const key of [...keys, ...absent]) {
      const { from, to } = findKey(index, key);
      const found = [...index.order.subarray(from, to)].sort((a, b) => a - b);
      expect(found).toEqual(keys.flatMap((each, row) => (each === key ? [row] : [])));
    }
  });

  it('visits every key that two indexes share, with all of its rows', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(60), fc.nat(60), fc.boolean(), (seed, m, n, isInt) => {
        const dice = new Dice(seed);
        const type = isInt ? 'Int64' : 'VarChar';
        const a = randomIndex(dice, type, m).index;
        const b = randomIndex(dice, type, n).index;
        const seen: unknown[] = [];
        joinKeys(a, b, (aFrom, aTo, bFrom, bTo) => {
          seen.push([keyInOrder(a, aFrom), aTo - aFrom, bTo - bFrom]);
        });
        const keysA = [...a.order].map((_, place) => keyInOrder(a, place));
        const keysB = [...b.order].map((_, place) => keyInOrder(b, place));
        const count = (keys: Key[], key: Key): number => keys.filter((each) => each === key).length;
        const shared = [...new Set(keysA)].filter((key) => keysB.includes(key));
        expect(seen).toEqual(shared.map((key) => [key, count(keysA, key), count(keysB, key)]));
      }),
    );
  });
});
