import { describe, expect, it } from 'vitest';
import { canonicalJson, type Json } from '#base/json.ts';
import type { Column, RowBatch } from '#schema/column.ts';
import { defineCollection } from '#schema/define.ts';
import { primaryField } from '#schema/field.ts';
import {
  concatBatches,
  concatColumns,
  emptyColumn,
  gatherBatch,
  gatherColumn,
  jsonTextAt,
  keyAt,
  keyColumn,
  rowsOf,
  valueAt,
} from '#schema/gather.ts';
import { rowsToBatch } from '#schema/row.ts';

const nullable = true;
const schema = defineCollection({
  fields: [
    { name: 'id', type: 'VarChar', maxLength: 9, primaryKey: true },
    { name: 'Bool', type: 'Bool', nullable },
    { name: 'Int8', type: 'Int8', nullable },
    { name: 'Int16', type: 'Int16', nullable },
    { name: 'Int32', type: 'Int32', nullable },
    { name: 'Int64', type: 'Int64', nullable },
    { name: 'Float', type: 'Float', nullable },
    { name: 'Double', type: 'Double', nullable },
    { name: 'VarChar', type: 'VarChar', maxLength: 20, nullable },
    { name: 'JSON', type: 'JSON', nullable },
    { name: 'v', type: 'FloatVector', dim: 2 },
  ],
  enableDynamic: true,
});

const full = (n: number): Record<string, Json> => ({
  id: `key ${n}`,
  Bool: n % 2 === 1,
  Int8: -n,
  Int16: -n * 100,
  Int32: -n * 100_000,
  Int64: 2n ** 62n + BigInt(n),
  Float: n + 0.1,
  Double: n + 0.1,
  VarChar: `text ${n % 3}`,
  JSON: { n, list: [n] },
  v: [n, -n],
  extra: n,
});
const bare = (n: number): Record<string, Json> => ({ id: `key ${n}`, v: [n, -n] });

const batchOf = (...rows: readonly Record<string, Json>[]): RowBatch =>
  rowsToBatch(schema, rows, { partitionId: rows.length });

/** Row by row, what every field holds. */
const contents = (batch: RowBatch): readonly unknown[][] =>
  Array.from({ length: batch.count }, (_, row) => [
    batch.partitions[row],
    ...[...batch.columns.values()].map((column) => valueAt(column, row)),
  ]);

const at = (rows: readonly unknown[][], picked: readonly number[]): unknown[] =>
  picked.map((row) => rows[row]);

describe('gather and concat', () => {
  const mixed = batchOf(full(0), bare(1), full(2), full(3), bare(4));

  it('reads values', () => {
    expect(contents(mixed)[3]).toEqual([
      5,
      'key 3',
      true,
      -3,
      -300,
      -300_000,
      2n ** 62n + 3n,
      3.1,
      3.1,
      'text 0',
      { list: [3], n: 3 },
      new Float32Array([3, -3]),
      { extra: 3 },
    ]);
    expect(contents(mixed)[1]?.slice(2, 11)).toEqual(new Array(9).fill(null));
    expect(keyAt(keyColumn(mixed, primaryField(schema)), 4)).toBe('key 4');
  });

  it.each([[[]], [[4, 0, 0, 3]], [[0, 2, 3]], [[1, 4]], [[4, 3, 2, 1, 0]]])('picks %j', (rows) => {
    const picked = gatherBatch(mixed, Uint32Array.from(rows));
    expect(contents(picked)).toEqual(at(contents(mixed), rows));
  });

  it('drops the bitmap where every picked row has a value, and unused texts', () => {
    const picked = gatherBatch(mixed, Uint32Array.from([3, 0]));
    for (const column of picked.columns.values()) expect(column).not.toHaveProperty('valid');
    expect(picked.columns.get(108)).toMatchObject({
      dictionary: ['text 0'],
      codes: new Uint32Array(2),
    });
    const none = gatherBatch(mixed, Uint32Array.from([1]));
    expect(none.columns.get(108)).toMatchObject({ dictionary: [''], valid: new Uint8Array(1) });
  });

  it('joins batches', () => {
    const parts = [mixed, batchOf(bare(9)), batchOf(), batchOf(full(5), full(6))];
    const joined = concatBatches(parts);
    expect(joined.count).toBe(8);
    expect(contents(joined)).toEqual(parts.flatMap(contents));
    expect(joined.columns.get(108)).toMatchObject({ dictionary: ['text 0', 'text 2', ''] });
    expect(concatBatches([mixed])).toBe(mixed);
  });

  it('joins JSON columns that are windows of larger ones', () => {
    const column = mixed.columns.get(109);
    if (column?.type !== 'JSON') throw new Error('JSON is field 109');
    const window: Column = {
      type: 'JSON',
      offsets: column.offsets.slice(2, 5),
      bytes: column.bytes,
    };
    const joined = concatColumns([window, column]);
    expect(rowsOf(joined)).toBe(7);
    if (joined.type !== 'JSON') throw new Error('JSON stays JSON');
    expect([0, 1, 2].map((row) => jsonTextAt(joined, row))).toEqual([
      canonicalJson({ n: 2, list: [2] }),
      canonicalJson({ n: 3, list: [3] }),
      canonicalJson({ n: 0, list: [0] }),
    ]);
  });

  it('refuses to join what does not belong together', () => {
    const [key, flag, , , , , , , , , vector] = [...mixed.columns.values()];
    if (key === undefined || flag === undefined || vector?.type !== 'FloatVector') {
      throw new Error('the schema has these fields');
    }
    expect(() => concatColumns([key, flag])).toThrow('columns of one type');
    expect(() => concatColumns([])).toThrow('something to concatenate');
    const wide: Column = { type: 'FloatVector', dim: 5, values: vector.values };
    expect(() => concatColumns([vector, wide])).toThrow('one dimension');
    const short = { ...mixed, columns: new Map([...mixed.columns].slice(1)) };
    expect(() => concatBatches([mixed, short])).toThrow('in every batch');
  });
});

describe('emptyColumn', () => {
  it('has no values, or the default everywhere', () => {
    for (const field of schema.fields.filter((one) => one.nullable)) {
      const column = emptyColumn(field, 9);
      expect([column.type, rowsOf(column)]).toEqual([field.type, 9]);
      expect(Array.from({ length: 9 }, (_, row) => valueAt(column, row))).toEqual(
        new Array(9).fill(null),
      );
      const some = gatherColumn(column, new Uint32Array(2));
      expect(rowsOf(concatColumns([column, some]))).toBe(11);
    }
    const later = defineCollection({
      fields: [
        { name: 'id', type: 'Int64', primaryKey: true },
        { name: 'v', type: 'FloatVector', dim: 2 },
        { name: 'text', type: 'VarChar', maxLength: 9, defaultValue: 'none' },
        { name: 'big', type: 'Int64', defaultValue: 2n ** 60n },
        { name: 'flag', type: 'Bool', defaultValue: true },
      ],
      enableDynamic: false,
    });
    const values = later.fields.slice(2).map((field) => valueAt(emptyColumn(field, 3), 2));
    expect(values).toEqual(['none', 2n ** 60n, true]);
  });
});
