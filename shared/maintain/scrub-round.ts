/**
 * Scrub of everything there is, as far as one run comes: the shard that was not read for longest first,
 * then what pins hold. What fails is reported and hinders nothing else.
 */
import { isStoreError } from '#base/errors.ts';
import type { Collection } from '#catalog/collection.ts';
import type { Catalog } from '#catalog/collections.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import { lastScrub, type ScrubBounds, type ScrubPorts, scrubShard } from './scrub.ts';
import type { ScrubFindings } from './scrub-findings.ts';
import { unknownCollections } from './scrub-orphans.ts';
import { lastPins, scrubPins } from './scrub-pins.ts';

export type ScrubRound = Readonly<{
  /** Of which a pass was finished in this run. */
  shards: number;
  /** Damaged or missing objects that are known of, in all passes that this run had a part in. */
  findings: number;
  failures: number;
  /** Nothing is left that was not read within `everyMs`. */
  complete: boolean;
}>;

type Round = { -readonly [Name in keyof ScrubRound]: ScrubRound[Name] };

/**
 * Every object once a week: 1 TB is then some 140 GB a night, which a function reads in half an hour.
 */
export const SCRUB_EVERY_MS = 7 * 24 * 60 * 60_000;

/** @param everyMs how long after its last pass a shard is read again */
export async function scrubRound(
  ports: ScrubPorts,
  catalog: Pick<Catalog, 'allCollections' | 'getCollection'>,
  bounds: ScrubBounds,
  everyMs = SCRUB_EVERY_MS,
): Promise<ScrubRound> {
  const { clock, telemetry } = ports;
  const round: Round = { shards: 0, findings: 0, failures: 0, complete: true };
  let bytesLeft = bounds.bytesMax;
  const beforeMs = clock.nowMs() - everyMs;
  const arePinsDue = ((await lastPins(ports.table))?.finishedMs ?? 0) <= beforeMs;
  const pins = ['pins', (left: ScrubBounds) => scrubPins(ports, left)] as const;
  const steps = [
    ...(await dueShards(ports, catalog, beforeMs)).map(
      ({ collection, shard }) =>
        [
          shardName(shard),
          (left: ScrubBounds) => scrubShard(ports, collection, shard, left),
        ] as const,
    ),
    ...(arePinsDue ? [pins] : []),
  ];
  for (const [name, step] of steps) {
    if (bytesLeft <= 0 || clock.nowMs() >= bounds.untilMs) {
      round.complete = false;
      break;
    }
    try {
      const found = await step({ bytesMax: bytesLeft, untilMs: bounds.untilMs });
      bytesLeft -= found.runBytes;
      round.findings += countOf(found);
      if (!found.complete) round.complete = false;
      else if (name !== 'pins') round.shards += 1;
    } catch (error) {
      round.failures += 1;
      telemetry.event('error', 'maintenance-failed', {
        loop: 'scrub',
        shard: name,
        code: isStoreError(error) ? error.code : 'INTERNAL',
        reason: error instanceof Error ? error.message : String(error),
      });
    }
  }
  // As often as the pins: two listings for each collection are too much for every round.
  if (round.complete && arePinsDue) await reportUnknown(ports, catalog);
  return round;
}

export const countOf = ({ damaged, missing }: ScrubFindings): number =>
  damaged.length + missing.length;

type Due = Readonly<{ collection: Collection; shard: ShardId; lastMs: number }>;

/** Passes under way first, then the longest ago. */
async function dueShards(
  { table }: ScrubPorts,
  catalog: Pick<Catalog, 'allCollections'>,
  beforeMs: number,
): Promise<readonly Due[]> {
  const due: Due[] = [];
  for (const collection of await catalog.allCollections(['open'])) {
    for (let number = 0; number < collection.shards; number++) {
      const shard = { collectionId: collection.collectionId, shard: number };
      const last = await lastScrub(table, shard);
      const lastMs = last === undefined ? 1 : (last.finishedMs ?? 0);
      if (lastMs <= beforeMs) due.push({ collection, shard, lastMs });
    }
  }
  return due.sort((a, b) => a.lastMs - b.lastMs);
}

async function reportUnknown(
  { objects, telemetry }: ScrubPorts,
  catalog: Pick<Catalog, 'getCollection'>,
): Promise<void> {
  for (const { collectionId, ...orphans } of await unknownCollections(objects, catalog)) {
    telemetry.event('warn', 'objects-of-unknown-collection', { collectionId, ...orphans });
  }
}
