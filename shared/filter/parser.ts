/**
 * Tokens to a tree: precedence climbing over one table (API.md 2.1).
 *
 * One leniency: `not` takes a whole comparison, so that `not a == 1` is `not (a == 1)` as the public
 * documentation of Milvus shows it; there the words would be an error, so no valid expression
 * changes its meaning.
 */
import type { ArithmeticOp, BitOp, CompareOp, Expr, PathStep } from './ast.ts';
import { nextToken, type Token } from './lexer.ts';
import { printable, refuse } from './refusal.ts';

/** Four MiB hold 200,000 keys of 19 digits; a longer list belongs into `exprParams`. */
export const EXPRESSION_MAX = 4 * 1024 * 1024;
/** Levels of a tree. Every recursion over it uses a few frames a level: far below the stack's 10,000. */
export const DEPTH_MAX = 200;
/** Members of one list: sixteen times the largest result page (16,384). */
export const MEMBERS_MAX = 262_144;
/** Steps of one path: JSON of a row nests no deeper. */
const STEPS_MAX = 128;
/** Arguments of a call: the longest signature of the grammar has three. */
const ARGUMENTS_MAX = 16;

const POWER = { and: 2, comparison: 3, relational: 7, range: 8, unary: 13, exists: 15 } as const;
/** How tightly an operator between two operands binds. All associate to the left. */
const POWERS: ReadonlyMap<string, number> = new Map([
  ['||', 1],
  ['&&', POWER.and],
  ['|', 3],
  ['^', 4],
  ['&', 5],
  ['==', 6],
  ['!=', 6],
  ['<', POWER.relational],
  ['<=', POWER.relational],
  ['>', POWER.relational],
  ['>=', POWER.relational],
  ['in', 9],
  ['not in', 9],
  ['<<', 10],
  ['>>', 10],
  ['+', 11],
  ['-', 11],
  ['*', 12],
  ['/', 12],
  ['%', 12],
  ['**', 14],
  ['like', 16],
  ['=~', 16],
  ['!~', 16],
  ['is null', 17],
  ['is not null', 17],
]);

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['True', true],
  ['TRUE', true],
  ['false', false],
  ['False', false],
  ['FALSE', false],
]);

type Cursor = { readonly expression: string; token: Token; nesting: number };

/** @throws StoreError `INVALID_ARGUMENT` with the column of the offence. */
export function parseExpression(expression: string): Expr {
  if (expression.length > EXPRESSION_MAX) {
    refuse(expression, 0, `the expression is longer than ${EXPRESSION_MAX} characters`);
  }
  const cursor: Cursor = { expression, token: nextToken(expression, 0), nesting: 0 };
  const tree = parseAbove(cursor, 0);
  if (cursor.token.kind !== 'end') unexpected(cursor);
  return tree;
}

function advance(cursor: Cursor): Token {
  const { token } = cursor;
  cursor.token = nextToken(cursor.expression, token.end);
  return token;
}

const isSign = (token: Token, text: string): boolean =>
  token.kind === 'sign' && token.text === text;

function expectSign(cursor: Cursor, text: string): void {
  if (!isSign(cursor.token, text)) unexpected(cursor, `expected '${text}'`);
  advance(cursor);
}

function unexpected(cursor: Cursor, wanted = 'expected an operator or the end'): never {
  const { token, expression } = cursor;
  const found =
    token.kind === 'end'
      ? 'the end'
      : expression.slice(token.at, Math.min(token.end, token.at + 40));
  const hint = isSign(token, '=') ? '; equality is ==' : '';
  return refuse(expression, token.at, `unexpected ${printable(found)}, ${wanted}${hint}`);
}

/** The place of a node over `children`, which must not make the tree too deep. */
function over(cursor: Cursor, at: number, ...children: readonly Expr[]) {
  let depth = 0;
  for (const child of children) depth = Math.max(depth, child.depth);
  if (depth >= DEPTH_MAX) refuse(cursor.expression, at, `nested deeper than ${DEPTH_MAX} levels`);
  return { at, depth: depth + 1 };
}

/** Parses as long as operators bind at least as tightly as `power`. */
function parseAbove(cursor: Cursor, power: number): Expr {
  if (++cursor.nesting > DEPTH_MAX) {
    refuse(cursor.expression, cursor.token.at, `nested deeper than ${DEPTH_MAX} levels`);
  }
  let left = parsePrefix(cursor);
  // Each round consumes an operator, so the length of the expression bounds them.
  for (;;) {
    const op = infixOf(cursor);
    const own = op === undefined ? undefined : POWERS.get(op);
    if (op === undefined || own === undefined || own < power) break;
    left = parseInfix(cursor, left, op, own);
  }
  cursor.nesting--;
  return left;
}

function infixOf({ token, expression }: Cursor): string | undefined {
  if (token.kind !== 'sign') return undefined;
  if (token.text !== '!') return token.text;
  return isSign(nextToken(expression, token.end), 'in') ? 'not in' : undefined;
}

function parseInfix(cursor: Cursor, left: Expr, op: string, power: number): Expr {
  const { at } = advance(cursor);
  switch (op) {
    case 'is null':
    case 'is not null':
      return { ...over(cursor, at, left), kind: 'null', negated: op !== 'is null', operand: left };
    case '&&':
    case '||':
      return parseRun(cursor, left, at, op, power);
    case '<':
    case '<=':
    case '>':
    case '>=':
      return parseRelation(cursor, left, at, op);
    case 'not in':
      advance(cursor);
  }
  const right = parseAbove(cursor, power + 1);
  const place = over(cursor, at, left, right);
  switch (op) {
    case '==':
    case '!=':
      return { ...place, kind: 'compare', op, left, right };
    case 'in':
    case 'not in':
      return { ...place, kind: 'in', negated: op === 'not in', left, right };
    case 'like':
    case '=~':
    case '!~':
      return { ...place, kind: 'match', op, left, right };
    default:
      // The rest of POWERS: every other operator has returned above.
      return { ...place, kind: 'binary', op: op as ArithmeticOp | BitOp | '**', left, right };
  }
}

/** `a and b and c` as one node. */
function parseRun(cursor: Cursor, first: Expr, at: number, op: '&&' | '||', power: number): Expr {
  const operands = [first, parseAbove(cursor, power + 1)];
  while (isSign(cursor.token, op)) {
    advance(cursor);
    operands.push(parseAbove(cursor, power + 1));
  }
  let deepest = first;
  for (const operand of operands) if (operand.depth > deepest.depth) deepest = operand;
  return { ...over(cursor, at, deepest), kind: op === '&&' ? 'and' : 'or', operands };
}

const isUpward = (op: CompareOp): boolean => op.startsWith('<');

function relationOf({ token }: Cursor): CompareOp | undefined {
  if (token.kind !== 'sign') return undefined;
  const { text } = token;
  return text === '<' || text === '<=' || text === '>' || text === '>=' ? text : undefined;
}

/** A comparison, or a range such as `1 < a <= 5`. */
function parseRelation(cursor: Cursor, left: Expr, at: number, first: CompareOp): Expr {
  const middle = parseAbove(cursor, POWER.range);
  const second = relationOf(cursor);
  if (second === undefined) {
    return { ...over(cursor, at, left, middle), kind: 'compare', op: first, left, right: middle };
  }
  const next = cursor.token.at;
  if (middle.kind !== 'name' && middle.kind !== 'element') {
    refuse(cursor.expression, middle.at, 'a range needs a column or path between its bounds');
  }
  if (isUpward(first) !== isUpward(second)) {
    refuse(cursor.expression, next, 'both operators of a range must point the same way');
  }
  advance(cursor);
  const right = parseAbove(cursor, POWER.range);
  if (relationOf(cursor) !== undefined) unexpected(cursor, 'a range has two bounds');
  return {
    ...over(cursor, at, left, middle, right),
    kind: 'range',
    first,
    second,
    left,
    middle,
    right,
  };
}

function parsePrefix(cursor: Cursor): Expr {
  const token = advance(cursor);
  const { at } = token;
  switch (token.kind) {
    case 'integer':
      return { at, depth: 1, kind: 'integer', value: token.value };
    case 'float':
      return { at, depth: 1, kind: 'float', value: token.value };
    case 'string':
      return { at, depth: 1, kind: 'string', value: token.value };
    case 'name':
      return parseWord(cursor, at, token.text);
    case 'sign':
      return parseSign(cursor, token, token.text);
    default:
      return refuse(cursor.expression, at, 'unexpected end, expected an operand');
  }
}

function parseSign(cursor: Cursor, token: Token, sign: string): Expr {
  const { at } = token;
  switch (sign) {
    case '(': {
      const inner = parseAbove(cursor, 0);
      expectSign(cursor, ')');
      return inner;
    }
    case '[':
      return parseArray(cursor, at);
    case '{': {
      const name = advance(cursor);
      if (name.kind !== 'name') refuse(cursor.expression, at, 'a template variable is {name}');
      expectSign(cursor, '}');
      return { at, depth: 1, kind: 'template', name: name.text };
    }
    case '!': {
      const operand = parseAbove(cursor, POWER.comparison);
      return { ...over(cursor, at, operand), kind: 'not', operand };
    }
    case '+':
    case '-':
    case '~':
      return negated(cursor, at, sign, parseAbove(cursor, POWER.unary));
    case 'exists': {
      const operand = parseAbove(cursor, POWER.exists);
      return { ...over(cursor, at, operand), kind: 'exists', operand };
    }
    case '$':
      if (isSign(cursor.token, '[')) parseSteps(cursor);
      return { at, depth: 1, kind: 'element' };
    default:
      cursor.token = token;
      return unexpected(cursor, 'expected an operand');
  }
}

/** A sign before a number is part of it: only so is the smallest Int64 in range. */
function negated(cursor: Cursor, at: number, op: '+' | '-' | '~', operand: Expr): Expr {
  if (op === '-' && operand.kind === 'integer') return { ...operand, at, value: -operand.value };
  if (op === '-' && operand.kind === 'float') return { ...operand, at, value: -operand.value };
  return { ...over(cursor, at, operand), kind: 'unary', op, operand };
}

function parseArray(cursor: Cursor, at: number): Expr {
  const members: Expr[] = [];
  let depth = 0;
  while (!isSign(cursor.token, ']')) {
    if (members.length === MEMBERS_MAX) {
      refuse(cursor.expression, at, `a list of more than ${MEMBERS_MAX} members`);
    }
    const member = parseAbove(cursor, 0);
    members.push(member);
    depth = Math.max(depth, member.depth);
    if (!isSign(cursor.token, ',')) break;
    advance(cursor);
  }
  expectSign(cursor, ']');
  if (depth >= DEPTH_MAX) refuse(cursor.expression, at, `nested deeper than ${DEPTH_MAX} levels`);
  return { at, depth: depth + 1, kind: 'array', members };
}

/** A word that is no operator: a boolean, a call, a timestamp, or the name of a column. */
function parseWord(cursor: Cursor, at: number, word: string): Expr {
  const value = BOOLEANS.get(word);
  if (value !== undefined) return { at, depth: 1, kind: 'boolean', value };
  if (isSign(cursor.token, '(')) return parseCall(cursor, at, word);
  const timed = word === 'iso' || word === 'ISO' || word === 'interval' || word === 'INTERVAL';
  if (timed && cursor.token.kind === 'string') {
    advance(cursor);
    return {
      at,
      depth: 1,
      kind: 'time',
      word: word.startsWith('is') || word === 'ISO' ? 'iso' : 'interval',
    };
  }
  return { at, depth: 1, kind: 'name', name: word, path: parseSteps(cursor) };
}

function parseSteps(cursor: Cursor): readonly PathStep[] {
  const steps: PathStep[] = [];
  while (isSign(cursor.token, '[')) {
    if (steps.length === STEPS_MAX) {
      refuse(cursor.expression, cursor.token.at, `a path of more than ${STEPS_MAX} steps`);
    }
    advance(cursor);
    steps.push(parseStep(cursor));
    expectSign(cursor, ']');
  }
  return steps;
}

function parseStep(cursor: Cursor): PathStep {
  const { token } = cursor;
  if (token.kind === 'string') {
    advance(cursor);
    return { kind: 'key', key: token.value };
  }
  if (token.kind === 'integer' && token.decimal && token.value <= 0x7fff_ffffn) {
    advance(cursor);
    return { kind: 'index', index: Number(token.value) };
  }
  if (token.kind === 'name') {
    advance(cursor);
    return { kind: 'struct', name: token.text };
  }
  return unexpected(cursor, 'expected a quoted key or an index from 0 in the brackets');
}

function parseCall(cursor: Cursor, at: number, name: string): Expr {
  advance(cursor);
  const args: Expr[] = [];
  const options: { name: string; value: bigint }[] = [];
  while (!isSign(cursor.token, ')')) {
    if (args.length + options.length === ARGUMENTS_MAX) {
      refuse(cursor.expression, at, `${name} has more than ${ARGUMENTS_MAX} arguments`);
    }
    const { token } = cursor;
    if (token.kind === 'name' && isSign(nextToken(cursor.expression, token.end), '=')) {
      options.push(parseOption(cursor, token.text));
    } else {
      args.push(parseAbove(cursor, 0));
    }
    if (!isSign(cursor.token, ',')) break;
    advance(cursor);
  }
  expectSign(cursor, ')');
  return { ...over(cursor, at, ...args), kind: 'call', name, args, options };
}

function parseOption(cursor: Cursor, name: string): { name: string; value: bigint } {
  advance(cursor);
  advance(cursor);
  const { token } = cursor;
  if (token.kind !== 'integer') return unexpected(cursor, `expected an integer for ${name}`);
  advance(cursor);
  return { name: name.toLowerCase(), value: token.value };
}
