/** Each invariant refuses what it forbids, and only that. */
import { expect, test } from 'vitest';
import type { Manifest } from '#manifest/format.ts';
import { RETIRED_MAX } from '#manifest/history.ts';
import { INVARIANTS, violations } from '#manifest/invariants.ts';
import { balanced, firstManifest, segmentOf } from './arbitrary-manifests.ts';

const hex = (digit: string): string => digit.repeat(64);
const archive = (suffix: string, logTimeMs: number) => ({
  key: segmentOf(1, suffix).key,
  footerOffset: 1,
  footerBytes: 1,
  footerCrc32: 0,
  logTimeMs,
});
const graph = { kind: 'graph', fieldId: 101, key: 'g', sizeBytes: 1, footerCrc32: 0, facts: {} };

const current: Manifest = {
  ...firstManifest,
  version: 9,
  generation: 2,
  epoch: 2,
  fenceNumber: 5,
  schemaVersion: 3,
  applied: '00000002000000020190',
  logTimeMs: 1000,
  rowsApplied: 50,
  collectedBelow: 4,
  sums: balanced(hex('1'), hex('2')),
  segments: [segmentOf(3, 'a')],
  idWindow: [archive('a', 900), archive('b', 1000)],
};
const next: Manifest = { ...current, version: 10 };
const moved: Manifest = { ...next, applied: '00000002000000020191', logTimeMs: 1001 };

test.each<{ rule: string; proposed: Manifest; from?: Manifest }>([
  { rule: 'sameShard', proposed: { ...next, shard: 2 } },
  { rule: 'sameShard', proposed: { ...next, collectionId: 8 } },
  { rule: 'oneVersionUp', proposed: { ...next, version: 11 } },
  { rule: 'oneVersionUp', proposed: current },
  { rule: 'nothingFalls', proposed: { ...next, generation: 1 } },
  { rule: 'nothingFalls', proposed: { ...next, epoch: 1 } },
  { rule: 'nothingFalls', proposed: { ...next, fenceNumber: 4 } },
  { rule: 'nothingFalls', proposed: { ...next, schemaVersion: 2 } },
  { rule: 'nothingFalls', proposed: { ...next, applied: '00000002000000020189' } },
  { rule: 'nothingFalls', proposed: { ...moved, logTimeMs: 999 } },
  { rule: 'nothingFalls', proposed: { ...moved, rowsApplied: 49 } },
  { rule: 'nothingFalls', proposed: { ...next, collectedBelow: 3 } },
  { rule: 'contentIsConserved', proposed: { ...moved, sums: { ...next.sums, out: hex('3') } } },
  { rule: 'contentIsConserved', proposed: { ...moved, sums: { ...next.sums, in: hex('4') } } },
  { rule: 'contentMovesWithPosition', proposed: { ...next, rowsApplied: 51 } },
  {
    rule: 'contentMovesWithPosition',
    proposed: { ...next, sums: balanced(hex('5'), hex('2')) },
  },
  {
    rule: 'noObjectTwice',
    proposed: { ...next, segments: [segmentOf(3, 'a'), segmentOf(3, 'a')] },
  },
  {
    rule: 'noObjectTwice',
    proposed: { ...next, segments: [{ ...segmentOf(3, 'a'), auxiliary: [graph, graph] }] },
  },
  {
    rule: 'idWindowIsOrdered',
    proposed: { ...next, idWindow: [archive('a', 2), archive('b', 1)] },
  },
  {
    rule: 'idWindowIsOrdered',
    proposed: { ...next, idWindow: [archive('a', 1), archive('a', 2)] },
  },
  { rule: 'droppedIsFinal', proposed: next, from: { ...current, state: 'dropped' } },
  { rule: 'markIsBehindHead', proposed: { ...next, collectedBelow: 11 } },
  {
    rule: 'retiredIsGone',
    proposed: { ...next, retired: [{ key: segmentOf(3, 'a').key, atMs: 1 }] },
  },
  {
    rule: 'retiredIsGone',
    proposed: {
      ...next,
      retired: Array.from({ length: RETIRED_MAX + 1 }, (_, n) => ({ key: `k${n}`, atMs: 1 })),
    },
  },
])('$rule', ({ rule, proposed, from = current }) => {
  const found = violations(proposed, from);
  expect(found.map((violation) => violation.split(':')[0])).toEqual([rule]);
});

test.each<{ what: string; proposed: Manifest; from?: Manifest }>([
  { what: 'nothing but the version', proposed: next },
  {
    what: 'a batch that was applied',
    proposed: { ...moved, rowsApplied: 60, sums: balanced(hex('7'), hex('2')) },
  },
  {
    what: 'a rewrite that took something out',
    proposed: { ...next, sums: { ...current.sums, held: hex('2'), out: hex('1') } },
  },
  { what: 'a mark at the head', proposed: { ...next, collectedBelow: 10 } },
  {
    what: 'a rewritten segment that is still in the id window',
    proposed: {
      ...next,
      segments: [segmentOf(9, 'c')],
      retired: [{ key: segmentOf(3, 'a').key, atMs: 5 }],
      idWindow: [archive('a', 1000), archive('b', 1000)],
    },
  },
  { what: 'a drop', proposed: { ...moved, fenceNumber: 6, state: 'dropped' } },
])('allowed: $what', ({ proposed, from = current }) => {
  expect(violations(proposed, from)).toEqual([]);
});

test('every invariant has a row above', () => {
  expect(Object.keys(INVARIANTS).length).toBe(10);
});
