/**
 * An archive object whose rows were merged away is read for its ids for as long as the id window names
 * it, so its last readers are those of the window (I6). Found by the simulator.
 */
import { expect, test } from 'vitest';
import { acceptRows } from '#ingest/accept.ts';
import { ID_WINDOW_MS } from '#ingest/fold.ts';
import { retireKeys } from '#ingest/retired.ts';
import { commitManifest } from '#manifest/commit.ts';
import { applyAll, manifestOf, openWorld, row, start } from './world.ts';

test('what leaves the id window is retired from then on, not from when its rows left', async () => {
  const world = await openWorld();
  const ports = start(world);
  const insert = async (id: number): Promise<void> => {
    await acceptRows(ports, world.collection, {
      kind: 'insert',
      rows: [row(id, id)],
      partitionId: 1,
    });
    await applyAll(ports);
  };
  await insert(1);
  const [shard] = world.shards;
  const [old] = (await manifestOf(world)).segments;
  if (shard === undefined || old === undefined) throw new Error('a shard with a segment');
  // A merge that leaves nothing: the object stays for its ids alone.
  const mergedMs = world.clock.nowMs();
  await commitManifest(ports, shard, (current) =>
    current.segments.length === 0
      ? undefined
      : retireKeys(
          {
            ...current,
            version: current.version + 1,
            segments: [],
            sums: { ...current.sums, held: '0'.repeat(64), out: current.sums.in },
          },
          [old.key],
          mergedMs,
        ),
  );
  await world.clock.advance(ID_WINDOW_MS + 60_000);
  await insert(2);
  const { idWindow, retired } = await manifestOf(world);
  expect(idWindow.map(({ key }) => key)).not.toContain(old.key);
  expect(retired).toEqual([{ key: old.key, atMs: world.clock.nowMs() }]);
});
