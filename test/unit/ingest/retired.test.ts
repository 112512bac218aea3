import { expect, test } from 'vitest';
import { canRetire, RETIRED_MS_MIN, retireKeys } from '#ingest/retired.ts';
import { initialManifest } from '#manifest/head.ts';
import { RETIRED_MAX } from '#manifest/history.ts';

const NOW_MS = 10 * RETIRED_MS_MIN;
const listing = (count: number, atMs: number) => ({
  ...initialManifest(
    { collectionId: 1, shard: 0 },
    { generation: 1, epoch: 1, fenceNumber: 1, schemaVersion: 1 },
  ),
  retired: Array.from({ length: count }, (_, index) => ({ key: `old ${index}`, atMs })),
});

test('entries that no read can need go when the list is half full, and not before', () => {
  const old = NOW_MS - RETIRED_MS_MIN - 1;
  expect(retireKeys(listing(RETIRED_MAX / 2 - 1, old), ['a'], NOW_MS).retired).toHaveLength(
    RETIRED_MAX / 2,
  );
  expect(retireKeys(listing(RETIRED_MAX / 2, old), ['a'], NOW_MS).retired).toEqual([
    { key: 'a', atMs: NOW_MS },
  ]);
  expect(
    retireKeys(listing(RETIRED_MAX / 2, NOW_MS - RETIRED_MS_MIN), ['a'], NOW_MS).retired,
  ).toHaveLength(RETIRED_MAX / 2 + 1);
});

test('younger entries are never forgotten: there is no room instead', () => {
  const full = listing(RETIRED_MAX, NOW_MS - 1);
  expect(canRetire(full, 0, NOW_MS)).toBe(true);
  expect(canRetire(full, 1, NOW_MS)).toBe(false);
  expect(() => retireKeys(full, ['a'], NOW_MS)).toThrow(/collect/);
});
