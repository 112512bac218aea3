import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RowPosition } from '#base/position.ts';
import { type CollectionSchema, primaryField } from '#schema/field.ts';
import { keyAt, keyColumn } from '#schema/gather.ts';
import { killsBetween } from '#segment/kills.ts';
import { memorySource } from '#segment/memory.ts';
import type { StampedBatch, StampedTombstones } from '#segment/source.ts';
import { positionAt } from '#segment/stamps.ts';
import { Dice, field, randomRows, randomTombstones } from './random-rows.ts';

type Content = Readonly<{ rows: StampedBatch; tombstones: StampedTombstones }>;

function naive(schema: CollectionSchema, victim: Content, killer: Content): number[] {
  const versions = versionsOf(schema, killer.rows);
  const stones = Array.from({ length: killer.tombstones.count }, (_, index) => ({
    key: keyAt(killer.tombstones.keys, index),
    position: positionAt(killer.tombstones.stamps, index),
    bound: killer.tombstones.bounds[index],
  }));
  return versionsOf(schema, victim.rows).flatMap(({ key, position }, row) => {
    const replaced = versions.some((other) => other.key === key && other.position > position);
    const deleted = stones.some(
      (stone) =>
        stone.key === key &&
        stone.position > position &&
        (stone.bound === undefined || position <= stone.bound),
    );
    return replaced || deleted ? [row] : [];
  });
}

function versionsOf(schema: CollectionSchema, { batch, stamps }: StampedBatch) {
  const column = keyColumn(batch, primaryField(schema));
  return Array.from({ length: batch.count }, (_, row): { key: unknown; position: RowPosition } => ({
    key: keyAt(column, row),
    position: positionAt(stamps, row),
  }));
}

const sourceOf = (schema: CollectionSchema, id: string, { rows, tombstones }: Content) =>
  memorySource(id, rows, tombstones, primaryField(schema));

const size = fc.nat(40);
const start = fc.integer({ min: 1, max: 30 });

describe('what kills what', () => {
  it('agrees with the definition, between sources and inside one', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.boolean(),
        fc.tuple(size, size, start),
        fc.tuple(size, size, start),
        async (seed, isInt, [m, mStones, mStart], [n, nStones, nStart]) => {
          const dice = new Dice(seed);
          const key = field(100, isInt ? 'Int64' : 'VarChar', { primaryKey: true });
          const schema = { version: 1, fields: [key] };
          const victim = {
            rows: randomRows(dice, schema, m, mStart),
            tombstones: randomTombstones(dice, schema, mStones, mStart),
          };
          const killer = {
            rows: randomRows(dice, schema, n, nStart),
            tombstones: randomTombstones(dice, schema, nStones, nStart),
          };
          const a = sourceOf(schema, 'a', victim);
          const b = sourceOf(schema, 'b', killer);
          expect([...(await killsBetween(a, b))]).toEqual(naive(schema, victim, killer));
          expect([...(await killsBetween(b, a))]).toEqual(naive(schema, killer, victim));
          expect([...(await killsBetween(a, a))]).toEqual(naive(schema, victim, victim));
        },
      ),
      { numRuns: 300 },
    );
  });
});
