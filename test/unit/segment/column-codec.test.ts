import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import type { Column } from '#schema/column.ts';
import { decodeColumn, encodeColumn } from '#schema/column-codec.ts';
import { Dice, randomBatch, randomSchema } from './random-rows.ts';

const columnsOf = (seed: number, count: number): Column[] => {
  const dice = new Dice(seed);
  return [...randomBatch(dice, randomSchema(dice, true), count).columns.values()];
};

const misaligned = (bytes: Uint8Array, by: number): Uint8Array => {
  const copy = new Uint8Array(bytes.length + by);
  copy.set(bytes, by);
  return copy.subarray(by);
};

describe('column codec', () => {
  it('gives back every column, whatever the alignment of the bytes', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(70), fc.nat(9), (seed, count, shift) => {
        for (const column of columnsOf(seed, count)) {
          const bytes = encodeColumn(column);
          expect(bytes.length % 8).toBe(0);
          expect(decodeColumn(bytes, 'a column')).toEqual(column);
          expect(decodeColumn(misaligned(bytes, shift), 'a column')).toEqual(column);
          expect(decodeColumn(Buffer.from(bytes), 'a column')).toEqual(column);
          expect(encodeColumn(decodeColumn(bytes, 'a column'))).toEqual(bytes);
        }
      }),
    );
  });

  it('does not copy numbers out of aligned bytes', () => {
    const bytes = encodeColumn({ type: 'Double', values: Float64Array.of(1, 2, 3) });
    const column = decodeColumn(bytes, 'a column');
    expect(column.type === 'Double' && column.values.buffer === bytes.buffer).toBe(true);
  });

  it('refuses or reads whatever bytes it is given, and fails only with DATA_CORRUPT', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(20), fc.nat(), (seed, count, chaos) => {
        const dice = new Dice(chaos);
        for (const column of columnsOf(seed, count)) {
          const bytes = encodeColumn(column);
          const cut = bytes.subarray(0, dice.below(bytes.length));
          expect(() => decodeColumn(cut, 'the cut one')).toThrow(/the cut one/);
          for (let times = 0; times < 20; times++) {
            const broken = bytes.slice();
            broken[dice.below(broken.length)] = dice.below(256);
            readOrRefuse(broken);
          }
        }
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), readOrRefuse));
  });

  it('widens codes by the size of the dictionary', () => {
    for (const entries of [1, 256, 257, 65_536, 65_537]) {
      const dictionary = Array.from({ length: entries }, (_, index) => `é${index}`);
      const column = {
        type: 'VarChar' as const,
        dictionary,
        codes: Uint32Array.of(0, entries - 1),
      };
      expect(decodeColumn(encodeColumn(column), 'texts')).toEqual(column);
    }
  });

  it('cuts a JSON column that is a view of a longer one to its own texts', () => {
    const bytes = new TextEncoder().encode('12[3]4');
    const column = { type: 'JSON' as const, offsets: Uint32Array.of(1, 2, 5), bytes };
    expect(decodeColumn(encodeColumn(column), 'texts')).toEqual({
      type: 'JSON',
      offsets: Uint32Array.of(0, 1, 4),
      bytes: new TextEncoder().encode('2[3]'),
    });
  });

  it('refuses text that is not UTF-8, offsets inside a character and codes beyond the end', () => {
    const texts = { type: 'VarChar' as const, dictionary: ['é', 'b'], codes: Uint32Array.of(1) };
    const bytes = encodeColumn(texts);
    const broken = (at: number, value: number): Uint8Array => {
      const copy = bytes.slice();
      copy[at] = value;
      return copy;
    };
    // The header has 16 bytes, three offsets take 12 and 4 of padding, the text 3 and 5, then a code.
    expect(() => decodeColumn(broken(20, 1), 'c')).toThrow(/inside a character/);
    expect(() => decodeColumn(broken(32, 0xff), 'c')).toThrow(/UTF-8/);
    expect(() => decodeColumn(broken(40, 2), 'c')).toThrow(/code 2 of 2/);
  });
});

function readOrRefuse(bytes: Uint8Array): void {
  try {
    encodeColumn(decodeColumn(bytes, 'garbage'));
  } catch (error) {
    expect(isStoreError(error, 'DATA_CORRUPT')).toBe(true);
  }
}
