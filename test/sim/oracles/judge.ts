/**
 * The oracles that judge a history when it is over. Each says which invariant is broken and by what.
 * Adding one means writing a function of the case and naming it in `ORACLES`.
 */
import { addSum, emptySum, formatSum, parseSum, sumOf } from '#base/setsum.ts';
import type { Collection } from '#catalog/collection.ts';
import { shardName } from '#wal/shard.ts';
import { heldSum } from '../../support/held-sum.ts';
import { FLEETING } from '../actors/collections.ts';
import type { Evidence } from '../evidence.ts';
import { type ModelShard, replay, sequenceOf, sumText } from '../model.ts';
import type { World } from '../services.ts';
import { copiesBeginWithTheirCut, cutsAreWhole, snapshotsAreToldTruly } from './copies.ts';
import { checkExpiry } from './expiry.ts';
import { checkLinearizability } from './per-key.ts';

export type Case = Readonly<{
  world: World;
  evidence: Evidence;
  collections: readonly Collection[];
  /** By shard, for collections in every state. */
  models: ReadonlyMap<string, ModelShard>;
}>;

/** What a hundred histories together must show more than none of. */
export type Tally = Readonly<{
  compactions: number;
  collections: number;
  voids: number;
  duplicates: number;
  fences: number;
  retries: number;
  truncations: number;
  snapshots: number;
  clones: number;
  /** Entries that were kept as rows of a parked shard. */
  parked: number;
  setAside: number;
  /** Rows that were seen no more because their time was over. */
  expired: number;
  /** Keys whose order of operations was too hard to search. */
  undecided: number;
}>;

type Oracle = (given: Case) => Promise<void> | void;

const ORACLES: readonly Oracle[] = [
  exactlyOnce,
  appliedWhole,
  sumsFromBytes,
  deletedStaysDeleted,
  sessionsGoForward,
  cutsAreWhole,
  copiesBeginWithTheirCut,
  snapshotsAreToldTruly,
];

export async function judge(world: World, evidence: Evidence): Promise<Tally> {
  const collections = [...world.records.collections.values()];
  const models = new Map<string, ModelShard>();
  for (const collection of collections) {
    for (let shard = 0; shard < collection.shards; shard++) {
      const name = shardName({ collectionId: collection.collectionId, shard });
      models.set(name, replay(world, collection, shard));
    }
  }
  const given = { world, evidence, collections, models };
  for (const oracle of ORACLES) await oracle(given);
  const undecided = checkLinearizability(given);
  const expired = checkExpiry(given);
  const total = (of: (model: ModelShard) => number): number =>
    [...models.values()].reduce((sum, model) => sum + of(model), 0);
  return {
    compactions: evidence.compactions,
    collections: [...world.deleted.values()].reduce((sum, count) => sum + count, 0),
    voids: total((model) => model.void),
    duplicates: total((model) => model.duplicate),
    fences: total(({ fences }) => fences),
    retries: evidence.retries,
    truncations: evidence.truncations,
    snapshots: world.records.cuts.size,
    clones: collections.filter(({ collectionId }) => isCopy(world, collectionId)).length,
    parked: world.parkedEntries,
    setAside: total(({ setAside }) => setAside),
    expired,
    undecided,
  };
}

const isCopy = ({ records }: World, collectionId: number): boolean =>
  records.found.has(collectionId) && records.cutHeldBy(collectionId) !== undefined;

/**
 * I1, I2, I11, I12: what was acknowledged is in effect once, what was refused with the promise of no
 * effect never, and what is unknown at most once.
 */
function exactlyOnce({ world, evidence, models }: Case): void {
  const times = new Map<bigint, number>();
  const keys = new Map<bigint, unknown>();
  // An operator decided that these are lost, and was told so.
  const aside = new Set<bigint>();
  const skipped = new Set<bigint>();
  for (const [name, { written, asideValues, dropped }] of models) {
    for (const value of asideValues) aside.add(value);
    // What is parked in a collection on its way out is never applied, and nobody is there to see it.
    const isSkipped = dropped && world.parkedShards.has(name);
    if (isSkipped) for (const value of written.keys()) skipped.add(value);
    for (const [value, { key, times: own }] of written) {
      times.set(value, (times.get(value) ?? 0) + own);
      keys.set(value, key);
    }
  }
  for (const { change, outcome, what, client, code } of evidence.writes) {
    const values =
      change.kind === 'rows'
        ? [...change.rows.values()]
        : change.kind === 'generated'
          ? change.values
          : [];
    for (const value of values) {
      const found = times.get(value) ?? 0;
      const who = `${client}: ${what} of value ${value}`;
      if (outcome === 'done' && found === 0 && !aside.has(value))
        world.violate('I1', `${who} was acknowledged and never took effect`);
      if (outcome === 'none' && found > 0 && !skipped.has(value))
        world.violate('I12', `${who} was refused with ${code} and took effect`);
      if (found > 1) world.violate('I2', `${who} took effect ${found} times`);
    }
    if (change.kind !== 'generated' || outcome !== 'done') continue;
    change.values.forEach((value, index) => {
      if (keys.get(value) === change.ids[index] || aside.has(value)) return;
      world.violate(
        'I12',
        `${client}: row ${value} got the key ${keys.get(value)}, the answer says ${change.ids[index]}`,
      );
    });
  }
}

/** I2: the manifest is at the end of the log, and has taken exactly what the log holds. */
function appliedWhole({ world, collections, models }: Case): void {
  for (const { collectionId, shards, state } of collections) {
    if (state !== 'open') continue;
    for (let shard = 0; shard < shards; shard++) {
      const name = shardName({ collectionId, shard });
      const head = world.manifestOf({ collectionId, shard });
      const model = models.get(name);
      if (head === undefined || model === undefined) {
        world.violate('I1', `${name} has no manifest`);
        continue;
      }
      const { applied, sums } = head.manifest;
      if (applied !== model.applied) {
        world.violate(
          'I2',
          `${name} is applied to ${sequenceOf(applied)}, the log ends at ${sequenceOf(model.applied)}`,
        );
      }
      if (sums.in !== sumText(model)) {
        world.violate('I7', `${name}: the sum of what was applied is not that of the log`);
      }
    }
  }
}

/** I7: `held` recomputed from the bytes of all segments, and `held + out = in`. */
async function sumsFromBytes({ world, collections }: Case): Promise<void> {
  for (const collection of collections) {
    if (collection.state !== 'open') continue;
    for (let shard = 0; shard < collection.shards; shard++) {
      const id = { collectionId: collection.collectionId, shard };
      const head = world.manifestOf(id);
      if (head === undefined) continue;
      const { segments, sums } = head.manifest;
      const held = emptySum();
      for (const entry of segments) addSum(held, await heldSum(world.objects, collection, entry));
      const name = shardName(id);
      if (formatSum(held) !== sums.held) {
        world.violate('I7', `${name}: the bytes hold another sum than the manifest says`);
      }
      if (formatSum(sumOf(held, parseSum(sums.out))) !== sums.in) {
        world.violate('I7', `${name}: held + out is not in`);
      }
    }
  }
}

/** I5: a generated key is never used again, so what was deleted by key stays away. */
function deletedStaysDeleted({ world, evidence, models }: Case): void {
  const live = new Set<unknown>();
  const aside = new Set<unknown>();
  for (const { rows, asideKeys } of models.values()) {
    for (const key of rows.keys()) live.add(key);
    for (const key of asideKeys) aside.add(key);
  }
  for (const { change, outcome, collection, what } of evidence.writes) {
    if (collection !== 'generated' || change.kind !== 'delete-keys' || outcome !== 'done') continue;
    for (const key of change.keys) {
      if (live.has(key) && !aside.has(key))
        world.violate('I5', `${what} was acknowledged, and ${key} is still there`);
    }
  }
}

/** I4: a session never goes back: each answer stands where the one before it stood, or later. */
function sessionsGoForward({ world, evidence }: Case): void {
  for (const { positions, reached, what, client, collection } of evidence.reads) {
    // A name that is given to another collection begins anew.
    if (positions === undefined || collection === FLEETING.name) continue;
    for (const [shard, before] of Object.entries(reached)) {
      const now = positions[shard] ?? '';
      if (now >= before) continue;
      world.violate(
        'I4',
        `${client}: ${what} goes back in shard ${shard} from ${sequenceOf(before)} to ${sequenceOf(now)}`,
      );
    }
  }
}
