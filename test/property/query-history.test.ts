/**
 * Random histories over few keys against a map: whatever lies where, reads show the newest version
 * of a key or nothing (I4, I5).
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RowPosition } from '#base/position.ts';
import { compileFilter } from '#filter/compile.ts';
import { KEY_ONLY, resolveOutput } from '#query/output.ts';
import type { Reader } from '#query/reader.ts';
import {
  collectionOf,
  HandBuiltShard,
  memoryPorts,
  readerOf,
  SCHEMA,
  type TestDelete,
  type TestRow,
  VECTOR,
} from '../unit/query/hand-built-shard.ts';

const KEYS = 6n;
const collection = collectionOf();
const until = { deadlineMs: Number.MAX_SAFE_INTEGER };
const all = resolveOutput(SCHEMA, ['*'], 'all');

/** Small coordinates, so that equal distances are common. */
const row = fc.record({
  id: fc.bigInt(0n, KEYS - 1n),
  value: fc.bigInt(0n, 9n),
  vector: fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 2 })),
  partition: fc.integer({ min: 1, max: 2 }),
});

const command = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      rows: fc.uniqueArray(row, { maxLength: 4, selector: ({ id }) => id }),
      asObject: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('delete' as const),
      ids: fc.uniqueArray(fc.bigInt(0n, KEYS - 1n), { minLength: 1, maxLength: 3 }),
    }),
  },
  /** Resolves now, is logged later: versions written meanwhile survive. */
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('delete-by-filter' as const),
      below: fc.bigInt(0n, 9n),
      meanwhile: fc.uniqueArray(row, { maxLength: 2, selector: ({ id }) => id }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('apply' as const), count: fc.nat(5) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('compact' as const),
      numbers: fc.uniqueArray(fc.nat(5), { minLength: 1, maxLength: 3 }),
      drops: fc.boolean(),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('read' as const) }) },
);

type Model = Map<bigint, TestRow>;

const squared = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, at) => sum + (value - (b[at] ?? 0)) ** 2, 0);

const shown = ({ id, value, vector }: TestRow) => ({
  id,
  value: value ?? null,
  vector: Float32Array.from(vector),
});

const byId = (a: TestRow, b: TestRow): number => (a.id < b.id ? -1 : 1);

async function checkReads(reader: Reader, model: Model): Promise<void> {
  const rows = [...model.values()].sort(byId);
  const found = await reader.queryRows(collection, {
    ...until,
    limit: 100,
    offset: 0,
    output: all,
  });
  expect(found.rows).toEqual(rows.map(shown));
  const page = await reader.queryRows(collection, { ...until, limit: 2, offset: 1, output: all });
  expect(page.rows).toEqual(rows.slice(1, 3).map(shown));
  expect((await reader.count(collection, until)).count).toBe(rows.length);
  const keys = [0n, 3n, 5n, 99n, 3n];
  const got = await reader.lookup(collection, keys, { ...until, output: all });
  expect(got.rows).toEqual(rows.filter(({ id }) => keys.includes(id)).map(shown));
  await checkFiltered(reader, rows);
  await checkSearch(reader, rows);
}

async function checkFiltered(reader: Reader, rows: readonly TestRow[]): Promise<void> {
  const low = rows.filter(({ value }) => value !== undefined && value < 5n);
  const filter = compileFilter('value < 5', SCHEMA);
  const found = await reader.queryRows(collection, {
    ...until,
    filter,
    limit: 100,
    offset: 0,
    output: all,
  });
  expect(found.rows).toEqual(low.map(shown));
  expect((await reader.count(collection, { ...until, filter })).count).toBe(low.length);
  const keyFilter = compileFilter('id in [1, 2]', SCHEMA);
  const expected = rows.filter(({ id }) => id === 1n || id === 2n).length;
  expect((await reader.count(collection, { ...until, filter: keyFilter })).count).toBe(expected);
  const second = rows.filter(({ partition }) => partition === 2);
  const scoped = { ...until, partitions: [2] };
  expect((await reader.count(collection, scoped)).count).toBe(second.length);
}

async function checkSearch(reader: Reader, rows: readonly TestRow[]): Promise<void> {
  const vectors = [Float32Array.of(0, 0), Float32Array.of(2, 1)];
  const search = { ...until, field: VECTOR, metric: 'L2' as const, vectors, output: KEY_ONLY };
  const nearest = (among: readonly TestRow[], to: Float32Array) =>
    among
      .map(({ id, vector }) => ({ id, distance: squared(vector, [...to]) }))
      .sort((a, b) => a.distance - b.distance || (a.id < b.id ? -1 : 1));
  for (const [limit, offset] of [
    [1, 0],
    [2, 1],
  ] as const) {
    const { results } = await reader.search(collection, { ...search, limit, offset });
    expect(results).toEqual(
      vectors.map((vector) => nearest(rows, vector).slice(offset, offset + limit)),
    );
  }
  const filtered = await reader.search(collection, {
    ...search,
    limit: 2,
    offset: 0,
    filter: compileFilter('value >= 5', SCHEMA),
    explain: true,
  });
  const high = rows.filter(({ value }) => value !== undefined && value >= 5n);
  expect(filtered.results).toEqual(vectors.map((vector) => nearest(high, vector).slice(0, 2)));
  expect(filtered.explain?.segments.length).toBeGreaterThanOrEqual(0);
}

async function run(
  eager: boolean,
  commands: readonly (typeof command extends fc.Arbitrary<infer C> ? C : never)[],
) {
  const ports = memoryPorts();
  const shard = await HandBuiltShard.create(ports);
  const reader = readerOf(ports);
  const model: Model = new Map();
  const put = async (rows: readonly TestRow[], asObject: boolean): Promise<void> => {
    await shard.write(rows, [], { asObject });
    for (const each of rows) model.set(each.id, each);
  };
  for (const next of commands) {
    if (next.do === 'write') await put(next.rows, next.asObject);
    else if (next.do === 'delete') {
      await shard.write(
        [],
        next.ids.map((id) => ({ id })),
      );
      for (const id of next.ids) model.delete(id);
    } else if (next.do === 'delete-by-filter') {
      const filter = compileFilter(`value < ${next.below}`, SCHEMA);
      if (filter === undefined) throw new Error('a filter');
      const versions = await reader.resolve(collection, filter, until);
      const doomed = [...model.values()].filter(({ value }) => (value ?? 99n) < next.below);
      expect(versions.map(({ key }) => key)).toEqual(doomed.sort(byId).map(({ id }) => id));
      await put(next.meanwhile, false);
      await shard.write([], versions.map(deleteOf));
      for (const each of doomed) if (model.get(each.id) === each) model.delete(each.id);
    } else if (next.do === 'apply') await shard.apply(next.count);
    else if (next.do === 'compact') await shard.compact(next.numbers, next);
    else await checkReads(reader, model);
    if (eager) expect((await reader.count(collection, until)).count).toBe(model.size);
  }
  await checkReads(reader, model);
  await checkReads(readerOf(ports), model);
}

const deleteOf = ({
  key,
  position,
}: {
  key: bigint | string;
  position: RowPosition;
}): TestDelete => {
  if (typeof key !== 'bigint') throw new Error('an Int64 key');
  return { id: key, bound: position };
};

describe('reads of a random history', () => {
  it('show the newest version of every key and nothing else', { timeout: 120_000 }, async () => {
    await fc.assert(fc.asyncProperty(fc.boolean(), fc.array(command, { maxLength: 30 }), run), {
      numRuns: 400,
    });
  });
});
