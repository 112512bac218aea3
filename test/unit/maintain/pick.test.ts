import { describe, expect, test } from 'vitest';
import { COMPACT_POLICY, type CompactPolicy, pickGraphs, pickMerge } from '#maintain/pick.ts';
import type { WantedGraph } from '#maintain/wanted.ts';
import type { Manifest } from '#manifest/format.ts';
import { initialManifest } from '#manifest/head.ts';
import type { Field } from '#schema/field.ts';
import type { AuxiliaryEntry, SegmentEntry } from '#segment/entry.ts';

const NOW_MS = 1_000_000;
const NONE = new Map<string, number>();

let keys = 0;
const segment = (
  level: number,
  rows: number,
  overrides: Partial<SegmentEntry> = {},
): SegmentEntry => ({
  key: `s${keys++}`,
  level,
  sizeBytes: rows * 100,
  footerOffset: 0,
  footerBytes: 1,
  footerCrc32: 0,
  rows,
  tombstones: 0,
  keyRange: undefined,
  positionRange: undefined,
  logTimeRangeMs: { min: NOW_MS, max: NOW_MS },
  stats: new Map(),
  auxiliary: [],
  ...overrides,
});

const manifest = (
  segments: readonly SegmentEntry[],
  overrides: Partial<Manifest> = {},
): Manifest => ({
  ...initialManifest(
    { collectionId: 1, shard: 0 },
    { generation: 1, epoch: 1, fenceNumber: 1, schemaVersion: 1 },
  ),
  logTimeMs: NOW_MS,
  segments,
  ...overrides,
});

const pick = (
  segments: readonly SegmentEntry[],
  policy: Partial<CompactPolicy> = {},
  dead = NONE,
  nowMs = NOW_MS,
) => {
  const merge = pickMerge(manifest(segments), { ...COMPACT_POLICY, ...policy }, dead, nowMs);
  return (
    merge && {
      reason: merge.reason,
      level: merge.level,
      inputs: merge.inputs.map((entry) => segments.indexOf(entry)),
    }
  );
};

describe('level 0', () => {
  test.each<[string, SegmentEntry[], number]>([
    ['by rows', [segment(0, 10_000), segment(0, 6_384)], NOW_MS],
    [
      'by bytes',
      [segment(0, 10, { sizeBytes: COMPACT_POLICY.levelZeroBytes }), segment(0, 10)],
      NOW_MS,
    ],
    ['by age', [segment(0, 10, { logTimeRangeMs: { min: 1, max: 2 } }), segment(0, 10)], NOW_MS],
  ])('is folded %s, all of it', (_, segments, nowMs) => {
    expect(pick([segment(1, 100), ...segments], {}, NONE, nowMs)).toEqual({
      reason: 'level-zero',
      level: 1,
      inputs: [1, 2],
    });
  });

  test('is folded by count', () => {
    const segments = Array.from({ length: COMPACT_POLICY.levelZeroSegments }, () => segment(0, 1));
    expect(pick(segments)?.inputs).toHaveLength(COMPACT_POLICY.levelZeroSegments);
    expect(pick(segments.slice(1))).toBeUndefined();
  });

  test('takes the oldest first where not all fit, and one that is larger than all bounds', () => {
    const segments = [segment(0, 200_000), segment(0, 60_000), segment(0, 60_000)];
    expect(pick(segments)?.inputs).toEqual([0, 1]);
    expect(pick([segment(0, 999_999), segment(0, 1)])?.inputs).toEqual([0]);
  });
});

describe('above', () => {
  test('eight segments of a tier are merged, seven are not', () => {
    const tier = Array.from({ length: 8 }, (_, index) => segment(1 + (index % 3), 3000 + index));
    expect(pick([segment(1, 90_000), ...tier])).toEqual({
      reason: 'tier',
      level: 4,
      inputs: [1, 2, 3, 4, 5, 6, 7, 8],
    });
    expect(pick(tier.slice(1))).toBeUndefined();
  });

  test('the smallest are merged where not all fit', () => {
    const tier = Array.from({ length: 8 }, (_, index) => segment(2, 130_000 - index * 10_000));
    expect(pick(tier)?.inputs).toEqual([7, 6, 5]);
  });

  test('full segments are left alone', () => {
    expect(pick(Array.from({ length: 20 }, () => segment(3, 200_000)))).toBeUndefined();
  });

  test('a segment is rewritten when a quarter of it is dead, at its level', () => {
    const [a, b] = [segment(2, 1000), segment(3, 100_000)];
    expect(
      pick(
        [a, b],
        {},
        new Map([
          [a.key, 249],
          [b.key, 24_999],
        ]),
      ),
    ).toBeUndefined();
    const dead = new Map([
      [a.key, 250],
      [b.key, 25_000],
    ]);
    expect(pick([a, b], {}, dead)).toEqual({ reason: 'dead', level: 3, inputs: [1] });
  });

  test('in an idle shard small segments are merged where that makes a much larger one', () => {
    const later = NOW_MS + COMPACT_POLICY.idleMs;
    const segments = [segment(1, 100), segment(1, 90), segment(2, 100_000)];
    expect(pick(segments, {}, NONE, later)).toEqual({ reason: 'idle', level: 2, inputs: [1, 0] });
    expect(pick(segments)).toBeUndefined();
    expect(pick([segment(1, 10), segment(2, 100_000)], {}, NONE, later)).toBeUndefined();
  });

  test('idle merging ends', () => {
    let segments = Array.from({ length: 7 }, (_, index) => segment(1, 100 * 2 ** index));
    for (let merges = 0; ; merges++) {
      const merge = pickMerge(manifest(segments), COMPACT_POLICY, NONE, NOW_MS * 2);
      if (merge === undefined) break;
      expect(merges).toBeLessThan(7);
      const rows = merge.inputs.reduce((sum, entry) => sum + entry.rows, 0);
      segments = [
        ...segments.filter((entry) => !merge.inputs.includes(entry)),
        segment(merge.level, rows),
      ];
    }
    expect(segments.length).toBeLessThan(3);
  });
});

test('a dropped shard is left to collect', () => {
  const dropped = manifest([segment(0, 100_000)], { state: 'dropped' });
  expect(pickMerge(dropped, COMPACT_POLICY, NONE, NOW_MS)).toBeUndefined();
});

describe('graphs', () => {
  const field: Field = {
    id: 101,
    name: 'vector',
    type: 'FloatVector',
    description: '',
    primaryKey: false,
    autoId: false,
    nullable: false,
    dim: 4,
    dynamic: false,
  };
  const cosine: WantedGraph = { field, metric: 'COSINE', m: 16, efConstruction: 200 };
  const graph = (facts: Readonly<Record<string, string | number>>): AuxiliaryEntry => ({
    kind: 'graph',
    fieldId: 101,
    key: `g${keys++}`,
    sizeBytes: 1,
    footerCrc32: 0,
    facts,
  });
  const fitting = graph({ metric: 'COSINE', m: 16, efConstruction: 200 });
  const work = (
    segments: readonly SegmentEntry[],
    wanted: readonly WantedGraph[],
    canBuild = true,
  ) => pickGraphs(manifest(segments), COMPACT_POLICY, wanted, canBuild);

  test('the largest compacted segment without one comes first', () => {
    const segments = [
      segment(1, 5000),
      segment(1, 9000),
      segment(0, 99_999),
      segment(1, 90_000, { auxiliary: [fitting] }),
    ];
    expect(work(segments, [cosine])).toMatchObject({
      segment: segments[1],
      missing: [cosine],
      stale: [],
    });
  });

  test('small segments get none', () => {
    expect(work([segment(1, COMPACT_POLICY.graphRows - 1)], [cosine])).toBeUndefined();
  });

  test('another metric is built anew and replaces the old one', () => {
    const old = graph({ metric: 'L2', m: 16, efConstruction: 200 });
    const segments = [segment(1, 5000, { auxiliary: [old] })];
    expect(work(segments, [cosine])).toMatchObject({ missing: [cosine], stale: [old] });
  });

  test('without an index graphs are taken away; objects of other kinds are not', () => {
    const other: AuxiliaryEntry = { ...fitting, kind: 'codes', key: 'codes' };
    const segments = [segment(1, 5000, { auxiliary: [fitting, other] })];
    expect(work(segments, [])).toMatchObject({ missing: [], stale: [fitting] });
    expect(work([segment(1, 5000, { auxiliary: [other] })], [])).toBeUndefined();
  });

  test('without the library nothing is built', () => {
    expect(work([segment(1, 5000)], [cosine], false)).toBeUndefined();
  });
});
