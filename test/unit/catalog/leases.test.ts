/** Leases: usually one holder, never two at once by one clock, and never stuck. */
import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { acquireLease, type Lease, releaseLease, renewLease } from '#catalog/leases.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { countingEntropy } from '../manifest/counting-entropy.ts';
import { FATES, racingTable } from '../wal/racing-table.ts';

const NAME = 'compact/c7-0';
let nowMs = 0;
const clock = { nowMs: () => nowMs, sleep: async () => undefined };
const entropy = countingEntropy();
let table: MemoryTable;
beforeEach(() => {
  nowMs = 1000;
  table = new MemoryTable();
});
const acquire = (ttlMs = 100) => acquireLease(table, clock, entropy, NAME, ttlMs);
const held = async (): Promise<Lease> => {
  const lease = await acquire();
  if (lease === undefined) throw new Error('the lease is free');
  return lease;
};

test('a lease that is held is not given again until it expires', async () => {
  expect((await held()).expiresAtMs).toBe(1100);
  expect(await acquire()).toBeUndefined();
  nowMs = 1099;
  expect(await acquire()).toBeUndefined();
  nowMs = 1100;
  expect((await held()).expiresAtMs).toBe(1200);
});

test('names are apart', async () => {
  await held();
  expect(await acquireLease(table, clock, entropy, 'compact/c7-1', 100)).toBeDefined();
});

test('renewing extends, releasing frees', async () => {
  const lease = await held();
  nowMs = 1050;
  const renewed = await renewLease(table, clock, lease, 100);
  expect(renewed).toMatchObject({ holder: lease.holder, expiresAtMs: 1150 });
  nowMs = 1120;
  expect(await acquire()).toBeUndefined();
  if (renewed !== undefined) await releaseLease(table, renewed);
  expect(await acquire()).toBeDefined();
});

test('whoever lost the lease can neither renew nor release it', async () => {
  const old = await held();
  nowMs = 1200;
  const current = await held();
  expect(await renewLease(table, clock, old, 100)).toBeUndefined();
  await releaseLease(table, old);
  expect(await acquire()).toBeUndefined();
  expect(await renewLease(table, clock, current, 100)).toBeDefined();
});

test('of racing workers at most one gets the lease, whatever answers are lost', async () => {
  const race = fc.asyncProperty(
    fc.scheduler(),
    fc.integer({ min: 2, max: 4 }),
    fc.array(fc.constantFrom(...FATES), { maxLength: 5 }),
    async (scheduler, workers, fates) => {
      const racing = racingTable(scheduler, new MemoryTable(), fates.values());
      const all = Array.from({ length: workers }, () =>
        acquireLease(racing, clock, entropy, NAME, 100),
      );
      const leases = await scheduler.waitFor(Promise.all(all));
      await scheduler.waitIdle();
      expect(leases.filter((lease) => lease !== undefined).length).toBeLessThanOrEqual(1);
    },
  );
  await fc.assert(race, { numRuns: 300 });
});

test('a lease of a clock that was set back since is taken over', async () => {
  nowMs = 21_600_000;
  await held();
  nowMs = 1000;
  expect((await held()).expiresAtMs).toBe(1100);
});
