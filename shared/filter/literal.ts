/**
 * Constants of an expression, and the arithmetic among them.
 *
 * An integer is a bigint, a float is a number: so the kind of a literal survives, and a 64-bit
 * integer is never rounded. Numbers of both kinds compare by their mathematical value.
 */
import type { ArithmeticOp, CompareOp } from './ast.ts';

export type NumberConstant = bigint | number;
export type ScalarConstant = boolean | NumberConstant | string;
export type Constant = ScalarConstant | readonly Constant[];

export const INT64_MIN = -(1n << 63n);
export const INT64_MAX = (1n << 63n) - 1n;

export const isNumberConstant = (value: Constant): value is NumberConstant =>
  typeof value === 'bigint' || typeof value === 'number';
/** `Array.isArray` narrows no readonly array. */
export const isListConstant = (value: Constant): value is readonly Constant[] =>
  Array.isArray(value);

/** What a constant is called in a message. */
export function describeConstant(value: Constant): string {
  switch (typeof value) {
    case 'boolean':
      return 'a boolean';
    case 'bigint':
      return 'an integer';
    case 'number':
      return 'a float';
    case 'string':
      return 'a string';
    default:
      return 'a list';
  }
}

/** -1, 0 or 1, exact across both kinds of number. */
export const compareNumbers = (a: NumberConstant, b: NumberConstant): number =>
  a < b ? -1 : a > b ? 1 : 0;

/**
 * -1, 0 or 1 in the order of code points, which is the order of the UTF-8 bytes. `<` on strings
 * orders by UTF-16 units, where characters beyond the basic plane come before U+E000.
 */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left === right) continue;
    // Surrogates stand for characters above every other unit.
    const raisedLeft = left >= 0xd800 && left <= 0xdfff ? left + 0x10000 : left;
    const raisedRight = right >= 0xd800 && right <= 0xdfff ? right + 0x10000 : right;
    return raisedLeft < raisedRight ? -1 : 1;
  }
  return compareNumbers(a.length, b.length);
}

/** Whether `op` holds of a comparison that gave `order`. */
export function holds(op: CompareOp, order: number): boolean {
  switch (op) {
    case '==':
      return order === 0;
    case '!=':
      return order !== 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
  }
}

/** The operator with its sides exchanged: `1 < a` is `a > 1`. */
export function mirrored(op: CompareOp): CompareOp {
  switch (op) {
    case '<':
      return '>';
    case '<=':
      return '>=';
    case '>':
      return '<';
    case '>=':
      return '<=';
    default:
      return op;
  }
}

/** Deep equality; numbers by value, lists member by member. */
export function equalConstants(a: Constant, b: Constant): boolean {
  if (isListConstant(a)) {
    return (
      isListConstant(b) &&
      a.length === b.length &&
      // The lengths are equal.
      a.every((member, index) => equalConstants(member, b[index]!))
    );
  }
  if (isListConstant(b)) return false;
  if (isNumberConstant(a) && isNumberConstant(b)) return compareNumbers(a, b) === 0;
  return a === b;
}

/**
 * `a op b`, exact among integers: `/` truncates toward zero and `%` has the sign of `a`, as in C. With
 * a float on either side it is double arithmetic. The divisor of integers must not be zero.
 */
export function calculate(op: ArithmeticOp, a: NumberConstant, b: NumberConstant): NumberConstant {
  if (typeof a === 'bigint' && typeof b === 'bigint') return calculateIntegers(op, a, b);
  return calculateFloats(op, Number(a), Number(b));
}

function calculateIntegers(op: ArithmeticOp, a: bigint, b: bigint): bigint {
  switch (op) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '%':
      return a % b;
  }
}

export function calculateFloats(op: ArithmeticOp, a: number, b: number): number {
  switch (op) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '%':
      return a % b;
  }
}

/**
 * The value of an operator between two constants.
 *
 * @returns the value, or the sentence that says why there is none.
 */
export function fold(
  op: ArithmeticOp | '**',
  a: NumberConstant,
  b: NumberConstant,
): NumberConstant | string {
  if ((op === '/' || op === '%') && Number(b) === 0) return 'division by zero';
  if (op === '%' && (typeof a !== 'bigint' || typeof b !== 'bigint'))
    return '% is for integers only';
  return checkRange(op === '**' ? raise(a, b) : calculate(op, a, b));
}

/** An integer power stays an integer while 64 bits hold it. */
function raise(base: NumberConstant, exponent: NumberConstant): NumberConstant {
  const power = Number(base) ** Number(exponent);
  const integers = typeof base === 'bigint' && typeof exponent === 'bigint' && exponent >= 0n;
  // The estimate keeps a huge exponent from being computed digit by digit.
  if (!integers || Math.abs(power) > 2 ** 64) return power;
  const exact = base ** exponent;
  return exact >= INT64_MIN && exact <= INT64_MAX ? exact : power;
}

function checkRange(value: NumberConstant): NumberConstant | string {
  if (typeof value === 'number') {
    return Number.isFinite(value) ? value : 'the value of a constant is beyond a double';
  }
  const fits = value >= INT64_MIN && value <= INT64_MAX;
  return fits ? value : 'the value of a constant is beyond 64 bits';
}
