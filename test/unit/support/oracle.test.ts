/** The judge of the fault tests: what it must find, and what it must let pass. */
import { expect, test } from 'vitest';
import { must } from '#base/assert.ts';
import { shardOf } from '#schema/hash.ts';
import { Oracle, rowOf } from '../../support/lambda/oracle.ts';

const row = (id: number, stamp: number) => rowOf(id, stamp);
const verdict = ({ lost, resurrected, torn }: Oracle) => ({ lost, resurrected, torn });
const none = { lost: 0, resurrected: 0, torn: 0 };

test('an acknowledged row that is not there is lost, an older one in its place has come back', () => {
  const oracle = new Oracle(1);
  oracle.acknowledged([1, 2, 3], 10);
  oracle.acknowledged([3], 11);
  oracle.acknowledged([4], 5);
  oracle.acknowledged([4], undefined);
  oracle.seen([1, 2, 3, 4], [row(1, 10), row(2, 10), row(3, 11)]);
  expect(verdict(oracle)).toEqual(none);
  oracle.seen([1], []);
  expect(verdict(oracle)).toEqual({ ...none, lost: 1 });
  oracle.seen([3], [row(3, 10)]);
  expect(verdict(oracle)).toEqual({ ...none, lost: 1, resurrected: 1 });
  oracle.settle([row(1, 10), row(2, 10), row(3, 11), row(4, 5)]);
  expect(verdict(oracle)).toEqual({ ...none, lost: 1, resurrected: 2 });
  expect(oracle.findings).toHaveLength(3);
});

test('a write of unknown effect may be there or not, also behind a later one, until all is settled', () => {
  const oracle = new Oracle(1);
  oracle.acknowledged([1, 2], 10);
  oracle.unknown([1, 2], 11, 11);
  oracle.acknowledged([1], 12);
  oracle.seen([1, 2], [row(1, 12), row(2, 10)]);
  oracle.seen([1, 2], [row(1, 11), row(2, 11)]);
  expect(verdict(oracle)).toEqual(none);
  // A read has shown it: there is no way back.
  oracle.seen([1], [row(1, 12)]);
  expect(verdict(oracle)).toEqual({ ...none, lost: 1 });
  oracle.unknown([2], undefined, 13);
  oracle.settle([row(1, 11), row(2, 11)]);
  oracle.seen([1, 2], [row(1, 11)]);
  expect(verdict(oracle)).toEqual({ ...none, lost: 2 });
});

test('a batch takes effect wholly within a shard, and each shard by itself', () => {
  const keys = Array.from({ length: 20 }, (_, id) => id);
  const [even, odd] = [0, 1].map((shard) => keys.filter((id) => shardOf(BigInt(id), 2) === shard));
  const oracle = new Oracle(2);
  oracle.unknown(keys, 7, 7);
  oracle.settle(must(even, 'keys of a shard').map((id) => row(id, 7)));
  expect(verdict(oracle)).toEqual(none);
  expect(oracle.counts.parts).toBe(2);
  oracle.unknown(must(odd, 'keys of a shard'), 8, 8);
  oracle.settle([
    ...must(even, 'keys of a shard').map((id) => row(id, 7)),
    ...must(odd, 'keys of a shard')
      .slice(1)
      .map((id) => row(id, 8)),
  ]);
  expect(verdict(oracle)).toEqual({ ...none, torn: 1 });
});

test('a key that was written again, after a read had shown its batch, tells nothing of the batch', () => {
  const oracle = new Oracle(1);
  oracle.unknown([1, 2], 7, 7);
  oracle.seen([1, 2], [row(1, 7), row(2, 7)]);
  oracle.acknowledged([2], 9);
  oracle.settle([row(1, 7), row(2, 9)]);
  expect(verdict(oracle)).toEqual(none);
});

test('a row that nobody wrote, of two writes, or there twice is torn', () => {
  const oracle = new Oracle(1);
  oracle.acknowledged([1], 10);
  oracle.seen([1], [{ ...row(1, 10), text: row(1, 11).text }]);
  expect(verdict(oracle)).toEqual({ ...none, torn: 1 });
  oracle.seen([1], [row(1, 10), row(1, 10)]);
  expect(verdict(oracle)).toEqual({ ...none, torn: 2 });
  oracle.settle([row(1, 10), row(2, 10)]);
  expect(oracle.torn).toBe(3);
});
