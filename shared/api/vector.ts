/** Query vectors: JSON numbers in, float32 out. */
import * as z from 'zod';
import { LIMITS, refuse } from './names.ts';

/**
 * The vectors of one search, in order.
 *
 * One loop rather than `z.array(z.number())`: a schema node per component costs four times as much.
 * Finiteness is checked after narrowing, because 1e39 is finite in JSON and infinite in a float32.
 * How many components are right only the collection knows: `service/read.ts` checks.
 */
export const QueryVectors = z.unknown().transform((input, context): readonly Float32Array[] => {
  if (!Array.isArray(input)) {
    return refuse(context, 'MALFORMED_BODY', 'expected an array of vectors', input);
  }
  if (input.length < 1 || input.length > LIMITS.queryVectors) {
    const message = `nq (number of query vectors) must be in [1, ${LIMITS.queryVectors}], found ${input.length}`;
    return refuse(context, 'INVALID_ARGUMENT', message, undefined);
  }
  const vectors: Float32Array[] = [];
  for (const [row, value] of input.entries()) {
    const vector = readVector(value);
    if (typeof vector === 'string') {
      return refuse(context, 'MALFORMED_BODY', `vector ${row}: ${vector}`, undefined);
    }
    vectors.push(vector);
  }
  return vectors;
});

/** @returns what is wrong where the value is no vector of float32 numbers. */
function readVector(value: unknown): Float32Array | string {
  if (!Array.isArray(value) || value.length < 1 || value.length > LIMITS.dimensions) {
    return `expected an array of 1 to ${LIMITS.dimensions} numbers`;
  }
  const vector = new Float32Array(value.length);
  for (let index = 0; index < value.length; index++) {
    const component: unknown = value[index];
    // Integers from 2^53 upwards arrive as bigints.
    vector[index] =
      typeof component === 'number' || typeof component === 'bigint'
        ? Number(component)
        : Number.NaN;
    if (!Number.isFinite(vector[index])) return `component ${index} is not a float32 number`;
  }
  return vector;
}
