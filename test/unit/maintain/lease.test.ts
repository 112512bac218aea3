/** Work under a lease whose renewal fails goes on, and nobody falls over it. Found by the simulator. */
import { expect, test } from 'vitest';
import { withLease } from '#maintain/lease.ts';
import { faultyTable } from '#sim/faults.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';

test.each(['refuse', 'fail'] as const)('a renewal and a release that %s', async (fault) => {
  const clock = new ManualClock();
  let acquired = false;
  const table = faultyTable(new MemoryTable(), {
    clock,
    decide: ({ method }) => (acquired && method !== 'get' ? fault : 'ok'),
  });
  const ports = { table, clock, entropy: new SeededEntropy('lease') };
  const unheard: unknown[] = [];
  const hear = (reason: unknown): void => {
    unheard.push(reason);
  };
  process.on('unhandledRejection', hear);
  const done = withLease(ports, 'compact/c7-0', async () => {
    acquired = true;
    // Long enough for two renewals.
    await clock.sleep(8_000);
    return 'done';
  });
  await clock.advance(8_000);
  // Node tells of rejections that nobody heard once its queues are empty.
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', hear);
  expect(unheard).toEqual([]);
  expect(await done).toBe('done');
});
