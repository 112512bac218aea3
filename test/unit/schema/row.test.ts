import { describe, expect, it } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { type Json, type JsonObject, parseJson } from '#base/json.ts';
import { defineCollection, type FieldInput } from '#schema/define.ts';
import { type CollectionSchema, primaryField } from '#schema/field.ts';
import { valueAt } from '#schema/gather.ts';
import { JSON_BYTES_MAX } from '#schema/limits.ts';
import { lastWins, rowsToBatch } from '#schema/row.ts';

const id: FieldInput = { name: 'id', type: 'Int64', primaryKey: true };
const vector: FieldInput = { name: 'v', type: 'FloatVector', dim: 2 };

const define = (fields: readonly FieldInput[], enableDynamic = false): CollectionSchema =>
  defineCollection({ fields: [id, vector, ...fields], enableDynamic });

/** The rows as a body would bring them. */
const read = (text: string): readonly JsonObject[] => parseJson(text) as readonly JsonObject[];

/** What a field holds after the rows were accepted. */
function store(schema: CollectionSchema, text: string, name: string): unknown[] {
  const batch = rowsToBatch(schema, read(text), { partitionId: 7 });
  const field = schema.fields.find((one) => one.name === name);
  const column = batch.columns.get(field?.id ?? -1);
  if (column === undefined) throw new Error(`no field ${name}`);
  return Array.from({ length: batch.count }, (_, row) => valueAt(column, row));
}

function refusal(
  schema: CollectionSchema,
  rows: readonly JsonObject[],
  generatedKeys?: readonly bigint[],
): string {
  try {
    const options = generatedKeys === undefined ? {} : { generatedKeys };
    rowsToBatch(schema, rows, { partitionId: 7, ...options });
  } catch (error) {
    if (isStoreError(error, 'INVALID_ROW')) return error.message;
    throw error;
  }
  throw new Error('the rows were accepted');
}

describe('values that fit', () => {
  const row = (json: string): string => `[{"id":1,"v":[1,2],"x":${json}}]`;
  const cases: readonly [string, string, unknown][] = [
    ['Bool', 'true', true],
    ['Int8', '-128', -128],
    ['Int16', '32767', 32767],
    ['Int32', '-2147483648', -2147483648],
    ['Int32', '1e3', 1000],
    ['Int64', '1e3', 1000n],
    ['Int64', '9007199254740993.0', 9007199254740993n],
    ['Int64', '9223372036854775807', 9223372036854775807n],
    ['Int64', '"-9223372036854775808"', -9223372036854775808n],
    ['Int64', '-0', 0n],
    ['Float', '0.1', 0.1],
    ['Float', '3.4e38', 3.4e38],
    ['Float', '9007199254740993', 9_007_199_000_000_000],
    ['Double', '1e300', 1e300],
    ['Double', '18446744073709551616', 2 ** 64],
    ['VarChar', '"tern"', 'tern'],
    ['VarChar', '""', ''],
    ['VarChar', '123', '123'],
    ['VarChar', '9223372036854775808', '9223372036854775808'],
    [
      'JSON',
      '{"b":[1,{"c":18446744073709551615}],"a":null}',
      { a: null, b: [1, { c: 2n ** 64n - 1n }] },
    ],
    ['JSON', '"{}"', '{}'],
    ['JSON', 'false', false],
  ];
  it.each(cases)('%s takes %s', (type, json, value) => {
    const schema = define([{ name: 'x', type, maxLength: 20 }]);
    expect(store(schema, row(json), 'x')).toEqual([value]);
  });

  it('keeps vectors as float32, also large integers', () => {
    const [stored] = store(define([]), '[{"id":1,"v":[0.1,18446744073709551616]}]', 'v');
    expect(stored).toEqual(new Float32Array([0.1, 2 ** 64]));
  });

  it('writes the partition and the order of the rows', () => {
    const batch = rowsToBatch(define([]), read('[{"id":3,"v":[1,2]},{"id":"1","v":[1,2]}]'), {
      partitionId: 7,
    });
    expect(batch.partitions).toEqual(new Uint32Array([7, 7]));
    expect(batch.columns.get(100)).toEqual({ type: 'Int64', values: new BigInt64Array([3n, 1n]) });
  });

  it('takes no rows', () => {
    expect(rowsToBatch(define([]), [], { partitionId: 1 }).count).toBe(0);
  });
});

describe('values that do not fit', () => {
  const cases: readonly [string, string, string][] = [
    ['Bool', '1', 'expected true or false, found a number'],
    ['Bool', '"true"', 'found a string'],
    ['Int8', '128', 'beyond the range of Int8'],
    ['Int8', '-129', 'beyond the range of Int8'],
    ['Int16', '32768', 'beyond the range of Int16'],
    ['Int32', '2147483648', 'beyond the range of Int32'],
    ['Int32', '9007199254740993', 'beyond the range of Int32'],
    ['Int32', '1.5', 'found a fraction'],
    ['Int32', '"1"', 'expected an integer, found a string'],
    ['Int64', '1.5', 'found a fraction'],
    ['Int64', '9223372036854775808', 'beyond the range of Int64'],
    ['Int64', '1e300', 'beyond the range of Int64'],
    ['Int64', '"1.0"', 'not one in decimal digits'],
    ['Int64', '"01"', 'not one in decimal digits'],
    ['Int64', '" 1"', 'not one in decimal digits'],
    ['Int64', '"9223372036854775808"', 'beyond the range of Int64'],
    ['Int64', 'true', 'found a boolean'],
    ['Float', '1e39', 'beyond the range of Float'],
    ['Float', '"1"', 'expected a number, found a string'],
    ['Double', `1${'0'.repeat(310)}`, 'beyond the range of Double'],
    ['Double', '[1]', 'found an array'],
    ['VarChar', '"12345678901234567890x"', 'has 21 bytes, the maximum is 20'],
    ['VarChar', '"éééééééééée"', 'has 21 bytes'],
    ['VarChar', 'true', 'expected a string, found a boolean'],
    ['VarChar', '{}', 'found an object'],
    ['JSON', '[18446744073709551616]', 'an integer beyond 64 bits'],
    ['JSON', '{"a":{"b":-9223372036854775809}}', 'an integer beyond 64 bits'],
    ['JSON', `"${'x'.repeat(JSON_BYTES_MAX - 1)}"`, `more than ${JSON_BYTES_MAX} bytes`],
    ['JSON', `"${'é'.repeat(JSON_BYTES_MAX / 2)}"`, `more than ${JSON_BYTES_MAX} bytes`],
    ['JSON', 'null', 'a JSON field that is not nullable is null'],
    ['VarChar', 'null', 'a VarChar field that is not nullable is null'],
  ];
  it.each(cases)('%s refuses %.40s', (type, json, reason) => {
    const schema = define([{ name: 'x', type, maxLength: 20 }]);
    const rows = read(
      `[{"id":1,"v":[1,2],"x":${type === 'JSON' ? 1 : '"1"'}},{"id":1,"v":[1,2],"x":${json}}]`,
    );
    const good = { Bool: true, Float: 1, Double: 1, Int8: 1, Int16: 1, Int32: 1 } as const;
    const first = { ...rows[0], x: type in good ? good[type as keyof typeof good] : '1' };
    const message = refusal(schema, [first, rows[1] ?? {}]);
    expect(message).toContain('row 1, field "x": ');
    expect(message).toContain(reason);
  });

  it.each([
    ['[1]', 'has 1 components, the dimension is 2'],
    ['[1,2,3]', 'has 3 components'],
    ['[1,"2"]', 'component 1: expected a number, found a string'],
    ['["1","2"]', 'component 0'],
    ['[1,null]', 'component 1: expected a number, found null'],
    ['"[1,2]"', 'expected an array of numbers, found a string'],
    ['[1,1e39]', 'component 1 is beyond the range of a 32-bit float'],
    ['[-1e39,1]', 'component 0 is beyond'],
    ['null', 'a FloatVector field that is not nullable is null'],
    ['{}', 'found an object'],
  ])('a vector of dimension 2 refuses %s', (json, reason) => {
    const message = refusal(define([]), read(`[{"id":1,"v":[1,2]},{"id":2,"v":${json}}]`));
    expect(message).toContain(`row 1, field "v": `);
    expect(message).toContain(reason);
  });

  it('refuses what only a program can pass: NaN', () => {
    expect(refusal(define([]), [{ id: 1, v: [Number.NaN, 1] }])).toContain('component 0');
    const schema = define([{ name: 'x', type: 'Float' }]);
    expect(refusal(schema, [{ id: 1, v: [1, 1], x: Number.NaN }])).toContain('"x"');
  });

  it('names the first bad row of many, and is not asked for memory by rows without vectors', () => {
    const schema = defineCollection({
      fields: [id, { ...vector, dim: 32_768 }],
      enableDynamic: false,
    });
    const rows: JsonObject[] = new Array(5_000_000).fill({});
    expect(refusal(schema, rows)).toBe('row 0, field "id": the primary key is missing');
  });
});

describe('primary keys', () => {
  it('must be there', () => {
    expect(refusal(define([]), [{ v: [1, 2] }])).toContain('the primary key is missing');
    expect(refusal(define([]), [{ id: null, v: [1, 2] }])).toContain('the primary key is null');
  });

  it('must not be there where they are generated', () => {
    const schema = defineCollection({ fields: [id, vector], enableDynamic: false, autoId: true });
    const message = refusal(schema, [{ v: [1, 2] }, { id: 5, v: [1, 2] }], [10n, 11n]);
    expect(message).toContain('row 1, field "id": the primary key is generated (autoID)');
    const batch = rowsToBatch(schema, [{ v: [1, 2] }, { id: null, v: [3, 4] }], {
      partitionId: 1,
      generatedKeys: [10n, 11n],
    });
    expect(batch.columns.get(100)).toEqual({
      type: 'Int64',
      values: new BigInt64Array([10n, 11n]),
    });
    expect(() => rowsToBatch(schema, [{ v: [1, 2] }], { partitionId: 1 })).toThrow('generated key');
  });

  it('that are equal: the last row wins, in its own place', () => {
    const schema = define([{ name: 'x', type: 'VarChar', maxLength: 9 }]);
    const rows = [1, 2, 1, 3, 2].map((key, index) => ({ id: key, v: [0, index], x: `${index}` }));
    const batch = rowsToBatch(schema, rows, { partitionId: 1 });
    const kept = lastWins(batch, primaryField(schema));
    expect(kept.count).toBe(3);
    expect(kept.columns.get(100)).toEqual({
      type: 'Int64',
      values: new BigInt64Array([1n, 3n, 2n]),
    });
    expect(kept.columns.get(101)).toMatchObject({ values: new Float32Array([0, 2, 0, 3, 0, 4]) });
    expect(kept.columns.get(102)).toMatchObject({ dictionary: ['2', '3', '4'] });
    expect(lastWins(kept, primaryField(schema))).toBe(kept);
  });
});

describe('nulls and defaults', () => {
  it('leaves a nullable field empty and writes a default out, for missing and for null', () => {
    const schema = define([
      { name: 'n', type: 'VarChar', maxLength: 5, nullable: true },
      { name: 'd', type: 'Int64', defaultValue: 7, nullable: true },
      { name: 'e', type: 'Bool', defaultValue: false },
    ]);
    const text =
      '[{"id":1,"v":[1,2]},{"id":2,"v":[1,2],"n":null,"d":null,"e":null},{"id":3,"v":[1,2],"n":"x","d":1,"e":true}]';
    expect(store(schema, text, 'n')).toEqual([null, null, 'x']);
    expect(store(schema, text, 'd')).toEqual([7n, 7n, 1n]);
    expect(store(schema, text, 'e')).toEqual([false, false, true]);
  });

  it('refuses a missing field without either', () => {
    const schema = define([{ name: 'x', type: 'Int8' }]);
    expect(refusal(schema, [{ id: 1, v: [1, 2] }])).toBe(
      'row 0, field "x": a Int8 field that is not nullable is missing',
    );
  });
});

describe('keys outside the schema', () => {
  const open = define([], true);

  it('are refused without a dynamic field, and match names exactly', () => {
    expect(refusal(define([]), [{ id: 1, v: [1, 2], extra: 1 }])).toContain(
      'field "extra": is not in',
    );
    expect(refusal(define([]), [{ id: 1, v: [1, 2], $meta: {} }])).toContain('field "$meta"');
    expect(refusal(define([]), [{ ID: 1, v: [1, 2] }])).toContain('field "id"');
    expect(refusal(define([]), read('[{"id":1,"v":[1,2],"__proto__":1}]'))).toContain(
      '"__proto__"',
    );
  });

  it('are collected in $meta, with what $meta itself holds', () => {
    const text =
      '[{"id":1,"v":[1,2],"b":2,"$meta":{"a":9007199254740993}},{"id":2,"v":[1,2]},{"id":3,"v":[1,2],"$meta":{}},' +
      '{"id":4,"v":[1,2],"__proto__":{"x":1},"ID":null}]';
    expect(store(open, text, '$meta')).toEqual([
      { a: 9007199254740993n, b: 2 },
      null,
      null,
      parseJson('{"ID":null,"__proto__":{"x":1}}'),
    ]);
  });

  it.each([
    [{ $meta: 1 }, 'expected an object of dynamic keys'],
    [{ $meta: null }, 'expected an object of dynamic keys'],
    [{ $meta: [] }, 'expected an object of dynamic keys'],
    [{ $meta: { a: 1 }, a: 2 }, 'stands both in the row and in $meta'],
    [{ $meta: { id: 1 } }, 'holds the key "id", which is a field'],
    [{ $meta: { $meta: 1 } }, 'holds the key "$meta"'],
    [{ a: 2n ** 64n }, 'an integer beyond 64 bits'],
    [{ a: 'x'.repeat(40_000), b: 'x'.repeat(40_000) }, `more than ${JSON_BYTES_MAX} bytes`],
  ])('refuses case %#', (extra: { readonly [key: string]: Json }, reason) => {
    expect(refusal(open, [{ id: 1, v: [1, 2], ...extra }])).toContain(reason);
  });
});
