/**
 * Writes a filter of the differential test as an expression, in one of the many ways that mean the
 * same: spellings, quotes, radices, parentheses, sides exchanged, constants sent as templates.
 */
import type { Json } from '#schema/field.ts';
import type { NaiveConstant, NaiveFilter, NaiveSubject } from './naive-filter.ts';

/** A stream of choices: `choose(n)` is an integer from 0 to n - 1. */
export type Choose = (count: number) => number;
export type WrittenFilter = Readonly<{
  expression: string;
  params: Readonly<Record<string, Json>>;
}>;

type Pen = { readonly choose: Choose; readonly params: Record<string, Json> };

export function writeFilter(filter: NaiveFilter, choose: Choose): WrittenFilter {
  const pen: Pen = { choose, params: {} };
  return { expression: write(pen, filter, 'or'), params: pen.params };
}

const pick = ({ choose }: Pen, ...ways: readonly string[]): string =>
  ways[choose(ways.length)] ?? '';

/** `within` is the loosest operator that may stand here without parentheses. */
function write(pen: Pen, filter: NaiveFilter, within: 'or' | 'and' | 'not'): string {
  const text = writeBare(pen, filter);
  const loose =
    filter.is === 'or' ? within !== 'or' : filter.is === 'and' ? within === 'not' : false;
  return loose || pen.choose(4) === 0 ? `(${text})` : text;
}

function writeBare(pen: Pen, filter: NaiveFilter): string {
  switch (filter.is) {
    case 'and':
      return filter.parts
        .map((part) => write(pen, part, 'and'))
        .join(pick(pen, ' and ', ' AND ', '&&', ' && '));
    case 'or':
      return filter.parts
        .map((part) => write(pen, part, 'or'))
        .join(pick(pen, ' or ', ' OR ', '||', ' || '));
    case 'not':
      return pick(pen, 'not ', 'NOT ', '!') + write(pen, filter.part, 'not');
    case 'null':
      return name(pen, filter.subject) + pick(pen, ' is null', ' IS NULL', '  is   null');
    case 'not null':
      return name(pen, filter.subject) + pick(pen, ' is not null', ' IS NOT NULL');
    case 'exists':
      return pick(pen, 'exists ', 'EXISTS ') + name(pen, filter.subject);
    case 'columns':
      return `${name(pen, filter.left)} ${filter.op} ${name(pen, filter.right)}`;
    case 'compare':
      return sides(pen, name(pen, filter.subject), filter.op, constant(pen, filter.value));
    case 'range':
      return writeRange(pen, filter);
    case 'in':
    case 'not in':
      return `${name(pen, filter.subject)} ${filter.is} ${constant(pen, filter.values)}`;
    case 'like':
      return `${name(pen, filter.subject)} ${pick(pen, 'like', 'LIKE')} ${constant(pen, filter.pattern)}`;
    case '=~':
    case '!~':
      return `${name(pen, filter.subject)} ${filter.is} ${constant(pen, filter.pattern)}`;
    case 'arithmetic':
      return writeArithmetic(pen, filter);
    case 'contains': {
      const word =
        pick(pen, 'json_contains', 'array_contains') +
        (filter.how === 'one' ? '' : `_${filter.how}`);
      return `${pick(pen, word, word.toUpperCase())}(${name(pen, filter.subject)}, ${constant(pen, filter.value)})`;
    }
    case 'length':
      return sides(
        pen,
        `array_length(${name(pen, filter.subject)})`,
        filter.op,
        constant(pen, filter.value),
      );
  }
}

const MIRRORED: Readonly<Record<string, string>> = { '<': '>', '<=': '>=', '>': '<', '>=': '<=' };

function sides(pen: Pen, left: string, op: string, right: string): string {
  return pen.choose(3) === 0 ? `${right} ${MIRRORED[op] ?? op} ${left}` : `${left} ${op} ${right}`;
}

function writeRange(pen: Pen, filter: Extract<NaiveFilter, { is: 'range' }>): string {
  const [low, middle, high] = [
    constant(pen, filter.low),
    name(pen, filter.subject),
    constant(pen, filter.high),
  ];
  return pen.choose(2) === 0
    ? `${low} ${filter.lowOp} ${middle} ${filter.highOp} ${high}`
    : `${high} ${MIRRORED[filter.highOp]} ${middle} ${MIRRORED[filter.lowOp]} ${low}`;
}

function writeArithmetic(pen: Pen, filter: Extract<NaiveFilter, { is: 'arithmetic' }>): string {
  const [subject, operand] = [name(pen, filter.subject), constant(pen, filter.operand)];
  const turned = (filter.with === '+' || filter.with === '*') && pen.choose(2) === 0;
  const [left, right] = turned ? [operand, subject] : [subject, operand];
  return sides(pen, `${left} ${filter.with} ${right}`, filter.op, constant(pen, filter.value));
}

function name(pen: Pen, { field, path }: NaiveSubject): string {
  const [first, ...rest] = path;
  const dynamic =
    field === '$meta' && typeof first === 'string' && /^[ac]$/.test(first) && pen.choose(2) === 0;
  const [root, steps] = dynamic ? [first, rest] : [field, path];
  return (
    root + steps.map((step) => `[${typeof step === 'number' ? step : quoted(pen, step)}]`).join('')
  );
}

function constant(pen: Pen, value: NaiveConstant): string {
  if (pen.choose(6) === 0 && fitsTemplate(value)) {
    const key = `p${Object.keys(pen.params).length}`;
    // A constant is JSON: booleans, numbers, strings, lists of them.
    pen.params[key] = value as Json;
    return `{${key}}`;
  }
  if (Array.isArray(value)) {
    const members = value.map((member: NaiveConstant) => literal(pen, member)).join(', ');
    return `[${members}${value.length > 0 && pen.choose(3) === 0 ? ',' : ''}]`;
  }
  return literal(pen, value);
}

/** JSON does not tell 2.0 from 2, and lists in it have members of one type. */
function fitsTemplate(value: NaiveConstant): boolean {
  if (!Array.isArray(value)) return typeof value !== 'number' || !Number.isSafeInteger(value);
  const kinds = new Set(
    value.map((member: NaiveConstant) => (typeof member === 'bigint' ? 'number' : typeof member)),
  );
  return kinds.size <= 1 && value.every(fitsTemplate);
}

function literal(pen: Pen, value: NaiveConstant): string {
  switch (typeof value) {
    case 'boolean':
      return value ? pick(pen, 'true', 'True', 'TRUE') : pick(pen, 'false', 'False', 'FALSE');
    case 'bigint':
      return (value < 0n ? '-' : '') + digits(pen, value < 0n ? -value : value);
    case 'number':
      return Number.isInteger(value) && !String(value).includes('e') ? `${value}.0` : String(value);
    case 'string':
      return quoted(pen, value);
    default:
      return `[${value.map((member) => literal(pen, member)).join(',')}]`;
  }
}

function digits({ choose }: Pen, value: bigint): string {
  switch (choose(6)) {
    case 0:
      return `0x${value.toString(16)}`;
    case 1:
      return `0b${value.toString(2)}`;
    case 2:
      return `0${value.toString(8)}`;
    default:
      return String(value);
  }
}

function quoted(pen: Pen, text: string): string {
  const quote = pick(pen, '"', "'");
  // Raw strings know no escape, not even of their own quote.
  if (pen.choose(4) === 0 && !text.includes(quote) && !/[\n\r]|\\$/.test(text))
    return `r${quote}${text}${quote}`;
  const escaped = text
    .replaceAll('\\', '\\\\')
    .replaceAll('\n', '\\n')
    .replaceAll(quote, `\\${quote}`);
  return quote + (pen.choose(4) === 0 ? escaped.replaceAll('中', '\\u4e2d') : escaped) + quote;
}
