/** indexes/*: what is indexed, and how far building has got. */
import { CollectionRequest } from '#api/collections.ts';
import { CreateIndexRequest, IndexRequest } from '#api/indexes.ts';
import { BASE_PATH } from '#api/routes.ts';
import { StoreError } from '#base/errors.ts';
import type { JsonOut } from '#base/json.ts';
import type { Collection, Index } from '#catalog/collection.ts';
import type { FieldCoverage } from '#query/coverage.ts';
import { GRAPH_ROWS_MIN } from '#segment/build.ts';
import { type EngineParts, findCollection } from './engine.ts';
import { addIndexes, defineIndex } from './indexes.ts';
import { type Routes, readRoute, writeRoute } from './route.ts';

const path = (verb: string): string => `POST ${BASE_PATH}/indexes/${verb}`;

export const indexRoutes = (engine: EngineParts): Routes => ({
  [path('list')]: readRoute(CollectionRequest, async (request, context) => {
    const { indexes } = await findCollection(engine, request, context);
    return { data: indexes.map(({ indexName }) => indexName) };
  }),
  [path('create')]: writeRoute(CreateIndexRequest, async (request, context) => {
    const { collectionId, schema } = await findCollection(engine, request, context);
    const added = request.indexParams.map((asked) => defineIndex(schema, asked));
    await engine.catalog.updateCollection(collectionId, (current) => {
      const indexes = addIndexes(current.indexes, added);
      return indexes.length === current.indexes.length ? undefined : { ...current, indexes };
    });
    return { data: {} };
  }),
  [path('describe')]: readRoute(IndexRequest, async (request, context) => {
    const collection = await findCollection(engine, request, context);
    const index = findIndex(collection, request.indexName);
    if (index === undefined) throw indexNotFound(collection, request.indexName);
    const { fields } = await engine.reader.coverage(collection, context.deadlineMs);
    const covered = fields.find(({ fieldId }) => fieldId === index.fieldId);
    return { data: [describeIndex(index, covered)] };
  }),
  [path('drop')]: writeRoute(IndexRequest, async (request, context) => {
    const { collectionId } = await findCollection(engine, request, context);
    await engine.catalog.updateCollection(collectionId, (current) =>
      withoutIndex(current, request.indexName),
    );
    return { data: {} };
  }),
});

const findIndex = ({ indexes }: Collection, name: string): Index | undefined =>
  indexes.find(({ indexName }) => indexName === name);

const indexNotFound = ({ collectionName }: Collection, name: string): StoreError =>
  new StoreError(
    'INDEX_NOT_FOUND',
    `index not found[indexName=${name.slice(0, 255)}][collection=${collectionName}]`,
  );

/** Dropping what is not there succeeds; a loaded collection keeps its vector indexes. */
function withoutIndex(collection: Collection, name: string): Collection | undefined {
  const index = findIndex(collection, name);
  if (index === undefined) return undefined;
  if (collection.loaded && index.metric !== undefined) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      `vector index ${name} cannot be dropped on a loaded collection, release ${collection.collectionName} first`,
    );
  }
  return { ...collection, indexes: collection.indexes.filter((other) => other !== index) };
}

/**
 * Milvus's shape, without the settings that Sterna lacks.
 *
 * Pending rows are those whose place is not final: in the tail, at level 0, or in a segment whose graph
 * has yet to be built. All of them are searched all the same, one by one; FLAT asks for just that, so it
 * has none. Where fewer are left than the smallest graph holds the state is Finished, so that a client
 * that waits for it does not wait for a trickle of writes.
 */
function describeIndex(index: Index, covered: FieldCoverage | undefined): JsonOut {
  const { totalRows = 0, pendingRows: waiting = 0 } = covered ?? {};
  const pendingRows = index.indexType === 'FLAT' ? 0 : waiting;
  return {
    indexName: index.indexName,
    fieldName: index.fieldName,
    indexType: index.indexType,
    metricType: index.metric ?? '',
    indexParams: { ...index.params },
    totalRows,
    indexedRows: totalRows - pendingRows,
    pendingRows,
    indexState: pendingRows < GRAPH_ROWS_MIN ? 'Finished' : 'InProgress',
    failReason: '',
    minIndexVersion: 0,
    maxIndexVersion: 0,
    'mmap.enabled': index.params['mmap.enabled'] ?? '',
    'indexoffsetcache.enabled': index.params['indexoffsetcache.enabled'] ?? '',
    warmup: index.params['warmup'] ?? '',
  };
}
