/**
 * JSON without loss: 64-bit integers in, 64-bit integers out, one canonical text per value.
 *
 * `JSON.parse` rounds integers beyond 2^53, keeps the last of two equal keys and lets `__proto__`
 * through; V8's of Node 24 even takes the key `"\""` for a backslash where an object with that key was
 * read before. None of that may happen to somebody's rows. Everything here is strict RFC 8259. Lone
 * surrogates are refused, escaped or raw: the text could not be stored as UTF-8 unchanged.
 */
import { StoreError } from './errors.ts';
import { type JsonLimits, JsonReader } from './json-read.ts';

/** Integers from 2^53 upwards in magnitude are bigints, all other numbers are numbers. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };

/** What can be written: also float32 arrays; members that are undefined are left out. */
export type JsonOut =
  | Exclude<Json, readonly Json[] | JsonObject>
  | Float32Array
  | readonly JsonOut[]
  | { readonly [key: string]: JsonOut | undefined };

const I64_MIN = -(1n << 63n);
const U64_MAX = (1n << 64n) - 1n;

/**
 * Reads a JSON text exactly.
 *
 * Integers become numbers while they are safe, else bigints. A literal with fraction or exponent is
 * a number, except where it is an integer of 64 bits beyond 2^53: then it is that bigint, exactly.
 *
 * @throws StoreError `MALFORMED_BODY` with the character offset and the path of the offence, such as
 *   `data[3].vector`: bad syntax, equal keys in one object, numbers beyond a double, lone surrogates,
 *   and whatever exceeds `limits`.
 */
export function parseJson(text: string, limits: JsonLimits = {}): Json {
  return new JsonReader(text, limits).document();
}

/**
 * Writes JSON: bigints as digits, float32 arrays with the fewest digits that read back the same,
 * -0 as 0 and numbers that are not finite as null (both as `JSON.stringify` does).
 */
export function stringifyJson(value: JsonOut): string {
  if (value === null) return 'null';
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'number':
      return stringifyNumber(value);
    case 'bigint':
    case 'boolean':
      return String(value);
    default:
      if (value instanceof Float32Array) return stringifyFloats(value);
      return isArray(value) ? stringifyArray(value) : stringifyObject(value);
  }
}

/** Beyond 64 bits with an exponent, so that nobody takes a double for an integer of that size. */
function stringifyNumber(value: number): string {
  if (Math.abs(value) < 2 ** 63) return String(value);
  return Number.isFinite(value) ? value.toExponential() : 'null';
}

/** `Array.isArray` narrows no readonly array. */
const isArray = <T>(value: readonly T[] | object): value is readonly T[] => Array.isArray(value);

function stringifyArray(values: readonly JsonOut[]): string {
  let text = '[';
  for (let index = 0; index < values.length; index++) {
    if (index > 0) text += ',';
    text += stringifyJson(values[index]!);
  }
  return `${text}]`;
}

function stringifyObject(object: { readonly [key: string]: JsonOut | undefined }): string {
  let text = '';
  for (const key of Object.keys(object)) {
    const value = object[key];
    if (value === undefined) continue;
    text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${stringifyJson(value)}`;
  }
  return `{${text}}`;
}

function stringifyFloats(values: Float32Array): string {
  let text = '[';
  for (let index = 0; index < values.length; index++) {
    if (index > 0) text += ',';
    text += stringifyNumber(shortFloat32(values[index]!));
  }
  return `${text}]`;
}

/** A float32 needs at most nine significant digits; one more where `log10` is off by one. */
const FLOAT32_DIGITS_MAX = 10;
/** Powers of ten that a double holds exactly: below them a quotient is rounded once, hence right. */
const POWERS = Array.from({ length: 23 }, (_, power) => Number(`1e${power}`));

/**
 * The double with the shortest decimal text that narrows to the same float32: 0.1, where widening
 * gives 0.10000000149011612. For whatever prints a float32.
 */
export function shortFloat32(value: number): number {
  const size = Math.abs(value);
  if (!Number.isFinite(value) || (Math.trunc(value) === value && size < 2 ** 24)) return value;
  const exponent = Math.floor(Math.log10(size));
  // Most values need seven digits or more: only where six suffice the short forms are tried.
  const first = Math.fround(roundTo(size, 6, exponent)) === size ? 1 : 7;
  for (let digits = first; digits <= FLOAT32_DIGITS_MAX; digits++) {
    const short = roundTo(size, digits, exponent);
    if (Math.fround(short) === size) return value < 0 ? -short : short;
  }
  return value;
}

/** `size` rounded to so many significant digits, where 10^exponent is the place of the first. */
function roundTo(size: number, digits: number, exponent: number): number {
  const shift = digits - 1 - exponent;
  const scale = POWERS[Math.abs(shift)];
  if (scale === undefined) return Number(size.toPrecision(digits));
  return shift >= 0 ? Math.round(size * scale) / scale : Math.round(size / scale) * scale;
}

/**
 * The one text of a value: no white space, keys sorted by UTF-16 code units, and per number one form
 * whatever its type. Normative: docs/formats/canonical-row.md.
 */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number' || typeof value === 'bigint') return canonicalNumber(value);
  if (isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = Object.keys(value)
    .sort()
    // The keys are the object's own.
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key]!)}`);
  return `{${members.join(',')}}`;
}

/**
 * Integers of 64 bits, signed or unsigned, are digits. A larger one has an exponent where a double
 * holds it exactly, else it is digits too: so a number and the equal bigint have one text, and what
 * is read back from the text is of the same kind.
 */
function canonicalNumber(value: number | bigint): string {
  if (Number.isSafeInteger(value)) return String(value);
  if (typeof value === 'number' && !Number.isInteger(value)) {
    if (!Number.isFinite(value)) throw new StoreError('INTERNAL', `no JSON number: ${value}`);
    return String(value);
  }
  const whole = BigInt(value);
  if (whole >= I64_MIN && whole <= U64_MAX) return String(whole);
  const double = Number(whole);
  if (Number.isFinite(double) && BigInt(double) === whole) return double.toExponential();
  return String(whole);
}
