/** docs-lsa: 40,000 real paragraphs as 256-dimensional vectors, and vectors made up from a seed. */
import { readFile } from 'node:fs/promises';

const FOLDER = new URL('../../../shared/data/docs-lsa/', import.meta.url).pathname;

export type Dataset = Readonly<{
  dim: number;
  base: Float32Array;
  rows: number;
  queries: Float32Array;
  queryCount: number;
  /** Per query the 100 nearest rows by cosine, best first. */
  truth: Uint32Array;
}>;

export async function loadDocsLsa(): Promise<Dataset> {
  const dim = 256;
  const base = fromHalves(await readFile(`${FOLDER}base.f16`));
  const queries = fromHalves(await readFile(`${FOLDER}queries.f16`));
  const truth = await readFile(`${FOLDER}truth.u32`);
  return {
    dim,
    base,
    rows: base.length / dim,
    queries,
    queryCount: queries.length / dim,
    truth: new Uint32Array(truth.buffer.slice(truth.byteOffset, truth.byteOffset + truth.length)),
  };
}

function fromHalves(bytes: Buffer): Float32Array {
  const out = new Float32Array(bytes.length / 2);
  for (let index = 0; index < out.length; index++)
    out[index] = halfToNumber(bytes.readUInt16LE(index * 2));
  return out;
}

function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Unit-length vectors around 64 centres, from a seed: neither uniform noise nor a toy. */
export function clusteredVectors(rows: number, dim: number, seed: number): Float32Array {
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  const centres = Array.from({ length: 64 }, () => Float32Array.from({ length: dim }, next));
  const out = new Float32Array(rows * dim);
  for (let row = 0; row < rows; row++) {
    const centre = centres[row % centres.length] ?? new Float32Array(dim);
    let norm = 0;
    for (let axis = 0; axis < dim; axis++) {
      const value = (centre[axis] ?? 0) + next() * 0.8;
      out[row * dim + axis] = value;
      norm += value * value;
    }
    const scale = 1 / Math.sqrt(norm);
    for (let axis = 0; axis < dim; axis++)
      out[row * dim + axis] = (out[row * dim + axis] ?? 0) * scale;
  }
  return out;
}

export const rowOf = (vectors: Float32Array, dim: number, row: number): Float32Array =>
  vectors.subarray(row * dim, (row + 1) * dim);
