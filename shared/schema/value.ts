/** One JSON value checked against its field and brought into the form that a column stores. */
import { utf8 } from '#base/bytes.ts';
import { canonicalJson } from '#base/json.ts';
import type { Stored } from './build.ts';
import type { Field, Json } from './field.ts';
import { INT64_MAX, INT64_MIN, JSON_BYTES_MAX, UINT64_MAX } from './limits.ts';

/** Why a value does not fit, in words that can follow the name of its field. */
export class Misfit {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

const SMALL_INTEGERS = {
  Int8: [-128, 127],
  Int16: [-32_768, 32_767],
  Int32: [-2_147_483_648, 2_147_483_647],
} as const;

/**
 * The stored form of a value that is not null, of a scalar field.
 *
 * Integers may be numbers without a fraction or bigints, Int64 also a decimal string. A number in a
 * VarChar field becomes its canonical decimal text (1.50 is stored as "1.5": the reader of the body
 * does not keep literals). Float32 overflow is refused, not stored as infinity.
 */
export function readScalar(field: Field, value: Json): Stored | Misfit {
  switch (field.type) {
    case 'Bool':
      return typeof value === 'boolean' ? value : misfit('true or false', value);
    case 'Int8':
    case 'Int16':
    case 'Int32': {
      const [least, greatest] = SMALL_INTEGERS[field.type];
      if (typeof value === 'bigint') return outside(field);
      if (typeof value !== 'number') return misfit('an integer', value);
      if (!Number.isInteger(value)) return new Misfit('expected an integer, found a fraction');
      return value >= least && value <= greatest ? value : outside(field);
    }
    case 'Int64':
      return readInt64(field, value);
    case 'Float':
    case 'Double': {
      if (typeof value !== 'number' && typeof value !== 'bigint') return misfit('a number', value);
      const number = Number(value);
      const stored = field.type === 'Float' ? Math.fround(number) : number;
      return Number.isFinite(stored) ? number : outside(field);
    }
    case 'VarChar':
      return readVarChar(field, value);
    case 'JSON':
      return readJson(value);
    case 'FloatVector':
      return misfit('a scalar field', value);
  }
}

function readInt64(field: Field, value: Json): bigint | Misfit {
  let whole: bigint;
  if (typeof value === 'bigint') {
    whole = value;
  } else if (typeof value === 'number') {
    if (!Number.isInteger(value)) return new Misfit('expected an integer, found a fraction');
    whole = BigInt(value);
  } else if (typeof value === 'string') {
    if (!/^-?(0|[1-9][0-9]{0,18})$/.test(value)) {
      return new Misfit(
        'expected a 64-bit integer, found a string that is not one in decimal digits',
      );
    }
    whole = BigInt(value);
  } else {
    return misfit('an integer', value);
  }
  return whole >= INT64_MIN && whole <= INT64_MAX ? whole : outside(field);
}

function readVarChar(field: Field, value: Json): string | Misfit {
  const isNumber = typeof value === 'bigint' || Number.isFinite(value);
  if (typeof value !== 'string' && !isNumber) return misfit('a string', value);
  const text = typeof value === 'string' ? value : canonicalJson(value);
  const bytesMax = field.maxLength ?? 0;
  // A UTF-16 unit takes at most three bytes of UTF-8: short texts need no count.
  if (text.length * 3 > bytesMax) {
    const sizeBytes = Buffer.byteLength(text);
    if (sizeBytes > bytesMax) {
      return new Misfit(`has ${sizeBytes} bytes, the maximum is ${bytesMax}`);
    }
  }
  return text;
}

/** The canonical text of a JSON value, at most {@link JSON_BYTES_MAX} long. */
export function readJson(value: Json): string | Misfit {
  const unfit = findUnfitNumber(value);
  if (unfit !== undefined) return unfit;
  const text = canonicalJson(value);
  const sizeBytes = text.length > JSON_BYTES_MAX ? text.length : utf8(text).length;
  if (sizeBytes <= JSON_BYTES_MAX) return text;
  return new Misfit(`is a JSON value of more than ${JSON_BYTES_MAX} bytes`);
}

/** Recursion is bounded by the reader's depth limit. */
function findUnfitNumber(value: Json): Misfit | undefined {
  if (typeof value === 'bigint') {
    if (value >= INT64_MIN && value <= UINT64_MAX) return undefined;
    return new Misfit('holds an integer beyond 64 bits');
  }
  if (typeof value === 'number') {
    return Number.isFinite(value) ? undefined : new Misfit('holds a number that is not finite');
  }
  if (value === null || typeof value !== 'object') return undefined;
  for (const member of Object.values(value)) {
    const unfit = findUnfitNumber(member);
    if (unfit !== undefined) return unfit;
  }
  return undefined;
}

/**
 * Writes a vector into its slot, narrowed to float32.
 *
 * @returns why it does not fit; the slot then holds anything.
 */
export function readVector(slot: Float32Array, value: Json): Misfit | undefined {
  if (!isJsonArray(value)) return misfit('an array of numbers', value);
  const dim = slot.length;
  if (value.length !== dim) {
    return new Misfit(`has ${value.length} components, the dimension is ${dim}`);
  }
  // Zero times a finite number is zero, times an infinity NaN: one test for the whole vector.
  let probe = 0;
  for (let index = 0; index < dim; index++) {
    const component = value[index];
    if (typeof component === 'number') slot[index] = component;
    else if (typeof component === 'bigint') slot[index] = Number(component);
    else return new Misfit(`component ${index}: expected a number, found ${kindOf(component)}`);
    probe += (slot[index] ?? 0) * 0;
  }
  if (probe === 0) return undefined;
  const index = slot.findIndex((component) => !Number.isFinite(component));
  return new Misfit(`component ${index} is beyond the range of a 32-bit float`);
}

const isJsonArray = (value: Json): value is readonly Json[] => Array.isArray(value);

const misfit = (expected: string, value: Json): Misfit =>
  new Misfit(`expected ${expected}, found ${kindOf(value)}`);

const outside = (field: Field): Misfit => new Misfit(`is beyond the range of ${field.type}`);

/** What a value is, never the value itself: errors are logged. */
function kindOf(value: Json | undefined): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return 'an object';
  return typeof value === 'bigint' ? 'a number' : `a ${typeof value}`;
}
