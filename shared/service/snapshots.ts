/** snapshots/*, jobs/snapshot/* and collections/clone (API.md 1.4; ADR 0013). */

import { BASE_PATH } from '#api/routes.ts';
import {
  CloneRequest,
  CreateSnapshotRequest,
  ListSnapshotsRequest,
  PinSnapshotRequest,
  RestoreSnapshotRequest,
  SnapshotJobRequest,
  SnapshotJobsRequest,
  SnapshotRequest,
  UnpinSnapshotRequest,
} from '#api/snapshots.ts';
import { cloneCollection, readCut, restoreSnapshot } from '#backup/clone.ts';
import { takeSnapshot } from '#backup/snapshot.ts';
import { StoreError } from '#base/errors.ts';
import type { JsonOut } from '#base/json.ts';
import { checkDatabase } from '#catalog/collections.ts';
import { decodeCollection } from '#catalog/collections-codec.ts';
import { mintCollectionId } from '#catalog/names.ts';
import { changePin, dropPin, namedPin, type Pin, type PinRow, readPins } from '#catalog/pins.ts';
import { dropCollection } from './drop.ts';
import { type EngineParts, findCollection } from './engine.ts';
import { databaseOf, type RequestContext, type Routes, readRoute, writeRoute } from './route.ts';
import { putJob, readJob, readJobs, type SnapshotJob } from './snapshot-jobs.ts';

const path = (verb: string): string => `POST ${BASE_PATH}/${verb}`;

export const snapshotRoutes = (engine: EngineParts): Routes => ({
  [path('snapshots/create')]: writeRoute(CreateSnapshotRequest, async (request, context) => {
    const collection = await findCollection(engine, request, context);
    const { snapshotName: name, description } = request;
    await takeSnapshot(engine.ports, collection, { name, description });
    return { data: {} };
  }),
  [path('snapshots/list')]: readRoute(ListSnapshotsRequest, async (request, context) => {
    const dbName = databaseOf(request, context);
    checkDatabase(dbName);
    const found = await snapshotsIn(engine, dbName, request.collectionName);
    return { data: [...new Set(found.map(({ pin }) => pin.name ?? ''))].sort() };
  }),
  [path('snapshots/describe')]: readRoute(SnapshotRequest, async (request, context) => ({
    data: await describe(engine, await findSnapshot(engine, request, context)),
  })),
  [path('snapshots/drop')]: writeRoute(SnapshotRequest, async (request, context) => {
    const row = await findSnapshot(engine, request, context);
    await dropPin(engine.ports.table, row, (pin) => refuseGuarded(engine, pin));
    return { data: {} };
  }),
  ...guardRoutes(engine),
  ...cloneRoutes(engine),
});

const guardRoutes = (engine: EngineParts): Routes => ({
  [path('snapshots/pin')]: writeRoute(PinSnapshotRequest, async (request, context) => {
    const row = await findSnapshot(engine, request, context);
    const { clock, entropy, table } = engine.ports;
    const guardId = mintCollectionId(clock, entropy);
    const expiresAtMs = clock.nowMs() + request.ttlSeconds * 1000;
    const held = await changePin(table, row, (pin) => {
      if (pin.state !== 'complete') return undefined;
      const others = liveGuards(pin, clock.nowMs()).filter((guard) => guard.guardId !== guardId);
      if (others.length >= GUARDS_MAX) throw tooManyGuards(request.snapshotName);
      return { ...pin, guards: [...others, { guardId, expiresAtMs }] };
    });
    if (held === undefined) throw notFound(request.snapshotName);
    return { data: { pinId: guardId } };
  }),
  [path('snapshots/unpin')]: writeRoute(UnpinSnapshotRequest, async (request, context) => {
    checkDatabase(databaseOf(request, context));
    const { pinId } = request;
    const { table } = engine.ports;
    const isIt = ({ guards }: Pin): boolean => guards.some(({ guardId }) => guardId === pinId);
    // An unknown one is no error: it may have run out, and letting go of nothing does no harm.
    const row = (await readPins(table)).find(({ pin }) => isIt(pin));
    if (row !== undefined) {
      await changePin(table, row, (pin) =>
        isIt(pin)
          ? { ...pin, guards: pin.guards.filter(({ guardId }) => guardId !== pinId) }
          : undefined,
      );
    }
    return { data: {} };
  }),
});

const cloneRoutes = (engine: EngineParts): Routes => ({
  [path('collections/clone')]: writeRoute(CloneRequest, async (request, context) => {
    const source = await findCollection(engine, request, context);
    const target = { dbName: source.dbName, collectionName: request.targetCollectionName };
    await finishDropOf(engine, target);
    await cloneCollection(engine.ports, engine.catalog, source, target);
    return { data: {} };
  }),
  [path('snapshots/restore')]: writeRoute(RestoreSnapshotRequest, async (request, context) => {
    const { snapshotName, sourceCollectionName, targetCollectionName } = request;
    const dbName = databaseOf(request, context);
    const named = { dbName, collectionName: sourceCollectionName, snapshotName };
    const row = await findSnapshot(engine, named, context);
    const { clock, entropy, table } = engine.ports;
    const startMs = clock.nowMs();
    const target = { dbName, collectionName: targetCollectionName };
    await finishDropOf(engine, target);
    await restoreSnapshot(engine.ports, engine.catalog, row, target);
    const jobId = mintCollectionId(clock, entropy);
    const timeCost = clock.nowMs() - startMs;
    // Only tells of it: the collection is there, whatever becomes of this row (I12).
    const job = { ...target, jobId, snapshotName, startMs, timeCost };
    await putJob(table, job).catch((error: unknown) => {
      throw restoredAllTheSame(error);
    });
    return { data: { jobId } };
  }),
  [path('jobs/snapshot/describe')]: readRoute(SnapshotJobRequest, async (request, context) => {
    checkDatabase(databaseOf(request, context));
    const { jobId } = request;
    const job = await readJob(engine.ports.table, jobId);
    if (job !== undefined) return { data: showJob(job) };
    throw new StoreError('INVALID_ARGUMENT', `jobId: there is no restore job ${jobId}`);
  }),
  [path('jobs/snapshot/list')]: readRoute(SnapshotJobsRequest, async (request, context) => {
    const dbName = databaseOf(request, context);
    checkDatabase(dbName);
    const { collectionName } = request;
    const jobs = (await readJobs(engine.ports.table)).filter(
      (job) =>
        job.dbName === dbName &&
        (collectionName === undefined || job.collectionName === collectionName),
    );
    return { data: { records: jobs.map(showJob) } };
  }),
});

const restoredAllTheSame = (cause: unknown): StoreError =>
  new StoreError('UNCERTAIN', 'the snapshot is restored, its job could not be noted', { cause });

/** A name whose drop somebody left half done is freed first, as `collections/create` does. */
async function finishDropOf(
  engine: EngineParts,
  { dbName, collectionName }: Readonly<{ dbName: string; collectionName: string }>,
): Promise<void> {
  const found = await engine.catalog.findNamed(dbName, collectionName);
  if (found?.state === 'dropping') await dropCollection(engine, found);
}

/** Restoring is done when its answer is sent, so a job that is known is complete. */
const showJob = (job: SnapshotJob): JsonOut => ({
  jobId: job.jobId,
  snapshotName: job.snapshotName,
  dbName: job.dbName,
  collectionName: job.collectionName,
  state: 'RestoreSnapshotCompleted',
  progress: 100,
  reason: '',
  startTime: job.startMs,
  timeCost: job.timeCost,
});

async function describe(engine: EngineParts, row: PinRow): Promise<JsonOut> {
  const { name = '', description, source, cut, openedMs } = row.pin;
  const content = await readCut(engine.ports, row);
  const { partitions } = decodeCollection(content.definition, `cut ${row.key.sort}`);
  return {
    snapshotName: name,
    description,
    collectionName: source.collectionName,
    partitionNames: partitions.map(({ partitionName }) => partitionName),
    createTs: openedMs,
    s3Location: cut?.key ?? '',
    rowCount: content.manifests.reduce((sum, { rowsApplied }) => sum + rowsApplied, 0),
  };
}

/**
 * The snapshot of that name: of the collection that has the name now, else of the youngest one that
 * had it. Snapshots outlive their collection (I9).
 */
async function findSnapshot(
  engine: EngineParts,
  request: Readonly<{ dbName?: string | undefined; collectionName: string; snapshotName: string }>,
  context: RequestContext,
): Promise<PinRow> {
  const dbName = databaseOf(request, context);
  const { collectionName, snapshotName } = request;
  const open = await engine.catalog.findNamed(dbName, collectionName);
  if (open?.state === 'open') {
    const row = await namedPin(engine.ports.table, open.collectionId, snapshotName);
    if (row !== undefined) return row;
  }
  const found = (await snapshotsIn(engine, dbName, collectionName))
    .filter(({ pin }) => pin.name === snapshotName)
    .sort((a, b) => b.pin.openedMs - a.pin.openedMs)[0];
  if (found !== undefined) return found;
  throw notFound(snapshotName);
}

/** Complete snapshots of a database, also of collections that were dropped. */
async function snapshotsIn(
  { ports }: EngineParts,
  dbName: string,
  collectionName: string | undefined,
): Promise<PinRow[]> {
  return (await readPins(ports.table)).filter(
    ({ pin: { state, name, source } }) =>
      state === 'complete' &&
      name !== undefined &&
      source.dbName === dbName &&
      (collectionName === undefined || source.collectionName === collectionName),
  );
}

const notFound = (name: string): StoreError =>
  new StoreError('SNAPSHOT_NOT_FOUND', `snapshot not found[snapshot=${name.slice(0, 255)}]`);

/** Guards of one snapshot at a time: 64 of 50 bytes leave the row small. */
const GUARDS_MAX = 64;

const tooManyGuards = (name: string): StoreError =>
  new StoreError(
    'OVERLOADED',
    `snapshot ${name} is pinned ${GUARDS_MAX} times, the maximum; unpin it, or wait until one runs out`,
  );

const liveGuards = ({ guards }: Pin, nowMs: number): Pin['guards'] =>
  guards.filter(({ expiresAtMs }) => expiresAtMs > nowMs);

function refuseGuarded({ ports }: EngineParts, pin: Pin): void {
  const last = liveGuards(pin, ports.clock.nowMs()).at(-1);
  if (last === undefined) return;
  const until = Math.ceil((last.expiresAtMs - ports.clock.nowMs()) / 1000);
  throw new StoreError(
    'SNAPSHOT_PINNED',
    `snapshot ${pin.name ?? ''} is pinned by ${last.guardId} for another ${until} s: unpin it first`,
  );
}
