/**
 * Conditions on a number as closed intervals, so that one loop answers every comparison.
 *
 * `a < 3` over integers is `a <= 2`, over doubles `a <= 2.9999999999999996`; `a + 5 > 7` is `a >= 3`;
 * `!=` is the complement of a point. All of it exact: a bound that a column cannot hold moves to the
 * next value that it can.
 */
import type { ArithmeticOp, CompareOp } from './ast.ts';
import { compareNumbers, INT64_MAX, INT64_MIN, type NumberConstant } from './literal.ts';
import type { Bound } from './predicate.ts';

/** Integers from `low` to `high`; an end that is missing is open. Empty where `low > high`. */
export type IntegerInterval = Readonly<{ low?: bigint; high?: bigint; negated: boolean }>;
/** Doubles from `low` to `high`, infinities included. Empty where `low > high`. */
export type FloatInterval = Readonly<{ low: number; high: number; negated: boolean }>;

const floorOf = (value: NumberConstant): bigint =>
  typeof value === 'bigint' ? value : BigInt(Math.floor(value));
const ceilingOf = (value: NumberConstant): bigint =>
  typeof value === 'bigint' ? value : BigInt(Math.ceil(value));

export function integerInterval(op: CompareOp, value: NumberConstant): IntegerInterval {
  switch (op) {
    case '==':
    case '!=':
      return { low: ceilingOf(value), high: floorOf(value), negated: op === '!=' };
    case '<':
      return { high: ceilingOf(value) - 1n, negated: false };
    case '<=':
      return { high: floorOf(value), negated: false };
    case '>':
      return { low: floorOf(value) + 1n, negated: false };
    case '>=':
      return { low: ceilingOf(value), negated: false };
  }
}

/** `Bound` of a numeric subject: the value is a number. */
const numberOf = ({ value }: Bound): NumberConstant => value as NumberConstant;

export function integerRange(lower: Bound, upper: Bound): IntegerInterval {
  const from = integerInterval(lower.inclusive ? '>=' : '>', numberOf(lower));
  return { ...from, ...integerInterval(upper.inclusive ? '<=' : '<', numberOf(upper)) };
}

/** The ends as Int64s, where open ends are the smallest and the largest. */
export function clampToInt64({ low = INT64_MIN, high = INT64_MAX }: IntegerInterval): {
  low: bigint;
  high: bigint;
} {
  const empty = low > high || low > INT64_MAX || high < INT64_MIN;
  if (empty) return { low: INT64_MAX, high: INT64_MIN };
  return { low: low < INT64_MIN ? INT64_MIN : low, high: high > INT64_MAX ? INT64_MAX : high };
}

/**
 * The integers `v` for which `v op operand` lies in the interval, or undefined where they are no
 * interval (`%`). The operand of `/` is not zero; its quotients are truncated toward zero.
 */
export function beforeArithmetic(
  op: ArithmeticOp,
  operand: bigint,
  { low, high, negated }: IntegerInterval,
): IntegerInterval | undefined {
  switch (op) {
    case '+':
      return intervalOf(
        negated,
        low === undefined ? low : low - operand,
        high === undefined ? high : high - operand,
      );
    case '-':
      return beforeArithmetic('+', -operand, { ...intervalOf(negated, low, high) });
    case '*':
      return beforeMultiply(operand, low, high, negated);
    case '/':
      if (operand < 0n) {
        // v / -c is -(v / c): the ends change sides and signs.
        return beforeDivide(-operand, minus(high), minus(low), negated);
      }
      return beforeDivide(operand, low, high, negated);
    case '%':
      return undefined;
  }
}

const minus = (value: bigint | undefined): bigint | undefined =>
  value === undefined ? value : -value;

const intervalOf = (negated: boolean, low?: bigint, high?: bigint): IntegerInterval => ({
  ...(low === undefined ? {} : { low }),
  ...(high === undefined ? {} : { high }),
  negated,
});

const EMPTY: Readonly<{ low: bigint; high: bigint }> = { low: 1n, high: 0n };

function beforeMultiply(
  factor: bigint,
  low: bigint | undefined,
  high: bigint | undefined,
  negated: boolean,
): IntegerInterval {
  if (factor === 0n) {
    const hit = (low === undefined || low <= 0n) && (high === undefined || high >= 0n);
    return hit ? { negated } : { ...EMPTY, negated };
  }
  if (factor < 0n) return beforeMultiply(-factor, minus(high), minus(low), negated);
  return intervalOf(
    negated,
    low === undefined ? low : -floorDivide(-low, factor),
    high === undefined ? high : floorDivide(high, factor),
  );
}

/** Rounded down; the divisor is positive. */
const floorDivide = (a: bigint, b: bigint): bigint => a / b - (a % b < 0n ? 1n : 0n);

/** The divisor is positive. A quotient of zero covers both signs, hence the two cases at each end. */
function beforeDivide(
  divisor: bigint,
  low: bigint | undefined,
  high: bigint | undefined,
  negated: boolean,
): IntegerInterval {
  const from = low === undefined ? low : low > 0n ? low * divisor : (low - 1n) * divisor + 1n;
  const to = high === undefined ? high : high < 0n ? high * divisor : (high + 1n) * divisor - 1n;
  return low !== undefined && high !== undefined && low > high
    ? { ...EMPTY, negated }
    : intervalOf(negated, from, to);
}

/**
 * For Float and Double columns. A Float column's constants are narrowed to 32 bits first, as its
 * values were: so `f == 0.1` finds the 0.1 that was stored.
 */
export function floatInterval(
  op: CompareOp,
  value: NumberConstant,
  narrow: boolean,
): FloatInterval {
  const nearest = narrow ? Math.fround(Number(value)) : Number(value);
  // Positive where the nearest double lies above an integer that no double holds.
  const off = narrow ? 0 : compareNumbers(nearest, value);
  const above = off > 0 ? nearest : off < 0 ? nextDouble(nearest, 1) : nearest;
  const below = off < 0 ? nearest : off > 0 ? nextDouble(nearest, -1) : nearest;
  const low = Number.NEGATIVE_INFINITY;
  const high = Number.POSITIVE_INFINITY;
  switch (op) {
    case '==':
    case '!=':
      return { low: above, high: below, negated: op === '!=' };
    case '<':
      return { low, high: off === 0 ? nextDouble(nearest, -1) : below, negated: false };
    case '<=':
      return { low, high: below, negated: false };
    case '>':
      return { low: off === 0 ? nextDouble(nearest, 1) : above, high, negated: false };
    case '>=':
      return { low: above, high, negated: false };
  }
}

export function floatRange(lower: Bound, upper: Bound, narrow: boolean): FloatInterval {
  const { low } = floatInterval(lower.inclusive ? '>=' : '>', numberOf(lower), narrow);
  const { high } = floatInterval(upper.inclusive ? '<=' : '<', numberOf(upper), narrow);
  return { low, high, negated: false };
}

const bits = new BigInt64Array(1);
const double = new Float64Array(bits.buffer);

/** The double next to `value` upwards (1) or downwards (-1). */
function nextDouble(value: number, direction: 1 | -1): number {
  if (value === 0) return direction * Number.MIN_VALUE;
  if (!Number.isFinite(value) && value > 0 === direction > 0) return value;
  double[0] = value;
  // Magnitudes order as their bits do, whatever the sign.
  bits[0]! += value > 0 === direction > 0 ? 1n : -1n;
  return double[0]!;
}
