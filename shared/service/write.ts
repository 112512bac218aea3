/** What the write path answers to: rows in, rows out of sight. */
import { DeleteRequest, InsertRequest, UpsertRequest } from '#api/entities.ts';
import { BASE_PATH } from '#api/routes.ts';
import { StoreError } from '#base/errors.ts';
import type { JsonObject } from '#base/json.ts';
import { acceptRows } from '#ingest/accept.ts';
import { deleteByFilter, type ResolveVictims } from '#ingest/delete.ts';
import type { RequestIdentity } from '#ingest/idempotency.ts';
import { type EngineParts, findCollection } from './engine.ts';
import { type RequestContext, type Routes, writeRoute } from './route.ts';
import { keysOut, partitionId, refuseUnanswerable } from './rows.ts';

const path = (verb: string): string => `POST ${BASE_PATH}/entities/${verb}`;

export const writeRoutes = (engine: EngineParts): Routes => ({
  [path('insert')]: writeRoute(InsertRequest, async (request, context) => {
    const { ids, count, token } = await putRows(engine, request, context, 'insert');
    return { data: { insertCount: count, insertIds: ids }, cost: 0, token };
  }),
  [path('upsert')]: writeRoute(UpsertRequest, async (request, context) => {
    refusePartial(request);
    const { ids, count, token } = await putRows(engine, request, context, 'upsert');
    return { data: { upsertCount: count, upsertIds: ids }, cost: 0, token };
  }),
  [path('delete')]: writeRoute(DeleteRequest, async (request, context) => {
    const { count, token } = await deleteRows(engine, request, context);
    return { data: { deleteCount: count }, cost: 0, token };
  }),
});

async function putRows(
  engine: EngineParts,
  request: InsertRequest,
  context: RequestContext,
  kind: 'insert' | 'upsert',
) {
  const collection = await findCollection(engine, request, context);
  refuseUnanswerable(collection.schema, request.data, context.replyBytesMax);
  const { ids, count, token } = await acceptRows(engine.ports, collection, {
    kind,
    rows: request.data,
    partitionId: partitionId(collection, request.partitionName),
    ...waiting(context),
  });
  return { ids: keysOut(ids, context.int64AsText), count, token };
}

async function deleteRows(engine: EngineParts, request: DeleteRequest, context: RequestContext) {
  const collection = await findCollection(engine, request, context);
  const { partitionName } = request;
  const { deadlineMs } = context;
  const resolve: ResolveVictims = (of, predicate, partition) =>
    engine.reader.resolve(of, predicate, {
      partitions: partition === undefined ? undefined : [partition],
      deadlineMs,
    });
  return deleteByFilter(engine.ports, resolve, collection, {
    filter: request.filter,
    // A member of a body that parseJson read.
    exprParams: (request.exprParams ?? {}) as JsonObject,
    partitionId: partitionName ? partitionId(collection, partitionName) : undefined,
    ...waiting(context),
  });
}

/** Who asks, and how long they wait. */
const waiting = ({
  idempotency,
  user,
  route,
  deadlineMs,
}: RequestContext): Readonly<{ identity?: RequestIdentity; deadlineMs: number }> =>
  idempotency === undefined
    ? { deadlineMs }
    : { deadlineMs, identity: { user, route, ...idempotency } };

function refusePartial({ partialUpdate, fieldOps }: UpsertRequest): void {
  if (partialUpdate) throw new StoreError('UNSUPPORTED', 'partialUpdate is not built yet');
  if (fieldOps !== undefined && fieldOps.length > 0) {
    throw new StoreError('UNSUPPORTED', 'fieldOps are not built yet');
  }
}
