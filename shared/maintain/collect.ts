/**
 * Collecting what a shard surely needs no more (DESIGN 4.6, ADR 0013, I6): retired objects, applied
 * payloads, manifests that the head has left behind, and orphans of crashes and lost races.
 *
 * The head is read first and the pins after it. An open pin ends the round. What is deleted lies below
 * this shard's own prefix: a clone forgets what it shares, and only the shard that minted it deletes it.
 *
 * Whoever runs this may be frozen between any two steps, for hours. So what is deleted must be garbage
 * for ever once it was found to be: a retired key never returns to the content; an orphan below the
 * mark is never committed any more, and the pins are read again behind the mark, since one may have
 * been made meanwhile of what was committed meanwhile.
 *
 * Cost of a run every 15 minutes, per shard and month on AWS: where nothing changed since the last look
 * two reads of rows (2 x 2,976 x $0.125 a million: $0.0008); where something did, at most four listings,
 * three row reads and the pins (4 x 2,976 x $5 a million: $0.06 for a shard that is never idle).
 */
import { SKEW_MS } from '#ingest/deadline.ts';
import { RETIRED_MS_MIN } from '#ingest/retired.ts';
import { commitManifest } from '#manifest/commit.ts';
import type { Manifest } from '#manifest/format.ts';
import { type ManifestCache, readManifest } from '#manifest/head.ts';
import { forgetRetired, reachableKeys } from '#manifest/history.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { ObjectInfo, ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import {
  objectPrefix,
  parseProductKey,
  payloadMintMs,
  type ShardId,
  shardName,
} from '#wal/shard.ts';
import { type Held, HeldCuts } from './held.ts';
import { type Look, pinsName, readLook, rememberLook } from './look.ts';

export type CollectPorts = Readonly<{
  objects: ObjectStore;
  table: Table;
  clock: Clock;
  entropy: Entropy;
  telemetry: Telemetry;
  /** What pins hold, remembered from one shard to the next; by default read anew for each. */
  held?: Pick<HeldCuts, 'read'>;
  manifests?: ManifestCache | undefined;
}>;

/** Ten deadlines of a minute: a record that names an older payload is applied or void (DESIGN 4.6). */
const PAYLOAD_MS_MAX = 10 * 60_000;
/** Objects deleted in one call; the next call goes on. */
const DELETES_MAX = 1_000;
const LIST_MAX = 1_000;

/**
 * An orphan is looked at when it is this old: younger ones may be about to be committed, and raising
 * the mark above them would waste a merge. Longer than any function runs.
 */
export const ORPHAN_MS_MIN = RETIRED_MS_MIN + SKEW_MS;
/** 64,000 objects of one kind in one shard: some two hundred times what a full shard names. */
const PAGES_MAX = 64;
/**
 * An idle shard is listed once a day all the same, for what somebody slow has put behind the last look:
 * 4 x 30 listings a month are $0.0006.
 */
const LOOK_MS_MAX = 24 * 60 * 60_000;

export type Collected = Readonly<{
  retired: number;
  orphans: number;
  payloads: number;
  manifests: number;
}>;

const NOTHING: Collected = { retired: 0, orphans: 0, payloads: 0, manifests: 0 };

/** Deletes what is due in one shard. Killed anywhere, the next call does what is left. */
export async function collectShard(ports: CollectPorts, shard: ShardId): Promise<Collected> {
  const cuts = ports.held ?? new HeldCuts(ports);
  const { manifest } = await readManifest(ports, shard);
  const look = await readLook(ports.table, shard);
  const nowMs = ports.clock.nowMs();
  const due = dueRetired(manifest, nowMs);
  const mayLook = isLookDue(look, manifest, nowMs);
  if (due.length === 0 && !mayLook && look?.pins === undefined) return NOTHING;
  const held = await cuts.read();
  if (held === undefined) return NOTHING;
  const { retired, after } = await collectRetired(ports, shard, manifest, due, held);
  const collected =
    mayLook || after !== manifest || look?.pins !== pinsOf(held, look)
      ? { retired, ...(await lookAround(ports, shard, after, held, cuts)) }
      : { ...NOTHING, retired };
  if (Object.values(collected).some((count) => count > 0)) {
    ports.telemetry.event('info', 'collected', { shard: shardName(shard), ...collected });
    for (const [kind, count] of Object.entries(collected)) {
      if (count > 0) ports.telemetry.count('collected_objects_total', count, { kind });
    }
  }
  return collected;
}

const isLookDue = (look: Look | undefined, { version }: Manifest, nowMs: number): boolean =>
  look === undefined || look.version !== version || nowMs >= look.againMs;

/** The pins count only where the last look had to spare something for them. */
const pinsOf = ({ pinIds }: Held, look: Look | undefined): string | undefined =>
  look?.pins === undefined ? undefined : pinsName(pinIds);

function dueRetired(manifest: Manifest, nowMs: number): readonly string[] {
  const dueMs = nowMs - ORPHAN_MS_MIN;
  const reachable = reachableKeys(manifest);
  return manifest.retired
    .filter(({ key, atMs }) => atMs < dueMs && !reachable.has(key))
    .slice(0, DELETES_MAX)
    .map(({ key }) => key);
}

/**
 * The objects go first and the list second: a crash in between leaves names of objects that are gone,
 * and deleting those again is no error. The other way round they would be orphans. What a pin holds,
 * or another shard minted, is only forgotten.
 */
async function collectRetired(
  ports: CollectPorts,
  shard: ShardId,
  manifest: Manifest,
  due: readonly string[],
  held: Held,
): Promise<Readonly<{ retired: number; after: Manifest }>> {
  if (due.length === 0) return { retired: 0, after: manifest };
  const own = due.filter((key) => isOwn(shard, key) && !held.keys.has(key));
  if (own.length > 0) await ports.objects.delete(own);
  const gone = new Set(due);
  const after = await commitManifest(ports, shard, (current) =>
    current.retired.some(({ key }) => gone.has(key))
      ? { ...forgetRetired(current, gone), version: current.version + 1 }
      : undefined,
  );
  return { retired: own.length, after };
}

const isOwn = (shard: ShardId, key: string): boolean =>
  key.startsWith(objectPrefix(shard, 'segment')) || key.startsWith(objectPrefix(shard, 'graph'));

/** Lists the shard's objects, deletes what is due, and remembers when to list them again. */
async function lookAround(
  ports: CollectPorts,
  shard: ShardId,
  base: Manifest,
  held: Held,
  cuts: Pick<HeldCuts, 'read'>,
): Promise<Omit<Collected, 'retired'>> {
  const nowMs = ports.clock.nowMs();
  const found = await collectOrphans(ports, shard, base, held, cuts);
  const payloads = await collectPayloads(ports, shard, base);
  const manifests = await collectManifests(ports, shard);
  const more = found.more || payloads === DELETES_MAX || manifests === DELETES_MAX;
  await rememberLook(ports.table, shard, {
    version: found.version,
    againMs: more ? nowMs : Math.min(found.youngMs + ORPHAN_MS_MIN + 1, nowMs + LOOK_MS_MAX),
    ...(found.spared ? { pins: pinsName(held.pinIds) } : {}),
  });
  return { orphans: found.orphans, payloads, manifests };
}

type Orphans = Readonly<{
  orphans: number;
  /** The head's version as of which nothing else is to be found, besides: */
  version: number;
  /** ... what is too young yet: when the oldest of it was put ... */
  youngMs: number;
  /** ... what pins hold ... */
  spared: boolean;
  /** ... and what this call had no room for. */
  more: boolean;
}>;

/**
 * Products that nothing names: their maker died, or lost its race. The mark goes up before they are
 * deleted, so that whoever might still want to commit one is refused (`manifest/commit`).
 */
async function collectOrphans(
  ports: CollectPorts,
  shard: ShardId,
  base: Manifest,
  { keys: held }: Held,
  cuts: Pick<HeldCuts, 'read'>,
): Promise<Orphans> {
  const bornMs = ports.clock.nowMs() - ORPHAN_MS_MIN;
  const segments = await listAll(ports.objects, objectPrefix(shard, 'segment'));
  const graphs = await listAll(ports.objects, objectPrefix(shard, 'graph'));
  const named = namedKeys(base);
  const unnamed = [...segments.infos, ...graphs.infos].flatMap(({ key, modifiedMs }) => {
    const headVersion = parseProductKey(key)?.headVersion ?? base.version;
    return headVersion < base.version && !named.has(key) ? [{ key, modifiedMs, headVersion }] : [];
  });
  const free = unnamed.filter(({ key }) => !held.has(key));
  const old = free.filter(({ modifiedMs }) => modifiedMs < bornMs);
  const due = old.slice(0, DELETES_MAX);
  const young = free.filter(({ modifiedMs }) => modifiedMs >= bornMs);
  const rest = {
    version: base.version,
    youngMs: Math.min(...young.map(({ modifiedMs }) => modifiedMs)),
    spared: free.length < unnamed.length,
    more: segments.more || graphs.more || due.length < old.length,
  };
  if (due.length === 0) return { ...rest, orphans: 0 };
  const mark = Math.max(...due.map(({ headVersion }) => headVersion)) + 1;
  const marked = await commitManifest(ports, shard, (current) =>
    current.collectedBelow < mark
      ? { ...current, version: current.version + 1, collectedBelow: mark }
      : undefined,
  );
  const orphans = await deleteOrphans(
    ports,
    due.map(({ key }) => key),
    marked,
    await cuts.read(),
  );
  // Only our own commit in between: what was seen before it is all there is.
  const isOurs = marked.version === base.version + 1;
  return {
    ...rest,
    orphans,
    version: isOurs ? marked.version : base.version,
    spared: rest.spared || orphans < due.length,
    more: rest.more || orphans === 0,
  };
}

/**
 * Behind the mark. Who committed one of the keys between our look and the mark is using it; who pinned
 * it then may be its only holder by now, and was not there when the pins were read first.
 */
async function deleteOrphans(
  { objects }: CollectPorts,
  keys: readonly string[],
  marked: Manifest,
  held: Held | undefined,
): Promise<number> {
  if (held === undefined) return 0;
  const saved = namedKeys(marked);
  const due = keys.filter((key) => !saved.has(key) && !held.keys.has(key));
  if (due.length > 0) await objects.delete(due);
  return due.length;
}

/** What the manifest names, also as retired: running reads may be at it. */
function namedKeys(manifest: Manifest): ReadonlySet<string> {
  const keys = new Set(reachableKeys(manifest));
  for (const { key } of manifest.retired) keys.add(key);
  return keys;
}

async function listAll(
  objects: ObjectStore,
  prefix: string,
): Promise<Readonly<{ infos: readonly ObjectInfo[]; more: boolean }>> {
  const infos: ObjectInfo[] = [];
  for (let page = 1; page <= PAGES_MAX; page++) {
    const last = infos.at(-1)?.key;
    const from = last === undefined ? {} : { after: last };
    const found = await objects.list(prefix, { limit: LIST_MAX, ...from });
    infos.push(...found);
    if (found.length < LIST_MAX) return { infos, more: false };
  }
  return { infos, more: true };
}

/** By log time, not by the clock: a shard that is late or parked keeps what it has yet to apply. */
async function collectPayloads(
  { objects }: CollectPorts,
  shard: ShardId,
  manifest: Manifest,
): Promise<number> {
  const page = await objects.list(objectPrefix(shard, 'payload'), { limit: DELETES_MAX });
  const due = page.map(({ key }) => key).filter((key) => isPayloadDone(key, manifest));
  if (due.length > 0) await objects.delete(due);
  return due.length;
}

/** Whether no record that names the payload can be applied any more. */
export const isPayloadDone = (key: string, { logTimeMs }: Pick<Manifest, 'logTimeMs'>): boolean =>
  (payloadMintMs(key) ?? Number.POSITIVE_INFINITY) + PAYLOAD_MS_MAX < logTimeMs;

/**
 * An object minted below the head's version is the head's own, or the head went by it: its commit was
 * followed by another, or lost, and the head row's version keeps it from ever winning. A reader of an
 * old row that misses its object reads the row again (`manifest/head`). The head is read here once
 * more, since this run may have moved it itself.
 */
async function collectManifests(ports: CollectPorts, shard: ShardId): Promise<number> {
  const { objects } = ports;
  const { manifest, objectKey } = await readManifest(ports, shard);
  const page = await objects.list(objectPrefix(shard, 'manifest'), { limit: DELETES_MAX });
  const due = page
    .map(({ key }) => key)
    .filter((key) => {
      const mintedAt = parseProductKey(key)?.headVersion ?? manifest.version;
      return key !== objectKey && mintedAt < manifest.version;
    });
  if (due.length > 0) await objects.delete(due);
  return due.length;
}
