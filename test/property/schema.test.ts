import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '#base/bytes.ts';
import { isStoreError } from '#base/errors.ts';
import { type Json, parseJson, stringifyJson } from '#base/json.ts';
import { rowPosition } from '#base/position.ts';
import { addSum, formatSum, subtractSum } from '#base/setsum.ts';
import { batchSum, canonicalRow, rowSum, rowsSum } from '#schema/canonical.ts';
import { defineCollection } from '#schema/define.ts';
import { type CollectionSchema, primaryField } from '#schema/field.ts';
import { concatBatches, gatherBatch, keyAt, keyColumn, valueAt } from '#schema/gather.ts';
import { shardOf } from '#schema/hash.ts';
import { lastWins, rowsToBatch } from '#schema/row.ts';

const nullable = true;
const schema: CollectionSchema = defineCollection({
  fields: [
    { name: 'id', type: 'Int64', primaryKey: true },
    { name: 'flag', type: 'Bool', nullable },
    { name: 'tiny', type: 'Int8', nullable },
    { name: 'small', type: 'Int16', nullable },
    { name: 'medium', type: 'Int32', defaultValue: 7 },
    { name: 'big', type: 'Int64', nullable },
    { name: 'ratio', type: 'Float', nullable },
    { name: 'exact', type: 'Double', nullable },
    { name: 'title', type: 'VarChar', maxLength: 60, nullable },
    { name: 'doc', type: 'JSON', nullable },
    { name: 'v', type: 'FloatVector', dim: 3 },
  ],
  enableDynamic: true,
});

const float32 = fc.float({ noNaN: true, noDefaultInfinity: true });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const orNull = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(values);
const documents = fc
  .jsonValue({ maxDepth: 3 })
  // Integers beyond 2^53 in the texts of doubles are a matter for the tests of the reader.
  .filter((value) => value !== null && !/(?<![.\d])\d{16}/.test(JSON.stringify(value)));
const rows = fc.array(
  fc.record(
    {
      id: fc.bigInt({ min: -3n, max: 3n }),
      flag: orNull(fc.boolean()),
      tiny: orNull(fc.integer({ min: -128, max: 127 })),
      small: orNull(fc.integer({ min: -32_768, max: 32_767 })),
      medium: orNull(fc.integer()),
      big: orNull(int64),
      ratio: orNull(float32),
      exact: orNull(fc.double({ noNaN: true, noDefaultInfinity: true })),
      title: orNull(fc.string({ unit: 'grapheme-composite', maxLength: 5 })),
      doc: orNull(documents),
      v: fc.array(float32, { minLength: 3, maxLength: 3 }),
      dynamic: documents,
    },
    { requiredKeys: ['id', 'v'] },
  ),
  { maxLength: 20 },
);
type Row = Record<string, Json>;
/** The generators give nothing but JSON values. */
const asRows = (list: readonly object[]): readonly Row[] => list as readonly Row[];

const numbered = (batch: { count: number }): readonly number[] =>
  Array.from({ length: batch.count }, (_, row) => row);
const positionOf = (row: number): string => rowPosition('0000000100000001017', row);
/**
 * -0 and 0 are the same to a reader of JSON. Ours and not the native one: V8 reads the key `"\""` as
 * a backslash where an object with that key was read before.
 */
const plain = (value: unknown): unknown => parseJson(stringifyJson(value as Json));

describe('rows', () => {
  it('hold in columns what they held as JSON, defaults and nulls included', () => {
    fc.assert(
      fc.property(rows, (list) => {
        const given = asRows(list);
        // Through the text, as a body would come.
        const read = parseJson(stringifyJson(given)) as readonly Row[];
        const batch = rowsToBatch(schema, read, { partitionId: 1 });
        for (const [index, row] of given.entries()) {
          for (const field of schema.fields) {
            const column = batch.columns.get(field.id);
            if (column === undefined) throw new Error(`no column for ${field.name}`);
            const value = valueAt(column, index);
            if (field.dynamic) {
              expect(plain(value)).toEqual(
                'dynamic' in row ? { dynamic: plain(row['dynamic']) } : null,
              );
            } else if (value instanceof Float32Array) {
              expect(plain([...value])).toEqual(plain(row['v'] ?? null));
            } else if (field.type === 'Float' && value !== null) {
              expect(plain(Math.fround(Number(value)))).toEqual(plain(row['ratio'] ?? null));
            } else {
              expect(plain(value)).toEqual(plain(row[field.name] ?? field.defaultValue ?? null));
            }
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('have the same canonical bytes and sums wherever they stand', () => {
    fc.assert(
      fc.property(rows, rows, fc.infiniteStream(fc.nat()), (first, second, dice) => {
        const parts = [first, second].map((list) =>
          rowsToBatch(schema, asRows(list), { partitionId: 1 }),
        );
        const [left, right] = parts;
        if (left === undefined || right === undefined) throw new Error('two parts');
        const joined = concatBatches(parts);
        const order = numbered(joined)
          .map((row) => [dice.next().value, row] as const)
          .sort(([a], [b]) => a - b)
          .map(([, row]) => row);
        const shuffled = gatherBatch(joined, Uint32Array.from(order));
        const expected = [
          ...numbered(left).map((row) => toHex(canonicalRow(left, row))),
          ...numbered(right).map((row) => toHex(canonicalRow(right, row))),
        ];
        expect(order.map((_, row) => toHex(canonicalRow(shuffled, row)))).toEqual(
          order.map((row) => expected[row]),
        );
        const total = batchSum(schema, joined, positionOf);
        const again = batchSum(schema, shuffled, (row) => positionOf(order[row] ?? 0));
        expect(formatSum(again)).toBe(formatSum(total));
        const keys = keyColumn(joined, primaryField(schema));
        for (const row of numbered(joined)) {
          subtractSum(total, rowSum(positionOf(row), keyAt(keys, row), canonicalRow(joined, row)));
        }
        expect(formatSum(total)).toBe('00'.repeat(32));
        const halves = rowsSum(schema, joined, positionOf, numbered(left));
        addSum(halves, rowsSum(schema, joined, positionOf, numbered(joined).slice(left.count)));
        expect(formatSum(halves)).toBe(formatSum(again));
      }),
      { numRuns: 100 },
    );
  });

  it('with equal keys: the last one stays, and order is kept', () => {
    fc.assert(
      fc.property(rows, (list) => {
        const batch = rowsToBatch(schema, asRows(list), { partitionId: 1 });
        const kept = lastWins(batch, primaryField(schema));
        const survivors = list.filter(
          ({ id }, at) => !list.slice(at + 1).some((row) => row.id === id),
        );
        const expected = rowsToBatch(schema, asRows(survivors), { partitionId: 1 });
        expect(numbered(kept).map((row) => toHex(canonicalRow(kept, row)))).toEqual(
          numbered(expected).map((row) => toHex(canonicalRow(expected, row))),
        );
      }),
      { numRuns: 200 },
    );
  });

  it('that are garbage are refused with INVALID_ROW and nothing else', () => {
    const garbage = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.bigInt(),
      fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, -0, 1e39, 2 ** 63),
    );
    const names = [...schema.fields.map(({ name }) => name), 'other', '__proto__', 'constructor'];
    fc.assert(
      fc.property(rows, fc.constantFrom(...names), garbage, fc.nat(), (list, name, value, at) => {
        fc.pre(list.length > 0);
        const bad = at % list.length;
        const mutated = asRows(list).map((row, index) => {
          if (index !== bad) return row;
          const copy: Row = { ...row };
          Object.defineProperty(copy, name, { value, enumerable: true, configurable: true });
          return copy;
        });
        try {
          const batch = rowsToBatch(schema, mutated, { partitionId: 1 });
          expect(batch.count).toBe(list.length);
          batchSum(schema, batch, positionOf);
        } catch (error) {
          if (!isStoreError(error, 'INVALID_ROW')) throw error;
          expect(error.message).toContain(
            `row ${bad}, field ${JSON.stringify(name === 'other' || name.startsWith('_') || name === 'constructor' ? '$meta' : name)}`,
          );
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('shardOf', () => {
  it('gives every key one shard, and splits a shard in two when shards double', () => {
    fc.assert(
      fc.property(fc.oneof(int64, fc.string()), fc.integer({ min: 1, max: 8 }), (key, shards) => {
        const shard = shardOf(key, shards);
        expect(shard).toBeGreaterThanOrEqual(0);
        expect(shard).toBeLessThan(shards);
        expect(shardOf(key, shards * 2) >> 1).toBe(shard);
      }),
    );
  });
});
