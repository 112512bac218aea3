/** I4, per key: there is an order of all operations that explains every read. */
import type { Key } from '#schema/column.ts';
import { BRIEF, COLLECTIONS } from '../actors/collections.ts';
import type { WriteOperation } from '../evidence.ts';
import { checkKey, type KeyOperation } from '../linear.ts';
import { cutShard } from '../model.ts';
import type { Case } from './judge.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** @returns keys for which the search gave up */
export function checkLinearizability(given: Case): number {
  const { world, evidence, models } = given;
  const aside = new Set<Key>();
  for (const { asideKeys } of models.values()) for (const key of asideKeys) aside.add(key);
  let undecided = 0;
  for (const { name, keys } of [...COLLECTIONS, ...evidence.copies]) {
    // What expires goes without an operation (`expiry.ts`).
    if (name === BRIEF.name) continue;
    const began = beginningOf(given, name);
    const writes = evidence.writes.filter(
      ({ collection, outcome }) => collection === name && outcome !== 'none',
    );
    const reads = evidence.reads.filter(({ collection }) => collection === name);
    for (const key of keys) {
      // A write that was acknowledged, seen, and taken back by an operator has no place in any order.
      if (aside.has(key)) continue;
      const changes = writes.flatMap((write) => writeOf(write, key, writes, began));
      const looks = reads.flatMap(({ seen, startMs, endMs, what, client }): KeyOperation[] => {
        if (!seen.has(key)) return [];
        const value = seen.get(key);
        const text = `${client}: ${what} of key ${key}, which saw ${value ?? 'nothing'} at ${at(startMs)}`;
        return [{ startMs, endMs, what: text, act: { do: 'read', value } }];
      });
      const verdict = checkKey([...changes, ...looks]);
      if (verdict.is === 'undecided') undecided += 1;
      if (verdict.is === 'impossible') world.violate('I4', `${name}, key ${key}: ${verdict.why}`);
    }
  }
  return undecided;
}

/** What a copy began with; empty for any other collection. */
function beginningOf({ world, collections }: Case, name: string): ReadonlyMap<Key, bigint> {
  const began = new Map<Key, bigint>();
  for (const { collectionId, collectionName } of collections) {
    const seen = world.records.cutHeldBy(collectionId);
    if (collectionName !== name || seen === undefined || !world.records.found.has(collectionId))
      continue;
    seen.cut.manifests.forEach((_, shard) => {
      for (const [key, { value }] of cutShard(world, seen, shard).rows) {
        if (value !== undefined) began.set(key, value);
      }
    });
  }
  return began;
}

function writeOf(
  write: WriteOperation,
  key: Key,
  all: readonly WriteOperation[],
  began: ReadonlyMap<Key, bigint>,
): KeyOperation[] {
  const { change, startMs, outcome, what } = write;
  const endMs = outcome === 'done' ? write.endMs : NEVER;
  const operation = { startMs, endMs, what };
  switch (change.kind) {
    case 'rows': {
      const value = change.rows.get(key);
      return value === undefined ? [] : [{ ...operation, act: { do: 'write', value } }];
    }
    case 'delete-keys':
      return change.keys.includes(key)
        ? [{ ...operation, act: { do: 'write', value: undefined } }]
        : [];
    case 'copy':
      return [{ ...operation, act: { do: 'write', value: began.get(key) } }];
    case 'empty':
      return [{ ...operation, act: { do: 'write', value: undefined } }];
    case 'delete-some': {
      const { matches } = change;
      return [{ ...operation, act: { do: 'delete-some', matches, may: isRaced(write, key, all) } }];
    }
    case 'generated':
    case 'snapshot':
    case 'none':
      return [];
  }
}

/**
 * A delete by filter removes the versions that it read. Where no other write of the key overlaps it,
 * that is what is there; else the version may have been replaced, and nothing is removed.
 */
const isRaced = (own: WriteOperation, key: Key, all: readonly WriteOperation[]): boolean =>
  all.some((other) => {
    if (other === own || !touches(other, key)) return false;
    const otherEndMs = other.outcome === 'done' ? other.endMs : NEVER;
    const ownEndMs = own.outcome === 'done' ? own.endMs : NEVER;
    return other.startMs <= ownEndMs && own.startMs <= otherEndMs;
  });

function touches({ change }: WriteOperation, key: Key): boolean {
  if (change.kind === 'rows') return change.rows.has(key);
  if (change.kind === 'delete-keys') return change.keys.includes(key);
  return change.kind === 'empty' || change.kind === 'delete-some' || change.kind === 'copy';
}

/** Seconds of the history, for a message. */
const at = (ms: number): string => `${((ms - 1_704_067_200_000) / 1_000).toFixed(3)} s`;
