/** What a function that compacts can finish, by arithmetic alone. */
import { describe, expect, test } from 'vitest';
import type { Collection } from '#catalog/collection.ts';
import { COMPACT_POLICY } from '#maintain/pick.ts';
import type { WantedGraph } from '#maintain/wanted.ts';
import {
  buildMs,
  compactPolicy,
  GRAPHS_MS,
  type Machine,
  neededMs,
  rowsWithin,
} from '#runtime/builds.ts';
import { bodyBytesFor, readMemory, scanMemory, segmentBytesFor } from '#runtime/memory.ts';
import { defineCollection } from '#schema/define.ts';

const MIB = 1024 * 1024;
const X64: Machine = { arch: 'x64', memoryMb: 3008 };

const want = (dim: number, change: Partial<WantedGraph> = {}): WantedGraph => ({
  field: { id: 101, name: 'vector', type: 'FloatVector', dim } as WantedGraph['field'],
  metric: 'COSINE',
  m: 16,
  efConstruction: 200,
  ...change,
});

const collectionOf = (dim: number, params: Record<string, string> = {}): Collection => {
  const schema = defineCollection({
    enableDynamic: false,
    fields: [
      { name: 'id', type: 'Int64', primaryKey: true },
      { name: 'vector', type: 'FloatVector', dim },
    ],
  });
  const field = schema.fields.find(({ name }) => name === 'vector');
  const index = { indexName: 'v', fieldName: 'vector', metric: 'COSINE', indexType: 'HNSW' };
  return {
    schema,
    indexes: [{ ...index, fieldId: field?.id ?? 0, params }],
    // The rest of a collection plays no part in what is built.
  } as unknown as Collection;
};

describe('the time that a graph takes', () => {
  test('is what was measured where it was measured', () => {
    expect(buildMs(100_000, want(768), X64)).toBeCloseTo(100_000 / 0.48, 0);
  });

  test('grows with rows, dimensions, links and width, on a slower processor, and without vector code', () => {
    const base = buildMs(100_000, want(768), X64);
    expect(buildMs(200_000, want(768), X64)).toBeGreaterThan(2 * base);
    expect(buildMs(100_000, want(1536), X64) / base).toBeCloseTo(1608 / 840, 5);
    expect(buildMs(100_000, want(768, { efConstruction: 400 }), X64)).toBeCloseTo(2 * base, 3);
    expect(buildMs(100_000, want(768, { m: 32 }), X64)).toBeCloseTo(2 * base, 3);
    expect(buildMs(100_000, want(768), { ...X64, memoryMb: 1769 / 2 })).toBeCloseTo(2 * base, 3);
    expect(buildMs(100_000, want(768), { ...X64, arch: 'arm64' })).toBeCloseTo(base / 0.37, 3);
  });
});

describe('the largest segment', () => {
  test.each([
    { dim: 128, machine: X64 },
    { dim: 768, machine: X64 },
    { dim: 1536, machine: X64 },
    { dim: 3072, machine: X64 },
    { dim: 768, machine: { arch: 'arm64', memoryMb: 3008 } },
    { dim: 768, machine: { arch: 'x64', memoryMb: 1024 } },
  ])('of $dim dimensions on $machine has its graph within one run, and no more', (given) => {
    const { dim, machine } = given;
    const rows = rowsWithin(want(dim), machine);
    expect(neededMs(rows, want(dim), machine)).toBeLessThanOrEqual(GRAPHS_MS);
    if (rows < COMPACT_POLICY.segmentRows) {
      expect(neededMs(rows + 1, want(dim), machine)).toBeGreaterThan(GRAPHS_MS);
    }
    const policy = compactPolicy(collectionOf(dim), machine, () => GRAPHS_MS);
    expect(policy.segmentRows).toBe(rows);
    // Whatever a merge makes, bounded by rows and by bytes, a run that has its share of time may index.
    const largest = Math.min(rows, Math.floor(policy.segmentBytes / (dim * 4)));
    expect(policy.mayBuild?.(largest, want(dim))).toBe(true);
  });

  test('is not cut up where no graph could be built anyway', () => {
    const collection = collectionOf(32_768, { M: '64', efConstruction: '500' });
    const policy = compactPolicy(collection, X64, () => GRAPHS_MS);
    expect(policy.segmentRows).toBe(COMPACT_POLICY.segmentRows);
    const heavy = want(32_768, { m: 64, efConstruction: 500 });
    expect(policy.mayBuild?.(4096, heavy)).toBe(false);
  });

  test('fits the memory of the function three times', () => {
    expect(segmentBytesFor(3008)).toBeGreaterThan(750 * MIB);
    for (const memoryMb of [128, 512, 1024, 3008, 10_240]) {
      const bytes = segmentBytesFor(memoryMb);
      expect(bytes).toBeGreaterThan(0);
      if (memoryMb >= 1024) expect(3 * bytes + 640 * MIB).toBeLessThanOrEqual(memoryMb * MIB);
    }
  });
});

test('a graph is not begun with too little time left', () => {
  let leftMs = GRAPHS_MS;
  const { mayBuild } = compactPolicy(collectionOf(768), X64, () => leftMs);
  expect(mayBuild?.(100_000, want(768))).toBe(true);
  leftMs = 300_000;
  expect(mayBuild?.(100_000, want(768))).toBe(false);
  expect(mayBuild?.(50_000, want(768))).toBe(true);
});

test('caches of a function that reads leave it room, and those of others hold no graph', () => {
  for (const memoryMb of [128, 512, 1024, 1769, 3008, 10_240]) {
    const { cacheBytes, graphBytes } = readMemory(memoryMb);
    const kept = cacheBytes + graphBytes;
    expect(kept).toBeLessThanOrEqual(Math.max(64 * MIB, memoryMb * MIB - 512 * MIB));
    expect(scanMemory(memoryMb)).toEqual({ cacheBytes, graphBytes: 0 });
  }
  // The graph of a full segment of 768 dimensions that a function of this size builds.
  const rows = rowsWithin(want(768), X64);
  expect(readMemory(3008).graphBytes).toBeGreaterThan(rows * (768 * 4 + 160));
});

test('a body is unpacked to as much as locally, or to what a small function can hold', () => {
  expect(bodyBytesFor(1024)).toBe(64 * MIB);
  expect(bodyBytesFor(512)).toBe(32 * MIB);
  expect(bodyBytesFor(128)).toBe(8 * MIB);
});
