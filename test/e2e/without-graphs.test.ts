/**
 * A machine on which the graph library could not be installed or compiled: the server says so where
 * people look, and everything works by exact scan.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { CLI, killLeftovers, type ServerProcess, serve, until } from '../support/e2e-process.ts';
import { copyTreeWithout, type Lacking } from '../support/e2e-tree.ts';
import type { Envelope } from '../support/server.ts';

const COLLECTION = 'plain';
/** More than the smallest segment that gets a graph where graphs can be built: 4,096. */
const ROWS = 5000;
const BATCH = 1000;
const DIM = 4;

let parent = '';

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'sterna-without-graphs-'));
});
afterEach(killLeftovers);
afterAll(() => rm(parent, { recursive: true, force: true }));

const vectorOf = (id: number): readonly number[] => [id % 17, id % 31, id % 53, id % 97];

async function fill(server: ServerProcess): Promise<void> {
  const collectionName = COLLECTION;
  await server.must('vectordb/collections/create', {
    collectionName,
    dimension: DIM,
    metricType: 'L2',
  });
  for (let from = 0; from < ROWS; from += BATCH) {
    const data = Array.from({ length: BATCH }, (_, at) => ({
      id: from + at,
      vector: vectorOf(from + at),
      odd: (from + at) % 2 === 1,
    }));
    await server.must('vectordb/entities/insert', { collectionName, data });
  }
  await server.must('vectordb/collections/flush', { collectionName });
}

const describeIndex = async (server: ServerProcess): Promise<Envelope> => {
  const { data } = await server.must('vectordb/indexes/describe', {
    collectionName: COLLECTION,
    indexName: 'vector',
  });
  return data[0];
};

/** The nearest five odd rows, by arithmetic. */
const nearestOdd = (to: readonly number[]): readonly number[] =>
  Array.from({ length: ROWS }, (_, id) => ({
    id,
    distance: vectorOf(id).reduce((sum, value, axis) => sum + (value - (to[axis] ?? 0)) ** 2, 0),
  }))
    .filter(({ id }) => id % 2 === 1)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 5)
    .map(({ distance }) => distance);

async function searchOdd(server: ServerProcess): Promise<Envelope> {
  return server.must('vectordb/entities/search', {
    collectionName: COLLECTION,
    data: [[3, 4, 5, 6]],
    limit: 5,
    filter: 'odd == true',
    explain: true,
  });
}

test.for<Lacking>(['absent', 'not compiled'])(
  'with the library %s the server says so, and answers by exact scan',
  async (lacking) => {
    const tree = join(parent, lacking.replace(' ', '-'));
    await copyTreeWithout(lacking, tree);
    const script = join(tree, 'shared', 'cli', 'sterna.js');
    const dir = join(tree, 'data');
    const server = await serve([script, 'serve', '--port', '0', '--data', dir], { cwd: tree });

    expect(server.said.stdout).toMatch(/exact scan only, since graphs are not available \(.+\)/);
    expect(server.said.stdout).not.toContain('HNSW');
    expect(await server.health()).toMatchObject({
      ready: true,
      graphs: false,
      graphsMissing: expect.stringMatching(/\S/),
    });

    await fill(server);
    await until('no row waits for a graph', async () => {
      const { pendingRows } = await describeIndex(server);
      return pendingRows === 0;
    });
    expect(await describeIndex(server)).toMatchObject({
      totalRows: ROWS,
      indexedRows: ROWS,
      indexState: 'Finished',
    });
    const { data, explain } = await searchOdd(server);
    expect(data.map(({ distance }: Envelope) => distance)).toEqual(nearestOdd([3, 4, 5, 6]));
    const methods = explain.segments.map(({ method }: Envelope) => method);
    expect(new Set(methods)).toEqual(new Set(['exact']));
    expect(server.said.stderr).not.toMatch(/"level":(40|50|60)/);
    expect(await server.stop()).toMatchObject({ code: 0, signal: null });
  },
);

test('a directory moves to a machine with graphs, and back, and keeps its answers', async () => {
  const tree = join(parent, 'moving');
  await copyTreeWithout('absent', tree);
  const dir = join(tree, 'data');
  const args = ['serve', '--port', '0', '--data', dir];
  const script = join(tree, 'shared', 'cli', 'sterna.js');

  const without = await serve([script, ...args], { cwd: tree });
  await fill(without);
  await without.stop();

  const withGraphs = await serve([CLI, ...args]);
  expect(withGraphs.said.stdout).toContain('searching by HNSW graphs');
  await until('the graph is built', async () => {
    const { data } = await withGraphs.must('clusters/inspect', { collectionName: COLLECTION });
    return data[0].shards[0].segments.some(({ graph }: Envelope) => graph !== '');
  });
  await withGraphs.stop();

  const back = await serve([script, ...args], { cwd: tree });
  const { data, explain } = await searchOdd(back);
  expect(data.map(({ distance }: Envelope) => distance)).toEqual(nearestOdd([3, 4, 5, 6]));
  for (const { method } of explain.segments) expect(method).toBe('exact');
  expect(await describeIndex(back)).toMatchObject({ totalRows: ROWS, pendingRows: 0 });
  expect(await back.stop()).toMatchObject({ code: 0, signal: null });
});
