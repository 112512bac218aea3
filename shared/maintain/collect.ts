/**
 * Collecting what a shard surely needs no more (DESIGN 4.6, ADR 0013, I6): retired objects, applied
 * payloads, manifests that the head has left behind, and orphans of crashes and lost races.
 *
 * The head is read first and the pins after it. An open pin ends the round. What is deleted lies below
 * this shard's own prefix: a clone forgets what it shares, and only the shard that minted it deletes it.
 */
import { SKEW_MS } from '#ingest/deadline.ts';
import { RETIRED_MS_MIN } from '#ingest/retired.ts';
import { commitManifest } from '#manifest/commit.ts';
import type { Manifest } from '#manifest/format.ts';
import { type Head, type ManifestCache, readManifest } from '#manifest/head.ts';
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
import type { Held, HeldCuts } from './held.ts';

export type CollectPorts = Readonly<{
  objects: ObjectStore;
  table: Table;
  clock: Clock;
  entropy: Entropy;
  telemetry: Telemetry;
  /** What pins hold. */
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
const ORPHAN_MS_MIN = RETIRED_MS_MIN + SKEW_MS;
/** 64,000 objects of one kind in one shard: some two hundred times what a full shard names. */
const PAGES_MAX = 64;

export type Collected = Readonly<{
  retired: number;
  orphans: number;
  payloads: number;
  manifests: number;
}>;

const NONE: Held = { keys: new Set(), pinIds: new Set() };
const NOTHING: Collected = { retired: 0, orphans: 0, payloads: 0, manifests: 0 };

/** Deletes what is due in one shard. Killed anywhere, the next call does what is left. */
export async function collectShard(ports: CollectPorts, shard: ShardId): Promise<Collected> {
  const head = await readManifest(ports, shard);
  const held = ports.held === undefined ? NONE : await ports.held.read();
  if (held === undefined) return NOTHING;
  const collected = {
    retired: await collectRetired(ports, shard, head.manifest, held),
    orphans: await collectOrphans(ports, shard, head.manifest, held),
    payloads: await collectPayloads(ports, shard, head.manifest),
    manifests: await collectManifests(ports, shard, head),
  };
  if (Object.values(collected).some((count) => count > 0)) {
    ports.telemetry.event('info', 'collected', { shard: shardName(shard), ...collected });
  }
  return collected;
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
  held: Held,
): Promise<number> {
  const dueMs = ports.clock.nowMs() - RETIRED_MS_MIN - SKEW_MS;
  const reachable = reachableKeys(manifest);
  const due = manifest.retired
    .filter(({ key, atMs }) => atMs < dueMs && !reachable.has(key))
    .slice(0, DELETES_MAX)
    .map(({ key }) => key);
  if (due.length === 0) return 0;
  const own = due.filter((key) => isOwn(shard, key) && !held.keys.has(key));
  if (own.length > 0) await ports.objects.delete(own);
  const gone = new Set(due);
  await commitManifest(ports, shard, (current) =>
    current.retired.some(({ key }) => gone.has(key))
      ? { ...forgetRetired(current, gone), version: current.version + 1 }
      : undefined,
  );
  return own.length;
}

const isOwn = (shard: ShardId, key: string): boolean =>
  key.startsWith(objectPrefix(shard, 'segment')) || key.startsWith(objectPrefix(shard, 'graph'));

/**
 * Products that nothing names: their maker died, or lost its race. The mark goes up before they are
 * deleted, so that whoever might still want to commit one is refused (`manifest/commit`).
 */
async function collectOrphans(
  ports: CollectPorts,
  shard: ShardId,
  base: Manifest,
  { keys: held }: Held,
): Promise<number> {
  const bornMs = ports.clock.nowMs() - ORPHAN_MS_MIN;
  const products = [
    ...(await listAll(ports.objects, objectPrefix(shard, 'segment'))),
    ...(await listAll(ports.objects, objectPrefix(shard, 'graph'))),
  ];
  const found = products.flatMap(({ key, modifiedMs }) => {
    const headVersion = parseProductKey(key)?.headVersion ?? base.version;
    const candidate = modifiedMs < bornMs && headVersion < base.version && !held.has(key);
    return candidate ? [{ key, headVersion }] : [];
  });
  const named = namedKeys(base);
  const orphans = found.filter(({ key }) => !named.has(key)).slice(0, DELETES_MAX);
  if (orphans.length === 0) return 0;
  const mark = Math.max(...orphans.map(({ headVersion }) => headVersion)) + 1;
  const marked = await commitManifest(ports, shard, (current) =>
    current.collectedBelow < mark
      ? { ...current, version: current.version + 1, collectedBelow: mark }
      : undefined,
  );
  // Committed between our look and the mark: in use, whatever it looked like.
  const saved = namedKeys(marked);
  const due = orphans.map(({ key }) => key).filter((key) => !saved.has(key));
  if (due.length > 0) await ports.objects.delete(due);
  return due.length;
}

/** What the manifest names, also as retired: running reads may be at it. */
function namedKeys(manifest: Manifest): ReadonlySet<string> {
  const keys = new Set(reachableKeys(manifest));
  for (const { key } of manifest.retired) keys.add(key);
  return keys;
}

async function listAll(objects: ObjectStore, prefix: string): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  for (let page = 1; page <= PAGES_MAX; page++) {
    const last = found.at(-1)?.key;
    const infos = await objects.list(prefix, {
      limit: LIST_MAX,
      ...(last === undefined ? {} : { after: last }),
    });
    found.push(...infos);
    if (infos.length < LIST_MAX) break;
  }
  return found;
}

/** By log time, not by the clock: a shard that is late or parked keeps what it has yet to apply. */
async function collectPayloads(
  { objects }: CollectPorts,
  shard: ShardId,
  manifest: Manifest,
): Promise<number> {
  const page = await objects.list(objectPrefix(shard, 'payload'), { limit: DELETES_MAX });
  const due = page
    .map(({ key }) => key)
    .filter(
      (key) =>
        (payloadMintMs(key) ?? Number.POSITIVE_INFINITY) + PAYLOAD_MS_MAX < manifest.logTimeMs,
    );
  if (due.length > 0) await objects.delete(due);
  return due.length;
}

/**
 * An object minted below the head's version is the head's own, or the head went by it: its commit was
 * followed by another, or lost, and the head row's version keeps it from ever winning. A reader of an
 * old row that misses its object reads the row again (`manifest/head`).
 */
async function collectManifests(
  { objects }: CollectPorts,
  shard: ShardId,
  { manifest, objectKey }: Head,
): Promise<number> {
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
