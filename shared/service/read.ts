/** What the read path answers to. It never writes. */
import { GetRequest, QueryRequest, type RequestKey, SearchRequest } from '#api/entities.ts';
import type { Reply } from '#api/envelope.ts';
import { LIMITS } from '#api/names.ts';
import { BASE_PATH } from '#api/routes.ts';
import { StoreError } from '#base/errors.ts';
import type { JsonObject } from '#base/json.ts';
import type { Collection } from '#catalog/collection.ts';
import { compileFilter } from '#filter/compile.ts';
import { asksForCount, COUNT, resolveOutput } from '#query/output.ts';
import type { AsOf, ReadRequest } from '#query/reader.ts';
import { type Field, type Metric, vectorFields } from '#schema/field.ts';
import { checkConsistency } from './definition.ts';
import { type EngineParts, findCollection } from './engine.ts';
import { type RequestContext, type Routes, readRoute } from './route.ts';
import { partitionIds, readKeys, rowsOut } from './rows.ts';
import { readSearchParams, type SearchSettings } from './search-params.ts';

const path = (verb: string): string => `POST ${BASE_PATH}/entities/${verb}`;
/** What Milvus's REST server supplies where a query names no limit. */
const QUERY_LIMIT = 100;

export const readRoutes = (engine: EngineParts): Routes => ({
  [path('get')]: readRoute(GetRequest, (request, context) => get(engine, request, context)),
  [path('query')]: readRoute(QueryRequest, (request, context) => query(engine, request, context)),
  [path('search')]: readRoute(SearchRequest, (request, context) =>
    search(engine, request, context),
  ),
});

async function get(
  engine: EngineParts,
  request: GetRequest,
  context: RequestContext,
): Promise<Reply> {
  const collection = await findLoaded(engine, request, context);
  const { schema } = collection;
  const names = [request.partitionName ?? '', ...(request.partitionNames ?? [])];
  const { rows, asOf } = await engine.reader.lookup(collection, readKeys(schema, request.id), {
    ...readScope(collection, request, names, context),
    output: resolveOutput(schema, request.outputFields, 'all'),
  });
  return { data: rowsOut(schema, rows, context.int64AsText), cost: 0, asOf: shown(asOf, request) };
}

async function query(
  engine: EngineParts,
  request: QueryRequest,
  context: RequestContext,
): Promise<Reply> {
  refuseUnbuilt({ orderByFields: request.orderByFields, groupByFields: request.groupByFields });
  const collection = await findLoaded(engine, request, context);
  const { schema } = collection;
  const scope = {
    ...readScope(collection, request, request.partitionNames ?? [], context),
    filter: compileFilter(request.filter, schema, exprParams(request)),
  };
  if (asksForCount(request.outputFields)) {
    const { count, asOf } = await engine.reader.count(collection, scope);
    return { data: [{ [COUNT]: count }], cost: 0, asOf: shown(asOf, request) };
  }
  if (request.outputFields?.some((name) => asksForCount([name])) === true) {
    throw new StoreError('INVALID_ARGUMENT', `outputFields: ${COUNT} stands alone`);
  }
  const { rows, asOf } = await engine.reader.queryRows(collection, {
    ...scope,
    ...queryWindow(request),
    output: resolveOutput(schema, request.outputFields, 'all'),
  });
  return { data: rowsOut(schema, rows, context.int64AsText), cost: 0, asOf: shown(asOf, request) };
}

async function search(
  engine: EngineParts,
  request: SearchRequest,
  context: RequestContext,
): Promise<Reply> {
  refuseUnbuiltSearch(request);
  const window = searchWindow(request);
  const settings = readSearchParams(request.searchParams);
  const collection = await findLoaded(engine, request, context);
  const { schema } = collection;
  const field = annsField(collection, request.annsField);
  const scope = {
    ...readScope(collection, request, request.partitionNames ?? [], context),
    filter: compileFilter(request.filter, schema, exprParams(request)),
  };
  const output = resolveOutput(schema, request.outputFields, 'key');
  const { results, asOf, explain } = await engine.reader.search(collection, {
    ...scope,
    ...window,
    field,
    metric: metricOf(collection, field, settings.metric),
    vectors: await queryVectors(engine, collection, field, request, scope),
    output,
    ef: settings.ef,
    level: settings.level,
    range: rangeEnds(settings),
    roundDecimal: settings.roundDecimal,
    explain: request.explain,
  });
  return {
    data: rowsOut(schema, results.flat(), context.int64AsText),
    cost: 0,
    topks: results.map(({ length }) => length),
    asOf: shown(asOf, request),
    explain,
  };
}

/** @throws StoreError `COLLECTION_NOT_LOADED` for a released collection, `COLLECTION_NOT_FOUND` */
async function findLoaded(
  engine: EngineParts,
  request: Readonly<{ dbName?: string | undefined; collectionName: string }>,
  context: RequestContext,
): Promise<Collection> {
  const collection = await findCollection(engine, request, context);
  if (collection.loaded) return collection;
  throw new StoreError(
    'COLLECTION_NOT_LOADED',
    `collection not loaded[collection=${collection.collectionName}]`,
  );
}

type Scoped = Readonly<{
  consistencyLevel?: string | undefined;
  token?: readonly string[] | undefined;
  maxStalenessMs?: number | undefined;
}>;

const readScope = (
  collection: Collection,
  request: Scoped,
  partitionNames: readonly string[],
  { deadlineMs }: RequestContext,
): ReadRequest => ({
  partitions: partitionIds(collection, partitionNames),
  consistencyLevel: request.consistencyLevel
    ? checkConsistency(request.consistencyLevel)
    : collection.consistencyLevel,
  tokens: request.token,
  maxStalenessMs: request.maxStalenessMs,
  deadlineMs,
});

/** Positions are long and per shard: only for who asks. */
const shown = (asOf: AsOf, { asOf: asked }: Readonly<{ asOf: boolean }>) =>
  asked ? asOf : { epoch: asOf.epoch, lagMs: asOf.lagMs };

/** Members of a body that parseJson read. */
const exprParams = (request: Readonly<{ exprParams?: unknown }>): JsonObject =>
  (request.exprParams ?? {}) as JsonObject;

/** A limit or offset of 0 or below counts as not given (API.md 6.2, 7). */
function queryWindow({ limit, offset }: Readonly<{ limit: number; offset: number }>) {
  const window = { limit: limit > 0 ? limit : QUERY_LIMIT, offset: Math.max(0, offset) };
  checkWindow(window);
  return window;
}

function searchWindow({ limit, offset }: Readonly<{ limit: number; offset: number }>) {
  if (limit < 1 || limit > LIMITS.resultRows) {
    refuse(`limit: topk [${limit}] is invalid, it should be in range [1, ${LIMITS.resultRows}]`);
  }
  if (offset < 0) {
    refuse(`offset [${offset}] is invalid, it should be in range [0, ${LIMITS.resultRows}]`);
  }
  checkWindow({ limit, offset });
  return { limit, offset };
}

function checkWindow({ limit, offset }: Readonly<{ limit: number; offset: number }>): void {
  if (limit + offset <= LIMITS.resultRows) return;
  refuse(
    `invalid max query result window, (offset+limit) should be in range [1, ${LIMITS.resultRows}], but got ${limit + offset}`,
  );
}

/** Leaving out what changes which rows come back would answer another question. */
function refuseUnbuilt(asked: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(asked)) {
    const empty = value === undefined || value === '' || (Array.isArray(value) && !value.length);
    if (!empty) throw new StoreError('UNSUPPORTED', `${name} is not built yet`);
  }
}

const refuseUnbuiltSearch = (request: SearchRequest): void =>
  refuseUnbuilt({
    groupingField: request.groupingField,
    functionScore: request.functionScore,
    functionChains: request.functionChains,
    searchAggregation: request.searchAggregation,
    orderByFields: request.orderByFields,
  });

function annsField({ schema }: Collection, name: string | undefined): Field {
  const fields = vectorFields(schema);
  if (!name) {
    const [only, another] = fields;
    if (only !== undefined && another === undefined) return only;
    const known = fields.map((field) => field.name).join(', ');
    return refuse(`annsField: multiple vector fields exist, name one of ${known}`);
  }
  const field = fields.find((candidate) => candidate.name === name);
  if (field !== undefined) return field;
  throw new StoreError(
    'FIELD_NOT_FOUND',
    `annsField: cannot find a vector field named ${name.slice(0, 255)}`,
  );
}

/** The index decides; a request may only agree. */
function metricOf(collection: Collection, field: Field, asked: Metric | undefined): Metric {
  const index = collection.indexes.find(({ fieldId }) => fieldId === field.id);
  if (index?.metric === undefined) {
    throw new StoreError('INDEX_NOT_FOUND', `there is no vector index on field: ${field.name}`);
  }
  if (asked === undefined || asked === index.metric) return index.metric;
  return refuse(
    `metric type not match: invalid parameter[expected=${index.metric}][actual=${asked}]`,
  );
}

const rangeEnds = ({ radius, rangeFilter }: SearchSettings) =>
  radius === undefined ? undefined : { radius, rangeFilter };

/** @throws StoreError `MISSING_FIELD` without `data` and `ids`, `INVALID_ARGUMENT` with both */
async function queryVectors(
  engine: EngineParts,
  collection: Collection,
  field: Field,
  { data, ids }: SearchRequest,
  scope: ReadRequest,
): Promise<readonly Float32Array[]> {
  if (data !== undefined && ids !== undefined) refuse('data and ids: exactly one is expected');
  if (ids !== undefined) return vectorsOf(engine, collection, field, ids, scope);
  if (data === undefined) throw new StoreError('MISSING_FIELD', 'data or ids is required');
  const wrong = data.findIndex(({ length }) => length !== field.dim);
  if (wrong === -1) return data;
  throw new StoreError(
    'MALFORMED_BODY',
    `data: vector ${wrong} has ${data[wrong]?.length} components, dimension of ${field.name} is ${field.dim}`,
  );
}

/** The vectors of rows that are there, as many times and in the order as their keys are given. */
async function vectorsOf(
  { reader }: EngineParts,
  collection: Collection,
  field: Field,
  ids: readonly RequestKey[],
  scope: ReadRequest,
): Promise<readonly Float32Array[]> {
  const keys = readKeys(collection.schema, ids);
  if (keys.length === 0) refuse(`nq [0] is invalid, it should be in range [1, ${LIMITS.keys}]`);
  const output = { fields: [field], dynamic: [] };
  const { consistencyLevel, tokens, maxStalenessMs, deadlineMs } = scope;
  const { rows } = await reader.lookup(collection, keys, {
    consistencyLevel,
    tokens,
    maxStalenessMs,
    deadlineMs,
    output,
  });
  const keyName = collection.schema.fields.find(({ primaryKey }) => primaryKey)?.name ?? '';
  const vectors = new Map(rows.map((row) => [row[keyName], row[field.name]]));
  return keys.map((key, index) => {
    const vector = vectors.get(key);
    if (vector instanceof Float32Array) return vector;
    return refuse(`ids: key ${index} names no row`);
  });
}

function refuse(message: string): never {
  throw new StoreError('INVALID_ARGUMENT', message);
}
