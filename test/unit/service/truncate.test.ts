/** What a truncation that is not done may be told (I12): its fence is on its way. */
import { expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';
import { openCore } from '#runtime/engine.ts';
import { adminRoutes } from '#service/admin.ts';
import { truncateCollection } from '#service/truncate.ts';
import { MemoryLog } from '#sim/memory-log.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { silentTelemetry } from '#sim/silent-telemetry.ts';
import { readGate } from '#wal/gate.ts';

/** Whoever sleeps here has slept at once. */
function hastyClock(): Clock {
  let nowMs = 1_704_067_200_000;
  return {
    nowMs: () => nowMs,
    sleep: async (ms) => {
      nowMs += ms;
    },
  };
}

test('where nobody applies the fence the effect is not known', async () => {
  const clock = hastyClock();
  const table = new MemoryTable();
  const engine = openCore(
    {
      ...{ clock, table, global: new MemoryTable(), telemetry: silentTelemetry },
      objects: new MemoryObjectStore(clock),
      log: new MemoryLog({ clock }),
      entropy: new SeededEntropy('truncate'),
    },
    { scratchDir: '/nonexistent' },
  );
  const context = { user: 'root', route: '', int64AsText: false, deadlineMs: clock.nowMs() };
  const create = adminRoutes(engine)['POST /v2/vectordb/collections/create'];
  await create?.answer('{"collectionName":"docs","dimension":4}', context);
  const collection = await engine.catalog.findCollection('default', 'docs');
  let failure: unknown;
  await truncateCollection(engine, collection, context).catch((error: unknown) => {
    failure = error;
  });
  const { gate } = await readGate(table, { collectionId: collection.collectionId, shard: 0 });
  expect(gate.underWay?.action).toBe('truncate');
  expect(isStoreError(failure) && failure.advice.effect).toBe('unknown');
});
