/**
 * Collect deletes what nobody can need any more, and nothing else (I6).
 */
import { beforeEach, expect, test } from 'vitest';
import { collectShard } from '#maintain/collect.ts';
import { commitManifest } from '#manifest/commit.ts';
import type { Manifest } from '#manifest/format.ts';
import { createHead, initialManifest, readManifest } from '#manifest/head.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { silentTelemetry } from '#sim/silent-telemetry.ts';
import { payloadKey, payloadMintMs, productKey } from '#wal/shard.ts';

const SHARD = { collectionId: 7, shard: 0 };
const MINUTE = 60_000;
const START_MS = 1_800_000_000_000;

const world = () => {
  const clock = new ManualClock(START_MS);
  const objects = new MemoryObjectStore(clock);
  const table = new MemoryTable();
  return { clock, objects, table, entropy: new SeededEntropy(1), telemetry: silentTelemetry };
};

let ports: ReturnType<typeof world>;

beforeEach(async () => {
  ports = world();
  const start = { generation: 1, epoch: 1, fenceNumber: 1, schemaVersion: 1 };
  await createHead(ports, SHARD, initialManifest(SHARD, start));
});

const change = (next: Partial<Manifest>) =>
  commitManifest(ports, SHARD, (current) =>
    Object.entries(next).every(([name, value]) => current[name as keyof Manifest] === value)
      ? undefined
      : { ...current, ...next, version: current.version + 1 },
  );

const keysLeft = async (): Promise<readonly string[]> =>
  (await ports.objects.list('collections/')).map(({ key }) => key);

test('a retired object goes after the longest read, and its name with it', async () => {
  const key = productKey(SHARD, 'segment', 0, 'old');
  await ports.objects.put(key, new Uint8Array(1));
  await change({ retired: [{ key, atMs: START_MS }] });

  await ports.clock.advance(15 * MINUTE);
  expect(await collectShard(ports, SHARD)).toMatchObject({ retired: 0, payloads: 0 });
  expect(await keysLeft()).toEqual([key]);

  await ports.clock.advance(MINUTE);
  expect(await collectShard(ports, SHARD)).toMatchObject({ retired: 1, payloads: 0 });
  expect(await keysLeft()).toEqual([]);
  expect((await readManifest(ports, SHARD)).manifest.retired).toEqual([]);
});

test('a retired object that the id window still names stays', async () => {
  const key = productKey(SHARD, 'segment', 0, '0-archive');
  await ports.objects.put(key, new Uint8Array(1));
  const idWindow = [{ key, footerOffset: 0, footerBytes: 1, footerCrc32: 0, logTimeMs: START_MS }];
  await change({ retired: [{ key, atMs: START_MS }], idWindow });
  await ports.clock.advance(60 * MINUTE);
  await collectShard(ports, SHARD);
  expect(await keysLeft()).toEqual([key]);
});

test('a crash between deleting and forgetting leaves work for the next call, and no error', async () => {
  const key = productKey(SHARD, 'segment', 0, 'gone');
  await change({ retired: [{ key, atMs: START_MS }] });
  await ports.clock.advance(60 * MINUTE);
  expect(await collectShard(ports, SHARD)).toMatchObject({ retired: 1, payloads: 0 });
  expect((await readManifest(ports, SHARD)).manifest.retired).toEqual([]);
});

test('payloads go by log time, not by the clock: a late shard keeps what it has yet to apply', async () => {
  const old = payloadKey(SHARD, START_MS, 'aa');
  const young = payloadKey(SHARD, START_MS + 5 * MINUTE, 'bb');
  expect(payloadMintMs(old)).toBe(START_MS);
  await ports.objects.put(old, new Uint8Array(1));
  await ports.objects.put(young, new Uint8Array(1));

  await ports.clock.advance(600 * MINUTE);
  expect(await collectShard(ports, SHARD)).toMatchObject({ retired: 0, payloads: 0 });

  await change({ logTimeMs: START_MS + 10 * MINUTE + 1 });
  expect(await collectShard(ports, SHARD)).toMatchObject({ retired: 0, payloads: 1 });
  expect(await keysLeft()).toEqual([young]);
});

test('manifest objects that the head has left behind go, whoever made them', async () => {
  // Enough retired names for a manifest that does not fit its row.
  const names = (round: number) =>
    Array.from({ length: 1_000 }, (_, at) => ({ key: `retired-${round}-${at}`, atMs: START_MS }));
  for (let round = 1; round <= 3; round++) await change({ retired: names(round) });
  const { manifest, objectKey } = await readManifest(ports, SHARD);
  // A commit that lost its race, and one that is under way on the head as it is.
  const lost = productKey(SHARD, 'manifest', manifest.version - 1, 'ffffffffffffffff');
  const underWay = productKey(SHARD, 'manifest', manifest.version, '0000000000000000');
  for (const key of [lost, underWay]) await ports.objects.put(key, new Uint8Array(1));
  expect(await keysLeft()).toHaveLength(5);

  expect(await collectShard(ports, SHARD)).toEqual({
    retired: 0,
    orphans: 0,
    payloads: 0,
    manifests: 3,
  });
  expect(await keysLeft()).toEqual([underWay, objectKey].sort());
  expect((await readManifest(ports, SHARD)).manifest).toEqual(manifest);
});
