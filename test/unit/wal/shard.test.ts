/** Names of a shard's things: read back exactly, and sorted as their numbers are. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  objectPrefix,
  parseProductKey,
  parseShardName,
  payloadKey,
  productKey,
  shardName,
} from '#wal/shard.ts';

const shards = fc.record({
  collectionId: fc.oneof(
    fc.integer({ min: 1, max: 20 }),
    fc.maxSafeNat().map((n) => n || 1),
  ),
  shard: fc.nat(63),
});
const kinds = fc.constantFrom('segment' as const, 'graph' as const, 'manifest' as const);
const versions = fc.oneof(fc.nat(2000), fc.maxSafeNat());

test('a shard name comes back as it went', () => {
  fc.assert(
    fc.property(shards, (shard) => {
      expect(parseShardName(shardName(shard))).toEqual(shard);
    }),
  );
  for (const name of ['', 'c', 'c0-0', 'c1', 'c1-', 'c01-0', 'c1-00', 'c1-100', 'c1-0 ', 'x1-0']) {
    expect(parseShardName(name)).toBeUndefined();
  }
});

test('a product key says who minted it, and at which head version', () => {
  fc.assert(
    fc.property(
      shards,
      kinds,
      versions,
      fc.stringMatching(/^[0-9a-f]{0,16}$/),
      (shard, kind, headVersion, suffix) => {
        const key = productKey(shard, kind, headVersion, suffix);
        expect(key.startsWith(objectPrefix(shard, kind))).toBe(true);
        expect(parseProductKey(key)).toEqual({ shard, kind, headVersion });
      },
    ),
  );
});

test('other keys are no product keys', () => {
  const shard = { collectionId: 7, shard: 0 };
  expect(parseProductKey(payloadKey(shard, 5, 'aa'))).toBeUndefined();
  expect(parseProductKey('collections/7/0/segment/12-aa')).toBeUndefined();
  expect(parseProductKey('collections/7/0/other/000000000012-aa')).toBeUndefined();
  expect(parseProductKey(`x/${productKey(shard, 'segment', 1, 'aa')}`)).toBeUndefined();
});

test('keys sort by mint time and head version', () => {
  const number = fc.nat(10 ** 9);
  fc.assert(
    fc.property(number, number, (a, b) => {
      fc.pre(a < b);
      const shard = { collectionId: 7, shard: 0 };
      expect(payloadKey(shard, a, 'ff') < payloadKey(shard, b, '00')).toBe(true);
      const [older, newer] = [a, b].map((version) => productKey(shard, 'segment', version, 'f'));
      expect(String(older) < String(newer)).toBe(true);
    }),
  );
});
