import type { Shard } from '@aws-sdk/client-kinesis';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { orderByLineage } from '#aws/lineage.ts';

const shard = (name: string, ...parents: readonly string[]): Shard => ({
  ShardId: name,
  HashKeyRange: undefined,
  ParentShardId: parents[0],
  AdjacentParentShardId: parents[1],
  SequenceNumberRange: { StartingSequenceNumber: '1' },
});

/** A history of splits (one parent) and merges (two), newest last, named against their order. */
const histories = fc
  .array(fc.array(fc.nat(), { maxLength: 2 }), { minLength: 1, maxLength: 40 })
  .map((choices) =>
    choices.map((choice, index) => {
      const older = choice.map((each) => (index === 0 ? undefined : `s${100 - (each % index)}`));
      const parents = [...new Set(older.filter((each) => each !== undefined))];
      return shard(`s${100 - index}`, ...parents);
    }),
  );

it('puts every parent before its children and loses nobody, in whatever order they are listed', async () => {
  await fc.assert(
    fc.property(
      histories.chain((all) =>
        fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
      ),
      ([all, shuffled]) => {
        const ordered = orderByLineage(shuffled);
        expect(ordered).toEqual(orderByLineage(all));
        expect(new Set(ordered.map(({ name }) => name))).toEqual(
          new Set(all.map(({ ShardId }) => ShardId)),
        );
        const placed = new Set<string>();
        for (const { name, parents } of ordered) {
          for (const parent of parents) expect(placed).toContain(parent);
          placed.add(name);
        }
      },
    ),
  );
});

it('leaves out parents that are forgotten, and tells the closed from the open', () => {
  const closed: Shard = {
    ...shard('b', 'gone', 'a'),
    SequenceNumberRange: { StartingSequenceNumber: '5', EndingSequenceNumber: '9' },
  };
  expect(orderByLineage([closed, shard('a')])).toEqual([
    { name: 'a', parents: [], closed: false, first: '1' },
    { name: 'b', parents: ['a'], closed: true, first: '5' },
  ]);
});

it('refuses a listing that does not say where a stream shard begins', () => {
  const broken: Shard = { ...shard('a'), SequenceNumberRange: undefined };
  expect(() => orderByLineage([broken])).toThrow(/without a beginning/);
});
