/**
 * The gate: raised once per fence, whatever the interleaving and whichever answers get lost, and
 * always saying enough that anybody can append the fence.
 */
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import type { Table } from '#ports/table.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import {
  createGate,
  fenceRecord,
  type Gate,
  type RaisedFence,
  raiseGate,
  readGate,
  settleGate,
} from '#wal/gate.ts';
import { decodeRecord, encodeRecord } from '#wal/record-codec.ts';
import { FATES, racingTable } from './racing-table.ts';

const shard = { collectionId: 7, shard: 1 };
const id = (number: number): string => String(number).padStart(32, '0');
const first: Gate = {
  number: 4,
  epoch: 1,
  generation: 1,
  lease: false,
  schemaVersion: 1,
  shardMapVersion: 1,
  state: 'open',
  past: [],
};

let table: MemoryTable;
beforeEach(() => {
  table = new MemoryTable();
});

const code = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing',
    (error: unknown) => (isStoreError(error) ? error.code : String(error)),
  );

describe('one after the other', () => {
  test('a shard without a gate is no shard', async () => {
    expect(await code(readGate(table, shard))).toBe('COLLECTION_NOT_FOUND');
    expect(await code(settleGate(table, shard, 1))).toBe('COLLECTION_NOT_FOUND');
  });

  test('a gate is created once', async () => {
    expect(await createGate(table, shard, first)).toBe(true);
    expect(await createGate(table, shard, { ...first, number: 9 })).toBe(false);
    expect(await readGate(table, shard)).toEqual({ gate: first, version: 1 });
  });

  test('raising says what is under way, settling that it is over', async () => {
    await createGate(table, shard, first);
    const raise = { action: 'schema' as const, recordId: id(1), schemaVersion: 2 };
    const { gate } = await raiseGate(table, shard, () => raise);
    const fence = { action: 'schema', number: 5, recordId: id(1) };
    expect(gate).toEqual({ ...first, number: 5, schemaVersion: 2, underWay: fence });
    expect((await readGate(table, shard)).gate).toEqual(gate);

    expect((await settleGate(table, shard, 4)).gate.underWay).toEqual(fence);
    const settled = await settleGate(table, shard, 5);
    expect(settled.gate).toEqual({ ...first, number: 5, schemaVersion: 2, past: [fence] });
    expect(await settleGate(table, shard, 5)).toEqual(settled);
    // Even now the raise knows that it took place.
    expect(await raiseGate(table, shard, () => raise)).toEqual(settled);
  });

  test('the fence under way can be appended by anyone', async () => {
    await createGate(table, shard, first);
    expect(fenceRecord(first, shard, 99)).toBeUndefined();
    const { gate } = await raiseGate(table, shard, () => ({
      action: 'promote',
      recordId: id(1),
      numberMin: 20,
      epoch: 3,
      generation: 2,
      lease: true,
      state: 'sealed',
    }));
    const record = fenceRecord(gate, shard, 99);
    expect(record).toEqual({
      recordId: id(1),
      ...shard,
      deadlineMs: 99,
      epoch: 3,
      fenceNumber: 20,
      schemaVersion: 1,
      body: { kind: 'fence', action: 'promote', generation: 2, state: 'sealed' },
    });
    if (record !== undefined) expect(decodeRecord(encodeRecord(record))).toEqual(record);
  });

  test('two fences are never under way at once', async () => {
    await createGate(table, shard, first);
    await raiseGate(table, shard, () => ({ action: 'seal', recordId: id(1), state: 'sealed' }));
    const other = () => ({ action: 'truncate' as const, recordId: id(2) });
    expect(await code(raiseGate(table, shard, other))).toBe('NOT_READY');
    await settleGate(table, shard, 5);
    expect((await raiseGate(table, shard, other)).gate.number).toBe(6);
  });

  test('a dropped shard stays dropped', async () => {
    await createGate(table, shard, first);
    const drop = { action: 'drop' as const, recordId: id(1), state: 'dropped' as const };
    await raiseGate(table, shard, () => drop);
    await settleGate(table, shard, 5);
    expect((await raiseGate(table, shard, () => drop)).gate.state).toBe('dropped');
    const again = () => ({ action: 'unseal' as const, recordId: id(2), state: 'open' as const });
    expect(await code(raiseGate(table, shard, again))).toBe('COLLECTION_NOT_FOUND');
  });

  test('what must not fall is refused, and nothing changes', async () => {
    await createGate(table, shard, { ...first, epoch: 2, generation: 2, schemaVersion: 2 });
    for (const lower of [{ epoch: 1 }, { generation: 1 }, { schemaVersion: 1 }]) {
      const raise = () => ({ action: 'promote' as const, recordId: id(1), ...lower });
      expect(await code(raiseGate(table, shard, raise))).toBe('INTERNAL');
    }
    expect((await readGate(table, shard)).version).toBe(1);
  });

  test('only the last sixteen fences are remembered', async () => {
    await createGate(table, shard, first);
    for (let number = 1; number <= 20; number++) {
      await raiseGate(table, shard, () => ({ action: 'truncate', recordId: id(number) }));
      await settleGate(table, shard, first.number + number);
    }
    const { past } = (await readGate(table, shard)).gate;
    expect(past.map(({ recordId }) => recordId)).toEqual(
      Array.from({ length: 16 }, (_, index) => id(index + 5)),
    );
  });
});

/** Raises until its own fence is the one; whoever is under way meanwhile is settled by the waiter. */
async function fence(racing: Table, recordId: string): Promise<void> {
  for (let attempt = 1; attempt <= 100; attempt++) {
    try {
      await raiseGate(racing, shard, () => ({ action: 'truncate', recordId }));
      return;
    } catch (error) {
      if (!isStoreError(error, 'NOT_READY', 'UNCERTAIN')) throw error;
      await settleGate(racing, shard, Number.MAX_SAFE_INTEGER).catch((lost: unknown) => {
        if (!isStoreError(lost, 'UNCERTAIN')) throw lost;
      });
    }
  }
  throw new Error('no fence in 100 attempts');
}

test('racing fences each raise the gate exactly once, one number each', async () => {
  const race = fc.asyncProperty(
    fc.scheduler(),
    fc.integer({ min: 1, max: 4 }),
    fc.array(fc.constantFrom(...FATES), { maxLength: 10 }),
    async (scheduler, writers, fates) => {
      const store = new MemoryTable();
      await createGate(store, shard, first);
      const racing = racingTable(scheduler, store, fates.values());
      const ids = Array.from({ length: writers }, (_, index) => id(index + 1));
      await scheduler.waitFor(Promise.all(ids.map((recordId) => fence(racing, recordId))));
      await scheduler.waitIdle();

      const { number, underWay, past } = (await readGate(store, shard)).gate;
      const raised: RaisedFence[] = underWay === undefined ? [...past] : [...past, underWay];
      expect(raised.map(({ recordId }) => recordId).sort()).toEqual(ids);
      expect(raised.map((each) => each.number)).toEqual(ids.map((_, index) => 5 + index));
      expect(number).toBe(4 + writers);
    },
  );
  await fc.assert(race, { numRuns: 1000 });
});
