/**
 * Only the newest version of a key is ever seen, and content is conserved, whatever is written,
 * deleted, applied and compacted in whatever order (I2, I5, I7). First at the level of the engine: rows
 * are read through the sources of segments and tail, without a query. Then through HTTP, against a
 * server that folds, merges, indexes and restarts in between (I4): `npm run stale` looks longer.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatSum } from '#base/setsum.ts';
import { acceptDelete, acceptRows } from '#ingest/accept.ts';
import { applyBatch } from '#ingest/apply.ts';
import { deleteByFilter } from '#ingest/delete.ts';
import { mergeShard } from '#maintain/compact.ts';
import { DeadRows } from '#maintain/dead-rows.ts';
import { mergeSegments } from '#maintain/merge.ts';
import { COMPACT_POLICY, type CompactPolicy } from '#maintain/pick.ts';
import { SectionCache } from '#segment/cache.ts';
import { openSegment } from '#segment/reader.ts';
import { History } from '../support/stale/history.ts';
import {
  applyAll,
  liveRows,
  liveValues,
  manifestOf,
  openWorld,
  type Process,
  row,
  STREAM,
  start,
  verifySums,
  type World,
} from '../unit/ingest/world.ts';

type Step =
  | Readonly<{ do: 'write'; kind: 'insert' | 'upsert'; keys: readonly number[] }>
  | Readonly<{ do: 'delete'; keys: readonly number[] }>
  /** Deletes by filter; `meanwhile` is written between its read and its record. */
  | Readonly<{ do: 'filter'; below: number; meanwhile: readonly number[] }>
  | Readonly<{ do: 'apply' }>
  /** Applies a part of what is there. */
  | Readonly<{ do: 'apply-some'; count: number }>
  | Readonly<{ do: 'merge'; eager: keyof typeof POLICIES }>
  /** A process is replaced: everything it remembers is gone. */
  | Readonly<{ do: 'restart' }>;

const POLICIES = {
  zero: { ...COMPACT_POLICY, levelZeroSegments: 1, idleMs: Number.POSITIVE_INFINITY },
  idle: { ...COMPACT_POLICY, levelZeroSegments: 2, idleMs: -1 },
  small: { ...COMPACT_POLICY, levelZeroSegments: 1, segmentRows: 4, idleMs: -1 },
} as const satisfies Record<string, CompactPolicy>;

const keys = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      kind: fc.constantFrom('insert' as const, 'upsert' as const),
      keys,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), keys }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('filter' as const),
      below: fc.nat(40),
      meanwhile: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 2 }),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ do: 'apply' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('apply-some' as const),
      count: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('merge' as const),
      eager: fc.constantFrom('zero' as const, 'idle' as const, 'small' as const),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
);

type KeyType = 'Int64' | 'VarChar';

class Model {
  readonly #keyType: KeyType;
  readonly values = new Map<number, number>();
  #next = 1;

  constructor(keyType: KeyType = 'Int64') {
    this.#keyType = keyType;
  }

  /** The key as it is written; its last digit is the model's own. */
  keyOf(key: number): bigint | string {
    return this.#keyType === 'Int64' ? BigInt(key) : `key ${key}`;
  }

  forget(key: unknown): void {
    this.values.delete(Number(String(key).slice(-1)));
  }

  /** The rows to write; of equal keys the last one stays. */
  write(written: readonly number[]) {
    return written.map((key) => {
      const value = this.#next++;
      this.values.set(key, value);
      return row(this.keyOf(key), value);
    });
  }

  content(): [string, number][] {
    return [...this.values]
      .map(([key, value]): [string, number] => [String(this.keyOf(key)), value])
      .sort();
  }
}

async function take(world: World, ports: Process, model: Model, now: Step): Promise<void> {
  const { collection } = world;
  const insert = (rows: ReturnType<Model['write']>, kind: 'insert' | 'upsert' = 'insert') =>
    acceptRows(ports, collection, { kind, rows, partitionId: 1 });
  if (now.do === 'write') await insert(model.write(now.keys), now.kind);
  if (now.do === 'delete') {
    for (const key of now.keys) model.values.delete(key);
    await acceptDelete(ports, collection, {
      victims: now.keys.map((key) => ({ key: model.keyOf(key) })),
    });
  }
  if (now.do === 'filter') {
    const resolve = async () => {
      const found = [...(await liveRows(world))].filter(
        ([, { value }]) => Number(value) < now.below,
      );
      for (const [key] of found) model.forget(key);
      if (now.meanwhile.length > 0) await insert(model.write(now.meanwhile));
      return found.map(([key, { position }]) => ({ key, position }));
    };
    await deleteByFilter(ports, resolve, collection, { filter: `value < ${now.below}` });
  }
  if (now.do === 'apply') await applyAll(ports);
  if (now.do === 'apply-some') {
    const after = await world.disk.log.checkpoint('apply', STREAM);
    const entries = await world.disk.log.read(STREAM, {
      ...(after === undefined ? {} : { after }),
      limit: now.count,
    });
    for (const shard of world.shards) {
      const own = entries.filter(({ partition }) => partition.endsWith(`-${shard.shard}`));
      if (own.length > 0) await applyBatch(ports, shard, collection.schema, own);
    }
  }
  if (now.do === 'merge') {
    const eager = { ...ports, deadRows: new DeadRows() };
    for (const shard of world.shards)
      await mergeShard(eager, collection, shard, POLICIES[now.eager]);
  }
}

test('only the newest version of a key is seen, and sums agree, after every step', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 2 }),
      fc.constantFrom<KeyType>('Int64', 'VarChar'),
      async (steps, shards, keyType) => {
        const world = await openWorld({ shards, keyType });
        const model = new Model(keyType);
        let ports = start(world);
        for (const now of steps) {
          if (now.do === 'restart') ports = start(world);
          else await take(world, ports, model, now);
          await world.clock.advance(5);
          expect(await liveValues(world), now.do).toEqual(model.content());
          await verifySums(world);
        }
      },
    ),
    { numRuns: 150 },
  );
});

test('merging everything leaves one version of each living key and no tombstone', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      const world = await openWorld();
      const model = new Model();
      const ports = start(world);
      for (const now of steps) if (now.do !== 'restart') await take(world, ports, model, now);
      await applyAll(ports);
      const { segments, sums } = await manifestOf(world);
      const cache = new SectionCache({ sectionBytesMax: 1_000_000, graphBytesMax: 1 });
      const readers = segments.map((entry) => openSegment(world.disk, entry, cache));
      const merged = await mergeSegments(world.collection.schema, readers, [], 1);
      expect(merged.rows).toBe(model.values.size);
      const left = merged.segment?.entry;
      expect(left?.tombstones ?? 0).toBe(0);
      const total = segments.reduce((sum, { rows }) => sum + rows, 0);
      expect(merged.droppedRows).toBe(total - model.values.size);
      // What is neither left nor dropped was never held.
      if (left === undefined) expect(formatSum(merged.dropped)).toBe(sums.held);
    }),
    { numRuns: 80 },
  );
});

const SERVED_SEED = 5;
const SERVED_STEPS = 1000;

test('a server shows the newest version of a key, once, or nothing', async () => {
  const history = await History.open(SERVED_SEED);
  try {
    for (let step = 0; step < SERVED_STEPS; step++) await history.step();
    const { writes, deletes, reads, graphSearches } = history.tally;
    expect(Math.min(writes, deletes, reads)).toBeGreaterThan(50);
    if (history.hasGraphs) expect(graphSearches).toBeGreaterThan(0);
  } finally {
    await history.close();
  }
}, 120_000);
