import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter } from '#base/bytes.ts';
import { isStoreError } from '#base/errors.ts';
import { parsePosition, recordPosition, rowPosition } from '#base/position.ts';
import {
  addSum,
  emptySum,
  equalSums,
  formatSum,
  itemSum,
  parseSum,
  subtractSum,
} from '#base/setsum.ts';

const u32 = fc.nat(0xffffffff);
const places = fc.record({
  generation: fc.oneof(fc.nat(3), u32),
  epoch: fc.oneof(fc.nat(3), u32),
  sequence: fc.oneof(
    fc.bigInt({ min: 0n, max: 1200n }),
    fc.bigInt({ min: 0n, max: 10n ** 56n - 1n }),
  ),
  ordinal: fc.option(fc.oneof(fc.nat(20), u32), { nil: undefined }),
});
type Place = typeof places extends fc.Arbitrary<infer T> ? T : never;

const write = ({ generation, epoch, sequence, ordinal }: Place): string => {
  const record = recordPosition(generation, epoch, String(sequence));
  return ordinal === undefined ? record : rowPosition(record, ordinal);
};

/** A record comes before its own rows. */
function compare(a: Place, b: Place): number {
  if (a.generation !== b.generation) return a.generation - b.generation;
  if (a.epoch !== b.epoch) return a.epoch - b.epoch;
  if (a.sequence !== b.sequence) return a.sequence < b.sequence ? -1 : 1;
  return (a.ordinal ?? -1) - (b.ordinal ?? -1);
}

describe('positions', () => {
  it('sort as text like the numbers they stand for', () => {
    fc.assert(
      fc.property(places, places, (a, b) => {
        const [left, right] = [write(a), write(b)];
        const order = left < right ? -1 : left > right ? 1 : 0;
        expect(order).toBe(Math.sign(compare(a, b)));
      }),
      { numRuns: 5000 },
    );
  });

  it('are read back', () => {
    fc.assert(
      fc.property(places, (place) => {
        expect(parsePosition(write(place))).toEqual({ ...place, sequence: String(place.sequence) });
      }),
    );
  });
});

describe('set-sums', () => {
  it('add and take away in any order, and survive their text', () => {
    const items = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(fc.array(items), fc.array(items), (kept, removed) => {
        const direct = emptySum();
        for (const item of kept) addSum(direct, itemSum(item));
        const detour = emptySum();
        for (const item of removed) subtractSum(detour, itemSum(item));
        for (const item of [...kept].reverse()) addSum(detour, itemSum(item));
        for (const item of removed) addSum(detour, itemSum(item));
        expect(equalSums(direct, detour)).toBe(true);
        expect(equalSums(parseSum(formatSum(direct)), direct)).toBe(true);
      }),
    );
  });
});

describe('bytes', () => {
  it('carries varints round', () => {
    fc.assert(
      fc.property(fc.array(fc.maxSafeNat()), (values) => {
        const writer = new ByteWriter(1);
        for (const value of values) writer.varint(value);
        const reader = new ByteReader(writer.finish(), 'varints');
        expect(values.map(() => reader.varint())).toEqual(values);
        reader.end();
      }),
    );
  });

  it('never reads beyond the end: garbage is DATA_CORRUPT or a value', () => {
    const reads = fc.constantFrom(
      'u8',
      'u32',
      'f32',
      'f64',
      'i64',
      'varint',
      'bytes',
      'string',
      'end',
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.array(reads), (bytes, steps) => {
        // The garbage stands inside a larger buffer that a careless reader would run into.
        const around = new Uint8Array(bytes.length + 64).fill(1);
        around.set(bytes, 32);
        const reader = new ByteReader(around.subarray(32, 32 + bytes.length), 'garbage');
        try {
          for (const step of steps) {
            const value = reader[step]();
            if (value instanceof Uint8Array) expect(value.length).toBeLessThanOrEqual(bytes.length);
            expect(reader.offset + reader.remaining).toBe(bytes.length);
          }
        } catch (error) {
          if (!isStoreError(error, 'DATA_CORRUPT')) throw error;
          expect(error.message).toMatch(/^garbage: /);
        }
        expect(reader.offset).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 2000 },
    );
  });

  it('finds every truncation', () => {
    const parts = fc.array(fc.uint8Array({ maxLength: 5 }), { minLength: 1 });
    fc.assert(
      fc.property(parts, fc.nat(), (list, cut) => {
        const writer = new ByteWriter();
        for (const part of list) writer.bytes(part);
        const whole = writer.finish();
        const reader = new ByteReader(whole.subarray(0, cut % whole.length), 'cut');
        expect(() => list.map(() => reader.bytes())).toThrow('early');
      }),
    );
  });
});
