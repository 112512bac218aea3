/**
 * Rows that come and go, and what is true of them: each vector is a mixture of two documents of
 * docs-lsa in their first dimensions, from a seed; the true neighbours are found by comparing all.
 */
import { loadDocsLsa } from './dataset.ts';

export type Mixture = {
  readonly dim: number;
  /** A new vector under this key, which is alive from now on. */
  renew(key: number): Float32Array;
  remove(key: number): void;
  /** A key that is alive. */
  pick(): number;
  nextKey(): number;
  readonly live: number;
  /** The share of the first `rows` vectors that are no longer what they were. */
  churn(): number;
  queryCount: number;
  query(index: number): Float32Array;
  /** Of the neighbours found, how many are as near as the k-th true one. */
  hits(query: Float32Array, found: readonly number[], k: number): number;
};

/** How much of a row is the first document; two documents of a subject are no row twice. */
const FIRST_SHARE = 0.7;

export async function openMixture(rows: number, dim: number, seed: number): Promise<Mixture> {
  const docs = await loadDocsLsa();
  const capacity = rows * 2;
  const vectors = new Float32Array(capacity * dim);
  const keys: number[] = [];
  const placeOf = new Int32Array(capacity).fill(-1);
  const changed = new Uint8Array(rows);
  let changes = 0;
  let state = seed >>> 0;
  const below = (end: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
  const vectorOf = (key: number): Float32Array => vectors.subarray(key * dim, (key + 1) * dim);
  const noteChange = (key: number): void => {
    if (key >= rows || changed[key] === 1) return;
    changed[key] = 1;
    changes += 1;
  };
  let issued = 0;
  return {
    dim,
    renew(key) {
      if (key >= capacity) throw new Error(`no room for key ${key}`);
      const a = below(docs.rows) * docs.dim;
      const b = below(docs.rows) * docs.dim;
      const out = vectorOf(key);
      for (let axis = 0; axis < dim; axis++) {
        out[axis] =
          FIRST_SHARE * (docs.base[a + axis] ?? 0) + (1 - FIRST_SHARE) * (docs.base[b + axis] ?? 0);
      }
      normalize(out);
      if ((placeOf[key] ?? -1) >= 0) noteChange(key);
      else placeOf[key] = keys.push(key) - 1;
      return out;
    },
    remove(key) {
      const place = placeOf[key] ?? -1;
      const last = keys.pop();
      if (place < 0 || last === undefined) throw new Error(`key ${key} is not alive`);
      if (last !== key) {
        keys[place] = last;
        placeOf[last] = place;
      }
      placeOf[key] = -1;
      noteChange(key);
    },
    pick: () => keys[below(keys.length)] ?? 0,
    nextKey: () => issued++,
    get live() {
      return keys.length;
    },
    churn: () => changes / rows,
    queryCount: docs.queryCount,
    query(index) {
      const from = (index % docs.queryCount) * docs.dim;
      return normalize(docs.queries.slice(from, from + dim));
    },
    hits(query, found, k) {
      const scores = keys.map((key) => dot(query, vectors, key * dim)).sort((a, b) => b - a);
      const worst = (scores[k - 1] ?? 0) - 1e-6;
      return found.filter(
        (key) => (placeOf[key] ?? -1) >= 0 && dot(query, vectors, key * dim) >= worst,
      ).length;
    },
  };
}

/** In place. */
function normalize(vector: Float32Array): Float32Array {
  const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  for (let axis = 0; axis < vector.length; axis++) {
    vector[axis] = (vector[axis] ?? 0) / (norm || 1);
  }
  return vector;
}

function dot(query: Float32Array, vectors: Float32Array, from: number): number {
  let sum = 0;
  for (let axis = 0; axis < query.length; axis++) {
    sum += (query[axis] ?? 0) * (vectors[from + axis] ?? 0);
  }
  return sum;
}
