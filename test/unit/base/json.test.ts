import { describe, expect, it } from 'vitest';
import { isStoreError, StoreError } from '#base/errors.ts';
import {
  canonicalJson,
  type Json,
  type JsonObject,
  parseJson,
  shortFloat32,
  stringifyJson,
} from '#base/json.ts';
import { DEPTH_MAX, INTEGER_DIGITS_MAX } from '#base/json-read.ts';

function refusal(text: string): string {
  try {
    parseJson(text);
  } catch (error) {
    if (isStoreError(error, 'MALFORMED_BODY')) return error.message;
    throw error;
  }
  throw new Error(`was read: ${text}`);
}

describe('parseJson: numbers', () => {
  const cases: readonly [string, number | bigint][] = [
    ['0', 0],
    ['-0', -0],
    ['1.0', 1],
    ['1e3', 1000],
    ['1E+2', 100],
    ['2.5e-1', 0.25],
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', 9007199254740992n],
    ['-9007199254740993', -9007199254740993n],
    ['9223372036854775807', 9223372036854775807n],
    ['9007199254740993.0', 9007199254740993n],
    ['9007199254740993.5', 9007199254740994],
    ['9007199254740993000e-3', 9007199254740993n],
    ['0.09007199254740993e17', 9007199254740993n],
    ['1e18', 10n ** 18n],
    ['1.8446744073709551615e19', 18446744073709551615n],
    ['1.8446744073709551616e19', 2 ** 64],
    ['-9.223372036854775808e18', -(2n ** 63n)],
    ['-1e19', -1e19],
    ['1e300', 1e300],
    ['1e-400', 0],
    [`1${'0'.repeat(INTEGER_DIGITS_MAX - 1)}`, 10n ** BigInt(INTEGER_DIGITS_MAX - 1)],
  ];
  it.each(cases)('%s alone, in an object and in an array', (text, value) => {
    expect(parseJson(text)).toBe(value);
    expect(parseJson(` { "a" : ${text} } `)).toEqual({ a: value });
    expect(parseJson(`[1, ${text}]`)).toEqual([1, value]);
    expect(parseJson(`[ ${text}\n]`)).toEqual([value]);
  });

  it.each([
    '01',
    '-01',
    '00',
    '1.',
    '.5',
    '-',
    '+1',
    '1e',
    '1e+',
    '0x10',
    'NaN',
    'Infinity',
    '1e400',
    '-1e400',
    '1_000',
    `1${'0'.repeat(INTEGER_DIGITS_MAX)}`,
  ])('refuses %s, alone and in an array', (text) => {
    refusal(text);
    refusal(`[1,${text}]`);
    refusal(`[${text}]`);
  });
});

describe('parseJson: structure', () => {
  it('reads what JSON.parse reads', () => {
    const text =
      '{"a":[true,false,null,{"b":[]},{}],"é\\n\\u00e9\\ud83d\\ude00":"\\"\\\\\\/😀","":""}';
    expect(parseJson(text)).toEqual(JSON.parse(text));
  });

  it('tells a quote from a backslash as key, which the native reader of Node 24 does not', () => {
    const both = ['{"a":1,"\\\\":2}', '{"a":1,"\\"":2}'];
    expect(both.map((text) => Object.keys(parseJson(text) as JsonObject))).toEqual([
      ['a', '\\'],
      ['a', '"'],
    ]);
  });

  it('keeps names that plain objects inherit', () => {
    // An object in the text gives an object.
    const object = parseJson('{"__proto__":{"polluted":true},"toString":1}') as JsonObject;
    expect(Object.keys(object)).toEqual(['__proto__', 'toString']);
    expect(object['polluted']).toBeUndefined();
    expect(object['constructor']).toBeUndefined();
    expect(stringifyJson(object)).toBe('{"__proto__":{"polluted":true},"toString":1}');
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('names the key that is given twice', () => {
    expect(refusal('{"a":1,"b":{"a":2,"c":null,"c":3}}')).toBe(
      'not valid JSON: the key "c" is given twice at character 27, in b.c',
    );
    expect(refusal('{"__proto__":1,"__proto__":2}')).toContain('"__proto__" is given twice');
    expect(refusal('[1,{"a":1,"a":2}]')).toContain('"a" is given twice');
    expect(refusal('{"a":1,"\\u0061":2}')).toContain('"a" is given twice');
  });

  it('names the place', () => {
    expect(refusal('{"data":[{"vector":[1]},{"vector":[1,2,x]}]}')).toBe(
      "not valid JSON: found 'x' where a value should be at character 39, in data[1].vector[2]",
    );
    expect(refusal('{"odd key":[1,{"b":tru}]}')).toContain('in ["odd key"][1].b');
    expect(refusal('{"a":1}}')).toBe(
      'not valid JSON: text after the end of the value at character 7',
    );
  });

  it.each([
    '',
    ' ',
    '[',
    '[1',
    '[1,',
    '[1,]',
    '[,1]',
    '[1 2]',
    '{',
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,}',
    '{a:1}',
    "{'a':1}",
    '{"a" 1}',
    '"',
    '"a',
    '"\\',
    '"\\"',
    '"\\x41"',
    '"\\u12"',
    '"a\nb"',
    '"\u0000"',
    'tru',
    'nul',
    'truefalse',
    '1 2',
    '\ufeff1',
    '[1]]',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\ud800"',
    '{"\\ud800":1}',
    '// 1',
  ])('refuses %j', (text) => {
    refusal(text);
  });

  it('bounds the depth', () => {
    const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
    expect(stringifyJson(parseJson(deep(DEPTH_MAX)))).toBe(deep(DEPTH_MAX));
    expect(refusal(deep(DEPTH_MAX + 1))).toContain(`more than ${DEPTH_MAX} levels`);
    expect(refusal('{"a":'.repeat(1_000_000))).toContain('levels');
    expect(() => parseJson('[[1]]', { depthMax: 1 })).toThrow(StoreError);
  });

  it('reads nested arrays behind numbers, which look flat at first', () => {
    for (const text of ['[1,[2,3],[4]]', '[1,"]",2]', '[1,{"a":[2,"x]"]}]', '[1,true]', '[1,[]]']) {
      expect(parseJson(text)).toEqual(JSON.parse(text));
    }
  });
});

describe('stringifyJson', () => {
  it('writes every type', () => {
    const value = {
      big: 9223372036854775807n,
      list: [1, -0, 1.5, 1e300, true, null, 'a"b'],
      vector: new Float32Array([0.1, -0, 1e-45, 3.4028234663852886e38, 16777216, 1e10]),
      left: undefined,
      inner: {},
      none: Number.NaN,
    };
    expect(stringifyJson(value)).toBe(
      '{"big":9223372036854775807,"list":[1,0,1.5,1e+300,true,null,"a\\"b"],' +
        '"vector":[0.1,0,1e-45,3.4028235e+38,16777216,10000000000],"inner":{},"none":null}',
    );
  });

  it('knows the shortest decimal of a float32', () => {
    expect(shortFloat32(Math.fround(0.3))).toBe(0.3);
    expect(shortFloat32(Math.fround(-1234.5678))).toBe(-1234.5677);
    expect(shortFloat32(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
    expect(shortFloat32(0)).toBe(0);
  });
});

describe('canonicalJson', () => {
  const cases: readonly [Json, string][] = [
    [{ b: 1, a: { d: [], c: {} } }, '{"a":{"c":{},"d":[]},"b":1}'],
    [
      { '10': 1, '9': 2, Z: 3, a: 4, é: 5, '😀': 6, '｡': 7 },
      '{"10":1,"9":2,"Z":3,"a":4,"é":5,"😀":6,"｡":7}',
    ],
    [1.0, '1'],
    [-0, '0'],
    [0n, '0'],
    [2 ** 53, '9007199254740992'],
    [2n ** 53n, '9007199254740992'],
    [1e19, '10000000000000000000'],
    [10n ** 19n, '10000000000000000000'],
    [-1e19, '-1e+19'],
    [-(10n ** 19n), '-1e+19'],
    [1e20, '1e+20'],
    [1.5e300, '1.5e+300'],
    [1e21, '1e+21'],
    [10n ** 21n, '1e+21'],
    [10n ** 21n + 1n, '1000000000000000000001'],
    [1e-7, '1e-7'],
    [0.1, '0.1'],
    ['a\u2028"\n', '"a\u2028\\"\\n"'],
  ];
  it.each(cases)('case %#', (value, text) => {
    expect(canonicalJson(value)).toBe(text);
  });
});
