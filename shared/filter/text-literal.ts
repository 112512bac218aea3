/**
 * String literals: single or double quotes, C escapes, encoding prefixes, raw strings.
 *
 * A backslash before any other character stays as it is, with the character: so patterns such as
 * `"50\%"` and `"\d+"` need no second backslash. Octal and hexadecimal escapes are bytes, as in C,
 * and must add up to UTF-8.
 */
import { fromUtf8 } from '#base/bytes.ts';
import { refuse } from './refusal.ts';

const OPENING = /(?:(u8|u|U|L)?|([rR]))(["'])/y;
const PLAIN_ESCAPES: ReadonlyMap<string, string> = new Map([
  ["'", "'"],
  ['"', '"'],
  ['?', '?'],
  ['\\', '\\'],
  ['a', '\x07'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
]);
const OCTAL = /[0-7]{1,3}/y;
const HEX = /x([0-9a-fA-F]+)/y;
const UNICODE = /u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})/y;

export type TextLiteral = Readonly<{ value: string; end: number }>;

/** The literal that begins at `at`, or undefined where none does. */
export function readText(expression: string, at: number): TextLiteral | undefined {
  OPENING.lastIndex = at;
  const opening = OPENING.exec(expression);
  if (opening === null) return undefined;
  const quote = opening[3] ?? '"';
  const start = at + opening[0].length;
  const end = closingQuote(expression, start, quote);
  const body = expression.slice(start, end);
  const value = opening[2] === undefined ? unescapeText(expression, at, body) : body;
  if (/\p{Surrogate}/u.test(value)) refuse(expression, at, 'a string with a lone surrogate');
  return { value, end: end + 1 };
}

function closingQuote(expression: string, start: number, quote: string): number {
  for (let at = start; at < expression.length; at++) {
    const char = expression[at];
    if (char === quote) return at;
    if (char === '\\') {
      at += expression.startsWith('\r\n', at + 1) ? 2 : 1;
    } else if (char === '\n' || char === '\r') {
      refuse(expression, start - 1, 'a string with a line break; write \\n');
    }
  }
  return refuse(expression, start - 1, 'a string without its closing quote');
}

function unescapeText(expression: string, at: number, body: string): string {
  if (!body.includes('\\')) return body;
  let value = '';
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length > 0) value += decodeBytes(expression, at, bytes);
    bytes = [];
  };
  for (let index = 0; index < body.length; ) {
    const step =
      body[index] === '\\' ? escapeAt(body, index + 1) : { text: body[index]!, length: 1 };
    if (step === undefined) refuse(expression, at, 'a string with an escape beyond its range');
    if ('byte' in step) {
      bytes.push(step.byte);
    } else {
      flush();
      value += step.text;
    }
    index += step.length;
  }
  flush();
  return value;
}

type Step = Readonly<{ text: string; length: number }> | Readonly<{ byte: number; length: number }>;

/** What stands behind a backslash at `index`; the length counts the backslash. */
function escapeAt(body: string, index: number): Step | undefined {
  const char = body[index] ?? '';
  const plain = PLAIN_ESCAPES.get(char);
  if (plain !== undefined) return { text: plain, length: 2 };
  if (char === '\n') return { text: '', length: 2 };
  if (body.startsWith('\r\n', index)) return { text: '', length: 3 };
  OCTAL.lastIndex = index;
  const octal = OCTAL.exec(body)?.[0];
  if (octal !== undefined) return byteStep(Number.parseInt(octal, 8), octal.length + 1);
  HEX.lastIndex = index;
  const hex = HEX.exec(body)?.[1];
  if (hex !== undefined) return byteStep(Number.parseInt(hex, 16), hex.length + 2);
  UNICODE.lastIndex = index;
  const unicode = UNICODE.exec(body);
  if (unicode === null) return { text: `\\${char}`, length: 1 + char.length };
  const point = Number.parseInt(unicode[1] ?? unicode[2] ?? '', 16);
  // A pair of \u escapes may spell one character: the well-formedness of the whole is checked last.
  return point > 0x10ffff
    ? undefined
    : { text: String.fromCodePoint(point), length: unicode[0].length + 1 };
}

const byteStep = (byte: number, length: number): Step | undefined =>
  byte > 0xff ? undefined : { byte, length };

function decodeBytes(expression: string, at: number, bytes: readonly number[]): string {
  try {
    return fromUtf8(Uint8Array.from(bytes));
  } catch {
    return refuse(expression, at, 'a string whose byte escapes are not UTF-8');
  }
}
