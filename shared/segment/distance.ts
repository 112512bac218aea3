/**
 * Distances of float32 vectors: the inner loops of exact search.
 *
 * Sums are made in double precision with four accumulators, so that the processor need not wait for
 * one addition before it starts the next; a score is rounded to float32 once, at the end. Scores are
 * those of API.md 3.1: L2 is the squared distance, ascending; IP and COSINE descend.
 */
import type { Metric } from '#schema/field.ts';

export const isHigherBetter = (metric: Metric): boolean => metric !== 'L2';

/** Negative where score `a` is nearer than score `b`. */
export const compareScores = (metric: Metric, a: number, b: number): number =>
  isHigherBetter(metric) ? b - a : a - b;

const FLOAT32_MAX = 3.4028234663852886e38;

/** A score as it travels: a finite float32; a cosine within [-1, 1]. */
export function toScore(metric: Metric, value: number): number {
  if (metric === 'COSINE') return Math.fround(Math.max(-1, Math.min(1, value)));
  return Math.fround(Math.max(-FLOAT32_MAX, Math.min(FLOAT32_MAX, value)));
}

/**
 * The inner product of `a` and the vector of its length that starts at `from` in `b`. (A start for `a` as
 * well would cost a third of the speed.)
 */
export function dotProduct(a: Float32Array, b: Float32Array, from: number): number {
  const dim = a.length;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (const end = dim - 3; i < end; i += 4) {
    s0 += a[i]! * b[from + i]!;
    s1 += a[i + 1]! * b[from + i + 1]!;
    s2 += a[i + 2]! * b[from + i + 2]!;
    s3 += a[i + 3]! * b[from + i + 3]!;
  }
  for (; i < dim; i++) s0 += a[i]! * b[from + i]!;
  return s0 + s1 + (s2 + s3);
}

/** The squared Euclidean distance. */
export function squaredDistance(a: Float32Array, b: Float32Array, from: number): number {
  const dim = a.length;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (const end = dim - 3; i < end; i += 4) {
    const d0 = a[i]! - b[from + i]!;
    const d1 = a[i + 1]! - b[from + i + 1]!;
    const d2 = a[i + 2]! - b[from + i + 2]!;
    const d3 = a[i + 3]! - b[from + i + 3]!;
    s0 += d0 * d0;
    s1 += d1 * d1;
    s2 += d2 * d2;
    s3 += d3 * d3;
  }
  for (; i < dim; i++) {
    const d = a[i]! - b[from + i]!;
    s0 += d * d;
  }
  return s0 + s1 + (s2 + s3);
}

/**
 * The cosine of the angle between a query of length `queryNorm` and a vector; 0 where either has no
 * length, for it has no direction then.
 */
export function cosine(
  query: Float32Array,
  queryNorm: number,
  b: Float32Array,
  from: number,
): number {
  const dim = query.length;
  let s0 = 0;
  let s1 = 0;
  let n0 = 0;
  let n1 = 0;
  let i = 0;
  for (const end = dim - 1; i < end; i += 2) {
    const b0 = b[from + i]!;
    const b1 = b[from + i + 1]!;
    s0 += query[i]! * b0;
    s1 += query[i + 1]! * b1;
    n0 += b0 * b0;
    n1 += b1 * b1;
  }
  if (i < dim) {
    const b0 = b[from + i]!;
    s0 += query[i]! * b0;
    n0 += b0 * b0;
  }
  const product = queryNorm * Math.sqrt(n0 + n1);
  return product === 0 ? 0 : (s0 + s1) / product;
}

export const norm = (vector: Float32Array): number => Math.sqrt(dotProduct(vector, vector, 0));

/** A query made ready to be compared with many vectors. */
export type Scorer = Readonly<{
  metric: Metric;
  dim: number;
  /** The score of the vector that starts at `from`. */
  score(values: Float32Array, from: number): number;
}>;

export function scorerOf(metric: Metric, query: Float32Array): Scorer {
  const dim = query.length;
  if (metric === 'L2') {
    const score = (values: Float32Array, from: number): number =>
      toScore('L2', squaredDistance(query, values, from));
    return { metric, dim, score };
  }
  if (metric === 'IP') {
    const score = (values: Float32Array, from: number): number =>
      toScore('IP', dotProduct(query, values, from));
    return { metric, dim, score };
  }
  const queryNorm = norm(query);
  const score = (values: Float32Array, from: number): number =>
    toScore('COSINE', cosine(query, queryNorm, values, from));
  return { metric, dim, score };
}
