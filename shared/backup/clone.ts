/**
 * Clones: a new collection that begins with the content of a cut (DESIGN 4.8, ADR 0013).
 *
 * It shares the cut's objects and goes its own way under a higher generation. Before anything is made
 * under its id it is a holder of the pin; when it is collected it lets go.
 */
import { isStoreError, StoreError } from '#base/errors.ts';
import type { Collection } from '#catalog/collection.ts';
import type { Beginning, Catalog, Seed } from '#catalog/collections.ts';
import { decodeCollection } from '#catalog/collections-codec.ts';
import { changePin, type PinRow, pinNow } from '#catalog/pins.ts';
import { type Cut, decodeCut } from '#manifest/cut.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import { type SnapshotPorts, takeSnapshot } from './snapshot.ts';

export type ClonePorts = Readonly<{ objects: ObjectStore; table: Table }>;

/**
 * The cut of a complete pin.
 *
 * @throws StoreError `SNAPSHOT_NOT_FOUND` where it was dropped since the pin was read; `DATA_CORRUPT`,
 *   `OBJECT_NOT_FOUND`
 */
export async function readCut({ objects, table }: ClonePorts, row: PinRow): Promise<Cut> {
  const { pin, key } = row;
  if (pin.cut === undefined) throw new StoreError('INTERNAL', `pin ${key.sort} is not complete`);
  try {
    return decodeCut(await objects.get(pin.cut.key), `cut ${pin.cut.key}`);
  } catch (error) {
    if (!isStoreError(error, 'OBJECT_NOT_FOUND')) throw error;
    throw (await pinNow(table, row))?.state === 'complete' ? error : droppedMeanwhile();
  }
}

const droppedMeanwhile = (): StoreError =>
  new StoreError('SNAPSHOT_NOT_FOUND', 'snapshot not found: it was dropped meanwhile');

/**
 * Makes a collection from a snapshot: indexes, properties and partitions as they were.
 *
 * @throws StoreError `ALREADY_EXISTS` where the name is taken; `SNAPSHOT_NOT_FOUND` where the snapshot
 *   was dropped meanwhile; `OVERLOADED` above {@link HOLDERS_MAX} copies; `NOT_READY` where the name belongs to a collection that is being dropped;
 *   `UNCERTAIN`
 */
export async function restoreSnapshot(
  ports: ClonePorts,
  catalog: Catalog,
  row: PinRow,
  target: Target,
): Promise<Collection> {
  const cut = await readCut(ports, row);
  const definition = decodeCollection(cut.definition, `cut ${row.key.sort}`);
  return await create(catalog, definition, target, async (collectionId) => {
    await hold(ports.table, row, collectionId);
    return beginningOf(cut);
  });
}

/**
 * Makes a collection that begins with what `source` holds now. The pin that keeps the shared objects
 * has no name and no other holder.
 *
 * @throws StoreError as {@link restoreSnapshot}, and as `takeSnapshot`
 */
export async function cloneCollection(
  ports: SnapshotPorts,
  catalog: Catalog,
  source: Collection,
  target: Target,
): Promise<Collection> {
  return await create(catalog, source, target, async (collectionId) => {
    const { cut } = await takeSnapshot(ports, source, { description: '' }, [collectionId]);
    return beginningOf(cut);
  });
}

type Target = Pick<Collection, 'dbName' | 'collectionName'>;

async function create(
  catalog: Catalog,
  definition: Collection,
  target: Target,
  seed: Seed,
): Promise<Collection> {
  const name = target.collectionName;
  let found = await catalog.findNamed(target.dbName, name);
  if (found === undefined) {
    const { collectionId: _, createdMs: __, droppedMs: ___, state: ____, ...rest } = definition;
    const created = await catalog.createCollection({ ...rest, ...target }, seed);
    if (created.outcome === 'created') return created.collection;
    found = created.collection;
  }
  if (found.state === 'dropping') {
    throw new StoreError('NOT_READY', `collection ${name} is being dropped; try again`);
  }
  throw new StoreError('ALREADY_EXISTS', `collection ${name} already exists`);
}

/** Collections that share one cut: ids of 16 digits, two thirds of what a row of 256 KiB takes. */
const HOLDERS_MAX = 10_000;

async function hold(table: Table, row: PinRow, collectionId: number): Promise<void> {
  const held = await changePin(table, row, (pin) => {
    if (pin.state !== 'complete') return undefined;
    const holders = [...new Set([...pin.holders, collectionId])];
    if (holders.length <= HOLDERS_MAX) return { ...pin, holders };
    throw new StoreError(
      'OVERLOADED',
      `snapshot ${pin.name ?? ''} is shared by ${HOLDERS_MAX} collections, the maximum: drop some`,
    );
  });
  if (held?.pin.holders.includes(collectionId)) return;
  throw droppedMeanwhile();
}

/** Id window and retired objects are the source's own affair. */
function beginningOf({ manifests }: Cut): Beginning {
  return {
    generation: 1 + Math.max(...manifests.map(({ generation }) => generation)),
    content(shard) {
      const manifest = manifests[shard];
      if (manifest === undefined) throw new StoreError('INTERNAL', 'a cut has every shard');
      const { applied, logTimeMs, sums, rowsApplied, segments } = manifest;
      return { applied, logTimeMs, sums, rowsApplied, segments };
    },
  };
}
