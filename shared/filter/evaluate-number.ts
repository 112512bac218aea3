/** Tests of number and Bool columns: tight loops over typed arrays, eight rows to a byte. */
import { StoreError } from '#base/errors.ts';
import { type Bitmap, bitmapOf, type Column } from '#schema/column.ts';
import {
  beforeArithmetic,
  clampToInt64,
  type FloatInterval,
  floatInterval,
  floatRange,
  type IntegerInterval,
  integerInterval,
  integerRange,
} from './interval.ts';
import { calculateFloats, compareNumbers, type NumberConstant } from './literal.ts';
import type { ArithmeticTest, Test } from './predicate.ts';

type Columns<Name extends Column['type']> = Extract<Column, { type: Name }>;
type SmallColumn = Columns<'Int8' | 'Int16' | 'Int32'>;
type LongColumn = Columns<'Int64'>;
type FloatColumn = Columns<'Float' | 'Double'>;
export type NumberColumn = SmallColumn | LongColumn | FloatColumn;

/** Rows for which the test is true; those without a value may have either bit. */
export function testNumbers(column: NumberColumn, test: Test): Bitmap {
  return column.type === 'Float' || column.type === 'Double'
    ? testFloats(column, test)
    : testIntegers(column, test);
}

export function testBooleans(column: Columns<'Bool'>, test: Test): Bitmap {
  const yes = bitmapOf(column.values.length);
  const wanted = test.kind === 'in' ? test.values : test.kind === 'compare' ? [test.value] : [];
  const negated = test.kind === 'compare' && test.op === '!=';
  const set = new Set(wanted.map((value) => (value === true) !== negated));
  const { values } = column;
  for (let row = 0; row < values.length; row++) {
    if (set.has(values[row] === 1)) yes[row >> 3]! |= 1 << (row & 7);
  }
  return yes;
}

function testIntegers(column: SmallColumn | LongColumn, test: Test): Bitmap {
  switch (test.kind) {
    case 'compare':
      // A comparison with an integer column was bound to a number.
      return withinIntegers(column, integerInterval(test.op, test.value as NumberConstant));
    case 'between':
      return withinIntegers(column, integerRange(test.lower, test.upper));
    case 'in':
      // Members of a list for an integer column were bound to integers.
      return amongIntegers(column, test.values as readonly bigint[]);
    case 'arithmetic':
      return integerArithmetic(column, test);
    default:
      throw new StoreError('INTERNAL', `no ${test.kind} on an integer column`);
  }
}

function withinIntegers(column: SmallColumn | LongColumn, interval: IntegerInterval): Bitmap {
  const { low, high } = clampToInt64(interval);
  return column.type === 'Int64'
    ? withinLongs(column.values, low, high, interval.negated)
    : withinSmall(column.values, Number(low), Number(high), interval.negated);
}

/** Not shared with the floats': a loop that sees five kinds of array runs several times slower. */
function withinSmall(
  values: SmallColumn['values'],
  low: number,
  high: number,
  negated: boolean,
): Bitmap {
  const yes = bitmapOf(values.length);
  const hit = negated ? 0 : 1;
  for (let row = 0, byte = 0; row < values.length; byte++) {
    const end = Math.min(row + 8, values.length);
    let bits = 0;
    for (let shift = 0; row < end; row++, shift++) {
      const value = values[row]!;
      bits |= (value >= low && value <= high ? hit : 1 - hit) << shift;
    }
    yes[byte] = bits;
  }
  return yes;
}

function withinFloats(
  values: FloatColumn['values'],
  { low, high, negated }: FloatInterval,
): Bitmap {
  const yes = bitmapOf(values.length);
  const hit = negated ? 0 : 1;
  for (let row = 0, byte = 0; row < values.length; byte++) {
    const end = Math.min(row + 8, values.length);
    let bits = 0;
    for (let shift = 0; row < end; row++, shift++) {
      const value = values[row]!;
      bits |= (value >= low && value <= high ? hit : 1 - hit) << shift;
    }
    yes[byte] = bits;
  }
  return yes;
}

/**
 * The halves of Int64s, low half first: reading a BigInt64Array makes a bigint per row. Every machine
 * that runs Node today is little-endian.
 */
const halvesOf = (values: BigInt64Array): Int32Array =>
  new Int32Array(values.buffer, values.byteOffset, values.length * 2);

const upperHalf = (value: bigint): number => Number(value >> 32n);
const lowerHalf = (value: bigint): number => Number(value & 0xffff_ffffn);

function withinLongs(values: BigInt64Array, low: bigint, high: bigint, negated: boolean): Bitmap {
  const yes = bitmapOf(values.length);
  const halves = halvesOf(values);
  const hit = negated ? 0 : 1;
  const [lowUpper, lowLower, highUpper, highLower] = [
    upperHalf(low),
    lowerHalf(low),
    upperHalf(high),
    lowerHalf(high),
  ];
  for (let row = 0, byte = 0; row < values.length; byte++) {
    const end = Math.min(row + 8, values.length);
    let bits = 0;
    for (let shift = 0; row < end; row++, shift++) {
      const lower = halves[2 * row]! >>> 0;
      const upper = halves[2 * row + 1]!;
      const above = upper > lowUpper || (upper === lowUpper && lower >= lowLower);
      const below = upper < highUpper || (upper === highUpper && lower <= highLower);
      bits |= (above && below ? hit : 1 - hit) << shift;
    }
    yes[byte] = bits;
  }
  return yes;
}

/** Int64s with an upper half from here up to its complement are exact as doubles (2^53 / 2^32). */
const UPPER_EXACT = 2 ** 21;

function amongIntegers(column: SmallColumn | LongColumn, values: readonly bigint[]): Bitmap {
  const exact = new Set<number>();
  const large = new Set<bigint>();
  for (const value of values) {
    const upper = upperHalf(value);
    if (upper >= -UPPER_EXACT && upper < UPPER_EXACT) exact.add(Number(value));
    else large.add(value);
  }
  if (column.type !== 'Int64') return amongNumbers(column.values, exact);
  const yes = bitmapOf(column.values.length);
  const halves = halvesOf(column.values);
  for (let row = 0; row < column.values.length; row++) {
    const upper = halves[2 * row + 1]!;
    const hit =
      upper >= -UPPER_EXACT && upper < UPPER_EXACT
        ? exact.has(upper * 2 ** 32 + (halves[2 * row]! >>> 0))
        : large.size > 0 && large.has(column.values[row]!);
    if (hit) yes[row >> 3]! |= 1 << (row & 7);
  }
  return yes;
}

function amongNumbers(
  values: Exclude<NumberColumn, LongColumn>['values'],
  set: ReadonlySet<number>,
): Bitmap {
  const yes = bitmapOf(values.length);
  for (let row = 0; row < values.length; row++) {
    if (set.has(values[row]!)) yes[row >> 3]! |= 1 << (row & 7);
  }
  return yes;
}

function integerArithmetic(column: SmallColumn | LongColumn, test: ArithmeticTest): Bitmap {
  const { arithmetic, operand, op, value } = test;
  // A quotient is compared with a float as a float, else 3 / 2 == 1.5 could never be true.
  if (typeof operand !== 'bigint' || (arithmetic === '/' && typeof value !== 'bigint')) {
    return floatArithmetic(column, test);
  }
  const interval = integerInterval(op, value);
  const before = beforeArithmetic(arithmetic, operand, interval);
  if (before !== undefined) return withinIntegers(column, before);
  return remainders(column, operand, interval);
}

function remainders(
  column: SmallColumn | LongColumn,
  divisor: bigint,
  interval: IntegerInterval,
): Bitmap {
  const yes = bitmapOf(column.values.length);
  const { low, high } = clampToInt64(interval);
  const [lowest, highest, by] = [Number(low), Number(high), Number(divisor)];
  // Rows beyond 2^53, and divisors beyond it, go through bigints; ends beyond it round harmlessly,
  // because a remainder that is compared with them as a number is smaller.
  const halves = column.type === 'Int64' ? halvesOf(column.values) : undefined;
  const safe = Number.isSafeInteger(by);
  for (let row = 0; row < column.values.length; row++) {
    const upper = halves === undefined ? 0 : halves[2 * row + 1]!;
    let hit: boolean;
    if (halves === undefined || (safe && upper >= -UPPER_EXACT && upper < UPPER_EXACT)) {
      const value =
        halves === undefined
          ? Number(column.values[row]!)
          : upper * 2 ** 32 + (halves[2 * row]! >>> 0);
      const rest = value % by;
      hit = rest >= lowest && rest <= highest;
    } else {
      const rest = BigInt(column.values[row]!) % divisor;
      hit = rest >= low && rest <= high;
    }
    if (hit !== interval.negated) yes[row >> 3]! |= 1 << (row & 7);
  }
  return yes;
}

function testFloats(column: FloatColumn, test: Test): Bitmap {
  const narrow = column.type === 'Float';
  switch (test.kind) {
    case 'compare':
      // A comparison with a float column was bound to a number.
      return withinFloats(
        column.values,
        floatInterval(test.op, test.value as NumberConstant, narrow),
      );
    case 'between':
      return withinFloats(column.values, floatRange(test.lower, test.upper, narrow));
    case 'in':
      // Members of a list for a float column were bound to numbers.
      return amongNumbers(
        column.values,
        floatMembers(test.values as readonly NumberConstant[], narrow),
      );
    case 'arithmetic':
      return floatArithmetic(column, test);
    default:
      throw new StoreError('INTERNAL', `no ${test.kind} on a float column`);
  }
}

/** Integers that no double holds are members of no Double column. */
function floatMembers(values: readonly NumberConstant[], narrow: boolean): ReadonlySet<number> {
  if (narrow) return new Set(values.map((value) => Math.fround(Number(value))));
  return new Set(
    values.map(Number).filter((number, index) => compareNumbers(number, values[index]!) === 0),
  );
}

/** In doubles; on a Float column the result is narrowed to 32 bits, as is what it is compared with. */
function floatArithmetic(column: NumberColumn, test: ArithmeticTest): Bitmap {
  const narrow = column.type === 'Float';
  const operand = Number(test.operand);
  const { low, high, negated } = floatInterval(test.op, test.value, narrow);
  const { values } = column;
  const yes = bitmapOf(values.length);
  for (let row = 0; row < values.length; row++) {
    const exact = calculateFloats(test.arithmetic, Number(values[row]!), operand);
    const result = narrow ? Math.fround(exact) : exact;
    if ((result >= low && result <= high) !== negated) yes[row >> 3]! |= 1 << (row & 7);
  }
  return yes;
}
