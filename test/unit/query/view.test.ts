import { describe, expect, it } from 'vitest';
import { must } from '#base/assert.ts';
import { ManifestCache } from '#manifest/head.ts';
import { countBits, rowsOf } from '#query/bits.ts';
import { judge, missingPosition, type Observation } from '#query/freshness.ts';
import { createMeter } from '#query/meter.ts';
import { ShardReads } from '#query/shard.ts';
import { SectionCache } from '#segment/cache.ts';
import { HandBuiltShard, memoryPorts, SCHEMA } from './hand-built-shard.ts';

const need = { positions: [], deadlineMs: Number.MAX_SAFE_INTEGER };

async function opened() {
  const ports = memoryPorts();
  const shard = await HandBuiltShard.create(ports);
  const cache = new SectionCache({ sectionBytesMax: 1_000_000, graphBytesMax: 1 });
  const reads = new ShardReads({ ...ports, manifests: new ManifestCache(), cache }, shard.id);
  return { shard, fresh: () => reads.fresh(SCHEMA, need) };
}

describe('views', () => {
  it('do not change when a newer one learns of more dead rows', async () => {
    const { shard, fresh } = await opened();
    await shard.write([1n, 2n, 3n].map((id) => ({ id, vector: [0, 0] })));
    await shard.apply();
    await shard.write([{ id: 1n, vector: [1, 1] }]);
    const older = await fresh();
    await shard.write([], [{ id: 2n }]);
    const newer = await fresh();
    const deadIn = ({ sources }: typeof older) => [...rowsOf(must(sources[0]?.dead, 'dead rows'))];
    expect(deadIn(older)).toEqual([0]);
    expect(older.sources[0]?.deadRows).toBe(1);
    expect(deadIn(newer)).toEqual([0, 1]);
  });

  it('are the same where nothing happened, and count what is dead', async () => {
    const { shard, fresh } = await opened();
    for (let round = 0; round < 40; round++) {
      await shard.write([{ id: BigInt(round % 7), vector: [round, 0] }]);
      if (round % 10 === 9) await shard.apply(8);
      const view = await fresh();
      expect(await fresh()).toBe(view);
      for (const { dead, deadRows } of view.sources) {
        expect(dead === undefined ? 0 : countBits(dead)).toBe(deadRows);
      }
      const alive = view.sources.reduce(
        (sum, { source, deadRows }) => sum + source.rows - deadRows,
        0,
      );
      expect(alive).toBe(Math.min(round + 1, 7));
    }
  });
});

describe('judge', () => {
  const observed = (
    gateNumber: number,
    applied: string,
    fenceNumber: number,
    tail: readonly (readonly [string, number])[],
  ): Observation =>
    // Only what judge looks at.
    ({
      gateNumber,
      head: { manifest: { applied, fenceNumber } },
      tail: tail.map(([position, number]) => ({ position, fenceNumber: number })),
    }) as unknown as Observation;

  it.each([
    [
      'no fence',
      observed(1, 'b', 1, [
        ['a', 1],
        ['b', 1],
        ['c', 1],
      ]),
      ['c'],
    ],
    ['a fence under way, nothing before it', observed(2, 'b', 1, [['b', 1]]), []],
    [
      'a fence under way and a record before it',
      observed(2, 'a', 1, [['b', 1]]),
      'fence-under-way',
    ],
    [
      'the fence applied',
      observed(2, 'c', 2, [
        ['b', 1],
        ['d', 2],
      ]),
      ['d'],
    ],
    [
      'void behind the fence',
      observed(2, 'c', 2, [
        ['d', 1],
        ['e', 2],
      ]),
      ['e'],
    ],
    ['written behind the fence before it is applied', observed(2, 'a', 1, [['c', 2]]), ['c']],
    ['the gate was raised after we read it', observed(1, 'a', 1, [['c', 2]]), 'gate-moved'],
    ['and applied as well', observed(1, 'b', 2, [['c', 2]]), ['c']],
  ] as const)('%s', (_, observation, expected) => {
    const judgement = judge(observation);
    expect(
      judgement.is === 'known' ? judgement.tail.map(({ position }) => position) : judgement.is,
    ).toEqual(expected);
  });
});

it.each([
  ['b', ['c'], ['a', 'b', 'c'], undefined],
  ['b', ['c'], ['d'], 'd'],
  ['b', ['d'], ['c'], 'c'],
  ['', [], [], undefined],
] as const)('positions missing beyond %s and %s', (applied, tail, wanted, missing) => {
  expect(missingPosition(applied, new Set(tail), wanted)).toBe(missing);
});

it('what a read fetches is charged to it alone', async () => {
  const { objects } = memoryPorts();
  await objects.put('a', new Uint8Array(10));
  await objects.put('b', new Uint8Array(20));
  const meter = createMeter(objects);
  const [one, two] = await Promise.all([
    meter.measure(async () => {
      await meter.objects.get('a');
      await meter.objects.get('a', { offset: 2, length: 3 });
      return 'one';
    }),
    meter.measure(async () => (await meter.objects.get('b')).length),
  ]);
  await meter.objects.get('b');
  expect([one.value, [...one.fetched]]).toEqual(['one', [['a', { gets: 2, bytes: 13 }]]]);
  expect([two.value, [...two.fetched]]).toEqual([20, [['b', { gets: 1, bytes: 20 }]]]);
});
