/**
 * What snapshots and clones promise (I7, I9, ADR 0013): a cut is the log of its source up to one
 * moment, in every shard the same one, and a copy begins with exactly that.
 */
import { addSum, emptySum, formatSum, parseSum, sumOf } from '#base/setsum.ts';
import type { Collection } from '#catalog/collection.ts';
import type { Manifest } from '#manifest/format.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import { shardName } from '#wal/shard.ts';
import { heldSum } from '../../support/held-sum.ts';
import type { WriteOperation } from '../evidence.ts';
import { cutShard, type ModelShard, replay, sequenceOf, sourceOf, sumText } from '../model.ts';
import type { CutSeen } from '../records.ts';
import type { World } from '../services.ts';
import type { Case } from './judge.ts';

/** Each shard of each cut holds its log up to the cut, and says so in its sums and in its bytes. */
export async function cutsAreWhole(given: Case): Promise<void> {
  const { world } = given;
  for (const seen of world.records.cuts.values()) {
    const name = `the cut ${seen.key}`;
    const models = seen.cut.manifests.map((_, shard) => cutShard(world, seen, shard));
    for (const [shard, manifest] of seen.cut.manifests.entries()) {
      const model = models[shard];
      if (model === undefined) continue;
      const where = `${name}, shard ${shard}`;
      if (manifest.applied !== model.applied) {
        const stands = `${sequenceOf(manifest.applied)}, the log of its source at ${sequenceOf(model.applied)}`;
        world.violate('I9', `${where} stands at ${stands}`);
      }
      if (manifest.sums.in !== sumText(model)) {
        world.violate('I7', `${where}: the sum is not that of the log of its source`);
      }
      await checkBytes(world, sourceOf(seen), manifest, where);
    }
    checkOrder(given, seen, models, name);
  }
}

async function checkBytes(
  world: World,
  collection: Collection,
  { segments, sums }: Manifest,
  where: string,
): Promise<void> {
  const objects = everPut(world);
  const held = emptySum();
  for (const entry of segments) addSum(held, await heldSum(objects, collection, entry));
  if (formatSum(held) !== sums.held) {
    world.violate('I7', `${where}: the bytes hold another sum than it says`);
  }
  if (formatSum(sumOf(held, parseSum(sums.out))) !== sums.in) {
    world.violate('I7', `${where}: held + out is not in`);
  }
}

/** What an object held, whether it is still there or not: objects never change. */
function everPut(world: World): ObjectStore {
  const { objects } = world;
  return {
    put: (key, bytes) => objects.put(key, bytes),
    head: (key) => objects.head(key),
    list: (prefix, options) => objects.list(prefix, options),
    delete: (keys) => objects.delete(keys),
    copy: (from, to) => objects.copy(from, to),
    get: async (key, range) => {
      const bytes = world.everPut.get(key) ?? new Uint8Array(0);
      return range === undefined ? bytes : bytes.slice(range.offset, range.offset + range.length);
    },
  };
}

/**
 * I9: with each write everything that was acknowledged before it began, in whatever shard; and
 * everything that was acknowledged before the pin was opened.
 */
function checkOrder(
  { world, evidence }: Case,
  { pin }: CutSeen,
  models: readonly ModelShard[],
  name: string,
): void {
  const { collectionId } = pin.source;
  const source = world.records.collections.get(collectionId);
  if (source === undefined) return;
  const inCut = new Set<bigint>();
  for (const { written } of models) for (const value of written.keys()) inCut.add(value);
  const ever = new Set<bigint>();
  for (let shard = 0; shard < source.shards; shard++) {
    for (const value of replay(world, source, shard).written.keys()) ever.add(value);
  }
  const own = evidence.writes.filter((write) => valuesOf(write).some((value) => ever.has(value)));
  let untilMs = world.records.openedMs.get(pin.pinId) ?? 0;
  for (const write of own) {
    if (valuesOf(write).some((value) => inCut.has(value))) {
      untilMs = Math.max(untilMs, write.startMs);
    }
  }
  for (const write of own) {
    if (write.outcome !== 'done' || write.endMs >= untilMs) continue;
    for (const value of valuesOf(write)) {
      if (inCut.has(value) || !ever.has(value)) continue;
      world.violate(
        'I9',
        `${name} lacks value ${value} of ${write.what} by ${write.client}, acknowledged before what it holds began`,
      );
    }
  }
}

const valuesOf = ({ change }: WriteOperation): readonly bigint[] =>
  change.kind === 'rows'
    ? [...change.rows.values()]
    : change.kind === 'generated'
      ? change.values
      : [];

/** The first manifest of each shard of a copy says what the cut says, under a higher generation. */
export function copiesBeginWithTheirCut({ world, evidence, collections }: Case): void {
  const { records } = world;
  for (const { collectionId, shards } of collections) {
    const seen = records.cutHeldBy(collectionId);
    if (seen === undefined) continue;
    for (let shard = 0; shard < shards; shard++) {
      const name = shardName({ collectionId, shard });
      const born = records.born.get(name);
      const cut = seen.cut.manifests[shard];
      // A creation that was given up.
      if (born === undefined || cut === undefined) continue;
      const [own, theirs] = [shown(born), shown(cut)];
      if (own !== theirs) {
        world.violate('I9', `${name} begins with ${own}, its cut ${seen.key} says ${theirs}`);
      }
      const newest = Math.max(...seen.cut.manifests.map(({ generation }) => generation));
      if (born.generation <= newest) {
        world.violate('I5', `${name} begins in generation ${born.generation} of ${newest}`);
      }
    }
  }
  for (const { change, outcome, what, client, collection } of evidence.writes) {
    if (change.kind !== 'copy' || outcome === 'unknown') continue;
    const isThere = collections.some(
      ({ collectionName, collectionId }) =>
        collectionName === collection && records.found.has(collectionId),
    );
    if (outcome === 'done' && !isThere)
      world.violate('I1', `${client}: ${what} was acknowledged, and nobody ever found it`);
    if (outcome === 'none' && isThere)
      world.violate('I12', `${client}: ${what} was refused, and it is there`);
  }
}

/** I12, by names that are never used again: acknowledged, a snapshot was complete; refused, it never was. */
export function snapshotsAreToldTruly({ world, evidence }: Case): void {
  const complete = new Set([...world.records.cuts.values()].map(({ pin }) => pin.name));
  const kept = new Set(
    [...world.records.pins.values()].map(({ state, name }) => (state === 'complete' ? name : '')),
  );
  for (const { change, outcome, client } of evidence.writes) {
    if (change.kind !== 'snapshot') continue;
    const who = `${client}: ${change.name}`;
    if (outcome === 'done' && !complete.has(change.name))
      world.violate('I9', `${who} was acknowledged and was never complete`);
    if (outcome === 'none' && kept.has(change.name))
      world.violate('I12', `${who} was refused, and it is there`);
  }
}

const shown = ({ applied, logTimeMs, sums, segments }: Manifest): string =>
  `${sequenceOf(applied)} at ${logTimeMs}: ${sums.in} = ${sums.held} + ${sums.out} in ${segments.map(({ key }) => key)}`;
