/** Arbitrary column statistics. */
import fc from 'fast-check';
import type { ColumnStats } from '#filter/prune.ts';
import { u32, whole } from '../wal/arbitrary-records.ts';

const int64 = fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n);
const text = fc.string({ unit: 'grapheme', maxLength: 8 });
const number = fc.double({ noNaN: true });

const bounds: fc.Arbitrary<Pick<ColumnStats, 'min' | 'max'>> = fc.oneof(
  fc.constant({}),
  fc.record({ min: int64, max: int64 }),
  fc.record({ min: text, max: text }),
  fc.record({ min: number, max: number }),
);

export const statsMaps: fc.Arbitrary<ReadonlyMap<number, ColumnStats>> = fc
  .uniqueArray(fc.tuple(whole, u32, u32, bounds), { selector: ([id]) => id, maxLength: 4 })
  .map((entries) => {
    return new Map(entries.map(([id, rows, nulls, span]) => [id, { rows, nulls, ...span }]));
  });
