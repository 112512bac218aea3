/**
 * `POST /v2/clusters/parked/{list,replay,set_aside,export}`: shards that stand still at a record that
 * cannot be applied, for operators (`sterna parked`).
 *
 * Ids, counts, bytes and positions only; what a record holds leaves by `export` alone.
 */
import * as z from 'zod';
import { CollectionScope, KnownName, Scope } from '#api/names.ts';
import { StoreError } from '#base/errors.ts';
import type { JsonOut } from '#base/json.ts';
import type { Collection } from '#catalog/collection.ts';
import { checkDatabase } from '#catalog/collections.ts';
import { setAside } from '#ingest/aside.ts';
import { readEntry } from '#ingest/delivered.ts';
import type { EntryPorts } from '#ingest/parked.ts';
import { type Replayed, replayShard } from '#ingest/parked-replay.ts';
import type { LogEntry } from '#ports/log.ts';
import { listedShards, type Parked, readParked } from '#wal/parked.ts';
import { type Aside, asideKey, readAsides } from '#wal/parked-aside.ts';
import { readParkedEntries } from '#wal/parked-entries.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import { type EngineParts, findCollection } from './engine.ts';
import { databaseOf, type RequestContext, type Routes, readRoute, writeRoute } from './route.ts';

/** A collection has at most 16 shards. */
const Shard = z.int32().min(0).max(15);
/** Of the log, as `list` shows it: text, since it has up to 56 digits. */
const RecordSequence = z.string().regex(/^(0|[1-9][0-9]{0,55})$/);
/** What one answer of `export` holds; a Lambda's answer is 6 MB of text at most. */
const EXPORT_BYTES_MAX = 1024 * 1024;
/** A batch that is begun takes some seconds: the answer has to be under way by the deadline. */
const RESERVE_MS = 5_000;

const ListRequest = z.strictObject({ ...Scope, collectionName: KnownName.optional() });
const ReplayRequest = z.strictObject({ ...CollectionScope, shard: Shard.optional() });
const RecordRequest = { ...CollectionScope, shard: Shard, sequence: RecordSequence } as const;
const SetAsideRequest = z.strictObject(RecordRequest);
const ExportRequest = z.strictObject({
  ...RecordRequest,
  part: z.enum(['record', 'payload']),
  offset: z.int().min(0).default(0),
});

const path = (verb: string): string => `POST /v2/clusters/parked/${verb}`;

export const parkedRoutes = (engine: EngineParts): Routes => ({
  [path('list')]: readRoute(ListRequest, async (request, context) => {
    const dbName = databaseOf(request, context);
    checkDatabase(dbName);
    const found: JsonOut[] = [];
    // One after the other: an operator's look must not compete with reads.
    for (const shard of await listedShards(engine.ports.table)) {
      const collection = await engine.catalog.getCollection(shard.collectionId);
      const isMeant =
        collection?.state === 'open' &&
        collection.dbName === dbName &&
        (request.collectionName ?? collection.collectionName) === collection.collectionName;
      if (isMeant) found.push(...(await showShard(engine, collection, shard)));
    }
    return { data: found };
  }),
  [path('replay')]: writeRoute(ReplayRequest, async (request, context) => {
    const collection = await findCollection(engine, request, context);
    const ports = portsOf(engine, context);
    const replayed: JsonOut[] = [];
    for (const shard of shardsOf(collection, request.shard)) {
      const { parked } = await readParked(ports.table, shard);
      if (parked?.isParked !== true) continue;
      replayed.push({ shard: shard.shard, ...showReplayed(await replayShard(ports, shard)) });
    }
    return { data: replayed };
  }),
  [path('set_aside')]: writeRoute(SetAsideRequest, async (request, context) => {
    const collection = await findCollection(engine, request, context);
    const [shard] = shardsOf(collection, request.shard);
    const ports = portsOf(engine, context);
    // What can be applied is: only then the record is named at which the shard really stands still.
    await replayShard(ports, shard);
    const aside = await setAside(ports, shard, request.sequence);
    const rest = await replayShard(ports, shard);
    return {
      data: {
        shard: shard.shard,
        ...showAside(shard, aside),
        consequence: consequenceOf(aside),
        ...showReplayed(rest),
      },
    };
  }),
  [path('export')]: readRoute(ExportRequest, async (request, context) => {
    const collection = await findCollection(engine, request, context);
    const [shard] = shardsOf(collection, request.shard);
    return { data: await exportPart(engine, shard, request) };
  }),
});

/** @throws StoreError `INVALID_ARGUMENT` where the collection has no such shard */
function shardsOf(
  { collectionId, shards, collectionName }: Collection,
  only: number | undefined,
): readonly [ShardId, ...ShardId[]] {
  if (only !== undefined && only >= shards) {
    const message = `shard: ${collectionName} has ${shards}, counted from 0, found ${only}`;
    throw new StoreError('INVALID_ARGUMENT', message);
  }
  const first = { collectionId, shard: only ?? 0 };
  if (only !== undefined) return [first];
  const rest = Array.from({ length: shards - 1 }, (_, shard) => ({
    collectionId,
    shard: shard + 1,
  }));
  return [first, ...rest];
}

const portsOf = ({ ports, catalog }: EngineParts, context: RequestContext): EntryPorts => ({
  ...ports,
  collections: catalog,
  stopMs: context.deadlineMs - RESERVE_MS,
});

/** Nothing where the shard goes on and nothing of it was ever set aside. */
async function showShard(
  { ports }: EngineParts,
  { collectionName, collectionId }: Collection,
  shard: ShardId,
): Promise<readonly JsonOut[]> {
  const { parked } = await readParked(ports.table, shard);
  const asides = await readAsides(ports.table, shard);
  const isParked = parked?.isParked === true;
  if (!isParked && asides.length === 0) return [];
  return [
    {
      collectionName,
      collectionID: collectionId,
      shard: shard.shard,
      state: isParked ? 'parked' : 'open',
      ...(isParked ? { parked: await showParked(ports, shard, parked) } : {}),
      setAside: asides.map((aside) => showAside(shard, aside)),
    },
  ];
}

async function showParked(
  ports: EngineParts['ports'],
  shard: ShardId,
  { sequence, code, reason, sinceMs, entries, attempts, nextReplayMs }: Parked,
): Promise<JsonOut> {
  const [first] = sequence === undefined ? [] : await readParkedEntries(ports, shard, sequence, 1);
  return {
    ...(sequence === undefined ? {} : { sequence }),
    code,
    reason,
    sinceMs,
    entries,
    attempts,
    nextReplayMs,
    ...(first?.sequence === sequence && first !== undefined
      ? { record: showRecord(shard, first) }
      : {}),
  };
}

function showRecord(shard: ShardId, entry: LogEntry): JsonOut {
  const { arrivalMs, data } = entry;
  const facts = { arrivalMs, bytes: data.length };
  const { record } = readEntry(shard, entry, undefined);
  if (record === undefined) return { ...facts, kind: 'unreadable' };
  const { recordId, schemaVersion, fenceNumber, body } = record;
  const known = { ...facts, kind: body.kind, recordId, schemaVersion, fenceNumber };
  if (body.kind === 'fence') return { ...known, action: body.action };
  const { rows, tombstones, payload } = body;
  const place = payload.at === 'inline' ? {} : { payload: payload.key };
  return { ...known, rows, tombstones, ...place };
}

const showAside = (shard: ShardId, aside: Aside): Readonly<Record<string, JsonOut>> => ({
  sequence: aside.sequence,
  verdict: aside.state,
  ...(aside.recordId === undefined ? {} : { recordId: aside.recordId }),
  rows: aside.rows,
  tombstones: aside.tombstones,
  wasVisible: aside.wasVisible,
  arrivalMs: aside.arrivalMs,
  setAsideMs: aside.setAsideMs,
  code: aside.code,
  reason: aside.reason,
  record: asideKey(shard, aside.sequence, 'record'),
  recordBytes: aside.recordBytes,
  ...(aside.payloadBytes === undefined
    ? {}
    : {
        payload: asideKey(shard, aside.sequence, 'payload'),
        payloadBytes: aside.payloadBytes,
      }),
});

/** What an operator has to be told (I12). */
function consequenceOf({ wasVisible, rows, tombstones, recordId, payloadBytes }: Aside): string {
  const kept =
    payloadBytes === undefined
      ? 'the bytes of the record are kept, its payload is gone'
      : 'the bytes of the record and its payload are kept';
  if (!wasVisible) {
    return `nobody was told that this write is durable, and no read ever showed it; ${kept}`;
  }
  const what =
    recordId === undefined
      ? 'its rows and deletions, whose number is not known,'
      : `its ${rows} rows and ${tombstones} deletions`;
  return `this write may have been acknowledged: ${what} are lost to readers from now on, by this decision; ${kept}`;
}

function showReplayed({
  parked,
  records,
  rows,
  isUnfinished,
}: Replayed): Readonly<Record<string, JsonOut>> {
  return {
    state: parked === undefined ? 'open' : 'parked',
    appliedRecords: records,
    appliedRows: rows,
    isUnfinished,
    ...(parked === undefined || isUnfinished
      ? {}
      : {
          parked: {
            ...(parked.sequence === undefined ? {} : { sequence: parked.sequence }),
            code: parked.code,
            reason: parked.reason,
          },
        }),
  };
}

async function exportPart(
  { ports }: EngineParts,
  shard: ShardId,
  { sequence, part, offset }: z.output<typeof ExportRequest>,
): Promise<JsonOut> {
  const asides = await readAsides(ports.table, shard);
  const aside = asides.find((each) => each.sequence === sequence);
  const sizeBytes = part === 'record' ? aside?.recordBytes : aside?.payloadBytes;
  if (sizeBytes === undefined) {
    const what = aside === undefined ? 'is not set aside' : 'has no payload';
    const message = `sequence: record ${sequence} of ${shardName(shard)} ${what}`;
    throw new StoreError('INVALID_ARGUMENT', message);
  }
  const length = Math.min(EXPORT_BYTES_MAX, sizeBytes - offset);
  const bytes =
    length > 0
      ? await ports.objects.get(asideKey(shard, sequence, part), { offset, length })
      : new Uint8Array(0);
  return { sizeBytes, offset, base64: Buffer.from(bytes).toString('base64') };
}
