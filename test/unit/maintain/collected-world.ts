/** Shards with heads, objects that something or nothing names, and collect over them. */
import type { Collection } from '#catalog/collection.ts';
import { completePin, openPin, type PinRow } from '#catalog/pins.ts';
import { HeldCuts } from '#maintain/held.ts';
import { commitManifest } from '#manifest/commit.ts';
import { cutKey, encodeCut } from '#manifest/cut.ts';
import type { Manifest } from '#manifest/format.ts';
import { createHead, initialManifest, readManifest } from '#manifest/head.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import type { SegmentEntry } from '#segment/entry.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { silentTelemetry } from '#sim/silent-telemetry.ts';
import { productKey, type ShardId } from '#wal/shard.ts';

export const SHARD = { collectionId: 7, shard: 0 };
export const MINUTE = 60_000;
export const LATER = 16 * MINUTE;
export const START_MS = 1_800_000_000_000;
const BEGIN = { generation: 1, epoch: 1, fenceNumber: 1, schemaVersion: 1 };

export type Ports = Readonly<{
  clock: ManualClock;
  objects: ObjectStore;
  table: Table;
  entropy: SeededEntropy;
  telemetry: typeof silentTelemetry;
}>;

export function portsOf(): Ports {
  const clock = new ManualClock(START_MS);
  const objects = new MemoryObjectStore(clock);
  const entropy = new SeededEntropy(1);
  return { clock, objects, table: new MemoryTable(), entropy, telemetry: silentTelemetry };
}

export const begin = (
  ports: Ports,
  shard: ShardId = SHARD,
  segments: readonly SegmentEntry[] = [],
) => createHead(ports, shard, { ...initialManifest(shard, BEGIN), segments });

export async function put(ports: Ports, key: string): Promise<string> {
  await ports.objects.put(key, new Uint8Array([1]));
  return key;
}

/** An object as compact puts it before its commit. */
export const product = (ports: Ports, headVersion: number, name: string, shard: ShardId = SHARD) =>
  put(ports, productKey(shard, 'segment', headVersion, name));

export const entryOf = (key: string): SegmentEntry => ({
  ...{ key, level: 1, sizeBytes: 1, footerOffset: 0, footerBytes: 1, footerCrc32: 0 },
  ...{ rows: 0, tombstones: 0, keyRange: undefined, positionRange: undefined },
  ...{ logTimeRangeMs: { min: 0, max: 0 }, stats: new Map(), auxiliary: [] },
});

/** Commits `keys` as the content, and retires those that were it. */
export async function contain(ports: Ports, keys: readonly string[], shard: ShardId = SHARD) {
  const atMs = ports.clock.nowMs();
  return await commitManifest(ports, shard, (current): Manifest | undefined => {
    const before = current.segments.map(({ key }) => key);
    if (before.join() === keys.join()) return undefined;
    const retired = before.filter((key) => !keys.includes(key)).map((key) => ({ key, atMs }));
    return {
      ...current,
      version: current.version + 1,
      segments: keys.map(entryOf),
      retired: [...current.retired, ...retired],
    };
  });
}

/** A commit that says nothing new: time goes by for the head. */
export const touch = (ports: Ports, shard: ShardId = SHARD) =>
  readManifest(ports, shard).then(({ manifest: { logTimeMs } }) =>
    commitManifest(ports, shard, (current) =>
      current.logTimeMs > logTimeMs
        ? undefined
        : { ...current, version: current.version + 1, logTimeMs: logTimeMs + 1 },
    ),
  );

export const headOf = async (ports: Ports, shard: ShardId = SHARD): Promise<Manifest> =>
  (await readManifest(ports, shard)).manifest;

export const keysIn = async (ports: Ports, prefix = ''): Promise<readonly string[]> =>
  (await ports.objects.list(prefix)).map(({ key }) => key);

export const SOURCE = { collectionId: 7, dbName: 'default', collectionName: 'birds' };

export const openOne = (ports: Ports, name?: string): Promise<PinRow> =>
  openPin(ports, {
    source: SOURCE,
    description: '',
    ...(name === undefined ? {} : { name }),
  });

/** Completes a pin with a cut of the head as it is now. */
export async function completeOne(ports: Ports, open: PinRow, holders: readonly number[] = []) {
  const manifest = await headOf(ports);
  const { logTimeMs } = manifest;
  const key = cutKey(SOURCE.collectionId, open.pin.pinId);
  const bare = { ...manifest, idWindow: [], retired: [], collectedBelow: 0 };
  const cut = { definition: new Uint8Array(1), logTimeMs, manifests: [bare] };
  await ports.objects.put(key, encodeCut(cut));
  return await completePin(ports, open, { key, logTimeMs }, holders);
}

export const pinHead = async (ports: Ports, name?: string, holders: readonly number[] = []) =>
  completeOne(ports, await openOne(ports, name), holders);

/** As much of a catalog as collect asks: which collections there are. */
export function catalogOf(collections: Map<number, Partial<Collection>>) {
  return {
    // Only ids, states and shards are looked at.
    getCollection: async (id: number) => collections.get(id) as Collection | undefined,
    allCollections: async (states: readonly Collection['state'][] = []) =>
      [...collections.values()].filter(({ state = 'open' }) =>
        states.includes(state),
      ) as Collection[],
    forgetCollection: async (id: number) => {
      collections.delete(id);
    },
  };
}

export const heldBy = (ports: Ports, ids: readonly number[]) =>
  new HeldCuts({
    ...ports,
    collections: catalogOf(new Map(ids.map((id) => [id, { collectionId: id }]))),
  });

/** A store of which some calls do something else. */
export const overObjects = (store: ObjectStore, other: Partial<ObjectStore>): ObjectStore => ({
  put: (key, bytes) => store.put(key, bytes),
  get: (key, range) => store.get(key, range),
  head: (key) => store.head(key),
  list: (prefix, options) => store.list(prefix, options),
  delete: (keys) => store.delete(keys),
  copy: (from, to) => store.copy(from, to),
  ...other,
});

/** A table of which some calls do something else. */
export const overTable = (table: Table, other: Partial<Table>): Table => ({
  get: (key) => table.get(key),
  query: (partition, options) => table.query(partition, options),
  put: (key, value, condition) => table.put(key, value, condition),
  delete: (key, condition) => table.delete(key, condition),
  ...other,
});
