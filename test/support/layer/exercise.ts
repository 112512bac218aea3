/**
 * What a build of the graph library must be able to do, run in whatever process loads it: build, save,
 * load what another build saved, and search. The vectors are the same everywhere, to the last bit.
 */
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** Dimensions that take every path of the library: whole blocks of 16 and of 4, and remainders. */
export const CASES = [
  { space: 'l2', dim: 64, rows: 2000 },
  { space: 'ip', dim: 64, rows: 2000 },
  { space: 'l2', dim: 20, rows: 300 },
  { space: 'ip', dim: 20, rows: 300 },
  { space: 'l2', dim: 37, rows: 300 },
  { space: 'ip', dim: 37, rows: 300 },
  { space: 'l2', dim: 3, rows: 300 },
  { space: 'ip', dim: 7, rows: 300 },
] as const;
export type Case = (typeof CASES)[number];
export const QUERIES = 40;
export const K = 10;

export type Answer = Readonly<{ neighbors: readonly number[]; distances: readonly number[] }>;
export type Outcome = Readonly<{
  architecture: string;
  /** Names of the addons that were loaded. */
  loaded: readonly string[];
  /** False where loading it made the process treat tiny numbers as 0. */
  keepsTiny: boolean;
  /** The answers by the name of the saved file that was searched. */
  answers: Readonly<Record<string, readonly Answer[]>>;
}>;

export const fileOf = (by: string, { space, dim }: Case): string => `${by}.${space}.${dim}`;

/** Values between -1 and 1 that float32 holds exactly. */
export function vectorsOf(of: 'rows' | 'queries', { dim, rows }: Case): number[][] {
  let state = dim * 7 + (of === 'rows' ? 1 : 2);
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 23 - 1;
  };
  return Array.from({ length: of === 'rows' ? rows : QUERIES }, () =>
    Array.from({ length: dim }, next),
  );
}

/**
 * @param library path of an addon, or of a module that loads one
 * @param folder where graphs are saved under `by`; those that are there already are searched as well
 */
export function exercise(library: string, folder: string, by: string): Outcome {
  const require = createRequire(import.meta.url);
  const { HierarchicalNSW } = require(library) as typeof import('hnswlib-node');
  const answers: Record<string, readonly Answer[]> = {};
  for (const each of CASES) {
    const index = new HierarchicalNSW(each.space, each.dim);
    index.initIndex(each.rows, 16, 200, 100);
    vectorsOf('rows', each).forEach((vector, row) => {
      index.addPoint(vector, row);
    });
    index.writeIndexSync(join(folder, fileOf(by, each)));
    for (const file of readdirSync(folder)) {
      const [, space, dim] = file.split('.');
      if (space !== each.space || dim !== String(each.dim)) continue;
      const saved = new HierarchicalNSW(each.space, each.dim);
      saved.readIndexSync(join(folder, file));
      saved.setEf(100);
      answers[file] = vectorsOf('queries', each).map((query) => saved.searchKnn(query, K));
    }
  }
  return {
    architecture: process.arch,
    loaded: Object.keys(require.cache).filter((name) => name.endsWith('.node')),
    keepsTiny: Number.MIN_VALUE * 2 > Number.MIN_VALUE,
    answers,
  };
}
