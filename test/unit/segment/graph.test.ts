import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bitmapOf, setBit } from '#schema/column.ts';
import { METRICS, type Metric } from '#schema/field.ts';
import { buildGraph, type NewGraph } from '#segment/build.ts';
import { SectionCache } from '#segment/cache.ts';
import { scorerOf } from '#segment/distance.ts';
import type { AuxiliaryEntry } from '#segment/entry.ts';
import { type Ranked, scanExact, TopK } from '#segment/exact.ts';
import { graphFits, graphSupport, loadedGraph, openGraph, searchGraph } from '#segment/graph.ts';
import { KEY, WatchedObjects } from './objects.ts';
import { Dice } from './random-rows.ts';

const DIM = 24;
const ROWS = 1500;
let scratchDir = '';

beforeAll(async () => {
  scratchDir = await mkdtemp(join(tmpdir(), 'sterna-graph-'));
});
afterAll(async () => {
  await rm(scratchDir, { recursive: true, force: true });
});

const cacheOf = (graphBytesMax = 1e8): SectionCache =>
  new SectionCache({ sectionBytesMax: 1e6, graphBytesMax });
const auxiliary = ({ entry }: NewGraph, key = KEY): AuxiliaryEntry => ({
  ...entry,
  key,
  fieldId: 1,
});

function exact(metric: Metric, query: Float32Array, vectors: Float32Array, k: number): Ranked {
  const top = new TopK(k, metric);
  scanExact(scorerOf(metric, query), vectors, 0, [], top);
  return top.finish();
}

async function open(graph: NewGraph, cache = cacheOf()) {
  const objects = await WatchedObjects.of(graph.bytes);
  return await openGraph({ objects }, auxiliary(graph), scratchDir, cache);
}

/** Without the addon these run only where CI asks for it, and then fail. */
const support = await graphSupport();
const isDue = support.available || process.env['CI'] !== undefined;

describe.runIf(isDue)(`graphs${support.available ? '' : ` (no addon: ${support.reason})`}`, () => {
  it('are available here', () => {
    expect(support).toEqual({ available: true });
  });

  it.each(METRICS.flatMap((metric) => [1, 1e-9, 1e15].map((size) => [metric, size] as const)))(
    'find %s neighbours of vectors of size %d, with their exact scores',
    async (metric, size) => {
      const dice = new Dice(metric);
      const vectors = dice.floats(ROWS * DIM).map((value) => value * size);
      const graph = await open(await buildGraph({ vectors, dim: DIM, metric, scratchDir }));
      let found = 0;
      for (let times = 0; times < 50; times++) {
        const query = dice.floats(DIM).map((value) => value * size);
        const best = exact(metric, query, vectors, 10);
        const scores = new Map([...best.rows].map((row, at) => [row, best.scores[at] ?? 0]));
        const { rows, scores: given } = searchGraph(graph, query, 10, 64);
        expect(rows.length).toBe(10);
        rows.forEach((row, at) => {
          const score = scores.get(row);
          if (score === undefined) return;
          found += 1;
          expect(Math.abs((given[at] ?? 0) - score)).toBeLessThanOrEqual(Math.abs(score) * 1e-5);
        });
      }
      expect(found / 500).toBeGreaterThanOrEqual(0.9);
      expect(await readdir(scratchDir)).toEqual([]);
    },
  );

  it('hold only rows that have a vector, and return only allowed ones', async () => {
    const vectors = new Dice(3).floats(100 * DIM);
    const valid = bitmapOf(100);
    for (let row = 0; row < 100; row += 2) setBit(valid, row);
    const built = await buildGraph({ vectors, valid, dim: DIM, metric: 'L2', scratchDir });
    expect(built.entry.facts).toEqual({
      metric: 'L2',
      dim: DIM,
      m: 16,
      efConstruction: 200,
      rows: 50,
    });
    const graph = await open(built);
    const query = vectors.slice(0, DIM);
    const all = [...searchGraph(graph, query, 100, 200).rows];
    expect(all.length).toBe(50);
    expect(all[0]).toBe(0);
    expect(all.every((row) => row % 2 === 0)).toBe(true);
    const few = searchGraph(graph, query, 100, 200, (row) => row % 10 === 4);
    expect([...few.rows].sort((a, b) => a - b)).toEqual([4, 14, 24, 34, 44, 54, 64, 74, 84, 94]);
  });

  it('may hold no point at all, or vectors of length 0', async () => {
    const empty = await open(
      await buildGraph({ vectors: new Float32Array(0), dim: 3, metric: 'IP', scratchDir }),
    );
    expect(searchGraph(empty, Float32Array.of(1, 2, 3), 5, 64).rows.length).toBe(0);
    for (const metric of METRICS) {
      const zeros = new Float32Array(12);
      const graph = await open(await buildGraph({ vectors: zeros, dim: 3, metric, scratchDir }));
      const { rows, scores } = searchGraph(graph, new Float32Array(3), 4, 64);
      expect([[...rows], [...scores]]).toEqual([
        [0, 1, 2, 3],
        [0, 0, 0, 0],
      ]);
    }
  });

  it('are built the same from the same vectors and seed', async () => {
    const vectors = new Dice(8).floats(200 * DIM);
    const payload = { vectors, dim: DIM, metric: 'COSINE', scratchDir } as const;
    expect((await buildGraph(payload)).bytes).toEqual((await buildGraph(payload)).bytes);
  });

  it('leave memory when the cache drops them, and then say so', async () => {
    const vectors = new Dice(8).floats(200 * DIM);
    const built = await buildGraph({ vectors, dim: DIM, metric: 'IP', scratchDir });
    const objects = await WatchedObjects.of(built.bytes);
    const cache = cacheOf(built.bytes.length + 10);
    const entry = auxiliary(built);
    expect(loadedGraph(entry, cache)).toBeUndefined();
    expect(graphFits(entry, cache)).toBe(true);
    expect(graphFits(entry, cacheOf(100))).toBe(false);
    const graph = await openGraph({ objects }, entry, scratchDir, cache);
    expect(loadedGraph(entry, cache)).toBe(graph);
    cache.forget(entry.key);
    expect([graph.isOpen, loadedGraph(entry, cache)]).toEqual([false, undefined]);
    expect(() => searchGraph(graph, vectors.slice(0, DIM), 1, 1)).toThrow(/open graph/);
  });

  it('refuse damaged objects and name them', async () => {
    const vectors = new Dice(6).floats(20 * 3);
    const built = await buildGraph({ vectors, dim: 3, metric: 'L2', scratchDir });
    const query = Float32Array.of(1, 2, 3);
    const whole = searchGraph(await open(built), query, 5, 64);
    const damaged: Uint8Array[] = [];
    for (let at = 0; at < built.bytes.length; at += 3) {
      const broken = built.bytes.slice();
      broken[at] = (broken[at] ?? 0) ^ 4;
      damaged.push(broken, built.bytes.slice(0, at));
    }
    let refused = 0;
    for (const bytes of damaged) {
      try {
        const graph = await open({ ...built, bytes });
        expect(searchGraph(graph, query, 5, 64)).toEqual(whole);
      } catch (error) {
        expect(error).toMatchObject({ code: 'DATA_CORRUPT' });
        expect(String(error)).toContain(KEY);
        refused += 1;
      }
    }
    // Only header and padding may change without harm.
    expect(refused).toBeGreaterThan(damaged.length * 0.9);
    expect(await readdir(scratchDir)).toEqual([]);
  });

  it('are refused where another graph of the same size has taken their place', async () => {
    const vectors = new Dice(8).floats(20 * 3);
    const payload = { dim: 3, metric: 'L2', scratchDir } as const;
    const built = await buildGraph({ ...payload, vectors });
    const moved = vectors.map((value, at) => (at === 0 ? value + 1e-3 : value));
    const { bytes } = await buildGraph({ ...payload, vectors: moved });
    expect(bytes.length).toBe(built.bytes.length);
    await expect(open({ ...built, bytes })).rejects.toMatchObject({
      code: 'DATA_CORRUPT',
      message: `${KEY} is not the object that the manifest names`,
    });
    const short = { ...built, bytes: built.bytes.subarray(0, -1) };
    await expect(open(short)).rejects.toMatchObject({
      code: 'DATA_CORRUPT',
      message: expect.stringContaining(KEY),
    });
  });
});
