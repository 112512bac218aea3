/**
 * Regular expressions in RE2's syntax, to a tree. What needs backtracking (back references, look
 * around) is no part of it; Unicode properties (`\p{..}`) are refused.
 */
import { StoreError } from '#base/errors.ts';

/** A set of characters (code points). `fold` ignores case. */
export type CharSet = Readonly<{
  /** Pairs of first and last, in no order. */
  ranges: readonly (readonly [number, number])[];
  negated: boolean;
  fold: boolean;
}>;

export type Assertion = 'text-start' | 'text-end' | 'line-start' | 'line-end' | 'word' | 'no-word';

export type RegexNode =
  | Readonly<{ kind: 'set'; set: CharSet }>
  | Readonly<{ kind: 'assert'; what: Assertion }>
  | Readonly<{ kind: 'sequence' | 'choice'; nodes: readonly RegexNode[] }>
  | Readonly<{ kind: 'repeat'; node: RegexNode; min: number; max: number | undefined }>;

/** A pattern is written by hand: 4 KiB are generous. */
const PATTERN_MAX = 4096;
/** RE2's own limit on `{n,m}`. */
const REPEAT_MAX = 1000;
/** Groups in groups; each level is three frames of the parser. */
const GROUPS_MAX = 100;

type Flags = Readonly<{ fold: boolean; dotAll: boolean; lines: boolean }>;
type Reader = { readonly text: string; at: number; flags: Flags; groups: number };

const malformed = (what: string): never => {
  throw new StoreError('INVALID_ARGUMENT', `regular expression: ${what}`);
};

/** @throws StoreError `INVALID_ARGUMENT` that says what is wrong. */
export function parseRegex(pattern: string): RegexNode {
  if (pattern.length > PATTERN_MAX) malformed(`longer than ${PATTERN_MAX} characters`);
  const reader: Reader = {
    text: pattern,
    at: 0,
    flags: { fold: false, dotAll: false, lines: false },
    groups: 0,
  };
  const node = parseChoice(reader);
  if (reader.at < pattern.length) malformed('a ) without its (');
  return node;
}

const peek = ({ text, at }: Reader): string => text[at] ?? '';

function take(reader: Reader, expected: string): boolean {
  if (!reader.text.startsWith(expected, reader.at)) return false;
  reader.at += expected.length;
  return true;
}

function takePoint(reader: Reader): number {
  const point = reader.text.codePointAt(reader.at) ?? malformed('unexpected end');
  reader.at += point > 0xffff ? 2 : 1;
  return point;
}

function parseChoice(reader: Reader): RegexNode {
  const { flags } = reader;
  if (++reader.groups > GROUPS_MAX) malformed(`groups nested deeper than ${GROUPS_MAX}`);
  const nodes = [parseSequence(reader)];
  while (take(reader, '|')) nodes.push(parseSequence(reader));
  reader.groups--;
  // Flags set inside a group end with it.
  reader.flags = flags;
  return nodes.length === 1 ? nodes[0]! : { kind: 'choice', nodes };
}

function parseSequence(reader: Reader): RegexNode {
  const nodes: RegexNode[] = [];
  while (reader.at < reader.text.length && peek(reader) !== '|' && peek(reader) !== ')') {
    if (take(reader, '\\Q')) {
      parseQuoted(reader, nodes);
      continue;
    }
    const atom = parseAtom(reader);
    if (atom !== undefined) nodes.push(parseRepeats(reader, atom));
  }
  return nodes.length === 1 ? nodes[0]! : { kind: 'sequence', nodes };
}

function parseQuoted(reader: Reader, nodes: RegexNode[]): void {
  while (reader.at < reader.text.length && !take(reader, '\\E')) {
    nodes.push(oneOf(reader, takePoint(reader)));
  }
  // Behind the quotation a repetition is of its last character.
  const last = nodes.pop();
  if (last !== undefined) nodes.push(parseRepeats(reader, last));
}

const oneOf = ({ flags }: Reader, point: number): RegexNode => ({
  kind: 'set',
  set: { ranges: [[point, point]], negated: false, fold: flags.fold },
});

const COUNTED = /\{([0-9]{1,5})(,([0-9]{0,5}))?\}/y;

function parseRepeats(reader: Reader, node: RegexNode): RegexNode {
  const bounds = parseBounds(reader);
  if (bounds === undefined) return node;
  // Lazy or greedy: whether there is a match is the same.
  take(reader, '?');
  if (parseBounds(reader) !== undefined) malformed('a repetition of a repetition');
  return { kind: 'repeat', node, ...bounds };
}

function parseBounds(reader: Reader): { min: number; max: number | undefined } | undefined {
  if (take(reader, '*')) return { min: 0, max: undefined };
  if (take(reader, '+')) return { min: 1, max: undefined };
  if (take(reader, '?')) return { min: 0, max: 1 };
  COUNTED.lastIndex = reader.at;
  const counted = COUNTED.exec(reader.text);
  if (counted === null) return undefined;
  reader.at += counted[0].length;
  const min = Number(counted[1]);
  const max = counted[2] === undefined ? min : counted[3] === '' ? undefined : Number(counted[3]);
  if (min > REPEAT_MAX || (max ?? 0) > REPEAT_MAX) malformed(`a repetition beyond ${REPEAT_MAX}`);
  if (max !== undefined && max < min) malformed('a repetition whose bounds are exchanged');
  return { min, max };
}

/** Undefined where the text only set flags. */
function parseAtom(reader: Reader): RegexNode | undefined {
  const { flags } = reader;
  switch (peek(reader)) {
    case '(':
      return parseGroup(reader);
    case '[':
      return { kind: 'set', set: parseClass(reader) };
    case '\\':
      return parseEscape(reader);
    case '.':
      reader.at++;
      return {
        kind: 'set',
        set: { ranges: flags.dotAll ? [] : [[10, 10]], negated: true, fold: false },
      };
    case '^':
      reader.at++;
      return { kind: 'assert', what: flags.lines ? 'line-start' : 'text-start' };
    case '$':
      reader.at++;
      return { kind: 'assert', what: flags.lines ? 'line-end' : 'text-end' };
    case '*':
    case '+':
    case '?':
      return malformed('a repetition of nothing');
    default:
      return oneOf(reader, takePoint(reader));
  }
}

const FLAGS = /\(\?([imsU]*)(?:-([imsU]+))?([:)])/y;
const NAMED = /\(\?P?<[A-Za-z_][A-Za-z0-9_]*>/y;

function parseGroup(reader: Reader): RegexNode | undefined {
  const outer = reader.flags;
  FLAGS.lastIndex = reader.at;
  const flagged = FLAGS.exec(reader.text);
  if (flagged !== null) {
    reader.at += flagged[0].length;
    reader.flags = withFlags(withFlags(outer, flagged[1] ?? '', true), flagged[2] ?? '', false);
    if (flagged[3] === ')') return undefined;
  } else {
    NAMED.lastIndex = reader.at;
    const named = NAMED.exec(reader.text);
    if (named === null && reader.text.startsWith('(?', reader.at))
      malformed('a group of an unknown kind');
    reader.at += named?.[0].length ?? 1;
  }
  const node = parseChoice(reader);
  if (!take(reader, ')')) malformed('a ( without its )');
  reader.flags = outer;
  return node;
}

const withFlags = (flags: Flags, letters: string, on: boolean): Flags => ({
  fold: letters.includes('i') ? on : flags.fold,
  dotAll: letters.includes('s') ? on : flags.dotAll,
  lines: letters.includes('m') ? on : flags.lines,
});

const DIGIT: readonly [number, number][] = [[48, 57]];
const WORD: readonly [number, number][] = [
  [48, 57],
  [65, 90],
  [95, 95],
  [97, 122],
];
const BLANK: readonly [number, number][] = [
  [9, 10],
  [12, 13],
  [32, 32],
];
const PERL: ReadonlyMap<string, readonly [number, number][]> = new Map([
  ['d', DIGIT],
  ['w', WORD],
  ['s', BLANK],
]);
const POSIX: ReadonlyMap<string, readonly [number, number][]> = new Map([
  [
    'alnum',
    [
      [48, 57],
      [65, 90],
      [97, 122],
    ],
  ],
  [
    'alpha',
    [
      [65, 90],
      [97, 122],
    ],
  ],
  ['ascii', [[0, 127]]],
  [
    'blank',
    [
      [9, 9],
      [32, 32],
    ],
  ],
  [
    'cntrl',
    [
      [0, 31],
      [127, 127],
    ],
  ],
  ['digit', [[48, 57]]],
  ['graph', [[33, 126]]],
  ['lower', [[97, 122]]],
  ['print', [[32, 126]]],
  [
    'punct',
    [
      [33, 47],
      [58, 64],
      [91, 96],
      [123, 126],
    ],
  ],
  [
    'space',
    [
      [9, 13],
      [32, 32],
    ],
  ],
  ['upper', [[65, 90]]],
  [
    'word',
    [
      [48, 57],
      [65, 90],
      [95, 95],
      [97, 122],
    ],
  ],
  [
    'xdigit',
    [
      [48, 57],
      [65, 70],
      [97, 102],
    ],
  ],
]);
const ASSERTIONS: ReadonlyMap<string, Assertion> = new Map([
  ['A', 'text-start'],
  ['z', 'text-end'],
  ['b', 'word'],
  ['B', 'no-word'],
]);
const CONTROLS: ReadonlyMap<string, number> = new Map([
  ['a', 7],
  ['t', 9],
  ['n', 10],
  ['v', 11],
  ['f', 12],
  ['r', 13],
]);
const CODE = /x([0-9a-fA-F]{2})|x\{([0-9a-fA-F]{1,6})\}|(0[0-7]{0,2})/y;

function parseEscape(reader: Reader): RegexNode {
  const letter = reader.text[reader.at + 1] ?? '';
  const what = ASSERTIONS.get(letter);
  if (what !== undefined) {
    reader.at += 2;
    return { kind: 'assert', what };
  }
  const perl = PERL.get(letter.toLowerCase());
  if (perl !== undefined) {
    reader.at += 2;
    return { kind: 'set', set: { ranges: perl, negated: letter < 'a', fold: false } };
  }
  return oneOf(reader, escapedPoint(reader));
}

/** The character behind a backslash. */
function escapedPoint(reader: Reader): number {
  reader.at++;
  CODE.lastIndex = reader.at;
  const code = CODE.exec(reader.text);
  if (code !== null) {
    reader.at += code[0].length;
    const point =
      code[3] === undefined
        ? Number.parseInt(code[1] ?? code[2] ?? '', 16)
        : Number.parseInt(code[3], 8);
    return point > 0x10ffff ? malformed('a character beyond U+10FFFF') : point;
  }
  const letter = peek(reader);
  const control = CONTROLS.get(letter);
  if (control === undefined && (letter === '' || /[A-Za-z0-9]/.test(letter))) {
    malformed(`the escape \\${letter}`);
  }
  const point = takePoint(reader);
  return control ?? point;
}

/** `[a-z\d]`; a negated set inside, such as `\D`, is written out as its complement. */
function parseClass(reader: Reader): CharSet {
  reader.at++;
  const negated = take(reader, '^');
  const ranges: (readonly [number, number])[] = [];
  for (let first = true; first || peek(reader) !== ']'; first = false) {
    if (reader.at >= reader.text.length) malformed('a [ without its ]');
    const named = namedSet(reader);
    if (named !== undefined) {
      ranges.push(...named);
      continue;
    }
    const low = classPoint(reader);
    const ranged = peek(reader) === '-' && reader.text[reader.at + 1] !== ']';
    if (ranged) reader.at++;
    const high = ranged ? classPoint(reader) : low;
    if (high < low) malformed('a range of characters whose ends are exchanged');
    ranges.push([low, high]);
  }
  reader.at++;
  return { ranges, negated, fold: reader.flags.fold };
}

const classPoint = (reader: Reader): number =>
  peek(reader) === '\\' ? escapedPoint(reader) : takePoint(reader);

const POSIX_CLASS = /\[:(\^?)([a-z]+):\]/y;

function namedSet(reader: Reader): readonly (readonly [number, number])[] | undefined {
  POSIX_CLASS.lastIndex = reader.at;
  const posix = POSIX_CLASS.exec(reader.text);
  if (posix !== null) {
    reader.at += posix[0].length;
    const ranges = POSIX.get(posix[2] ?? '') ?? malformed(`the class ${posix[0]}`);
    return posix[1] === '^' ? complement(ranges) : ranges;
  }
  const letter = peek(reader) === '\\' ? (reader.text[reader.at + 1] ?? '') : '';
  const perl = PERL.get(letter.toLowerCase());
  if (perl === undefined) return undefined;
  reader.at += 2;
  return letter < 'a' ? complement(perl) : perl;
}

/** Of ranges in order. */
function complement(
  ranges: readonly (readonly [number, number])[],
): readonly (readonly [number, number])[] {
  const out: (readonly [number, number])[] = [];
  let from = 0;
  for (const [low, high] of ranges) {
    if (low > from) out.push([from, low - 1]);
    from = high + 1;
  }
  return [...out, [from, 0x10ffff]];
}
