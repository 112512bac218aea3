import { describe, expect, test } from 'vitest';
import { compileLike } from '#filter/pattern.ts';
import { compileRegex } from '#filter/regex.ts';

describe('like', () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['', [''], ['a']],
    ['abc', ['abc'], ['ab', 'abcd', 'ABC']],
    ['ab%', ['ab', 'abc'], ['a', 'xab']],
    ['%ab', ['ab', 'xab'], ['abx']],
    ['%ab%', ['ab', 'xabx'], ['a', 'axb']],
    ['a%b', ['ab', 'axxb'], ['a', 'b', 'aba']],
    ['a%a', ['aa', 'aba'], ['a']],
    ['%ab%b', ['abb', 'xabxb'], ['ab']],
    ['%', ['', 'a', 'a\nb'], []],
    ['%%', ['', 'x'], []],
    ['_', ['a', '中', '\u{1f600}', '\n'], ['', 'ab']],
    ['a_c', ['abc', 'a中c'], ['ac', 'abbc']],
    ['%_b%', ['ab', 'xxbx'], ['b', 'bx', 'ba']],
    ['_%_', ['ab', 'abc'], ['a', '']],
    ['a%_c%d', ['abcd', 'axxcxd'], ['acd', 'abc']],
    ['50\\%', ['50%'], ['50', '501']],
    ['a\\_b', ['a_b'], ['axb']],
    ['a\\\\b', ['a\\b'], ['a\\\\b', 'ab']],
    ['\\a', ['a'], ['\\a']],
    ['a\\', ['a\\'], ['a']],
    ['[a-c].*', ['[a-c].*'], ['b']],
  ])('%s', (pattern, yes, no) => {
    const matches = compileLike(pattern);
    expect(yes.filter((text) => !matches(text))).toEqual([]);
    expect(no.filter(matches)).toEqual([]);
  });

  test('many wildcards against a long text that almost matches', () => {
    expect(compileLike(`${'%a_'.repeat(30)}b`)('a'.repeat(5_000))).toBe(false);
  });
});

describe('regular expressions', () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['', ['', 'a'], []],
    ['E[0-9]{4}', ['E1001', 'failed with E1001 after'], ['E100', 'e1001']],
    ['^ERR', ['ERR', 'ERR1'], ['xERR', 'x\nERR']],
    ['\\.json$', ['a.json'], ['ajson', 'a.json ', 'a.json\n']],
    ['(?i)error', ['ERROR', 'xErRoR'], ['err']],
    ['(?i)É|ß', ['é', 'ß'], ['e']],
    ['a(?i:b)c', ['aBc'], ['ABc', 'aBC']],
    ['error|failed|timeout', ['x failed'], ['fail']],
    ['^(a|b|)$', ['a', 'b', ''], ['c', 'ab']],
    ['a+b?c*', ['a', 'xabccc'], ['bc']],
    ['^a{2,3}$', ['aa', 'aaa'], ['a', 'aaaa']],
    ['^a{2,}$', ['aa', 'aaaa'], ['a']],
    ['^a{,2}$', ['a{,2}'], ['a']],
    ['^(ab)*$', ['', 'abab'], ['aba']],
    ['^(a*)*$', ['', 'aaa'], ['b']],
    ['^a.c$', ['abc', 'a\u{1f600}c'], ['a\nc', 'ac']],
    ['(?s)^a.c$', ['a\nc'], []],
    ['(?m)^b$', ['a\nb\nc'], ['ab']],
    ['^\\d\\D\\w\\W\\s\\S$', ['1x_- y'], ['1x_-yy']],
    ['[^a-c]', ['d', '中'], ['abc', '']],
    ['[]a]', [']', 'a'], ['b']],
    ['[a\\]-]', [']', '-'], ['b']],
    ['[\\d_-]', ['5', '_', '-'], ['a']],
    ['[^\\D5]', ['4'], ['5', 'a']],
    ['[[:alpha:][:^digit:]]', ['a', '-'], ['5']],
    ['(?i)[^a]', ['b'], ['a', 'A']],
    ['\\bcat\\b', ['a cat', 'cat.'], ['cats', 'concat']],
    ['a\\Bb', ['ab'], ['a b']],
    ['\\x41\\x{4e2d}\\t', ['A中\t'], ['A中']],
    ['\\Qa.b\\E+', ['a.b', 'a.bb'], ['axb']],
    ['\\Aa\\z', ['a'], ['ab', 'ba']],
    ['(?P<name>a)(?<other>b)', ['ab'], ['a']],
    ['中+', ['x中中'], ['x']],
    ['\\\\', ['a\\b'], ['ab']],
    ['a{1001', ['a{1001'], ['a']],
  ])('%s', (pattern, yes, no) => {
    const matches = compileRegex(pattern);
    expect(yes.filter((text) => !matches(text))).toEqual([]);
    expect(no.filter(matches)).toEqual([]);
  });

  test.each([
    ['(', 'a ( without its )'],
    ['a)', 'a ) without its ('],
    ['[a', 'a [ without its ]'],
    ['[b-a]', 'ends are exchanged'],
    ['*a', 'a repetition of nothing'],
    ['a**', 'a repetition of a repetition'],
    ['a{3,2}', 'bounds are exchanged'],
    ['a{1001}', 'a repetition beyond 1000'],
    ['\\1', 'the escape \\1'],
    ['\\pL', 'the escape \\p'],
    ['\\', 'the escape \\'],
    ['(?=a)', 'a group of an unknown kind'],
    ['(?<!a)', 'a group of an unknown kind'],
    ['[[:foo:]]', 'the class [:foo:]'],
    ['\\x{110000}', 'beyond U+10FFFF'],
    [`${'('.repeat(200)}a${')'.repeat(200)}`, 'nested deeper'],
    ['a'.repeat(5000), 'longer than'],
    ['(((a{100}){100}){100})', 'larger than'],
  ])('%s is refused', (pattern, what) => {
    expect(() => compileRegex(pattern)).toThrow(what);
  });

  test.each([
    '(a+)+$',
    '^(a|a)*$',
    '(a*)*b',
    'a{0,500}a{0,500}b',
    '(.*)(.*)(.*)(.*)x',
    '(((){1000}){1000}){1000}b',
  ])('%s takes no more than linear time', (pattern) => {
    // A backtracking engine would not come back from any of these.
    expect(compileRegex(pattern)(`${'a'.repeat(2_000)}!`)).toBe(false);
  });
});
