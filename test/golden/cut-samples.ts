/** A cut of two shards, one of them empty. */
import { utf8 } from '#base/bytes.ts';
import { recordPosition, rowPosition } from '#base/position.ts';
import { type Cut, cutSegmentKey } from '#manifest/cut.ts';
import { initialManifest } from '#manifest/head.ts';

const begin = { generation: 2, epoch: 1, fenceNumber: 3, schemaVersion: 1 };
const record = recordPosition(2, 1, '49590338271490256608559692538361571095921575989136588898');
const position = rowPosition(record, 7);
const sum = (digit: string): string => digit.repeat(64);

const segment = (key: string) => ({
  ...{ key, level: 0, sizeBytes: 4096, footerOffset: 3500, footerBytes: 500, footerCrc32: 77 },
  ...{ rows: 1, tombstones: 0, keyRange: { min: -5n, max: 9n } },
  positionRange: { min: position, max: position },
  logTimeRangeMs: { min: 1_800_000_000_000, max: 1_800_000_000_500 },
  stats: new Map([[101, { rows: 1, nulls: 0, min: 1.5, max: 1.5 }]]),
  auxiliary: [],
});

export const CUT: Cut = {
  definition: utf8('{"format":1,"collection":{"collectionName":"terns"}}'),
  logTimeMs: 1_800_000_000_500,
  manifests: [
    {
      ...initialManifest({ collectionId: 42, shard: 0 }, begin),
      ...{ version: 9, applied: record, logTimeMs: 1_800_000_000_500, rowsApplied: 1 },
      sums: { in: sum('3'), held: sum('1'), out: sum('2') },
      segments: [
        segment('collections/42/0/segment/000000000008-0-0011223344556677'),
        segment(cutSegmentKey(42, '0123456789abcdef', 0)),
      ],
    },
    initialManifest({ collectionId: 42, shard: 1 }, begin),
  ],
};
