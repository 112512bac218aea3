/** Manifest and head row: what was written is read, what was damaged is refused. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeManifest, encodeManifest } from '#manifest/codec.ts';
import { decodeHead, encodeHead, HEAD_INLINE_BYTES_MAX } from '#manifest/head.ts';
import { productKey } from '#wal/shard.ts';
import { payloadRefs } from '../wal/arbitrary-records.ts';
import {
  checkDamage,
  checkRoundTrip,
  checkTotality,
  expectRefusal,
  withVersion,
} from '../wal/codec-checks.ts';
import { firstManifest, manifests, segmentOf, shard } from './arbitrary-manifests.ts';

const readManifest = (bytes: Uint8Array) => decodeManifest(bytes, 'a manifest');
const readHead = (bytes: Uint8Array) => decodeHead(bytes, 'a head');

describe('manifest', () => {
  test('comes back as it went', () => checkRoundTrip(manifests, encodeManifest, readManifest));
  test('damage is refused', () => checkDamage(manifests, encodeManifest, readManifest));
  test('decoding is total', () => checkTotality(manifests, encodeManifest, readManifest));

  test('a newer one is too new', () => {
    const bytes = withVersion(encodeManifest(firstManifest), 2);
    expectRefusal(() => readManifest(bytes), 'FORMAT_TOO_NEW');
  });

  test('auxiliary objects of an unknown kind are preserved', () => {
    const centroids = {
      kind: 'centroids-of-the-future',
      fieldId: 0,
      key: 'collections/7/1/centroids/000000000003-aa',
      sizeBytes: 9,
      footerCrc32: 0,
      facts: { clusters: 12, code: 'pq' },
    };
    const segments = [{ ...segmentOf(1, 'a'), auxiliary: [centroids] }];
    const read = readManifest(encodeManifest({ ...firstManifest, segments }));
    expect(read.segments[0]?.auxiliary).toEqual([centroids]);
  });

  test('keys of one shard cost their difference', () => {
    const suffix = (n: number): string => n.toString(16).padStart(16, '0');
    const retired = Array.from({ length: 1000 }, (_, n) => ({
      key: productKey(shard, 'segment', 1000 + n, suffix((n * 2654435761) % 2 ** 32)),
      atMs: 1_700_000_000_000,
    }));
    const bytes = encodeManifest({ ...firstManifest, retired });
    expect(bytes.length / retired.length).toBeLessThan(40);
    expect(readManifest(bytes).retired).toEqual(retired);
  });

  test('thirty segments with a range of keys ride in the head row', () => {
    const key = (n: number) => BigInt(n * 1000);
    const segments = Array.from({ length: 30 }, (_, n) => ({
      ...segmentOf(n, `${n}`.padStart(16, '0')),
      keyRange: { min: key(n), max: key(n + 1) },
    }));
    const bytes = encodeManifest({ ...firstManifest, segments });
    expect(bytes.length).toBeLessThan(HEAD_INLINE_BYTES_MAX);
  });
});

describe('head row', () => {
  test('comes back as it went', () => checkRoundTrip(payloadRefs, encodeHead, readHead));
  test('damage is refused', () => checkDamage(payloadRefs, encodeHead, readHead));
  test('decoding is total', () => checkTotality(payloadRefs, encodeHead, readHead));
});

test('one format is not taken for another', () => {
  fc.assert(
    fc.property(manifests, (manifest) => {
      expectRefusal(() => readHead(encodeManifest(manifest)), 'DATA_CORRUPT');
    }),
  );
});
