/** How good the answers of a build are, against exact ones in double precision. */
import { type Answer, type Case, K, vectorsOf } from './exercise.ts';

export type Verdict = Readonly<{ recall: number; largestError: number }>;

function distance({ space }: Case, left: readonly number[], right: readonly number[]): number {
  let sum = 0;
  left.forEach((value, at) => {
    const other = right[at] ?? Number.NaN;
    sum += space === 'l2' ? (value - other) ** 2 : value * other;
  });
  return space === 'l2' ? sum : 1 - sum;
}

/** Recall against the exact neighbours, and the largest error of a distance. */
export function judge(of: Case, answers: readonly Answer[]): Verdict {
  const rows = vectorsOf('rows', of);
  let found = 0;
  let largestError = 0;
  vectorsOf('queries', of).forEach((query, at) => {
    const exact = rows.map((row) => distance(of, query, row));
    const nearest = exact.map((_, row) => row);
    nearest.sort((left, right) => (exact[left] ?? 0) - (exact[right] ?? 0));
    const wanted = new Set(nearest.slice(0, K));
    const answer = answers[at];
    answer?.neighbors.forEach((row, rank) => {
      if (wanted.has(row)) found++;
      const error = Math.abs((answer.distances[rank] ?? Number.NaN) - (exact[row] ?? Number.NaN));
      // Written so that a NaN counts as an error without end.
      if (!(error <= largestError)) largestError = Number.isNaN(error) ? Infinity : error;
    });
  });
  return { recall: found / (answers.length * K), largestError };
}

/** The share of neighbours that two answers to the same questions have in common. */
export function agreement(left: readonly Answer[], right: readonly Answer[]): number {
  let common = 0;
  left.forEach(({ neighbors }, at) => {
    const others = new Set(right[at]?.neighbors);
    common += neighbors.filter((row) => others.has(row)).length;
  });
  return common / (left.length * K);
}
