/**
 * Collecting what dropped collections and dropped snapshots left behind (DESIGN 4.6, ADR 0013).
 *
 * A dropped collection's shards are fenced, so nothing is added to it any more, apart from the payload
 * or segment of somebody who was frozen meanwhile. It is left alone for as long as the longest read.
 * Objects go first, rows second, the catalog's row last: a crash leaves work for the next call.
 */
import type { Collection } from '#catalog/collection.ts';
import type { Catalog } from '#catalog/collections.ts';
import { forgetPins, releaseHolder } from '#catalog/pins.ts';
import { SKEW_MS } from '#ingest/deadline.ts';
import { RETIRED_MS_MIN } from '#ingest/retired.ts';
import { pinOfKey } from '#manifest/cut.ts';
import type { Clock } from '#ports/clock.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import { collectionPrefix, shardName } from '#wal/shard.ts';
import type { HeldCuts } from './held.ts';

export type DroppedPorts = Readonly<{
  objects: ObjectStore;
  table: Table;
  clock: Clock;
  telemetry: Telemetry;
  held: Pick<HeldCuts, 'read'>;
}>;

const PAGE = 1_000;
/**
 * 64,000 objects or rows looked at in one call. What is deleted is gone for the next one, and what pins
 * hold of a dropped collection is far less; so are the objects of 3,700 snapshots of 16 shards.
 */
const PAGES_MAX = 64;

/**
 * Deletes what is left of a dropped collection, but for what pins hold, and forgets it when nothing is
 * left. Returns the number of objects deleted; undefined where it is not due yet.
 */
export async function collectDropped(
  ports: DroppedPorts,
  catalog: Pick<Catalog, 'forgetCollection'>,
  { collectionId, shards, droppedMs = 0, state }: Collection,
): Promise<number | undefined> {
  const { objects, table, clock, telemetry } = ports;
  const dueMs = droppedMs + RETIRED_MS_MIN + SKEW_MS;
  if (state !== 'dropped' || clock.nowMs() < dueMs) return undefined;
  await releaseHolder(table, collectionId);
  const left = await deleteUnheld(ports, collectionPrefix(collectionId), (key, { keys }) =>
    keys.has(key),
  );
  if (left === undefined || left.kept > 0) return left?.deleted;
  for (let shard = 0; shard < shards; shard++) {
    if (!(await deleteRows(table, shardName({ collectionId, shard })))) return left.deleted;
  }
  if ((await forgetPins(table, collectionId)) > 0) return left.deleted;
  // Somebody may have been slow to put an object; after the row nobody would look for it.
  const late = await objects.list(collectionPrefix(collectionId), { limit: 1 });
  if (late.length === 0) {
    await catalog.forgetCollection(collectionId);
    telemetry.event('info', 'collection-forgotten', { collectionId, deleted: left.deleted });
  }
  return left.deleted;
}

/**
 * Deletes cuts, and what was made for them, whose pins are gone. Returns how many objects. What was made
 * for one is content like any other to the copies that were made of it: their cuts name it too.
 */
export async function collectCuts(ports: DroppedPorts): Promise<number> {
  const result = await deleteUnheld(ports, 'snapshots/', (key, { keys, pinIds }) => {
    const pinId = pinOfKey(key);
    return pinId === undefined || pinIds.has(pinId) || keys.has(key);
  });
  return result?.deleted ?? 0;
}

type Keep = (key: string, held: NonNullable<Awaited<ReturnType<HeldCuts['read']>>>) => boolean;

/**
 * Lists before it asks for pins: whatever a pin was opened for is put after the opening, so a listed
 * object's pin is seen, or was dropped. Undefined where an open pin holds everything.
 */
async function deleteUnheld(
  { objects, held }: DroppedPorts,
  prefix: string,
  keep: Keep,
): Promise<Readonly<{ deleted: number; kept: number }> | undefined> {
  let [deleted, kept] = [0, 0];
  let after: string | undefined;
  for (let page = 1; page <= PAGES_MAX; page++) {
    const from = after === undefined ? {} : { after };
    const listed = await objects.list(prefix, { limit: PAGE, ...from });
    const now = await held.read();
    if (now === undefined) return undefined;
    const due = listed.map(({ key }) => key).filter((key) => !keep(key, now));
    if (due.length > 0) await objects.delete(due);
    deleted += due.length;
    kept += listed.length - due.length;
    if (listed.length < PAGE) return { deleted, kept };
    after = listed.at(-1)?.key;
  }
  // More than one call looks at: what lies behind is not known to be gone.
  return { deleted, kept: kept + 1 };
}

/** False where more rows are left than one call deletes. */
async function deleteRows(table: Table, partition: string): Promise<boolean> {
  for (let page = 1; page <= PAGES_MAX; page++) {
    const rows = await table.query(partition, { limit: PAGE });
    for (const { sort } of rows) await table.delete({ partition, sort });
    if (rows.length < PAGE) return true;
  }
  return false;
}
