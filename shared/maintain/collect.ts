/**
 * Collecting what a shard surely needs no more: retired objects, applied payloads, and manifests that
 * the head has left behind.
 *
 * This is the part of DESIGN 4.6 that needs no comparison with other heads: what a manifest itself
 * retired, and what its own key proves to be past. Orphans of crashes and the objects of dropped
 * collections stay where they are until the whole of collect is built.
 */
import { SKEW_MS } from '#ingest/deadline.ts';
import { RETIRED_MS_MIN } from '#ingest/retired.ts';
import { commitManifest } from '#manifest/commit.ts';
import type { Manifest } from '#manifest/format.ts';
import { type Head, type ManifestCache, readManifest } from '#manifest/head.ts';
import { forgetRetired, reachableKeys } from '#manifest/history.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import {
  objectPrefix,
  parseProductKey,
  payloadMintMs,
  type ShardId,
  shardName,
} from '#wal/shard.ts';

export type CollectPorts = Readonly<{
  objects: ObjectStore;
  table: Table;
  clock: Clock;
  entropy: Entropy;
  telemetry: Telemetry;
  manifests?: ManifestCache | undefined;
}>;

/** Ten deadlines of a minute: a record that names an older payload is applied or void (DESIGN 4.6). */
const PAYLOAD_MS_MAX = 10 * 60_000;
/** Objects deleted in one call; the next call goes on. */
const DELETES_MAX = 1_000;

export type Collected = Readonly<{ retired: number; payloads: number; manifests: number }>;

/** Deletes what is due in one shard. Killed anywhere, the next call does what is left. */
export async function collectShard(ports: CollectPorts, shard: ShardId): Promise<Collected> {
  const head = await readManifest(ports, shard);
  const retired = await collectRetired(ports, shard, head.manifest);
  const payloads = await collectPayloads(ports, shard, head.manifest);
  const manifests = await collectManifests(ports, shard, head);
  const collected = { retired, payloads, manifests };
  if (retired + payloads + manifests > 0) {
    ports.telemetry.event('info', 'collected', { shard: shardName(shard), ...collected });
  }
  return collected;
}

/**
 * The objects go first and the list second: a crash in between leaves names of objects that are gone,
 * and deleting those again is no error. The other way round they would be forgotten and stay.
 */
async function collectRetired(
  ports: CollectPorts,
  shard: ShardId,
  manifest: Manifest,
): Promise<number> {
  const dueMs = ports.clock.nowMs() - RETIRED_MS_MIN - SKEW_MS;
  const reachable = reachableKeys(manifest);
  const due = manifest.retired
    .filter(({ key, atMs }) => atMs < dueMs && !reachable.has(key))
    .slice(0, DELETES_MAX)
    .map(({ key }) => key);
  if (due.length === 0) return 0;
  await ports.objects.delete(due);
  const gone = new Set(due);
  await commitManifest(ports, shard, (current) =>
    current.retired.some(({ key }) => gone.has(key))
      ? { ...forgetRetired(current, gone), version: current.version + 1 }
      : undefined,
  );
  return due.length;
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
