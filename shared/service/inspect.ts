/**
 * `POST /v2/clusters/inspect`: what lies under a collection, for operators (`sterna inspect`).
 *
 * Ids, counts, bytes and positions only: never rows, keys or vectors.
 */
import * as z from 'zod';
import { CollectionName, DatabaseName } from '#api/names.ts';
import type { JsonOut } from '#base/json.ts';
import type { Collection } from '#catalog/collection.ts';
import type { SegmentSnapshot } from '#query/coverage.ts';
import type { EngineParts } from './engine.ts';
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
      const collection = await engine.catalog.findCollection(dbName, name);
      found.push(await inspectCollection(engine, collection, context.deadlineMs));
    }
    return { data: found };
  }),
});

async function inspectCollection(
  { reader }: EngineParts,
  collection: Collection,
  deadlineMs: number,
): Promise<JsonOut> {
  const shards = await reader.snapshotView(collection, deadlineMs);
  return {
    collectionName: collection.collectionName,
    collectionID: collection.collectionId,
    loaded: collection.loaded,
    schemaVersion: collection.schema.version,
    shards: shards.map(({ sums, tail, segments, ...facts }) => ({
      ...facts,
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

const graphSentence = (graph: SegmentSnapshot['graphs'][number]): string =>
  `field ${graph.fieldId}, ${graph.metric}, ${graph.sizeBytes} bytes, ${graph.loaded ? 'in memory' : 'not in memory'}`;
