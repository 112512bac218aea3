/** Writes whose reply could not travel are refused before anything is written. */
import { expect, test } from 'vitest';
import type { JsonObject } from '#base/json.ts';
import { stringifyJson } from '#base/json.ts';
import { defineCollection } from '#schema/define.ts';
import type { CollectionSchema } from '#schema/field.ts';
import { keysOut, refuseUnanswerable } from '#service/rows.ts';

const schemaOf = (type: 'Int64' | 'VarChar', autoId = false): CollectionSchema =>
  defineCollection({
    fields: [
      { name: 'id', type, primaryKey: true, autoId, maxLength: 65_535 },
      { name: 'v', type: 'FloatVector', dim: 2 },
    ],
    enableDynamic: false,
  });

/** As many as the first call of `refuseUnanswerable` that throws, in steps. */
function mostRows(schema: CollectionSchema, row: JsonObject, bytesMax: number): number {
  let low = 0;
  let high = bytesMax;
  const fits = (count: number): boolean => {
    try {
      refuseUnanswerable(schema, new Array<JsonObject>(count).fill(row), bytesMax);
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: 'TOO_LARGE', advice: { effect: 'none' } });
      return false;
    }
  };
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** What Lambda carries: the reply as a text within JSON. */
const wireBytes = (ids: readonly (bigint | string)[], int64AsText: boolean): number => {
  const body = stringifyJson({ code: 0, data: { insertIds: keysOut(ids, int64AsText) } });
  return Buffer.byteLength(JSON.stringify({ statusCode: 200, body }));
};

const BYTES_MAX = 100_000;

test.each([
  { what: 'generated integers', type: 'Int64', autoId: true, row: {}, key: -(2n ** 63n) },
  { what: 'integers', type: 'Int64', autoId: false, row: { id: 1 }, key: -(2n ** 63n) },
  { what: 'plain texts', type: 'VarChar', autoId: false, row: { id: 'abc' }, key: 'abc' },
  { what: 'quotes', type: 'VarChar', autoId: false, row: { id: '"\\"' }, key: '"\\"' },
  { what: 'controls', type: 'VarChar', autoId: false, row: { id: '\u0001€' }, key: '\u0001€' },
  { what: 'generated texts', type: 'VarChar', autoId: true, row: {}, key: '9'.repeat(20) },
] as const)('the reply to as many $what as are let through fits', ({ type, autoId, row, key }) => {
  const count = mostRows(schemaOf(type, autoId), row, BYTES_MAX);
  expect(count).toBeGreaterThan(1000);
  for (const int64AsText of [false, true]) {
    const bytes = wireBytes(new Array<bigint | string>(count).fill(key), int64AsText);
    expect(bytes).toBeLessThanOrEqual(BYTES_MAX);
  }
});

test('where replies have no bound nothing is refused', () => {
  const rows = new Array<JsonObject>(1_000_000).fill({});
  expect(refuseUnanswerable(schemaOf('Int64', true), rows, undefined)).toBeUndefined();
});

test('what a request of 6 MB holds, in rows of 25 bytes and more, is never refused', () => {
  const bytesMax = 6 * 1024 * 1024;
  const rows = new Array<JsonObject>(Math.floor((bytesMax - 8 * 1024) / 25)).fill({});
  expect(() => refuseUnanswerable(schemaOf('Int64', true), rows, bytesMax)).not.toThrow();
});
