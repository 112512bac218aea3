/**
 * A commit takes effect exactly once, whatever the interleaving and whichever answers get lost
 * (I2), and nothing that collect may have deleted is ever committed (I6).
 */
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { ATTEMPTS_MAX, type Change, commitManifest, isOutdated } from '#manifest/commit.ts';
import type { Manifest } from '#manifest/format.ts';
import { createHead, readManifest } from '#manifest/head.ts';
import { reachableKeys } from '#manifest/history.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { parseProductKey, productKey } from '#wal/shard.ts';
import { FATES, racingTable } from '../wal/racing-table.ts';
import { firstManifest, segmentOf, shard } from './arbitrary-manifests.ts';
import { countingEntropy } from './counting-entropy.ts';

const memoryObjects = () => new MemoryObjectStore({ nowMs: () => 0 });

/** Adds a segment whose name ends in `name`; any segment of that name is its effect. */
const adding =
  (name: string, headVersion = 0): Change =>
  (current) =>
    current.segments.some(({ key }) => key.endsWith(`-${name}`))
      ? undefined
      : {
          ...current,
          version: current.version + 1,
          segments: [...current.segments, segmentOf(headVersion, name)],
        };

const namesOf = ({ segments }: Manifest): string[] =>
  segments.map(({ key }) => key.replace(/^.*-/, '')).sort();

/** Too large for the head row, so that it is an object. */
const asObject: Manifest = {
  ...firstManifest,
  retired: [{ key: 'r'.repeat(5000), atMs: 1 }],
};

describe('one after the other', () => {
  let table: MemoryTable;
  let objects: MemoryObjectStore;
  beforeEach(async () => {
    table = new MemoryTable();
    objects = memoryObjects();
    await createHead({ objects, table, entropy: countingEntropy() }, shard, firstManifest);
  });
  const commit = (change: Change, onto: Table = table) =>
    commitManifest({ objects, table: onto, entropy: countingEntropy() }, shard, change);

  test('a change that is in effect already changes nothing', async () => {
    const committed = await commit(adding('a'));
    expect(await commit(adding('a'))).toEqual(committed);
    expect((await readManifest({ objects, table }, shard)).rowVersion).toBe(2);
  });

  test('a manifest that breaks an invariant is not committed', async () => {
    const falling: Change = (current) =>
      current.version > 0 ? undefined : { ...current, version: 1, epoch: 0 };
    await expect(commit(falling)).rejects.toThrow('nothingFalls: epoch never falls: 1 to 0');
    expect((await readManifest({ objects, table }, shard)).rowVersion).toBe(1);
  });

  test('a change that does not recognise itself is a bug', async () => {
    const forgetful: Change = (current) => ({ ...current, version: current.version + 1 });
    await expect(commit(forgetful)).rejects.toThrow('a change recognises its own effect');
    expect((await readManifest({ objects, table }, shard)).rowVersion).toBe(1);
  });

  test('sixteen lost races are enough', async () => {
    let puts = 0;
    const losing: Table = Object.assign(Object.create(table), {
      put: async () => {
        puts += 1;
        return undefined;
      },
    });
    losing.get = (key) => table.get(key);
    const error = await commit(adding('a'), losing).catch((thrown: unknown) => thrown);
    expect(isStoreError(error, 'MANIFEST_CONTENDED')).toBe(true);
    expect(puts).toBe(ATTEMPTS_MAX);
  });

  test('what was minted below the mark is refused as outdated', async () => {
    await commit(adding('a'));
    await commit((current) =>
      current.collectedBelow > 0 ? undefined : { ...current, version: 2, collectedBelow: 2 },
    );
    const error = await commit(adding('b', 1)).catch((thrown: unknown) => thrown);
    expect(isOutdated(error)).toBe(true);
    expect(String(error)).toContain('minted at head version 1');
    expect(isOutdated(new Error('other'))).toBe(false);
    expect(namesOf(await commit(adding('b', 2)))).toEqual(['a', 'b']);
    // What the manifest holds stays, however old; and a clone's shared object is not ours to judge.
    const shared = productKey({ collectionId: 3, shard: 0 }, 'segment', 0, 'c');
    const sharing: Change = (current) =>
      current.segments.length > 2
        ? undefined
        : {
            ...current,
            version: current.version + 1,
            segments: [...current.segments, { ...segmentOf(0, 'c'), key: shared }],
          };
    expect(namesOf(await commit(sharing))).toEqual(['a', 'b', 'c']);
  });
});

test('every racing commit takes effect exactly once', async () => {
  const race = fc.asyncProperty(
    fc.scheduler(),
    fc.boolean(),
    fc.integer({ min: 1, max: 4 }),
    fc.array(fc.constantFrom(...FATES), { maxLength: 8 }),
    async (scheduler, large, writers, fates) => {
      const objects = memoryObjects();
      const table = new MemoryTable();
      const entropy = countingEntropy();
      await createHead({ objects, table, entropy }, shard, large ? asObject : firstManifest);
      const faulty = racingTable(scheduler, table, fates.values());
      const names = Array.from({ length: writers }, (_, index) => `n${index}`);
      const commits = names.map((name) =>
        commitManifest({ objects, table: faulty, entropy }, shard, adding(name)),
      );
      const results = await scheduler.waitFor(Promise.all(commits));
      await scheduler.waitIdle();

      const { manifest, objectKey } = await readManifest({ objects, table }, shard);
      expect(namesOf(manifest)).toEqual(names);
      expect(manifest.version).toBe(writers);
      expect(objectKey === undefined).toBe(!large);
      for (const [index, name] of names.entries()) {
        expect(results[index] && namesOf(results[index])).toContain(name);
      }
    },
  );
  await fc.assert(race, { numRuns: 1000 });
});

type Ports = Readonly<{
  objects: ObjectStore;
  table: Table;
  entropy: ReturnType<typeof countingEntropy>;
}>;

/** What apply and compact do: make an object, commit it, make another one if it is too old. */
async function produce(ports: Ports, name: string): Promise<void> {
  for (let attempt = 1; attempt <= 50; attempt++) {
    const { manifest } = await readManifest(ports, shard);
    const suffix = `${attempt}-${name}`;
    await ports.objects.put(segmentOf(manifest.version, suffix).key, new Uint8Array(1));
    try {
      await commitManifest(ports, shard, (current) => {
        const next = adding(name, manifest.version)(current);
        return next && { ...next, segments: next.segments.map((s) => renamed(s, name, suffix)) };
      });
      return;
    } catch (error) {
      if (!isOutdated(error)) throw error;
    }
  }
  throw new Error('outdated fifty times');
}

/** Keys of this race carry the attempt before the name. */
const renamed = (segment: Manifest['segments'][number], name: string, suffix: string) => ({
  ...segment,
  key: segment.key.replace(new RegExp(`(?<=[0-9]{12})-${name}$`), `-${suffix}`),
});

/** What collect does: raise the mark to the head, then delete what is older and not reachable. */
async function collect(ports: Ports): Promise<void> {
  let raised: number | undefined;
  const { version } = await commitManifest(ports, shard, (current) => {
    if (raised !== undefined && current.collectedBelow >= raised) return undefined;
    raised = current.version + 1;
    return { ...current, version: raised, collectedBelow: raised };
  });
  const { manifest, objectKey } = await readManifest(ports, shard);
  const reachable = reachableKeys(manifest);
  for (const { key } of await ports.objects.list('collections/')) {
    const minted = parseProductKey(key)?.headVersion ?? version;
    if (minted < manifest.collectedBelow && !reachable.has(key) && key !== objectKey) {
      await ports.objects.delete([key]);
    }
  }
}

test('collect beside producers never deletes what is or will be committed', async () => {
  const race = fc.asyncProperty(
    fc.scheduler(),
    fc.boolean(),
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 3 }),
    fc.array(fc.constantFrom(...FATES), { maxLength: 8 }),
    async (scheduler, large, producers, rounds, fates) => {
      const objects = memoryObjects();
      const table = new MemoryTable();
      const entropy = countingEntropy();
      await createHead({ objects, table, entropy }, shard, large ? asObject : firstManifest);
      const ports = {
        table: racingTable(scheduler, table, fates.values()),
        objects: turnTaking(scheduler, objects),
        entropy,
      };
      const names = Array.from({ length: producers }, (_, index) => `n${index}`);
      const collecting = async () => {
        for (let round = 0; round < rounds; round++) await collect(ports);
      };
      await scheduler.waitFor(
        Promise.all([collecting(), ...names.map((name) => produce(ports, name))]),
      );
      await scheduler.waitIdle();

      const { manifest } = await readManifest({ objects, table }, shard);
      expect(namesOf(manifest)).toEqual(names);
      for (const { key } of manifest.segments) {
        expect(await objects.head(key), `${key} is there`).toBeDefined();
      }
    },
  );
  await fc.assert(race, { numRuns: 1000 });
});

/** Objects whose calls complete in the order that fast-check chooses. */
function turnTaking(scheduler: fc.Scheduler, objects: ObjectStore): ObjectStore {
  const turn = (what: string) => scheduler.schedule(Promise.resolve(), what);
  return {
    put: async (key, bytes) => {
      await turn(`put ${key}`);
      await objects.put(key, bytes);
    },
    get: async (key, range) => {
      await turn(`get ${key}`);
      return objects.get(key, range);
    },
    delete: async (keys) => {
      await turn(`delete ${keys.join()}`);
      await objects.delete(keys);
    },
    list: (prefix, options) => objects.list(prefix, options),
    head: (key) => objects.head(key),
    copy: (from, to) => objects.copy(from, to),
  };
}
