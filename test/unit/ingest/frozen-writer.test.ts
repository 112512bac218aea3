/** A writer that stops at any one of its port calls, and goes on when the world has changed. */
import { describe, expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { acceptRows } from '#ingest/accept.ts';
import { fenceShard } from '#ingest/fence.ts';
import type { RequestIdentity } from '#ingest/idempotency.ts';
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

/** Ports whose n-th call, over all of them, waits for `thaw` before it begins. */
function freezing(disk: Disk, nth: number, thaw: Promise<void>) {
  let calls = 0;
  let frozen: () => void = () => {};
  const reached = new Promise<void>((resolve) => {
    frozen = resolve;
  });
  const wrap = <Port extends object>(port: Port): Port =>
    new Proxy(port, {
      get(target, property) {
        const member: unknown = Reflect.get(target, property);
        if (typeof member !== 'function') return member;
        return async (...parameters: unknown[]) => {
          if (++calls === nth) {
            frozen();
            await thaw;
          }
          return await member.apply(target, parameters);
        };
      },
    });
  const { objects, log, table, global } = disk;
  const wrapped: Disk = {
    ...disk,
    objects: wrap(objects),
    log: wrap(log),
    table: wrap(table),
    global: wrap(global),
  };
  return { disk: wrapped, reached, calls: () => calls };
}

type Effect = 'acked' | 'none' | 'unknown';

async function write(ports: Process, world: World, value: number, identity?: RequestIdentity) {
  const request = { kind: 'insert', rows: [row(1, value)], partitionId: 1 } as const;
  try {
    await acceptRows(ports, world.collection, identity ? { ...request, identity } : request);
    return 'acked';
  } catch (error) {
    if (!isStoreError(error)) throw error;
    return error.advice.effect;
  }
}

/** While `work` goes on the log is applied twice a second. */
async function withApply<T>(world: World, work: Promise<T>): Promise<T> {
  const applier = start(world);
  let done = false;
  const finished = work.finally(() => {
    done = true;
  });
  finished.catch(() => undefined);
  const applying = (async () => {
    while (!done) {
      await applyAll(applier);
      await world.clock.sleep(500);
    }
  })();
  const result = await passTime(world.clock, finished);
  await passTime(world.clock, applying);
  await applyAll(applier);
  return result;
}

const identity: RequestIdentity = { user: 'u', route: 'r', requestId: 'q', bodyHash: 'h' };

/** What happens while the writer stands still; returns what a reader must see afterwards, if known. */
type Meanwhile = (world: World) => Promise<[string, number][] | undefined>;

const CASES: readonly Readonly<{
  name: string;
  identity?: RequestIdentity;
  meanwhile: Meanwhile;
}>[] = [
  {
    name: 'its request is repeated, and the key written again',
    identity,
    meanwhile: async (world) => {
      const repeated = await withApply(world, write(start(world), world, 10, identity));
      expect(repeated).toBe('acked');
      expect(await withApply(world, write(start(world), world, 99))).toBe('acked');
      return [['1', 99]];
    },
  },
  {
    name: 'its request is repeated by one that also waits for no apply',
    identity,
    meanwhile: async (world) => {
      const repeated = await withApply(world, write(start(world), world, 10, identity));
      expect(repeated).toBe('acked');
      // This one is only in the tail.
      expect(await write(start(world), world, 99)).toBe('acked');
      return [['1', 99]];
    },
  },
  {
    name: 'a fence passes',
    meanwhile: async (world) => {
      const [shard] = world.shards;
      if (shard === undefined) return undefined;
      await withApply(world, fenceShard(start(world), shard, { action: 'join', epoch: 2 }));
      return undefined;
    },
  },
  {
    name: 'a fence is raised and its worker dies',
    meanwhile: async (world) => {
      const { raiseGate } = await import('#wal/gate.ts');
      const [shard] = world.shards;
      if (shard === undefined) return undefined;
      await raiseGate(world.disk.table, shard, () => ({
        action: 'join',
        recordId: 'a'.repeat(32),
      }));
      return undefined;
    },
  },
  {
    name: 'its deadline passes',
    meanwhile: async (world) => {
      await world.clock.advance(61_000);
      return undefined;
    },
  },
];

describe.each(CASES)('while a writer is frozen, $name', ({ identity: own, meanwhile }) => {
  test('whichever call it stands at', async () => {
    const effects: Effect[] = [];
    for (let nth = 1; ; nth++) {
      const world = await openWorld();
      let thaw: () => void = () => {};
      const thawed = new Promise<void>((resolve) => {
        thaw = resolve;
      });
      const frozen = freezing(world.disk, nth, thawed);
      const writing = write(start(world, frozen.disk), world, 10, own);
      const first = await Promise.race([frozen.reached.then(() => undefined), writing]);
      if (first !== undefined) {
        expect(first).toBe('acked');
        expect(frozen.calls()).toBe(nth - 1);
        break;
      }
      const expected = await meanwhile(world);
      if (expected !== undefined) expect(await liveValues(world)).toEqual(expected);
      thaw();
      // Without an applier first: a reader must not see what only the tail would show wrongly.
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (expected !== undefined) expect(await liveValues(world)).toEqual(expected);
      const effect = await withApply(world, writing);
      effects.push(effect);
      const found = await liveValues(world);
      if (expected !== undefined) expect(found, `call ${nth}: ${effect}`).toEqual(expected);
      else if (effect === 'acked') expect(found, `call ${nth}`).toEqual([['1', 10]]);
      else if (effect === 'none') expect(found, `call ${nth}`).toEqual([]);
      await verifySums(world);
    }
    expect(effects.length).toBeGreaterThan(4);
    expect(effects).toContain('acked');
  });
});
