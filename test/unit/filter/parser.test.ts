import { describe, expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import type { Expr } from '#filter/ast.ts';
import { DEPTH_MAX, EXPRESSION_MAX, MEMBERS_MAX, parseExpression } from '#filter/parser.ts';

/** The tree in prefix form. */
function show(expr: Expr): string {
  switch (expr.kind) {
    case 'integer':
      return `${expr.value}`;
    case 'float':
      return `${expr.value}f`;
    case 'boolean':
      return String(expr.value);
    case 'string':
      return JSON.stringify(expr.value);
    case 'array':
      return `[${expr.members.map(show).join(' ')}]`;
    case 'template':
      return `{${expr.name}}`;
    case 'name':
      return [
        expr.name,
        ...expr.path.map((step) =>
          step.kind === 'key'
            ? JSON.stringify(step.key)
            : step.kind === 'index'
              ? step.index
              : `<${step.name}>`,
        ),
      ].join('.');
    case 'element':
      return '$';
    case 'time':
      return expr.word;
    case 'unary':
      return `(${expr.op} ${show(expr.operand)})`;
    case 'not':
    case 'exists':
      return `(${expr.kind} ${show(expr.operand)})`;
    case 'null':
      return `(${expr.negated ? 'notnull' : 'null'} ${show(expr.operand)})`;
    case 'binary':
    case 'compare':
    case 'match':
      return `(${expr.op} ${show(expr.left)} ${show(expr.right)})`;
    case 'in':
      return `(${expr.negated ? 'notin' : 'in'} ${show(expr.left)} ${show(expr.right)})`;
    case 'range':
      return `(range ${show(expr.left)} ${expr.first} ${show(expr.middle)} ${expr.second} ${show(expr.right)})`;
    case 'and':
    case 'or':
      return `(${expr.kind} ${expr.operands.map(show).join(' ')})`;
    case 'call':
      return `(${[expr.name, ...expr.args.map(show), ...expr.options.map(({ name, value }) => `${name}=${value}`)].join(' ')})`;
  }
}

const GOOD: readonly (readonly [string, string])[] = [
  // Literals.
  ['0', '0'],
  ['017', '15'],
  ['0x1F', '31'],
  ['0b101', '5'],
  ['9223372036854775807', '9223372036854775807'],
  ['-9223372036854775808', '-9223372036854775808'],
  ['0x7fffffffffffffff', '9223372036854775807'],
  ['1.5', '1.5f'],
  ['1.', '1f'],
  ['.5', '0.5f'],
  ['1e3', '1000f'],
  ['08.5', '8.5f'],
  ['-2.5E-1', '-0.25f'],
  ['0x1.8p3', '12f'],
  ['0x.8p1', '1f'],
  ['true', 'true'],
  ['True', 'true'],
  ['FALSE', 'false'],
  // Strings.
  ['"a\'b"', '"a\'b"'],
  [`'a"b'`, '"a\\"b"'],
  [String.raw`"\"\'\\\n\t\a\?"`, JSON.stringify('"\'\\\n\t\x07?')],
  [String.raw`"\101\x42\u4e2d\U0001F600"`, '"AB中\u{1f600}"'],
  [String.raw`"\xe4\xb8\xad"`, '"中"'],
  [String.raw`"50\%\d"`, JSON.stringify('50\\%\\d')],
  ['"a\\\nb"', '"ab"'],
  ['u8"x"', '"x"'],
  ["L'x'", '"x"'],
  [String.raw`r"a\n\""`, JSON.stringify('a\\n\\"')],
  [String.raw`R'\d'`, JSON.stringify('\\d')],
  ['""', '""'],
  // Names and paths.
  ['a_1', 'a_1'],
  ['$meta', '$meta'],
  ['$meta["k"][0]', '$meta."k".0'],
  [String.raw`a['x'][r"y\z"]`, 'a."x"."y\\\\z"'],
  ['a[b]', 'a.<b>'],
  ['a[0][b]', 'a.0.<b>'],
  ['$', '$'],
  ['$[x]', '$'],
  ['{name}', '{name}'],
  ['[]', '[]'],
  ['[ ]', '[]'],
  ['[1, -2, "a",]', '[1 -2 "a"]'],
  // Precedence, tight to loose.
  ['a == -2 ** 2', '(== a (- (** 2 2)))'],
  ['2 ** 3 ** 2', '(** (** 2 3) 2)'],
  ['-a + b', '(+ (- a) b)'],
  ['1 + 2 * 3 % 4', '(+ 1 (% (* 2 3) 4))'],
  ['1 - 2 - 3', '(- (- 1 2) 3)'],
  ['1 << 2 + 3', '(<< 1 (+ 2 3))'],
  ['a in [1] == b', '(== (in a [1]) b)'],
  ['a < 1 == b', '(== (< a 1) b)'],
  ['a & b == c', '(& a (== b c))'],
  ['a | b ^ c & d', '(| a (^ b (& c d)))'],
  ['a == 1 and b == 2 or c == 3', '(or (and (== a 1) (== b 2)) (== c 3))'],
  ['a == 1 && b == 2 AND c == 3', '(and (== a 1) (== b 2) (== c 3))'],
  ['a == 1 || b == 2 OR c == 3', '(or (== a 1) (== b 2) (== c 3))'],
  ['a == 1 and (b == 2 or c == 3)', '(and (== a 1) (or (== b 2) (== c 3)))'],
  // not takes a comparison, and stops at and.
  ['a + b like "x"', '(+ a (like b "x"))'],
  ['not a == 1', '(not (== a 1))'],
  ['not a in [1] and b == 2', '(and (not (in a [1])) (== b 2))'],
  ['!a like "x"', '(not (like a "x"))'],
  ['not not (a > 1)', '(not (not (> a 1)))'],
  ['not exists a["b"]', '(not (exists a."b"))'],
  ['NOT a IS NULL', '(not (null a))'],
  // Ranges, lists, patterns, nulls.
  ['1 < a <= 5', '(range 1 < a <= 5)'],
  ['5 >= a["b"] > 1', '(range 5 >= a."b" > 1)'],
  ['1 + 1 < a < 2 * 3', '(range (+ 1 1) < a < (* 2 3))'],
  ['{x} <= a < {y}', '(range {x} <= a < {y})'],
  ['a in [1] or b not in [2]', '(or (in a [1]) (notin b [2]))'],
  ['a NOT IN {x}', '(notin a {x})'],
  ['a like "x%" or b LIKE {p}', '(or (like a "x%") (like b {p}))'],
  ['a =~ "x" and b !~ r"\\d"', '(and (=~ a "x") (!~ b "\\\\d"))'],
  ['a is null and b is not null', '(and (null a) (notnull b))'],
  ['a is  \t null', '(null a)'],
  ['a IS  NOT  NULL', '(notnull a)'],
  ['isnull == 1', '(== isnull 1)'],
  ['is == 1', '(== is 1)'],
  // Calls, also those that are not evaluated.
  ['json_contains(a["b"], 1)', '(json_contains a."b" 1)'],
  ['JSON_CONTAINS_ALL(a, [1,2])', '(JSON_CONTAINS_ALL a [1 2])'],
  ['array_length(a) == 2', '(== (array_length a) 2)'],
  ['foo()', '(foo)'],
  ['foo(1, a,)', '(foo 1 a)'],
  ['text_match(a, "x y", minimum_should_match=2)', '(text_match a "x y" minimum_should_match=2)'],
  ['text_match_fuzzy(a, "x")', '(text_match_fuzzy a "x")'],
  ['phrase_match(a, "x", 1)', '(phrase_match a "x" 1)'],
  ['random_sample(0.1)', '(random_sample 0.1f)'],
  ['a > 1 and random_sample(0.1)', '(and (> a 1) (random_sample 0.1f))'],
  ['element_filter(s, $[x] > 1 && $ == 2)', '(element_filter s (and (> $ 1) (== $ 2)))'],
  ['MATCH_LEAST(s, $[x] == 1, threshold=3)', '(MATCH_LEAST s (== $ 1) threshold=3)'],
  ['match_any(s, 1 < $ < 3)', '(match_any s (range 1 < $ < 3))'],
  ['st_dwithin(g, "POINT(1 2)", 5)', '(st_dwithin g "POINT(1 2)" 5)'],
  ['ST_ISVALID(g)', '(ST_ISVALID g)'],
  [`t + interval 'P1D' > ISO '2025-01-01'`, '(> (+ t interval) iso)'],
  [`iso "2025" <= t`, '(<= iso t)'],
  ['iso == 1', '(== iso 1)'],
];

const BAD: readonly (readonly [expression: string, what: string, column: number])[] = [
  ['a = 1', 'unexpected =, expected an operator or the end; equality is ==', 3],
  ['a ==', 'unexpected end, expected an operand', 5],
  ['== 1', 'unexpected ==, expected an operand', 1],
  ['a b', 'unexpected b', 3],
  ['(a == 1', "expected ')'", 8],
  ['a == 1)', 'unexpected )', 7],
  ['[1, 2', "expected ']'", 6],
  ['a in [,]', 'unexpected ,, expected an operand', 7],
  ['a and', 'unexpected end', 6],
  ['a And b', 'unexpected And', 3],
  ['a is NULL', 'unexpected is', 3],
  ['a not like "x"', 'unexpected not', 3],
  ['a @ 1', 'unexpected character "@"', 3],
  ['"abc', 'closing quote', 1],
  ['a == "x\ny"', 'line break', 6],
  ['"a" "b"', 'unexpected "b"', 5],
  [String.raw`"\400"`, 'beyond its range', 1],
  [String.raw`"\U00110000"`, 'beyond its range', 1],
  [String.raw`"\xff"`, 'not UTF-8', 1],
  [String.raw`"\ud800"`, 'lone surrogate', 1],
  ['1a', 'malformed number', 1],
  ['08', 'malformed number', 1],
  ['0x', 'malformed number', 1],
  ['1.2.3', 'malformed number', 1],
  ['9223372036854775809', 'beyond 64 bits', 1],
  ['0x10000000000000000', 'beyond 64 bits', 1],
  [`${'9'.repeat(5000)}`, 'beyond 64 bits', 1],
  ['1e999', 'beyond the range of a double', 1],
  ['a[]', 'a quoted key or an index', 3],
  ['a[-1]', 'a quoted key or an index', 3],
  ['a[0x1]', 'a quoted key or an index', 3],
  ['a["x"', "expected ']'", 6],
  ['{1}', 'a template variable is {name}', 1],
  ['{a', "expected '}'", 3],
  ['1 < a + 1 < 3', 'a column or path between its bounds', 7],
  ['1 < a > 3', 'point the same way', 7],
  ['1 < a < 3 < 4', 'a range has two bounds', 11],
  ['f(a', "expected ')'", 4],
  ['f(x=y)', 'expected an integer for x', 5],
  ['\u{1f600} == 1', 'unexpected character', 1],
  ['"\u{1f600}" @', 'unexpected character', 5],
];

const failureOf = (expression: string): unknown => {
  try {
    parseExpression(expression);
  } catch (error) {
    return error;
  }
  return undefined;
};

describe('the parser takes the whole grammar', () => {
  test.each(GOOD)('%s', (expression, tree) => {
    expect(show(parseExpression(expression))).toBe(tree);
  });
});

describe('the parser refuses with the column of the offence', () => {
  test.each(BAD)('%s', (expression, what, column) => {
    const error = failureOf(expression);
    expect(isStoreError(error, 'INVALID_ARGUMENT') && error.message).toMatch(
      /^failed to create query plan: cannot parse expression: /,
    );
    expect(error).toMatchObject({ message: expect.stringContaining(what) });
    expect(error).toMatchObject({
      message: expect.stringMatching(new RegExp(`\\(column ${column}\\)$`)),
    });
  });
});

describe('bounds keep every input off the stack', () => {
  const nested = (open: string, close: string, count: number) =>
    `${open.repeat(count)}a${close.repeat(count)}`;

  test.each([
    ['parentheses', nested('(', ')', 100_000)],
    ['lists', nested('[', ']', 100_000)],
    ['not', nested('not ', '', 100_000)],
    ['signs', nested('- ', '', 100_000)],
    ['calls', nested('f(', ')', 100_000)],
    ['exists', nested('exists ', '', 100_000)],
    ['sums', `a${' + 1'.repeat(100_000)}`],
    ['powers', `1${' ** 1'.repeat(100_000)}`],
    ['equalities', `a${' == 1'.repeat(100_000)}`],
    ['null tests', `a${' is null'.repeat(100_000)}`],
    ['sums in parentheses', nested('(', ' + 1 + 1 + 1)', 150)],
    ['ands in parentheses', nested('(', ' and b or c)', 150)],
  ])('deep %s are refused', (_, expression) => {
    expect(failureOf(expression)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(`nested deeper than ${DEPTH_MAX} levels`),
    });
  });

  test('a long path is refused', () => {
    expect(failureOf(`a${'[0]'.repeat(1000)} == 1`)).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('a long run of and or or is one level', () => {
    const run = Array.from({ length: 50_000 }, (_, index) => `a == ${index}`).join(' or ');
    const tree = parseExpression(run);
    expect(tree.kind === 'or' && tree.operands.length).toBe(50_000);
    expect(tree.depth).toBe(3);
  });

  test('the length of an expression and of a list are bounded', () => {
    expect(failureOf(`${' '.repeat(EXPRESSION_MAX)}a`)).toMatchObject({ code: 'INVALID_ARGUMENT' });
    const members = '1,'.repeat(MEMBERS_MAX);
    expect(show(parseExpression(`[${members}]`)).length).toBeGreaterThan(MEMBERS_MAX);
    expect(failureOf(`[${members}1]`)).toMatchObject({
      message: expect.stringContaining(`more than ${MEMBERS_MAX} members`),
    });
  });

  test('a message shows the beginning of a long expression', () => {
    const error = failureOf(`a in [${'123456,'.repeat(1000)} @`);
    expect(error).toMatchObject({ message: expect.stringMatching(/^.{250,400}$/s) });
  });
});
