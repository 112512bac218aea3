/** I4, per key: there is an order of all operations that explains every read. */
import type { Key } from '#schema/column.ts';
import { COLLECTIONS } from '../actors/collections.ts';
import type { WriteOperation } from '../evidence.ts';
import { checkKey, type KeyOperation } from '../linear.ts';
import type { Case } from './judge.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** @returns keys for which the search gave up */
export function checkLinearizability({ world, evidence }: Case): number {
  let undecided = 0;
  for (const { name, keys } of COLLECTIONS) {
    const writes = evidence.writes.filter(
      ({ collection, outcome }) => collection === name && outcome !== 'none',
    );
    const reads = evidence.reads.filter(({ collection }) => collection === name);
    for (const key of keys) {
      const changes = writes.flatMap((write) => writeOf(write, key, writes));
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

function writeOf(write: WriteOperation, key: Key, all: readonly WriteOperation[]): KeyOperation[] {
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
    case 'drop':
      return [{ ...operation, act: { do: 'write', value: undefined } }];
    case 'delete-some': {
      const { matches } = change;
      return [{ ...operation, act: { do: 'delete-some', matches, may: isRaced(write, key, all) } }];
    }
    case 'generated':
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
  return change.kind === 'drop' || change.kind === 'delete-some';
}

/** Seconds of the history, for a message. */
const at = (ms: number): string => `${((ms - 1_704_067_200_000) / 1_000).toFixed(3)} s`;
