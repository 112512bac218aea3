/**
 * Characters to tokens, one at a time: a list of 200,000 keys never exists as tokens.
 *
 * Strings and raw strings are read by `text-literal.ts`. A number token keeps its value: integers as
 * bigints (up to 2^63, one more than an Int64 holds, because `-9223372036854775808` is a minus before
 * a number), floats as numbers.
 */
import { refuse } from './refusal.ts';
import { readText } from './text-literal.ts';

export type Token = Readonly<{ at: number; end: number }> &
  (
    | Readonly<{ kind: 'integer'; value: bigint; decimal: boolean }>
    | Readonly<{ kind: 'float'; value: number }>
    | Readonly<{ kind: 'string'; value: string }>
    | Readonly<{ kind: 'name'; text: string }>
    /** Operators by symbol or by word, brackets, commas. Words are in lower case here. */
    | Readonly<{ kind: 'sign'; text: string }>
    | Readonly<{ kind: 'end' }>
  );

/** Longest first. */
const SIGN = /&&|\|\||\*\*|<<|>>|<=|>=|==|!=|=~|!~|\$meta\b|[-+*/%&|^~!<>()[\]{},=$]/y;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const SPACE = /[ \t\r\n]*/y;
const HEX_FLOAT = /0[xX](?:([0-9a-fA-F]+)\.?([0-9a-fA-F]*)|\.([0-9a-fA-F]+))[pP]([+-]?[0-9]+)/y;
const FLOAT = /(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+/y;
const INTEGER = /0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*/y;
const NULL_TEST = /(?:is[ \t\r\n]+(?:not[ \t\r\n]+)?null|IS[ \t\r\n]+(?:NOT[ \t\r\n]+)?NULL)\b/y;

/** Words that are operators, all-lower or ALL-UPPER only. `is null` is one token. */
const WORD_SIGNS: ReadonlyMap<string, string> = new Map(
  [
    ['and', '&&'],
    ['or', '||'],
    ['not', '!'],
    ['in', 'in'],
    ['like', 'like'],
    ['exists', 'exists'],
  ].flatMap(([word = '', sign = '']) => [
    [word, sign],
    [word.toUpperCase(), sign],
  ]),
);

/** 2^63 has 64 binary digits: anything longer without leading zeros is out of range unread. */
const INTEGER_DIGITS_MAX = 64;
const INTEGER_END = 1n << 63n;

const matchAt = (pattern: RegExp, text: string, at: number): RegExpExecArray | null => {
  pattern.lastIndex = at;
  return pattern.exec(text);
};

/** The token at or behind `from`. */
export function nextToken(expression: string, from: number): Token {
  const at = from + (matchAt(SPACE, expression, from)?.[0].length ?? 0);
  const char = expression[at];
  if (char === undefined) return { kind: 'end', at, end: at };
  if (/[0-9]/.test(char) || (char === '.' && /[0-9]/.test(expression[at + 1] ?? ''))) {
    return numberToken(expression, at);
  }
  const text = readText(expression, at);
  if (text !== undefined) return { kind: 'string', value: text.value, at, end: text.end };
  const name = matchAt(NAME, expression, at)?.[0];
  if (name !== undefined) return wordToken(expression, at, name);
  const sign = matchAt(SIGN, expression, at)?.[0];
  if (sign === undefined) refuse(expression, at, `unexpected character ${JSON.stringify(char)}`);
  const end = at + sign.length;
  return sign === '$meta'
    ? { kind: 'name', text: sign, at, end }
    : { kind: 'sign', text: sign, at, end };
}

function wordToken(expression: string, at: number, name: string): Token {
  if (name === 'is' || name === 'IS') {
    const test = matchAt(NULL_TEST, expression, at)?.[0];
    if (test !== undefined) {
      const negated = /not/i.test(test);
      return { kind: 'sign', text: negated ? 'is not null' : 'is null', at, end: at + test.length };
    }
  }
  const sign = WORD_SIGNS.get(name);
  const end = at + name.length;
  return sign === undefined
    ? { kind: 'name', text: name, at, end }
    : { kind: 'sign', text: sign, at, end };
}

function numberToken(expression: string, at: number): Token {
  const hexFloat = matchAt(HEX_FLOAT, expression, at);
  const float = hexFloat ?? matchAt(FLOAT, expression, at);
  const text = (float ?? matchAt(INTEGER, expression, at))?.[0] ?? '';
  const end = at + text.length;
  if (text === '' || /[A-Za-z0-9_.]/.test(expression[end] ?? '')) {
    refuse(expression, at, 'malformed number');
  }
  if (float !== null) {
    const value = hexFloat === null ? Number(text) : hexFloatValue(hexFloat);
    if (!Number.isFinite(value)) refuse(expression, at, 'a float beyond the range of a double');
    return { kind: 'float', value, at, end };
  }
  const value = integerValue(text);
  if (value === undefined) refuse(expression, at, `integer ${text.slice(0, 40)} is beyond 64 bits`);
  return { kind: 'integer', value, decimal: /^(0|[1-9][0-9]*)$/.test(text), at, end };
}

function integerValue(text: string): bigint | undefined {
  const octal = /^0[0-7]+$/.test(text);
  const digits = (octal ? text.slice(1) : text.replace(/^0[xXbB]/, '')).replace(/^0+(?=.)/, '');
  if (digits.length > INTEGER_DIGITS_MAX) return undefined;
  const prefix = octal ? '0o' : (/^0[xXbB]/.exec(text)?.[0].toLowerCase() ?? '');
  const value = BigInt(prefix + digits);
  return value <= INTEGER_END ? value : undefined;
}

/** C's hexadecimal floats: `0x1.8p3` is 12. Digits beyond the 53 bits of a double are rounded. */
function hexFloatValue([
  ,
  whole = '',
  fraction = '',
  only = '',
  exponent = '0',
]: RegExpExecArray): number {
  const behind = fraction + only;
  let mantissa = 0;
  for (const digit of whole + behind) mantissa = mantissa * 16 + Number.parseInt(digit, 16);
  return mantissa * 2 ** (Number(exponent) - 4 * behind.length);
}
