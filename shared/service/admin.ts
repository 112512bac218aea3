/** What the control plane answers to: collections, their states and their indexes. */
import {
  CollectionRequest,
  CreateCollectionRequest,
  DatabaseRequest,
  LoadStateRequest,
} from '#api/collections.ts';
import { BASE_PATH } from '#api/routes.ts';
import { StoreError } from '#base/errors.ts';
import type { JsonOut } from '#base/json.ts';
import type { Collection } from '#catalog/collection.ts';
import { checkLoadable, newCollection } from './definition.ts';
import { describeCollection, LOADED, NOT_LOADED } from './describe.ts';
import { dropCollection } from './drop.ts';
import { type EngineParts, findCollection } from './engine.ts';
import { indexRoutes } from './index-routes.ts';
import { flushCollection, rowsWritten } from './progress.ts';
import { databaseOf, type Routes, readRoute, writeRoute } from './route.ts';
import { partitionIds } from './rows.ts';
import { snapshotRoutes } from './snapshots.ts';
import { truncateCollection } from './truncate.ts';

/** A name that is dropped and created by many at once changes hands this often at most. */
const CREATE_ATTEMPTS_MAX = 8;

const path = (verb: string): string => `POST ${BASE_PATH}/collections/${verb}`;

export const adminRoutes = (engine: EngineParts): Routes => ({
  [path('create')]: writeRoute(CreateCollectionRequest, async (request, context) => {
    await createCollection(engine, request, databaseOf(request, context));
    return { data: {} };
  }),
  [path('list')]: readRoute(DatabaseRequest, async (request, context) => ({
    data: await engine.catalog.listCollections(databaseOf(request, context)),
  })),
  [path('has')]: readRoute(CollectionRequest, async (request, context) => {
    const dbName = databaseOf(request, context);
    const found = await engine.catalog.findNamed(dbName, request.collectionName);
    return { data: { has: found?.state === 'open' } };
  }),
  [path('describe')]: readRoute(CollectionRequest, async (request, context) => ({
    // Empty, not absent: Milvus shows here which parts of the answer failed.
    message: '',
    data: describeCollection(await findCollection(engine, request, context)),
  })),
  [path('drop')]: writeRoute(CollectionRequest, async (request, context) => {
    const dbName = databaseOf(request, context);
    const found = await engine.catalog.findNamed(dbName, request.collectionName);
    if (found !== undefined) await dropCollection(engine, found);
    return { data: {} };
  }),
  [path('flush')]: readRoute(CollectionRequest, async (request, context) => {
    await flushCollection(
      engine,
      await findCollection(engine, request, context),
      context.deadlineMs,
    );
    return { data: {} };
  }),
  [path('get_stats')]: readRoute(CollectionRequest, async (request, context) => ({
    data: { rowCount: await rowsWritten(engine, await findCollection(engine, request, context)) },
  })),
  [path('truncate')]: writeRoute(CollectionRequest, async (request, context) => {
    await truncateCollection(engine, await findCollection(engine, request, context), context);
    return { data: {} };
  }),
  ...loadRoutes(engine),
  ...indexRoutes(engine),
  ...snapshotRoutes(engine),
});

const loadRoutes = (engine: EngineParts): Routes => ({
  [path('load')]: writeRoute(CollectionRequest, async (request, context) => {
    const { collectionId } = await findCollection(engine, request, context);
    await engine.catalog.updateCollection(collectionId, (current) => {
      checkLoadable(current.schema, current.indexes);
      return current.loaded ? undefined : { ...current, loaded: true };
    });
    return { data: {} };
  }),
  [path('release')]: writeRoute(CollectionRequest, async (request, context) => {
    const { collectionId } = await findCollection(engine, request, context);
    await engine.catalog.updateCollection(collectionId, (current) =>
      current.loaded ? { ...current, loaded: false } : undefined,
    );
    return { data: {} };
  }),
  [path('get_load_state')]: readRoute(LoadStateRequest, async (request, context) => {
    const collection = await findCollection(engine, request, context);
    partitionIds(collection, request.partitionNames ?? []);
    return { data: loadState(collection) };
  }),
});

const loadState = ({ loaded }: Collection): JsonOut =>
  loaded ? { loadState: LOADED, loadProgress: 100 } : { loadState: NOT_LOADED };

/** A drop of the name that somebody left half done is finished first. */
async function createCollection(
  engine: EngineParts,
  request: CreateCollectionRequest,
  dbName: string,
): Promise<void> {
  const wanted = newCollection(request, dbName);
  for (let attempt = 1; attempt <= CREATE_ATTEMPTS_MAX; attempt++) {
    const { outcome, collection } = await engine.catalog.createCollection(wanted);
    if (outcome !== 'dropping') return;
    await dropCollection(engine, collection);
  }
  throw new StoreError('NOT_READY', `collection ${wanted.collectionName} is being dropped`);
}
