/**
 * A filter interpreter that is as plain as possible: one row at a time, one rule of docs/filters.md
 * after the other, nothing shared with the engine. Numbers are compared as exact fractions.
 *
 * `undefined` is the third truth value: unknown.
 */
import type { CompareOp } from '#filter/ast.ts';
import type { Json } from '#schema/field.ts';

export type NaiveType =
  | 'Bool'
  | 'Int8'
  | 'Int16'
  | 'Int32'
  | 'Int64'
  | 'Float'
  | 'Double'
  | 'VarChar'
  | 'JSON';
/** Integers are bigints, floats are numbers. */
export type NaiveConstant = boolean | bigint | number | string | readonly NaiveConstant[];
export type NaiveSubject = Readonly<{
  field: string;
  type: NaiveType;
  path: readonly (string | number)[];
}>;

export type NaiveFilter =
  | Readonly<{ is: 'and' | 'or'; parts: readonly NaiveFilter[] }>
  | Readonly<{ is: 'not'; part: NaiveFilter }>
  | Readonly<{ is: 'null' | 'not null' | 'exists'; subject: NaiveSubject }>
  | Readonly<{ is: 'compare'; subject: NaiveSubject; op: CompareOp; value: NaiveConstant }>
  | Readonly<{ is: 'columns'; left: NaiveSubject; op: CompareOp; right: NaiveSubject }>
  | Readonly<{
      is: 'range';
      subject: NaiveSubject;
      low: NaiveConstant;
      lowOp: '<' | '<=';
      high: NaiveConstant;
      highOp: '<' | '<=';
    }>
  | Readonly<{ is: 'in' | 'not in'; subject: NaiveSubject; values: readonly NaiveConstant[] }>
  | Readonly<{ is: 'like' | '=~' | '!~'; subject: NaiveSubject; pattern: string }>
  | Readonly<{
      is: 'arithmetic';
      subject: NaiveSubject;
      with: '+' | '-' | '*' | '/' | '%';
      operand: bigint | number;
      op: CompareOp;
      value: bigint | number;
    }>
  | Readonly<{
      is: 'contains';
      how: 'one' | 'all' | 'any';
      subject: NaiveSubject;
      value: NaiveConstant;
    }>
  | Readonly<{ is: 'length'; subject: NaiveSubject; op: CompareOp; value: bigint }>;

/** By field name; null stands for no value. Int64 is a bigint. */
export type NaiveRow = Readonly<Record<string, Json>>;
type Truth = boolean | undefined;

export function naiveTruth(filter: NaiveFilter, row: NaiveRow): Truth {
  switch (filter.is) {
    case 'and': {
      const truths = filter.parts.map((part) => naiveTruth(part, row));
      return truths.includes(false) ? false : truths.includes(undefined) ? undefined : true;
    }
    case 'or': {
      const truths = filter.parts.map((part) => naiveTruth(part, row));
      return truths.includes(true) ? true : truths.includes(undefined) ? undefined : false;
    }
    case 'not':
      return opposite(naiveTruth(filter.part, row));
    case 'null':
      return valueIn(filter.subject, row) === undefined;
    case 'not null':
    case 'exists':
      return valueIn(filter.subject, row) !== undefined;
    case 'columns':
      return compareValues(valueIn(filter.left, row), filter.op, valueIn(filter.right, row));
    default:
      return testTruth(filter, row);
  }
}

const opposite = (truth: Truth): Truth => (truth === undefined ? undefined : !truth);

function testTruth(
  filter: Exclude<
    NaiveFilter,
    { is: 'and' | 'or' | 'not' | 'null' | 'not null' | 'exists' | 'columns' }
  >,
  row: NaiveRow,
): Truth {
  const { subject } = filter;
  const value = valueIn(subject, row);
  if (value === undefined) return undefined;
  switch (filter.is) {
    case 'compare':
      return compareValues(value, filter.op, narrowed(subject, filter.value));
    case 'range': {
      const low = compareValues(narrowed(subject, filter.low), filter.lowOp, value);
      const high = compareValues(value, filter.highOp, narrowed(subject, filter.high));
      return low === undefined || high === undefined ? undefined : low && high;
    }
    case 'in':
      return membership(subject, value, filter.values);
    case 'not in':
      return opposite(membership(subject, value, filter.values));
    case 'like':
      return typeof value === 'string' ? like([...value], [...filter.pattern]) : undefined;
    case '=~':
      return typeof value === 'string' ? new RegExp(filter.pattern, 'u').test(value) : undefined;
    case '!~':
      return typeof value === 'string' ? !new RegExp(filter.pattern, 'u').test(value) : undefined;
    case 'arithmetic':
      return arithmetic(filter, value);
    case 'contains': {
      if (!Array.isArray(value)) return undefined;
      const wanted =
        filter.how === 'one' ? [filter.value] : (filter.value as readonly NaiveConstant[]);
      const found = wanted.map((each) =>
        (value as readonly Json[]).some((member) => same(member, each)),
      );
      return filter.how === 'any' ? found.includes(true) : !found.includes(false);
    }
    case 'length':
      return Array.isArray(value)
        ? compareValues(value.length, filter.op, filter.value)
        : undefined;
  }
}

/** The value that a subject has in a row; undefined for null, and where a path leads nowhere. */
function valueIn({ field, path }: NaiveSubject, row: NaiveRow): Json | undefined {
  let value: Json | undefined = row[field];
  for (const step of path) {
    if (Array.isArray(value)) {
      value = /^(0|[1-9][0-9]*)$/.test(String(step))
        ? (value as readonly Json[])[Number(step)]
        : undefined;
    } else if (typeof value === 'object' && value !== null) {
      const object = value as Readonly<Record<string, Json>>;
      value = Object.hasOwn(object, String(step)) ? object[String(step)] : undefined;
    } else {
      return undefined;
    }
  }
  return value === null ? undefined : value;
}

/** What is compared with a 32-bit float is a 32-bit float. */
const narrowed = ({ type }: NaiveSubject, value: NaiveConstant): NaiveConstant =>
  type === 'Float' ? Math.fround(Number(value)) : value;

const kindOf = (value: unknown): string =>
  typeof value === 'bigint' ? 'number' : Array.isArray(value) ? 'list' : typeof value;

function compareValues(
  a: Json | NaiveConstant | undefined,
  op: CompareOp,
  b: Json | NaiveConstant | undefined,
): Truth {
  if (a === undefined || b === undefined || kindOf(a) !== kindOf(b)) return undefined;
  if (op === '==' || op === '!=') return same(a, b) === (op === '==');
  const order =
    kindOf(a) === 'number'
      ? numberOrder(a as number, b as number)
      : textOrder(a as string, b as string);
  if (op === '<') return order < 0;
  if (op === '<=') return order <= 0;
  return op === '>' ? order > 0 : order >= 0;
}

function same(a: Json | NaiveConstant | undefined, b: Json | NaiveConstant | undefined): boolean {
  if (kindOf(a) !== kindOf(b)) return false;
  if (kindOf(a) === 'number') return numberOrder(a as number, b as number) === 0;
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b && typeof a !== 'object';
  return a.length === b.length && a.every((member, index) => same(member, b[index]));
}

const textOrder = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** A double is a whole number over a power of two. */
function fraction(value: number | bigint): [bigint, bigint] {
  if (typeof value === 'bigint') return [value, 1n];
  let [top, bottom] = [value, 1n];
  while (!Number.isInteger(top)) {
    top *= 2;
    bottom *= 2n;
  }
  return [BigInt(top), bottom];
}

function numberOrder(a: number | bigint, b: number | bigint): number {
  if (a === Number.POSITIVE_INFINITY || b === Number.NEGATIVE_INFINITY) return a === b ? 0 : 1;
  if (a === Number.NEGATIVE_INFINITY || b === Number.POSITIVE_INFINITY) return a === b ? 0 : -1;
  const [aTop, aBottom] = fraction(a);
  const [bTop, bBottom] = fraction(b);
  const difference = aTop * bBottom - bTop * aBottom;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

function membership(subject: NaiveSubject, value: Json, values: readonly NaiveConstant[]): Truth {
  if (values.length === 0) return false;
  if (subject.type === 'JSON' && !values.some((each) => kindOf(each) === kindOf(value)))
    return undefined;
  return values.some((each) => same(value, narrowed(subject, each)));
}

/** `%` any run, `_` one character, a backslash makes the next one plain. */
function like(text: readonly string[], pattern: readonly string[]): boolean {
  const [first, second] = pattern;
  if (first === undefined) return text.length === 0;
  if (first === '%')
    return like(text, pattern.slice(1)) || (text.length > 0 && like(text.slice(1), pattern));
  if (text.length === 0) return false;
  if (first === '\\' && second !== undefined)
    return text[0] === second && like(text.slice(1), pattern.slice(2));
  return (first === '_' || text[0] === first) && like(text.slice(1), pattern.slice(1));
}

function arithmetic(filter: Extract<NaiveFilter, { is: 'arithmetic' }>, value: Json): Truth {
  const { subject, operand, op } = filter;
  if (typeof value !== 'number' && typeof value !== 'bigint') return undefined;
  const floats = subject.type === 'Float' || subject.type === 'Double';
  const whole = !floats && (typeof value === 'bigint' || Number.isInteger(value));
  if (filter.with === '%' && !whole) return undefined;
  const exact =
    whole &&
    typeof operand === 'bigint' &&
    (filter.with !== '/' || typeof filter.value === 'bigint');
  if (exact) return compareValues(exactly(filter.with, BigInt(value), operand), op, filter.value);
  const result = roughly(filter.with, Number(value), Number(operand));
  return subject.type === 'Float'
    ? compareValues(Math.fround(result), op, narrowed(subject, filter.value))
    : compareValues(result, op, filter.value);
}

function exactly(op: string, a: bigint, b: bigint): bigint {
  return op === '+' ? a + b : op === '-' ? a - b : op === '*' ? a * b : op === '/' ? a / b : a % b;
}

function roughly(op: string, a: number, b: number): number {
  return op === '+' ? a + b : op === '-' ? a - b : op === '*' ? a * b : a / b;
}
