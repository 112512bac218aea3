import { describe, expect, it } from 'vitest';
import {
  EF_BY_LEVEL,
  EF_DEFAULT,
  type GraphPlan,
  planSearch,
  type SearchFacts,
  type SourceFacts,
  skipReason,
  widen,
  widthOf,
} from '#query/plan.ts';

const source: SourceFacts = { rows: 100, deadRows: 0, mayMatch: true, inPartitions: true };

describe('skipReason', () => {
  it.each([
    ['something to see', {}, undefined],
    ['no rows', { rows: 0 }, 'empty'],
    ['all dead', { deadRows: 100 }, 'dead'],
    ['statistics exclude all', { mayMatch: false }, 'statistics'],
    ['other partitions only', { inPartitions: false }, 'partitions'],
    ['one row alive', { deadRows: 99 }, undefined],
  ] as const)('%s', (_, facts, reason) => {
    expect(skipReason({ ...source, ...facts })).toBe(reason);
  });
});

const large: SearchFacts = {
  rows: 100_000,
  allowedRows: 100_000,
  graph: true,
  wanted: 10,
  ef: EF_DEFAULT,
  exactOnly: false,
};

describe('planSearch', () => {
  it.each([
    ['nothing allowed', { allowedRows: 0 }, { method: 'skipped', reason: 'filter' }],
    ['no graph loaded', { graph: false }, { method: 'exact' }],
    ['near end of a range search', { exactOnly: true }, { method: 'exact' }],
    ['all rows', {}, { method: 'graph', candidates: 10, ef: 64, filtered: false }],
    [
      'few dead rows: a few more candidates',
      { allowedRows: 99_000 },
      { method: 'graph', candidates: 21, ef: 65, filtered: false },
    ],
    [
      'half allowed: twice as many',
      { allowedRows: 50_000 },
      { method: 'graph', candidates: 31, ef: 128, filtered: false },
    ],
    [
      'a third allowed: the graph is told which',
      { allowedRows: 33_333 },
      { method: 'graph', candidates: 10, ef: 64, filtered: true },
    ],
    ['a tenth allowed', { allowedRows: 10_000 }, { method: 'graph', filtered: true }],
    ['less than a tenth allowed', { allowedRows: 9_999 }, { method: 'exact' }],
    ['a small segment', { rows: 704, allowedRows: 704 }, { method: 'exact' }],
    ['just large enough', { rows: 705, allowedRows: 705 }, { method: 'graph' }],
    ['a width dearer than the scan', { ef: 10_000 }, { method: 'exact' }],
    [
      'more wanted than the default width',
      { wanted: 500, ef: 500 },
      { method: 'graph', candidates: 500, ef: 500 },
    ],
  ] as const)('%s', (_, facts, plan) => {
    expect(planSearch({ ...large, ...facts })).toMatchObject(plan);
  });
});

describe('widen', () => {
  const plan: GraphPlan = { method: 'graph', candidates: 20, ef: 64, filtered: false };

  it('reaches four times as far, until a scan is cheaper', () => {
    expect(widen(plan, large)).toEqual({ ...plan, candidates: 80, ef: 256 });
    expect(widen({ ...plan, ef: 4096 }, large)).toEqual({ method: 'exact' });
    expect(widen(plan, { ...large, allowedRows: 1000 })).toEqual({ method: 'exact' });
  });

  it('ends after a few attempts, however large the segment', () => {
    let next = planSearch({ ...large, rows: 2 ** 30, allowedRows: 2 ** 30 });
    let attempts = 0;
    while (next.method === 'graph' && attempts < 100) {
      attempts += 1;
      next = widen(next, { ...large, rows: 2 ** 30, allowedRows: 2 ** 30 });
    }
    expect(next).toEqual({ method: 'exact' });
    expect(attempts).toBeLessThanOrEqual(5);
  });

  it('does not ask a graph again that knew what is allowed', () => {
    expect(widen({ ...plan, filtered: true }, large)).toEqual({ method: 'exact' });
  });
});

describe('widthOf', () => {
  it.each([
    ['the default', {}, EF_DEFAULT],
    ['as asked', { ef: 200 }, 200],
    ['raised to the limit', { ef: 5, limit: 30 }, 30],
    ['limit and offset count together', { limit: 90, offset: 20 }, 110],
    ['level 1 is the default', { level: 1 }, EF_DEFAULT],
    ['level 5', { level: 5 }, EF_BY_LEVEL[4]],
    ['level 10', { level: 10 }, 1536],
    ['a level beyond its ends', { level: 99 }, 1536],
    ['ef before level', { ef: 100, level: 10 }, 100],
  ] as const)('%s', (_, request, width) => {
    expect(widthOf({ limit: 10, offset: 0, ...request })).toBe(width);
  });
});
