/**
 * What every commit must keep, as named predicates over (proposed, current).
 *
 * Each returns a sentence where it is violated. They are attached once, in `commit.ts`, where every
 * commit passes: whatever bug produces a bad manifest, it stops there and the head stays good.
 */
import { equalSums, parseSum, sumOf } from '#base/setsum.ts';
import type { Manifest } from './format.ts';
import { contentKeys, RETIRED_MAX } from './history.ts';

type Invariant = (proposed: Manifest, current: Manifest) => string | undefined;

const NEVER_FALL = [
  'generation',
  'epoch',
  'fenceNumber',
  'schemaVersion',
  'applied',
  'logTimeMs',
  'rowsApplied',
  'collectedBelow',
] as const satisfies readonly (keyof Manifest)[];

const sameShard: Invariant = (proposed, current) =>
  proposed.collectionId === current.collectionId && proposed.shard === current.shard
    ? undefined
    : 'a manifest stays with its shard';

const oneVersionUp: Invariant = (proposed, current) =>
  proposed.version === current.version + 1
    ? undefined
    : `a commit advances one version: ${current.version} to ${proposed.version}`;

const nothingFalls: Invariant = (proposed, current) => {
  const fallen = NEVER_FALL.find((field) => proposed[field] < current[field]);
  return fallen && `${fallen} never falls: ${current[fallen]} to ${proposed[fallen]}`;
};

/** I7: what was applied is held or was taken out. */
const contentIsConserved: Invariant = ({ sums }) =>
  equalSums(sumOf(parseSum(sums.held), parseSum(sums.out)), parseSum(sums.in))
    ? undefined
    : 'held + out = in';

/** I7: equal positions have equal content, so only apply, by moving on, changes it. */
const contentMovesWithPosition: Invariant = (proposed, current) =>
  proposed.applied !== current.applied ||
  (proposed.sums.in === current.sums.in && proposed.rowsApplied === current.rowsApplied)
    ? undefined
    : 'what was applied changes only with the applied position';

const noObjectTwice: Invariant = ({ segments }) => {
  const keys = segments.flatMap(({ key, auxiliary }) => [key, ...auxiliary.map((a) => a.key)]);
  const seen = new Set<string>();
  const twice = keys.find((key) => seen.size === seen.add(key).size);
  return twice && `an object belongs to the content once: ${twice}`;
};

const idWindowIsOrdered: Invariant = ({ idWindow }) => {
  if (new Set(idWindow.map(({ key }) => key)).size < idWindow.length) {
    return 'an archive object is in the id window once';
  }
  const ordered = idWindow.every(
    ({ logTimeMs }, index) => logTimeMs >= (idWindow[index - 1]?.logTimeMs ?? 0),
  );
  return ordered ? undefined : 'the id window is ordered by log time';
};

const droppedIsFinal: Invariant = (proposed, current) =>
  current.state !== 'dropped' || proposed.state === 'dropped'
    ? undefined
    : 'a dropped shard stays dropped';

/** The mark is raised to a head version that exists, else it would refuse what is minted now. */
const markIsBehindHead: Invariant = ({ collectedBelow, version }) =>
  collectedBelow <= version ? undefined : `collectedBelow ${collectedBelow} is beyond ${version}`;

const retiredIsGone: Invariant = (proposed) => {
  if (proposed.retired.length > RETIRED_MAX) return `more than ${RETIRED_MAX} retired objects`;
  const held = contentKeys(proposed);
  const back = proposed.retired.find(({ key }) => held.has(key));
  return back && `a retired object does not come back: ${back.key}`;
};

export const INVARIANTS: Readonly<Record<string, Invariant>> = {
  sameShard,
  oneVersionUp,
  nothingFalls,
  contentIsConserved,
  contentMovesWithPosition,
  noObjectTwice,
  idWindowIsOrdered,
  droppedIsFinal,
  markIsBehindHead,
  retiredIsGone,
};

/** A sentence per violated invariant, with its name; empty where all hold. */
export const violations = (proposed: Manifest, current: Manifest): string[] =>
  Object.entries(INVARIANTS).flatMap(([name, invariant]) => {
    const violation = invariant(proposed, current);
    return violation === undefined ? [] : [`${name}: ${violation}`];
  });
