/** Writers that stand still for minutes at one of their steps, while the log and collect go on. */
import { expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { acceptDelete, acceptRows } from '#ingest/accept.ts';
import type { RequestIdentity } from '#ingest/idempotency.ts';
import { collectShard } from '#maintain/collect.ts';
import {
  applyAll,
  type Disk,
  liveValues,
  openWorld,
  type Process,
  passTime,
  row,
  start,
  verifySums,
  type World,
} from './world.ts';

const MINUTE = 60_000;

/** Whatever becomes of it: acknowledged, or refused with this effect. */
async function fateOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'acked';
  } catch (error) {
    if (!isStoreError(error)) throw error;
    return error.advice.effect;
  }
}

const insert = (
  ports: Process,
  world: World,
  rows: readonly ReturnType<typeof row>[],
  identity?: RequestIdentity,
) => {
  const request = { kind: 'insert', rows, partitionId: 1 } as const;
  return acceptRows(ports, world.collection, identity ? { ...request, identity } : request);
};

/** The disk of a process that stands still with an answer of `member` until it is let go. */
function stalled<Name extends 'objects' | 'table' | 'log'>(disk: Disk, name: Name, member: string) {
  let letGo: () => void = () => {};
  const going = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const port = new Proxy(disk[name], {
    get(target, property) {
      const method: unknown = Reflect.get(target, property);
      if (typeof method !== 'function') return method;
      return async (...parameters: unknown[]) => {
        const answer: unknown = await method.apply(target, parameters);
        if (property === member) await going;
        return answer;
      };
    },
  });
  return { disk: { ...disk, [name]: port }, letGo };
}

test('a payload that took longer to put than payloads are kept parks no shard', async () => {
  const world = await openWorld();
  const [shard] = world.shards;
  if (shard === undefined) throw new Error('no shard');
  const { disk, letGo } = stalled(world.disk, 'objects', 'put');
  const rows = Array.from({ length: 1_000 }, (_, id) => row(id, id));
  const slow = fateOf(insert(start(world, disk), world, rows));
  await world.clock.advance(12 * MINUTE);

  const other = start(world);
  await insert(other, world, [row(5_000, 1)]);
  expect((await applyAll(other)).failed).toEqual([]);
  await collectShard(other, shard);

  letGo();
  expect(await passTime(world.clock, slow)).not.toBe('acked');
  await insert(other, world, [row(5_001, 2)]);
  expect((await applyAll(other)).failed).toEqual([]);
  expect(await liveValues(world)).toEqual([
    ['5000', 1],
    ['5001', 2],
  ]);
  await verifySums(world);
});

test('a retry that stood still until its request was forgotten takes no second effect', async () => {
  const identity: RequestIdentity = { user: 'u', route: 'r', requestId: 'q', bodyHash: 'h' };
  const world = await openWorld();
  const other = start(world);
  expect(await fateOf(insert(other, world, [row(1, 10)], identity))).toBe('acked');
  await applyAll(other);
  await acceptDelete(other, world.collection, { victims: [{ key: 1n }] });
  await applyAll(other);
  await world.clock.advance(9 * MINUTE);

  const { disk, letGo } = stalled(world.disk, 'table', 'get');
  const retry = fateOf(insert(start(world, disk), world, [row(1, 10)], identity));
  await world.clock.advance(6 * MINUTE);
  letGo();
  await passTime(world.clock, retry);
  await applyAll(other);
  expect(await liveValues(world)).toEqual([]);
  await verifySums(world);
});

test('a writer that wakes when its record is forgotten does not say that nothing was written', async () => {
  const world = await openWorld();
  const other = start(world);
  const { disk, letGo } = stalled(world.disk, 'log', 'append');
  const slow = fateOf(insert(start(world, disk), world, [row(1, 10)]));
  await world.clock.advance(1_000);
  await applyAll(other);
  await world.clock.advance(20 * MINUTE);
  await insert(other, world, [row(2, 20)]);
  await applyAll(other);

  letGo();
  const fate = await passTime(world.clock, slow);
  expect((await liveValues(world)).map(([key]) => key)).toEqual(['1', '2']);
  expect(fate).toBe('unknown');
});

test('a writer whose record arrived too late says at once that nothing was written', async () => {
  const world = await openWorld();
  const other = start(world);
  const { disk, letGo } = stalled(world.disk, 'objects', 'put');
  const rows = Array.from({ length: 1_000 }, (_, id) => row(id, id));
  const deadlineMs = world.clock.nowMs() + 10 * MINUTE;
  const request = { kind: 'insert', rows, partitionId: 1, deadlineMs } as const;
  const slow = fateOf(acceptRows(start(world, disk), world.collection, request));
  await world.clock.advance(2 * MINUTE);
  letGo();
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect((await applyAll(other)).checkpoint).not.toBe(undefined);
  expect(await passTime(world.clock, slow)).toBe('none');
  expect(await liveValues(world)).toEqual([]);
});
