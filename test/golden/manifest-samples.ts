/** What the golden files of the manifest chapter hold: every field, with telling values. */
import { decodeManifest, encodeManifest } from '#manifest/codec.ts';
import type { Manifest } from '#manifest/format.ts';
import { decodeHead, encodeHead, type HeadValue } from '#manifest/head.ts';
import type { Golden } from './record-samples.ts';

const longRecord = '000000020000000356' + '49590338271490256608559692538361571095921575989136588898';
const shortRecord = '00000001000000010212';
const folder = 'collections/77/3';

const manifest: Manifest = {
  collectionId: 77,
  shard: 3,
  version: 1234,
  generation: 2,
  epoch: 3,
  fenceNumber: 300,
  state: 'sealed',
  schemaVersion: 4,
  applied: longRecord,
  logTimeMs: 1_700_000_000_123,
  sums: { in: '01'.repeat(32), held: '23'.repeat(32), out: 'ef'.repeat(32) },
  rowsApplied: 5_000_000_000,
  segments: [
    {
      key: `${folder}/segment/000000001200-0123456789abcdef`,
      level: 1,
      sizeBytes: 805_306_368,
      footerOffset: 805_300_000,
      footerBytes: 6_368,
      footerCrc32: 0xdeadbeef,
      rows: 262_144,
      tombstones: 12,
      keyRange: { min: -5n, max: 9_007_199_254_740_993n },
      positionRange: { min: `${shortRecord}00000000`, max: `${longRecord}0000ffff` },
      logTimeRangeMs: { min: 1_600_000_000_000, max: 1_700_000_000_000 },
      stats: new Map([
        [101, { rows: 262_144, nulls: 7, min: -1.5, max: 1e300 }],
        [102, { rows: 262_144, nulls: 0, min: -(2n ** 63n), max: 2n ** 63n - 1n }],
        [103, { rows: 262_144, nulls: 1, min: '', max: 'Küste 🐦' }],
        [104, { rows: 262_144, nulls: 262_144 }],
      ]),
      auxiliary: [
        {
          kind: 'graph',
          fieldId: 110,
          key: `${folder}/graph/000000001200-fedcba9876543210`,
          sizeBytes: 900_000_000,
          footerCrc32: 0x01020304,
          facts: { metric: 'COSINE', m: 16, efConstruction: 200, rows: 262_144 },
        },
        { kind: 'of-the-future', fieldId: 0, key: 'elsewhere', sizeBytes: 0, footerCrc32: 0, facts: { ratio: 0.5 } },
      ],
    },
    {
      key: `${folder}/segment/000000001233-00000000000000ff`,
      level: 0,
      sizeBytes: 4096,
      footerOffset: 3000,
      footerBytes: 1096,
      footerCrc32: 0xffffffff,
      rows: 1,
      tombstones: 0,
      keyRange: { min: 'a', max: 'ä' },
      positionRange: undefined,
      logTimeRangeMs: { min: 0, max: 0 },
      stats: new Map(),
      auxiliary: [],
    },
    {
      key: `${folder}/segment/000000001234-0000000000000100`,
      level: 0,
      sizeBytes: 2048,
      footerOffset: 1000,
      footerBytes: 1048,
      footerCrc32: 7,
      rows: 0,
      tombstones: 0,
      keyRange: undefined,
      positionRange: undefined,
      logTimeRangeMs: { min: 0, max: 0 },
      stats: new Map(),
      auxiliary: [],
    },
  ],
  idWindow: [
    { key: `${folder}/segment/000000001100-aa`, footerOffset: 1, footerBytes: 2, footerCrc32: 5, logTimeMs: 3 },
    { key: `${folder}/segment/000000001233-00000000000000ff`, footerOffset: 3000, footerBytes: 1096, footerCrc32: 0xffffffff, logTimeMs: 4 },
  ],
  retired: [{ key: `${folder}/segment/000000000900-bb`, atMs: 1_700_000_000_000 }],
  collectedBelow: 1000,
};

const inline: HeadValue = { at: 'inline', bytes: Uint8Array.of(1, 2, 3) };
const named: HeadValue = {
  at: 'object',
  key: `${folder}/manifest/000000001234-0011223344556677`,
  sizeBytes: 70_000,
  crc32: 0xcafef00d,
};

const head = (value: HeadValue): Golden => ({
  sample: value,
  encode: () => encodeHead(value),
  decode: (bytes) => decodeHead(bytes, 'a head'),
});

export const GOLDEN: Readonly<Record<string, Golden>> = {
  'manifest-v1.bin': {
    sample: manifest,
    encode: () => encodeManifest(manifest),
    decode: (bytes) => decodeManifest(bytes, 'a manifest'),
  },
  'manifest-head-v1-inline.bin': head(inline),
  'manifest-head-v1-object.bin': head(named),
};
