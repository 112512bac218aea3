/**
 * `POST /v2/clusters/inspect`: what lies under a collection, for operators (`sterna inspect`).
 *
 * Ids, counts, bytes and positions only: never rows, keys or vectors.
 */
import * as z from 'zod';
import { CollectionName, DatabaseName } from '#api/names.ts';
import type { JsonOut } from '#base/json.ts';
import type { Collection } from '#catalog/collection.ts';
import type { SegmentEntry } from '#segment/entry.ts';
import type { EngineParts } from './engine.ts';
import { observeShards } from './progress.ts';
import { databaseOf, type Routes, readRoute } from './route.ts';

const InspectRequest = z.object({
  dbName: DatabaseName.optional(),
  collectionName: CollectionName.optional(),
});

export const inspectRoutes = (engine: EngineParts): Routes => ({
  'POST /v2/clusters/inspect': readRoute(InspectRequest, async (request, context) => {
    const dbName = databaseOf(request, context);
    const names =
      request.collectionName === undefined
        ? await engine.catalog.listCollections(dbName)
        : [request.collectionName];
    const found: JsonOut[] = [];
    // One after the other: an operator's look must not compete with reads.
    for (const name of names) {
      found.push(
        await inspectCollection(engine, await engine.catalog.findCollection(dbName, name)),
      );
    }
    return { data: found };
  }),
});

async function inspectCollection(engine: EngineParts, collection: Collection): Promise<JsonOut> {
  const observed = await observeShards(engine, collection);
  return {
    collectionName: collection.collectionName,
    collectionID: collection.collectionId,
    loaded: collection.loaded,
    schemaVersion: collection.schema.version,
    shards: observed.map(({ gateNumber, head, tail }, shard) => {
      const { manifest, objectKey } = head;
      const pending = tail.filter(({ position }) => position > manifest.applied);
      return {
        shard,
        manifest: manifest.version,
        object: objectKey ?? 'inline',
        epoch: manifest.epoch,
        generation: manifest.generation,
        gate: gateNumber,
        fence: manifest.fenceNumber,
        state: manifest.state,
        applied: manifest.applied,
        logTimeMs: manifest.logTimeMs,
        tailRecords: pending.length,
        tailRows: pending.reduce((sum, { rows }) => sum + rows, 0),
        archives: manifest.idWindow.length,
        sumIn: manifest.sums.in,
        segments: manifest.segments.map(inspectSegment),
      };
    }),
  };
}

const inspectSegment = (entry: SegmentEntry): JsonOut => ({
  segment: entry.key.split('/').at(-1) ?? entry.key,
  level: entry.level,
  rows: entry.rows,
  tombstones: entry.tombstones,
  sizeBytes: entry.sizeBytes,
  graphs: entry.auxiliary
    .filter(({ kind }) => kind === 'graph')
    .map(
      ({ fieldId, facts, sizeBytes }) => `field ${fieldId}, ${facts['metric']}, ${sizeBytes} bytes`,
    )
    .join('; '),
  from: entry.positionRange?.min ?? '',
  to: entry.positionRange?.max ?? '',
});
