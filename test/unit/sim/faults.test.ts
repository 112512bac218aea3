import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Fault,
  faultyLog,
  faultyObjectStore,
  faultyTable,
  type Operation,
} from '#sim/faults.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryLog } from '#sim/memory-log.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { scheduled } from '../../support/faults-scheduled.ts';

const bytes = new Uint8Array([1, 2, 3]);
const key = { partition: 'p', sort: 's' };

/** Ports that suffer the faults of the script, one for each call, and none after its end. */
function open(...script: Fault[]) {
  const clock = new ManualClock();
  const seen: Operation[] = [];
  const faults = {
    clock,
    decide: (operation: Operation): Fault => {
      seen.push(operation);
      return script.shift() ?? 'ok';
    },
  };
  const plain = {
    objects: new MemoryObjectStore(clock),
    log: new MemoryLog({ clock }),
    table: new MemoryTable(),
  };
  return {
    clock,
    seen,
    plain,
    objects: faultyObjectStore(plain.objects, faults),
    log: faultyLog(plain.log, faults),
    table: faultyTable(plain.table, faults),
  };
}

describe('faults', () => {
  it('lose an answer, not the effect', async () => {
    const { objects, log, table, plain } = open('lose-answer', 'lose-answer', 'lose-answer');
    await expect(objects.put('k', bytes)).rejects.toMatchObject({ code: 'UNCERTAIN' });
    await expect(log.append('p', bytes)).rejects.toMatchObject({ code: 'UNCERTAIN' });
    await expect(table.put(key, bytes)).rejects.toMatchObject({ code: 'UNCERTAIN' });
    expect(await plain.objects.get('k')).toEqual(bytes);
    expect(await plain.log.read('shard-0', { limit: 9 })).toHaveLength(1);
    expect((await plain.table.get(key))?.version).toBe(1);
  });

  it('fail and refuse without an effect', async () => {
    for (const [fault, code] of [
      ['fail', 'UNCERTAIN'],
      ['refuse', 'OVERLOADED'],
    ] as const) {
      const { objects, log, table, plain } = open(fault, fault, fault);
      await expect(objects.put('k', bytes)).rejects.toMatchObject({ code });
      await expect(log.append('p', bytes)).rejects.toMatchObject({ code });
      await expect(table.put(key, bytes)).rejects.toMatchObject({ code });
      expect(await plain.objects.list('')).toEqual([]);
      expect(await plain.log.read('shard-0', { limit: 9 })).toEqual([]);
      expect(await plain.table.get(key)).toBeUndefined();
    }
  });

  it('append and deliver twice', async () => {
    const { log } = open('duplicate', 'ok', 'duplicate');
    expect((await log.append('p', bytes)).sequence).toBe('2');
    const once = await log.read('shard-0', { limit: 9 });
    expect(once.map((entry) => entry.sequence)).toEqual(['1', '2']);
    const twice = await log.read('shard-0', { limit: 3 });
    expect(twice.map((entry) => entry.sequence)).toEqual(['1', '2', '1']);
  });

  it('send a conditional write twice without breaking its condition', async () => {
    const { table } = open('duplicate', 'duplicate', 'duplicate', 'duplicate');
    expect(await table.put(key, bytes, 'absent')).toBe(1);
    expect(await table.put(key, bytes, 1)).toBe(2);
    expect(await table.delete(key, 1)).toBe(false);
    expect(await table.delete(key, 2)).toBe(true);
    expect(await table.get(key)).toBeUndefined();
  });

  it('delay a call until the clock has moved', async () => {
    const { table, plain, clock } = open({ delayMs: 50 });
    const put = table.put(key, bytes);
    await clock.advance(49);
    expect(await plain.table.get(key)).toBeUndefined();
    await clock.advance(1);
    expect(await put).toBe(1);
  });

  it('let a call that was given up take effect later', async () => {
    const { log, plain, clock } = open({ lateMs: 50 });
    await expect(log.append('p', bytes)).rejects.toMatchObject({ code: 'UNCERTAIN' });
    expect(await plain.log.read('shard-0', { limit: 9 })).toEqual([]);
    await clock.advance(50);
    expect(await plain.log.read('shard-0', { limit: 9 })).toHaveLength(1);
  });

  it('are decided by port, method and key', async () => {
    const { objects, log, table, seen } = open();
    await objects.put('a/b', bytes);
    await objects.get('a/b');
    await objects.head('a/b');
    await objects.list('a/');
    await objects.copy('a/b', 'c');
    await objects.delete(['c', 'd']);
    const { sequence, streamShard } = await log.append('part', bytes);
    await log.streamShards();
    await log.read(streamShard, { limit: 1 });
    await log.wait(streamShard, undefined, 1);
    await log.saveCheckpoint('apply', streamShard, sequence);
    expect(await log.checkpoint('apply', streamShard)).toBe(sequence);
    await log.trim(streamShard, sequence);
    await table.put(key, bytes);
    await table.get(key);
    await table.query('p');
    await table.delete(key);
    expect(seen.map(({ port, method, key: at }) => `${port}.${method} ${at}`)).toEqual([
      'objects.put a/b',
      'objects.get a/b',
      'objects.head a/b',
      'objects.list a/',
      'objects.copy c',
      'objects.delete c',
      'log.append part',
      'log.streamShards ',
      'log.read shard-0',
      'log.wait shard-0',
      'log.saveCheckpoint apply',
      'log.checkpoint apply',
      'log.trim shard-0',
      'table.put p s',
      'table.get p s',
      'table.query p',
      'table.delete p s',
    ]);
  });
});

describe('a scheduled port', () => {
  const raise = async (table: Pick<MemoryTable, 'get' | 'put'>, safely: boolean) => {
    for (;;) {
      const row = await table.get(key);
      const next = new Uint8Array([(row?.value[0] ?? 0) + 1]);
      if (!safely) return table.put(key, next);
      if ((await table.put(key, next, row?.version ?? 'absent')) !== undefined) return;
    }
  };
  /** Whether every interleaving of three tasks that raise a counter leaves it at three. */
  const counts = (safely: boolean) =>
    fc.check(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        const plain = new MemoryTable();
        const table = scheduled(scheduler, 'table', plain);
        const tasks = Promise.all([1, 2, 3].map(() => raise(table, safely)));
        await scheduler.waitFor(tasks);
        expect((await plain.get(key))?.value[0]).toBe(3);
      }),
      { numRuns: 50, seed: 1 },
    );

  it('finds the race of an unconditional counter, and none in one of compare-and-set', async () => {
    expect((await counts(false)).failed).toBe(true);
    expect((await counts(true)).failed).toBe(false);
  });

  it('passes failures on', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        const store = scheduled(scheduler, 'objects', new MemoryObjectStore(new ManualClock()));
        const got = store.get('missing').catch((error: unknown) => error);
        expect(await scheduler.waitFor(got)).toMatchObject({ code: 'OBJECT_NOT_FOUND' });
      }),
      { numRuns: 3 },
    );
  });
});
