/** What a drop that cannot be finished says of itself (I12). Found by the simulator, seed 1098. */
import { expect, test } from 'vitest';
import { parseBody } from '#api/body.ts';
import { CreateCollectionRequest } from '#api/collections.ts';
import { isStoreError } from '#base/errors.ts';
import { openCore } from '#runtime/engine.ts';
import { newCollection } from '#service/definition.ts';
import { dropCollection } from '#service/drop.ts';
import { faultyTable } from '#sim/faults.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryLog } from '#sim/memory-log.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { silentTelemetry } from '#sim/silent-telemetry.ts';

test('a drop that was marked does not promise that nothing was changed', async () => {
  const clock = new ManualClock();
  let throttled = false;
  const refuseGates = faultyTable(new MemoryTable(), {
    clock,
    decide: ({ method, key }) =>
      throttled && method === 'put' && key.endsWith(' gate') ? 'refuse' : 'ok',
  });
  const engine = openCore(
    {
      objects: new MemoryObjectStore(clock),
      log: new MemoryLog({ clock }),
      table: refuseGates,
      global: new MemoryTable(),
      clock,
      entropy: new SeededEntropy('drop'),
      telemetry: silentTelemetry,
    },
    { scratchDir: '/nonexistent' },
  );
  const body = parseBody(CreateCollectionRequest, '{"collectionName":"c","dimension":4}');
  const { collection } = await engine.catalog.createCollection(newCollection(body, 'default'));
  throttled = true;
  const error: unknown = await dropCollection(engine, collection).catch(
    (reason: unknown) => reason,
  );
  // The table refused the gate; yet the name is gone for everybody.
  const named = await engine.catalog.findNamed('default', 'c');
  expect(named?.state).toBe('dropping');
  expect(isStoreError(error) && error.advice.effect).toBe('unknown');
});
