/**
 * `POST /v2/clusters/inspect`: what lies under a collection, for operators (`sterna inspect`).
 *
 * Ids, counts, bytes and positions only: never rows, keys or vectors.
 */
import * as z from 'zod';
import { CollectionName, DatabaseName } from '#api/names.ts';
import { isStoreError } from '#base/errors.ts';
import type { JsonOut } from '#base/json.ts';
import type { Collection } from '#catalog/collection.ts';
import type { Table } from '#ports/table.ts';
import type { SegmentSnapshot, ShardSnapshot } from '#query/coverage.ts';
import { whyParked } from '#wal/parked.ts';
import type { EngineParts } from './engine.ts';
import { databaseOf, type Routes, readRoute } from './route.ts';

const InspectRequest = z.strictObject({
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
      const collection = await engine.catalog.findCollection(dbName, name);
      found.push(await inspectCollection(engine, collection, context.deadlineMs));
    }
    return { data: found };
  }),
});

async function inspectCollection(
  { reader, ports }: EngineParts,
  collection: Collection,
  deadlineMs: number,
): Promise<JsonOut> {
  const parked = await parkedShards(ports.table, collection);
  const facts = {
    collectionName: collection.collectionName,
    collectionID: collection.collectionId,
    loaded: collection.loaded,
    schemaVersion: collection.schema.version,
  };
  let shards: readonly ShardSnapshot[];
  try {
    shards = await reader.snapshotView(collection, deadlineMs);
  } catch (error) {
    // A damaged payload fails every read, and why is what an operator looks for.
    if (parked.size === 0 || !isStoreError(error)) throw error;
    const unread = [...parked].map(([shard, why]) => ({ shard, parked: why }));
    return { ...facts, unreadable: error.message, shards: unread };
  }
  return {
    ...facts,
    shards: shards.map(({ sums, tail, segments, ...facts }) => ({
      ...facts,
      ...(parked.has(facts.shard) ? { parked: parked.get(facts.shard) } : {}),
      sumIn: sums.in,
      sumHeld: sums.held,
      sumOut: sums.out,
      tailRecords: tail.records,
      tailRows: tail.rows,
      segments: segments.map(({ key, graphs, ...segment }) => ({
        segment: key.split('/').at(-1) ?? key,
        ...segment,
        graph: graphs.map(graphSentence).join('; '),
      })),
    })),
  };
}

/** Why each parked shard is; at most 16 gets. */
async function parkedShards(
  table: Table,
  { collectionId, shards }: Collection,
): Promise<ReadonlyMap<number, string>> {
  const found = await Promise.all(
    Array.from({ length: shards }, async (_, shard) => {
      const why = await whyParked(table, { collectionId, shard });
      return why === undefined ? [] : [[shard, why] as const];
    }),
  );
  return new Map(found.flat());
}

const graphSentence = (graph: SegmentSnapshot['graphs'][number]): string =>
  `field ${graph.fieldId}, ${graph.metric}, ${graph.sizeBytes} bytes, ${graph.loaded ? 'in memory' : 'not in memory'}`;
