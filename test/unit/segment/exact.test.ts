import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bitmapOf, setBit } from '#schema/column.ts';
import { METRICS, type Metric } from '#schema/field.ts';
import { compareScores, scorerOf } from '#segment/distance.ts';
import { scanExact, TopK } from '#segment/exact.ts';
import { Dice } from './random-rows.ts';

function naiveScore(metric: Metric, a: readonly number[], b: readonly number[]): number {
  const dot = a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
  if (metric === 'IP') return dot;
  if (metric === 'L2') return a.reduce((sum, value, at) => sum + (value - (b[at] ?? 0)) ** 2, 0);
  const lengths = Math.hypot(...a) * Math.hypot(...b);
  return lengths === 0 ? 0 : dot / lengths;
}

const metrics = fc.constantFrom(...METRICS);

describe('exact search', () => {
  it('finds what a naive search finds, chunk by chunk and under a mask', () => {
    fc.assert(
      fc.property(
        metrics,
        fc.nat(),
        fc.integer({ min: 1, max: 19 }),
        fc.nat(90),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 30 }),
        (metric, seed, dim, count, k, chunkRows) => {
          const dice = new Dice(seed);
          const vectors = Array.from({ length: count }, () =>
            dice.chance(0.05) ? new Float32Array(dim) : dice.floats(dim),
          );
          const query = dice.floats(dim);
          const [first, second] = [bitmapOf(count), bitmapOf(count)];
          const allowed = vectors.flatMap((_, row) => {
            const bits = [dice.chance(0.7), dice.chance(0.3) || row % 64 < 20];
            if (bits[0]) setBit(first, row);
            if (bits[1]) setBit(second, row);
            return bits.every(Boolean) ? [row] : [];
          });
          const scorer = scorerOf(metric, query);
          const top = new TopK(k, metric);
          for (let row = 0; row < count; row += chunkRows) {
            const values = new Float32Array(
              vectors.slice(row, row + chunkRows).flatMap((v) => [...v]),
            );
            scanExact(scorer, values, row, [first, undefined, second], top);
          }
          const { rows, scores } = top.finish();
          const scored = allowed.map((row) => {
            const vector = vectors[row] ?? new Float32Array(dim);
            return { row, score: scorer.score(vector, 0), vector };
          });
          for (const { score, vector } of scored) {
            expect(score).toBeCloseTo(naiveScore(metric, [...query], [...vector]), 5);
          }
          scored.sort((a, b) => compareScores(metric, a.score, b.score) || a.row - b.row);
          expect([...rows]).toEqual(scored.slice(0, k).map(({ row }) => row));
          expect([...scores]).toEqual(scored.slice(0, k).map(({ score }) => score));
        },
      ),
    );
  });

  it('keeps equal scores by row, whatever the order in which they come', () => {
    fc.assert(
      fc.property(
        metrics,
        fc.array(fc.nat(3)),
        fc.integer({ min: 1, max: 9 }),
        (metric, list, k) => {
          const rows = list.map((score, row) => ({ score, row }));
          const top = new TopK(k, metric);
          for (const { score, row } of [...rows].sort(
            (a, b) => ((a.row * 7) % 5) - ((b.row * 7) % 5),
          )) {
            top.offer(row, score);
          }
          rows.sort((a, b) => compareScores(metric, a.score, b.score) || a.row - b.row);
          expect([...top.finish().rows]).toEqual(rows.slice(0, k).map(({ row }) => row));
        },
      ),
    );
  });

  it('says 0 for the cosine of a vector without direction, and keeps scores finite', () => {
    const huge = new Float32Array([3e38, 3e38]);
    expect(scorerOf('COSINE', huge).score(new Float32Array(2), 0)).toBe(0);
    expect(scorerOf('COSINE', new Float32Array(2)).score(huge, 0)).toBe(0);
    expect(scorerOf('COSINE', huge).score(huge, 0)).toBe(1);
    expect(
      scorerOf('COSINE', huge).score(
        huge.map((value) => -value),
        0,
      ),
    ).toBe(-1);
    expect(
      scorerOf('L2', huge).score(
        huge.map((value) => -value),
        0,
      ),
    ).toBe(3.4028234663852886e38);
    expect(
      scorerOf('IP', huge).score(
        huge.map((value) => -value),
        0,
      ),
    ).toBe(-3.4028234663852886e38);
  });
});
