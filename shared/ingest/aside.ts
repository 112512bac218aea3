/**
 * Setting a record aside: an operator decides that what cannot be applied never will be.
 *
 * Its bytes and its payload are copied first, its row second, and only then it is folded as void: the
 * archive has its entry, the applied position passes it, no sum counts it (I7), and its tail row, if it
 * had one, stands at or below the applied position, where nobody looks and apply sweeps (I5). If its
 * writer was told that it is durable, that promise ends here, by decision, and the answer says so (I1,
 * I12).
 *
 * Whether it became void is the manifest's word: the commit that passes it may also be that of a
 * consumer or a replay for which it could be applied after all. So a row says `copied` until the archive
 * was asked, by whoever comes next where its operator died in between.
 */
import { isStoreError, StoreError } from '#base/errors.ts';
import { type RecordPosition, recordPosition } from '#base/position.ts';
import type { Manifest } from '#manifest/format.ts';
import { readManifest } from '#manifest/head.ts';
import type { LogEntry, Sequence } from '#ports/log.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import { readArchive } from '#segment/archive.ts';
import { type Parked, readParked } from '#wal/parked.ts';
import {
  type Aside,
  type AsideFacts,
  asideKey,
  deleteAside,
  putAside,
  readAsides,
} from '#wal/parked-aside.ts';
import { readParkedEntries } from '#wal/parked-entries.ts';
import type { PayloadRef, Verdict, WalRecord } from '#wal/record.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import { readTailPage, type TailEntry } from '#wal/tail.ts';
import { applyUntil } from './apply.ts';
import { DEADLINE_MS, SKEW_MS } from './deadline.ts';
import { readEntry } from './delivered.ts';
import type { EntryPorts } from './parked.ts';

/**
 * No writer acknowledges a record later than this after it arrived: by its own clock it stops before its
 * deadline, which was minted before the arrival; its clock and ours may both be off.
 */
const ACKNOWLEDGED_MS_MAX = DEADLINE_MS + 2 * SKEW_MS;

/**
 * Sets aside the record at which the shard stands still, and says what is kept of it. Nothing behind it
 * is applied yet: replay the shard. Repeated after a lost answer it answers the same.
 *
 * @param sequence of that record: another one is not set aside by mistake
 * @throws StoreError
 *   - `INVALID_ARGUMENT` where the shard stands still at another record, or nowhere, or where the record
 *     is a fence or came from another region: those decide about the shard, not about rows
 *   - `NOT_READY` while the record's writer may still acknowledge it; where the record was applied
 *     meanwhile; and where the shard fails as a whole
 *   - `UNCERTAIN` where it is not known whether it was set aside: `parked list` tells
 */
export async function setAside(
  ports: EntryPorts,
  shard: ShardId,
  sequence: Sequence,
): Promise<Aside> {
  await settleAside(ports, shard);
  const found = (await readAsides(ports.table, shard)).find((each) => each.sequence === sequence);
  if (found !== undefined && found.state !== 'copied') return known(found);
  const { parked } = await readParked(ports.table, shard);
  refuseOther(shard, parked, sequence);
  const [entry] = await readParkedEntries(ports, shard, sequence, 1);
  if (entry?.sequence !== sequence) {
    throw new StoreError(
      'NOT_READY',
      `record ${sequence} of ${shardName(shard)} has just moved on`,
    );
  }
  refuseYoung(ports, entry);
  const collection = await ports.collections.getCollection(shard.collectionId);
  if (collection === undefined) {
    throw new StoreError('COLLECTION_NOT_FOUND', `shard ${shardName(shard)} has no collection`);
  }
  const aside = await copyContent(ports, shard, entry, parked);
  const options = { setAside: sequence };
  const { records, stop } = await applyUntil(ports, shard, collection.schema, [entry], options);
  // Not even its absence can be committed: nothing was decided, and its copy does no harm.
  if (stop !== undefined) throw stop.error;
  if (records === 1) return await decide(ports, shard, aside, 'void');
  await settleAside(ports, shard);
  const after = (await readAsides(ports.table, shard)).find((each) => each.sequence === sequence);
  if (after !== undefined) return known(after);
  throw new StoreError(
    'NOT_READY',
    `record ${sequence} of ${shardName(shard)} was applied meanwhile; nothing was set aside`,
  );
}

function known(aside: Aside): Aside {
  if (aside.state === 'void') return aside;
  throw new StoreError(
    'UNCERTAIN',
    `whether record ${aside.sequence} was set aside or applied is not known; its content is kept, and a read tells whether its rows are there`,
  );
}

function refuseOther(
  shard: ShardId,
  parked: Parked | undefined,
  sequence: Sequence,
): asserts parked is Parked {
  const name = shardName(shard);
  if (parked?.isParked !== true) {
    throw new StoreError('INVALID_ARGUMENT', `sequence: shard ${name} is not parked`);
  }
  if (parked.sequence === undefined) {
    const message = `shard ${name} fails whatever the record (${parked.reason}): none of them is to blame`;
    throw new StoreError('NOT_READY', message);
  }
  if (parked.sequence !== sequence) {
    const message = `sequence: shard ${name} stands still at record ${parked.sequence}, found ${sequence}`;
    throw new StoreError('INVALID_ARGUMENT', message);
  }
}

function refuseYoung({ clock }: EntryPorts, { arrivalMs, sequence }: LogEntry): void {
  const leftMs = arrivalMs + ACKNOWLEDGED_MS_MAX - clock.nowMs();
  if (leftMs <= 0) return;
  throw new StoreError(
    'NOT_READY',
    `record ${sequence} is so young that its writer may still acknowledge it; try again in ${Math.ceil(leftMs / 1000)} s`,
  );
}

/** Objects first, the row second: a row that is there names content that is there. */
async function copyContent(
  ports: EntryPorts,
  shard: ShardId,
  entry: LogEntry,
  { code, reason }: Parked,
): Promise<Aside> {
  const { sequence, data, arrivalMs } = entry;
  const { record } = readEntry(shard, entry, undefined);
  if (record?.body.kind === 'fence' || record?.origin !== undefined) {
    const what = record.origin === undefined ? 'a fence' : "another region's";
    const message = `sequence: record ${sequence} is ${what} and cannot be set aside`;
    throw new StoreError('INVALID_ARGUMENT', message);
  }
  const { manifest } = await readManifest(ports, shard);
  const position = recordPosition(manifest.generation, manifest.epoch, sequence);
  const tail = await tailOf(ports, shard, manifest, position);
  await ports.objects.put(asideKey(shard, sequence, 'record'), data);
  const payload = record?.body.kind === 'write' ? record.body.payload : tail.entry?.payload;
  const payloadBytes = await copyPayload(ports.objects, shard, sequence, payload);
  const aside: Aside = {
    ...factsOf(record, tail.entry),
    state: 'copied',
    sequence,
    position,
    arrivalMs,
    setAsideMs: ports.clock.nowMs(),
    code,
    reason,
    wasVisible: tail.isThere,
    recordBytes: data.length,
    payloadBytes,
  };
  await putAside(ports.table, shard, aside);
  return aside;
}

/** A tail row that cannot be read is there all the same. */
async function tailOf(
  { table }: EntryPorts,
  shard: ShardId,
  { applied }: Manifest,
  position: RecordPosition,
): Promise<Readonly<{ isThere: boolean; entry: TailEntry | undefined }>> {
  try {
    // It is the next record in order, so its row is the first one behind what is applied.
    const [first] = await readTailPage(table, shard, applied, 1);
    const entry = first?.position === position ? first : undefined;
    return { isThere: entry !== undefined, entry };
  } catch (error) {
    if (!isStoreError(error, 'DATA_CORRUPT', 'FORMAT_TOO_NEW')) throw error;
    return { isThere: true, entry: undefined };
  }
}

function factsOf(record: WalRecord | undefined, tail: TailEntry | undefined): AsideFacts {
  if (record?.body.kind === 'write') {
    const { recordId, schemaVersion, body } = record;
    return { recordId, schemaVersion, rows: body.rows, tombstones: body.tombstones };
  }
  if (tail === undefined) return { recordId: undefined, rows: 0, tombstones: 0, schemaVersion: 0 };
  const { recordId, schemaVersion, rows, tombstones } = tail;
  return { recordId, schemaVersion, rows, tombstones };
}

/** As it is, damaged or not. Undefined where there is nothing to copy. */
async function copyPayload(
  objects: ObjectStore,
  shard: ShardId,
  sequence: Sequence,
  payload: PayloadRef | undefined,
): Promise<number | undefined> {
  if (payload === undefined) return undefined;
  const key = asideKey(shard, sequence, 'payload');
  if (payload.at === 'inline') {
    await objects.put(key, payload.bytes);
    return payload.bytes.length;
  }
  const info = await objects.head(payload.key);
  if (info === undefined) return undefined;
  await objects.copy(payload.key, key);
  return info.sizeBytes;
}

/** What is to be done with a record once the manifest has passed it. */
async function decide(
  { table, objects, telemetry }: EntryPorts,
  shard: ShardId,
  aside: Aside,
  verdict: Verdict | 'unknown',
): Promise<Aside> {
  const { sequence, rows, tombstones, wasVisible } = aside;
  if (verdict === 'void' || verdict === 'unknown') {
    const decided = { ...aside, state: verdict };
    await putAside(table, shard, decided);
    const facts = { shard: shardName(shard), sequence, rows, tombstones, wasVisible };
    telemetry.event('warn', verdict === 'void' ? 'record-set-aside' : 'aside-unknown', facts);
    return decided;
  }
  await deleteAside(table, shard, sequence);
  await objects.delete([asideKey(shard, sequence, 'record'), asideKey(shard, sequence, 'payload')]);
  return aside;
}

/** Decides what somebody who died left undecided, as far as the manifest has passed it. */
export async function settleAside(ports: EntryPorts, shard: ShardId): Promise<void> {
  const open = (await readAsides(ports.table, shard)).filter(({ state }) => state === 'copied');
  if (open.length === 0) return;
  const { manifest } = await readManifest(ports, shard);
  for (const aside of open) {
    if (manifest.applied < aside.position) continue;
    await decide(ports, shard, aside, await verdictOf(ports.objects, manifest, aside.position));
  }
}

/** Newest archives first: it was passed a moment ago. */
async function verdictOf(
  objects: ObjectStore,
  { idWindow }: Manifest,
  position: RecordPosition,
): Promise<Verdict | 'unknown'> {
  for (const ref of [...idWindow].reverse()) {
    const entries = await readArchive({ objects }, ref);
    const entry = entries.find((each) => each.position === position);
    if (entry !== undefined) return entry.verdict;
    if (entries.some((each) => each.position < position)) break;
  }
  return 'unknown';
}
