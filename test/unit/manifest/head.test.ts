/** The head row: small manifests inside it, large ones as objects, and caches that never lie. */
import { beforeEach, describe, expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { commitManifest } from '#manifest/commit.ts';
import type { Manifest } from '#manifest/format.ts';
import {
  createHead,
  type HeadPorts,
  headKey,
  initialManifest,
  ManifestCache,
  readManifest,
} from '#manifest/head.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { objectPrefix } from '#wal/shard.ts';
import { firstManifest, segmentOf, shard } from './arbitrary-manifests.ts';
import { countingEntropy } from './counting-entropy.ts';

let objects: MemoryObjectStore;
let table: MemoryTable;
let ports: HeadPorts & { entropy: ReturnType<typeof countingEntropy> };
beforeEach(() => {
  objects = new MemoryObjectStore({ nowMs: () => 0 });
  table = new MemoryTable();
  ports = { objects, table, entropy: countingEntropy() };
});

const large: Manifest = {
  ...firstManifest,
  segments: Array.from({ length: 400 }, (_, n) => segmentOf(0, `${n * 7919}`.padStart(16, '0'))),
};
const failure = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing',
    (error: unknown) => (isStoreError(error) ? `${error.code} ${error.message}` : String(error)),
  );
const manifestObjects = () => objects.list(objectPrefix(shard, 'manifest'));
const adding = (suffix: string) => (current: Manifest) => {
  const segment = segmentOf(current.collectedBelow, suffix);
  return current.segments.some(({ key }) => key === segment.key)
    ? undefined
    : { ...current, version: current.version + 1, segments: [...current.segments, segment] };
};

test('the first manifest has no content and starts where it is told', () => {
  const start = { generation: 3, epoch: 4, fenceNumber: 5, schemaVersion: 6 };
  const manifest = initialManifest(shard, start);
  expect(manifest).toMatchObject({ ...shard, ...start, version: 0, applied: '', state: 'open' });
  expect(manifest.sums.in).toBe('0'.repeat(64));
  expect(initialManifest(shard, { ...start, state: 'sealed' }).state).toBe('sealed');
});

test('a small manifest costs no object, a large one exactly one', async () => {
  expect(await createHead(ports, shard, firstManifest)).toBe(true);
  expect(await readManifest(ports, shard)).toEqual({
    manifest: firstManifest,
    rowVersion: 1,
    objectKey: undefined,
  });
  expect(await manifestObjects()).toEqual([]);

  const other = { ...shard, shard: 0 };
  await createHead(ports, other, { ...large, shard: 0 });
  const { manifest, objectKey } = await readManifest(ports, other);
  expect(manifest).toEqual({ ...large, shard: 0 });
  expect(objectKey).toMatch(/^collections\/7\/0\/manifest\/000000000000-[0-9a-f]{16}$/);
});

test('a head is created once', async () => {
  await createHead(ports, shard, firstManifest);
  expect(await createHead(ports, shard, { ...firstManifest, epoch: 9 })).toBe(false);
  expect((await readManifest(ports, shard)).manifest).toEqual(firstManifest);
});

describe('refused', () => {
  test('a shard without a head', async () => {
    expect(await failure(readManifest(ports, shard))).toBe(
      'COLLECTION_NOT_FOUND shard c7-1 has no manifest',
    );
  });

  test('a head whose object is gone', async () => {
    await createHead(ports, shard, large);
    const { objectKey = '' } = await readManifest(ports, shard);
    await objects.delete([objectKey]);
    expect(await failure(readManifest(ports, shard))).toContain(`OBJECT_NOT_FOUND`);
    expect(await failure(readManifest(ports, shard))).toContain(objectKey);
  });

  test('an object that is not what the row says', async () => {
    await createHead(ports, shard, large);
    const { objectKey = '' } = await readManifest(ports, shard);
    const bytes = await objects.get(objectKey);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    await objects.put(objectKey, bytes);
    expect(await failure(readManifest(ports, shard))).toMatch(
      new RegExp(`^DATA_CORRUPT manifest ${objectKey}: `),
    );
  });

  test('the manifest of another shard', async () => {
    const other = { ...shard, shard: 0 };
    await createHead(ports, other, { ...firstManifest, shard: 0 });
    const row = await table.get(headKey(other));
    await table.put(headKey(shard), row?.value ?? new Uint8Array());
    expect(await failure(readManifest(ports, shard))).toContain('belongs to shard c7-0');
  });

  test('a damaged row', async () => {
    await table.put(headKey(shard), new Uint8Array(20));
    expect(await failure(readManifest(ports, shard))).toContain('DATA_CORRUPT head of c7-1');
  });
});

test('a reader whose manifest was collected meanwhile reads the newer head', async () => {
  await createHead(ports, shard, large);
  const { objectKey = '' } = await readManifest(ports, shard);
  // Between the reader's two reads the head moves on and collect deletes the old object.
  const collecting = {
    ...ports,
    objects: Object.assign(Object.create(objects), {
      get: async (key: string) => {
        if (key === objectKey) {
          await commitManifest(ports, shard, adding('new'));
          await objects.delete([objectKey]);
        }
        return objects.get(key);
      },
    }) as MemoryObjectStore,
  };
  const head = await readManifest(collecting, shard);
  expect(head.manifest.version).toBe(1);
  expect(head.rowVersion).toBe(2);
});

describe('cache', () => {
  test('an object is fetched and decoded once', async () => {
    await createHead(ports, shard, large);
    const manifests = new ManifestCache();
    const first = await readManifest({ ...ports, manifests }, shard);
    await objects.delete([first.objectKey ?? '']);
    const again = await readManifest({ ...ports, manifests }, shard);
    expect(again.manifest).toBe(first.manifest);
  });

  test('a committer fills it with what it committed', async () => {
    await createHead(ports, shard, large);
    const manifests = new ManifestCache();
    const committed = await commitManifest({ ...ports, manifests }, shard, adding('new'));
    expect((await readManifest({ ...ports, manifests }, shard)).manifest).toBe(committed);
  });

  test('a row that was dropped and created again is another one', async () => {
    const manifests = new ManifestCache();
    await createHead(ports, shard, firstManifest);
    await readManifest({ ...ports, manifests }, shard);
    await table.delete(headKey(shard));
    await createHead(ports, shard, { ...firstManifest, epoch: 2 });
    const { manifest, rowVersion } = await readManifest({ ...ports, manifests }, shard);
    expect([manifest.epoch, rowVersion]).toEqual([2, 1]);
  });

  test('is bounded by bytes: the one that was not asked for longest goes', () => {
    const manifests = new ManifestCache(250);
    manifests.set('a', firstManifest, 100);
    manifests.set('b', firstManifest, 100);
    manifests.get('a');
    manifests.set('c', firstManifest, 100);
    expect(manifests.get('b')).toBeUndefined();
    expect(manifests.get('a')).toBe(firstManifest);
    expect(manifests.get('c')).toBe(firstManifest);
  });
});
