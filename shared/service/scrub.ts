/**
 * `POST /v2/clusters/scrub`: reads what collections consist of and proves it, for operators
 * (`sterna scrub`). A call reads as much as its time allows; the next one goes on from there.
 *
 * Object keys, counts and bytes only: never rows, keys or vectors.
 */
import * as z from 'zod';
import { CollectionName, DatabaseName } from '#api/names.ts';
import type { JsonOut } from '#base/json.ts';
import type { Collection } from '#catalog/collection.ts';
import { HeldCuts } from '#maintain/held.ts';
import {
  beginScrub,
  lastScrub,
  type ScrubBounds,
  type ScrubPorts,
  type ShardScrub,
  scrubShard,
} from '#maintain/scrub.ts';
import type { ScrubFindings } from '#maintain/scrub-findings.ts';
import { unknownCollections } from '#maintain/scrub-orphans.ts';
import { beginPins, lastPins, scrubPins } from '#maintain/scrub-pins.ts';
import type { EngineParts } from './engine.ts';
import { databaseOf, type Routes, writeRoute } from './route.ts';

const ScrubRequest = z.strictObject({
  dbName: DatabaseName.optional(),
  collectionName: CollectionName.optional(),
  /** Forgets what was read before: every pass begins anew. */
  full: z.boolean().optional(),
});

/** A pass that ended this long ago is told, not made again: so that calling again and again ends. */
const RECENT_MS = 60 * 60_000;
/** The answer has to be under way by the deadline; the last object may take some seconds. */
const RESERVE_MS = 8_000;
/** What a call reads at most: 2 GiB take a function some 20 s. */
const BYTES_MAX = 2 * 1024 * 1024 * 1024;

export const scrubRoutes = (engine: EngineParts): Routes => ({
  'POST /v2/clusters/scrub': writeRoute(ScrubRequest, async (request, context) => {
    const dbName = databaseOf(request, context);
    const names =
      request.collectionName === undefined
        ? await engine.catalog.listCollections(dbName)
        : [request.collectionName];
    const collections: Collection[] = [];
    for (const name of names) collections.push(await engine.catalog.findCollection(dbName, name));
    const held = new HeldCuts({ ...engine.ports, collections: engine.catalog });
    const ports = { ...engine.ports, held };
    const withPins = request.collectionName === undefined;
    if (request.full === true) await beginAll(ports, collections, withPins);
    const nowMs = engine.ports.clock.nowMs();
    const restMs = context.deadlineMs - nowMs;
    const untilMs = nowMs + Math.max(restMs - RESERVE_MS, restMs / 2);
    const bounds = { bytesMax: BYTES_MAX, untilMs };
    return { data: await scrubAll(ports, engine, collections, withPins, bounds) };
  }),
});

const shardsOf = ({ collectionId, shards }: Collection) =>
  Array.from({ length: shards }, (_, shard) => ({ collectionId, shard }));

async function beginAll(
  ports: ScrubPorts,
  collections: readonly Collection[],
  withPins: boolean,
): Promise<void> {
  for (const shard of collections.flatMap(shardsOf)) await beginScrub(ports, shard);
  if (withPins) await beginPins(ports);
}

async function scrubAll(
  ports: ScrubPorts,
  { catalog }: Pick<EngineParts, 'catalog'>,
  collections: readonly Collection[],
  withPins: boolean,
  bounds: ScrubBounds,
): Promise<JsonOut> {
  const recentMs = ports.clock.nowMs() - RECENT_MS;
  let bytesLeft = bounds.bytesMax;
  const isOver = (): boolean => bytesLeft <= 0 || ports.clock.nowMs() >= bounds.untilMs;
  const left = (): ScrubBounds => ({ ...bounds, bytesMax: bytesLeft });
  const shards: JsonOut[] = [];
  let complete = true;
  for (const collection of collections) {
    for (const shard of shardsOf(collection)) {
      let found = await lastScrub(ports.table, shard);
      if (!isRecent(found, recentMs) && !isOver()) {
        const step = await scrubShard(ports, collection, shard, left());
        bytesLeft -= step.runBytes;
        found = step;
      }
      if (!isRecent(found, recentMs)) complete = false;
      shards.push({ collectionName: collection.collectionName, ...told(shard.shard, found) });
    }
  }
  if (!withPins) return { complete, shards };
  let pins = await lastPins(ports.table);
  if (!isRecent(pins, recentMs) && !isOver()) pins = await scrubPins(ports, left());
  if (!isRecent(pins, recentMs)) complete = false;
  const unknown = isOver() ? [] : await unknownCollections(ports.objects, catalog);
  return {
    ...{ complete, shards },
    pins: pins === undefined ? undefined : findingsOf(pins),
    unknown: unknown.map(({ collectionId, ...rest }) => ({ collectionID: collectionId, ...rest })),
  };
}

type Pass = Pick<ShardScrub, 'complete' | 'finishedMs'>;

const isRecent = (pass: Pass | undefined, recentMs: number): boolean =>
  pass?.finishedMs !== undefined && pass.finishedMs >= recentMs;

const told = (shard: number, found: ShardScrub | undefined) =>
  found === undefined ? { shard, complete: false } : { shard, ...findingsOf(found) };

function findingsOf(
  found: ScrubFindings & Omit<ShardScrub, keyof ScrubFindings | 'shard'>,
): Readonly<Record<string, JsonOut | undefined>> {
  const { complete, startedMs, finishedMs, objects, bytes, rows, requests, orphans } = found;
  return {
    ...{ complete, objects, bytes, rows, requests, startedMs, finishedMs },
    orphanObjects: orphans?.objects,
    orphanBytes: orphans?.bytes,
    orphansOldestMs: orphans?.oldestMs,
    damaged: found.damaged.map((finding) => ({ ...finding })),
    missing: found.missing.map((finding) => ({ ...finding })),
  };
}
