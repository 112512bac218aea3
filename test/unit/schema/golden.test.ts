import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '#base/bytes.ts';
import { type JsonObject, parseJson } from '#base/json.ts';
import { addSum, emptySum, formatSum, itemSum, subtractSum, sumOf } from '#base/setsum.ts';
import { batchSum, canonicalRow, rowSum, rowsSum, tombstoneSum } from '#schema/canonical.ts';
import type { Key } from '#schema/column.ts';
import { defineCollection, type FieldInput } from '#schema/define.ts';
import { primaryField } from '#schema/field.ts';
import { keyAt, keyColumn } from '#schema/gather.ts';
import { hashKey, shardOf } from '#schema/hash.ts';
import { rowsToBatch } from '#schema/row.ts';

type KeyVector = Readonly<{ Int64?: string; VarChar?: string }>;

/** The vectors were computed by an independent program from the text in docs/formats. */
const golden = JSON.parse(
  readFileSync(new URL('../../golden/setsum.json', import.meta.url), 'utf8'),
) as Readonly<{
  items: readonly { hex: string; sum: string }[];
  itemsTotal: string;
  itemsTotalMinusFirst: string;
  negatedFirst: string;
  schema: readonly FieldInput[];
  rows: readonly { json: string; position: string; canonical: string; sum: string }[];
  rowsTotal: string;
  tombstones: readonly { position: string; key: KeyVector; bound: string | null; sum: string }[];
  rowsMinusTombstones: string;
  keys: readonly { key: KeyVector; hash: number; shards: Record<string, number> }[];
}>;

const keyOf = ({ Int64, VarChar }: KeyVector): Key =>
  Int64 === undefined ? (VarChar ?? '') : BigInt(Int64);

describe('test vectors of docs/formats/setsum.md', () => {
  it('sums items', () => {
    const sums = golden.items.map(({ hex }) => itemSum(fromHex(hex)));
    expect(sums.map(formatSum)).toEqual(golden.items.map(({ sum }) => sum));
    const total = sumOf(...sums);
    expect(formatSum(total)).toBe(golden.itemsTotal);
    const [first] = sums;
    subtractSum(total, first ?? emptySum());
    expect(formatSum(total)).toBe(golden.itemsTotalMinusFirst);
    const negated = emptySum();
    subtractSum(negated, first ?? emptySum());
    expect(formatSum(negated)).toBe(golden.negatedFirst);
  });
});

describe('test vectors of docs/formats/canonical-row.md', () => {
  const schema = defineCollection({ fields: golden.schema, enableDynamic: true });
  const batch = rowsToBatch(
    schema,
    golden.rows.map(({ json }) => parseJson(json) as JsonObject),
    { partitionId: 1 },
  );
  const positionOf = (row: number): string => golden.rows[row]?.position ?? '';
  const keys = keyColumn(batch, primaryField(schema));

  it('writes rows canonically', () => {
    expect(golden.rows.map((_, row) => toHex(canonicalRow(batch, row)))).toEqual(
      golden.rows.map(({ canonical }) => canonical),
    );
  });

  it('sums rows one by one, all together and some of them', () => {
    const sums = golden.rows.map((_, row) =>
      rowSum(positionOf(row), keyAt(keys, row), canonicalRow(batch, row)),
    );
    expect(sums.map(formatSum)).toEqual(golden.rows.map(({ sum }) => sum));
    expect(formatSum(batchSum(schema, batch, positionOf))).toBe(golden.rowsTotal);
    const some = rowsSum(schema, batch, positionOf, [2, 0]);
    addSum(some, sums[1] ?? emptySum());
    expect(formatSum(some)).toBe(golden.rowsTotal);
  });

  it('sums tombstones', () => {
    const sums = golden.tombstones.map(({ position, key, bound }) =>
      tombstoneSum(position, keyOf(key), bound ?? undefined),
    );
    expect(sums.map(formatSum)).toEqual(golden.tombstones.map(({ sum }) => sum));
    const total = batchSum(schema, batch, positionOf);
    for (const sum of sums) subtractSum(total, sum);
    expect(formatSum(total)).toBe(golden.rowsMinusTombstones);
  });

  it('hashes keys and places them in shards', () => {
    for (const { key, hash, shards } of golden.keys) {
      expect(hashKey(keyOf(key))).toBe(hash);
      for (const [count, shard] of Object.entries(shards)) {
        expect(shardOf(keyOf(key), Number(count))).toBe(shard);
      }
    }
  });

  it('spreads sequential keys evenly', () => {
    for (const shards of [2, 3, 16]) {
      const counts = new Array<number>(shards).fill(0);
      for (let key = 0n; key < 16_000n; key++) {
        const shard = shardOf(key, shards);
        counts[shard] = (counts[shard] ?? 0) + 1;
      }
      for (const count of counts) {
        expect(count).toBeGreaterThan((16_000 / shards) * 0.8);
        expect(count).toBeLessThan((16_000 / shards) * 1.2);
      }
    }
  });
});
