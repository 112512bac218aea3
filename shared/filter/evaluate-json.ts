/**
 * Tests of JSON columns: the value at the path is found in the text, and only that is parsed.
 *
 * A value has the type it has in that row: a test that asks for another type is unknown there, as is
 * every test where the path leads nowhere or to null.
 */
import { assert } from '#base/assert.ts';
import { utf8 } from '#base/bytes.ts';
import { type Json, parseJson } from '#base/json.ts';
import {
  type Bitmap,
  bitmapOf,
  hasBit,
  isPresent,
  type JsonColumn,
  setBit,
} from '#schema/column.ts';
import { textTest } from './evaluate-string.ts';
import { pathFinder, skipValue, startsWith } from './json-path.ts';
import {
  type Constant,
  calculate,
  calculateFloats,
  compareNumbers,
  equalConstants,
  holds,
  isListConstant,
  isNumberConstant,
  type NumberConstant,
} from './literal.ts';
import type { ArithmeticTest, Bound, Subject, Test } from './predicate.ts';
import type { Verdict } from './truth.ts';

/** What a test asks of a value of each type; a type that is missing makes it unknown. */
type Judge = Readonly<{
  number?: (value: NumberConstant) => boolean | undefined;
  text?: (value: string) => boolean;
  /** Instead of `text`: whether it is the string of this canonical text, or is not. */
  same?: Readonly<{ quoted: Uint8Array; equal: boolean }>;
  truth?: (value: boolean) => boolean;
  list?: (value: readonly Json[]) => boolean;
  object?: () => boolean;
}>;

/** @param wanted rows outside it are false or unknown, whatever they hold. */
export function testJson(
  column: JsonColumn,
  subject: Subject,
  test: Test,
  wanted?: Bitmap,
): Verdict {
  const judge = judgeOf(test);
  const reader = leafReader(column, judge);
  const count = column.offsets.length - 1;
  const yes = bitmapOf(count);
  const unknown = bitmapOf(count);
  forEachValue(column, subject, wanted, (row, at, to) => {
    const answer = at < 0 ? undefined : reader(at, to);
    if (answer === true) setBit(yes, row);
    else if (answer === undefined) setBit(unknown, row);
  });
  return { count, yes, unknown };
}

/** Rows whose path leads to something other than null. */
export function presentJson(column: JsonColumn, subject: Subject, wanted?: Bitmap): Verdict {
  const count = column.offsets.length - 1;
  const yes = bitmapOf(count);
  forEachValue(column, subject, wanted, (row, at) => {
    if (at >= 0 && column.bytes[at] !== LETTER_N) setBit(yes, row);
  });
  return { count, yes };
}

function forEachValue(
  column: JsonColumn,
  { path = [] }: Subject,
  wanted: Bitmap | undefined,
  visit: (row: number, at: number, to: number) => void,
): void {
  const { bytes, offsets } = column;
  const finder = pathFinder(path);
  for (let row = 0; row + 1 < offsets.length; row++) {
    if (wanted !== undefined && !hasBit(wanted, row)) continue;
    const to = offsets[row + 1]!;
    const at = isPresent(column, row) ? finder.find(bytes, offsets[row]!, to) : -1;
    visit(row, at, to);
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const OPEN_OBJECT = 0x7b;
const LETTER_F = 0x66;
const LETTER_N = 0x6e;
const LETTER_T = 0x74;

type LeafReader = (at: number, to: number) => boolean | undefined;

/** Reads the value that begins at `at` only as far as the judge asks. */
function leafReader({ bytes }: JsonColumn, judge: Judge): LeafReader {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return (at, to) => {
    switch (bytes[at]) {
      case LETTER_N:
        return undefined;
      case LETTER_T:
        return judge.truth?.(true);
      case LETTER_F:
        return judge.truth?.(false);
      case OPEN_OBJECT:
        return judge.object?.();
      case OPEN_LIST:
        // A text that begins with a bracket is a list.
        return judge.list?.(
          parseJson(buffer.toString('utf8', at, skipValue(bytes, at, to))) as readonly Json[],
        );
      case QUOTE:
        if (judge.same !== undefined) {
          return startsWith(bytes, at, judge.same.quoted) === judge.same.equal;
        }
        return judge.text?.(readString(buffer, at, skipValue(bytes, at, to)));
      default:
        return judge.number?.(readNumber(buffer, at, to));
    }
  };
}

function readString(buffer: Buffer, at: number, end: number): string {
  const escaped = buffer.subarray(at, end).includes(BACKSLASH);
  // A JSON text that begins with a quote is a string.
  return escaped
    ? (parseJson(buffer.toString('utf8', at, end)) as string)
    : buffer.toString('utf8', at + 1, end - 1);
}

/** Integers of so many digits are below 2^53. */
const SAFE_DIGITS = 15;
const MINUS = 0x2d;
const ZERO = 0x30;

/** A number where a double is exact, else a bigint: what `1e300` stands for is the double itself. */
function readNumber(buffer: Buffer, at: number, to: number): NumberConstant {
  const start = buffer[at] === MINUS ? at + 1 : at;
  let value = 0;
  let end = start;
  for (; end < to; end++) {
    const digit = buffer[end]! - ZERO;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  if (end - start <= SAFE_DIGITS && (end === to || endsValue(buffer[end]!))) {
    return start === at ? value : -value;
  }
  const text = buffer.toString('latin1', at, skipValue(buffer, at, to));
  return /^-?[0-9]+$/.test(text) ? BigInt(text) : Number(text);
}

/** A comma or a closing bracket: the number had no fraction and no exponent. */
const endsValue = (byte: number): boolean => byte === 0x2c || byte === 0x5d || byte === 0x7d;

function judgeOf(test: Test): Judge {
  switch (test.kind) {
    case 'compare':
      return judgeComparison(test.op, test.value);
    case 'between':
      return typeof test.lower.value === 'string'
        ? { text: textTest(test) }
        : { number: betweenNumbers(test.lower, test.upper) };
    case 'in':
      return judgeMembership(test);
    case 'like':
    case 'regex':
      return { text: textTest(test) };
    case 'arithmetic':
      return { number: (value) => judgeArithmetic(test, value) };
    case 'contains': {
      const { values, mode } = test;
      const within = (list: readonly Json[]) => (value: Constant) =>
        list.some((member) => equalJson(member, value));
      return {
        list: (list) => (mode === 'all' ? values.every(within(list)) : values.some(within(list))),
      };
    }
    case 'length': {
      const { op, value } = test;
      return { list: (list) => holds(op, compareNumbers(list.length, value)) };
    }
  }
}

function judgeComparison(op: '==' | '!=' | '<' | '<=' | '>' | '>=', value: Constant): Judge {
  if (isNumberConstant(value))
    return { number: (number) => holds(op, compareNumbers(number, value)) };
  const equal = op === '==';
  if (typeof value === 'string') {
    return equal || op === '!='
      ? { same: { quoted: utf8(JSON.stringify(value)), equal } }
      : { text: textTest({ kind: 'compare', op, value }) };
  }
  if (typeof value === 'boolean') return { truth: (truth) => (truth === value) === equal };
  return { list: (list) => equalJson(list, value) === equal };
}

function betweenNumbers(lower: Bound, upper: Bound): (value: NumberConstant) => boolean {
  const { value: low } = lower;
  const { value: high } = upper;
  assert(isNumberConstant(low) && isNumberConstant(high), 'both bounds are numbers');
  const [above, below] = [lower.inclusive ? '>=' : '>', upper.inclusive ? '<=' : '<'] as const;
  return (value) =>
    holds(above, compareNumbers(value, low)) && holds(below, compareNumbers(value, high));
}

/** A value is in or not in a list that has members of its type; of an empty list nothing is a member. */
function judgeMembership({ values }: Extract<Test, { kind: 'in' }>): Judge {
  const never = () => false;
  if (values.length === 0)
    return { number: never, text: never, truth: never, list: never, object: never };
  const members = new Set<unknown>(values.map(numberKey));
  const has = (kind: string) => values.some((value) => typeof value === kind);
  return {
    ...(has('bigint') || has('number') ? { number: (value) => members.has(numberKey(value)) } : {}),
    ...(has('string') ? { text: (value) => members.has(value) } : {}),
    ...(has('boolean') ? { truth: (value) => members.has(value) } : {}),
  };
}

/** Equal numbers have equal keys, whatever their kind. */
function numberKey<Value>(value: Value): Value | bigint {
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : value;
}

/** Integers stay integers with an integer operand; `%` asks for one. */
function judgeArithmetic(test: ArithmeticTest, value: NumberConstant): boolean | undefined {
  const { arithmetic, operand, op } = test;
  const whole = typeof value === 'bigint' || Number.isInteger(value);
  if (arithmetic === '%' && !whole) return undefined;
  const integers =
    whole && typeof operand === 'bigint' && (arithmetic !== '/' || typeof test.value === 'bigint');
  const result = integers
    ? calculate(arithmetic, BigInt(value), operand)
    : calculateFloats(arithmetic, Number(value), Number(operand));
  return holds(op, compareNumbers(result, test.value));
}

/** JSON equals a constant of its own type: numbers by value, lists member by member. */
function equalJson(json: Json, value: Constant): boolean {
  if (isListConstant(value)) {
    return (
      Array.isArray(json) &&
      json.length === value.length &&
      // The lengths are equal.
      value.every((member, index) => equalJson(json[index]!, member))
    );
  }
  return json !== null && typeof json !== 'object' && equalConstants(json, value);
}
