/** Arbitrary manifests, and plain ones to start from. */
import fc from 'fast-check';
import { toHex } from '#base/bytes.ts';
import { formatSum, parseSum, sumOf } from '#base/setsum.ts';
import type { Manifest } from '#manifest/format.ts';
import { initialManifest } from '#manifest/head.ts';
import type { Key } from '#schema/column.ts';
import type { AuxiliaryEntry, SegmentEntry } from '#segment/entry.ts';
import { SHARD_STATES } from '#wal/record.ts';
import { productKey } from '#wal/shard.ts';
import { recordPositions, rowPositions, u32, whole } from '../wal/arbitrary-records.ts';
import { statsMaps } from './arbitrary-stats.ts';

export const shard = { collectionId: 7, shard: 1 };

export const firstManifest: Manifest = initialManifest(shard, {
  generation: 1,
  epoch: 1,
  fenceNumber: 1,
  schemaVersion: 1,
});

/** A segment without content, minted at a head version. */
export const segmentOf = (headVersion: number, suffix: string): SegmentEntry => ({
  key: productKey(shard, 'segment', headVersion, suffix),
  level: 0,
  sizeBytes: 100,
  footerOffset: 60,
  footerBytes: 40,
  footerCrc32: 0,
  rows: 0,
  tombstones: 0,
  keyRange: undefined,
  positionRange: undefined,
  logTimeRangeMs: { min: 0, max: 0 },
  stats: new Map(),
  auxiliary: [],
});

const objectKeys = fc.oneof(
  fc.tuple(fc.nat(3000), fc.nat(0xffff)).map(([version, n]) => segmentOf(version, `${n}`).key),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
);

const keys: fc.Arbitrary<Key> = fc.oneof(
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  fc.string({ unit: 'grapheme', maxLength: 10 }),
);

const auxiliaries: fc.Arbitrary<AuxiliaryEntry> = fc.record({
  kind: fc.oneof(fc.constantFrom('graph', 'centroids'), fc.string()),
  fieldId: whole,
  key: objectKeys,
  sizeBytes: whole,
  footerCrc32: u32,
  facts: fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.double({ noNaN: true })), {
    maxKeys: 3,
    noNullPrototype: true,
  }),
});

const range = <T>(values: fc.Arbitrary<T>) => fc.record({ min: values, max: values });

const segments: fc.Arbitrary<SegmentEntry> = fc.record({
  key: objectKeys,
  level: fc.nat(5),
  sizeBytes: whole,
  footerOffset: whole,
  footerBytes: whole,
  footerCrc32: u32,
  rows: u32,
  tombstones: u32,
  keyRange: fc.option(range(keys), { nil: undefined }),
  positionRange: fc.option(range(rowPositions), { nil: undefined }),
  logTimeRangeMs: range(whole),
  stats: statsMaps,
  auxiliary: fc.array(auxiliaries, { maxLength: 2 }),
});

const archives = fc.record({
  key: objectKeys,
  footerOffset: whole,
  footerBytes: whole,
  footerCrc32: u32,
  logTimeMs: whole,
});

const sums = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex);

/** Any manifest that can be written; it need not make sense. */
export const manifests: fc.Arbitrary<Manifest> = fc.record({
  collectionId: whole,
  shard: u32,
  version: whole,
  generation: u32,
  epoch: u32,
  fenceNumber: whole,
  state: fc.constantFrom(...SHARD_STATES),
  schemaVersion: whole,
  applied: fc.oneof(fc.constant(''), recordPositions),
  logTimeMs: whole,
  sums: fc.record({ in: sums, held: sums, out: sums }),
  rowsApplied: whole,
  segments: fc.array(segments, { maxLength: 4 }),
  idWindow: fc.array(archives, { maxLength: 4 }),
  retired: fc.array(fc.record({ key: objectKeys, atMs: whole }), { maxLength: 4 }),
  collectedBelow: whole,
});

/** Sums that balance: `held + out = in`. */
export const balanced = (held: string, out: string): Manifest['sums'] => ({
  in: formatSum(sumOf(parseSum(held), parseSum(out))),
  held,
  out,
});
