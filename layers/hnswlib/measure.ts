/**
 * `node layers/hnswlib/measure.ts [DIM] [ROUNDS]` on x64: how fast the library is as its authors compile it, as we do,
 * and without vector instructions of its own. The numbers of docs/adr/0012-native-addon.md.
 *
 * All builds are loaded into one process and take turns, and only processor time counts, so that a busy
 * machine disturbs them alike. Ratios are taken within a round.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HierarchicalNSW } from 'hnswlib-node';
import { BINARIES, buildBinary } from './build.ts';

const [dim = 768, rounds = 7] = process.argv.slice(2).map(Number);
const ROWS = 10_000;
const ROWS_BUILT = 2_000;
const QUERIES = 400;
const SPACE = 'ip';

const flagsOf = (architecture: string, name: string): readonly string[] =>
  BINARIES.find((each) => each.architecture === architecture && each.name === name)?.flags ?? [];
/** The arm64 build's flags on x64, with vectors as narrow as NEON's and its fused multiply-add. */
const NARROW = flagsOf('arm64', 'addon.node').map((flag) => flag.replace(/^-mtune=.*/, '-mfma'));

const VARIANTS: readonly Readonly<{ name: string; flags: readonly string[] }>[] = [
  { name: 'x64 as its authors compile it (SSE)', flags: [] },
  { name: 'x64/addon.node', flags: flagsOf('x64', 'addon.node') },
  { name: 'x86-64-v3 and no more', flags: ['-march=x86-64-v3'] },
  { name: 'x64/addon-v3.node', flags: flagsOf('x64', 'addon-v3.node') },
  { name: 'scalar, as arm64 without our flags', flags: ['-DNO_MANUAL_VECTORIZATION'] },
  {
    name: 'compiler-made vectors of 128 bits, as arm64/addon.node',
    flags: ['-DNO_MANUAL_VECTORIZATION', '-mprefer-vector-width=128', ...NARROW],
  },
];

type Library = typeof import('hnswlib-node');
type Subject = Readonly<{
  name: string;
  Index: Library['HierarchicalNSW'];
  index: HierarchicalNSW;
  build: number[];
  search: number[];
}>;

const require = createRequire(import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'sterna-measure-'));
try {
  const rows = vectors(ROWS, 1);
  const queries = vectors(QUERIES, 2);
  const subjects = VARIANTS.map((variant, at) => load(variant, at, rows));
  for (let round = 0; round < rounds; round++) {
    for (const subject of subjects) {
      const fresh = new subject.Index(SPACE, dim);
      fresh.initIndex(ROWS_BUILT, 16, 200, 100);
      const building = cpuSeconds(() => {
        rows.slice(0, ROWS_BUILT).forEach((row, label) => {
          fresh.addPoint(row, label);
        });
      });
      const searching = cpuSeconds(() => {
        for (const query of queries) subject.index.searchKnn(query, 10);
      });
      subject.build.push(ROWS_BUILT / building);
      subject.search.push(QUERIES / searching);
    }
  }
  report(subjects);
} finally {
  rmSync(folder, { recursive: true });
}

/** Every build searches the same saved graph. */
function load(
  { name, flags }: (typeof VARIANTS)[number],
  at: number,
  rows: readonly number[][],
): Subject {
  const path = join(folder, `addon-${at}.node`);
  const binary = { architecture: 'x64', name, flags } as const;
  writeFileSync(path, buildBinary(binary, join(folder, String(at))));
  const { HierarchicalNSW: Index } = require(path) as Library;
  const saved = join(folder, 'graph');
  if (at === 0) {
    const first = new Index(SPACE, dim);
    first.initIndex(ROWS, 16, 200, 100);
    rows.forEach((row, label) => {
      first.addPoint(row, label);
    });
    first.writeIndexSync(saved);
  }
  const index = new Index(SPACE, dim);
  index.readIndexSync(saved);
  index.setEf(64);
  return { name, Index, index, build: [], search: [] };
}

function vectors(count: number, seed: number): number[][] {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 23 - 1;
  };
  return Array.from({ length: count }, () => {
    const vector = Array.from({ length: dim }, next);
    const length = Math.hypot(...vector);
    return vector.map((value) => value / length);
  });
}

function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  return process.cpuUsage(before).user / 1e6;
}

function report(subjects: readonly Subject[]): void {
  const line = (text: string): boolean => process.stdout.write(`${text}\n`);
  line(
    `${dim} dimensions, ${SPACE}, ${ROWS} rows, ${rounds} rounds: median ratio (smallest-largest)`,
  );
  for (const { name, build, search } of subjects) {
    const cell = (mine: readonly number[], first: readonly number[] = []): string => {
      const ratios = mine
        .map((value, at) => value / (first[at] ?? Number.NaN))
        .sort((a, b) => a - b);
      const shown = [Math.floor(rounds / 2), 0, rounds - 1].map((at) => ratios[at]?.toFixed(2));
      return `${shown[0]} (${shown[1]}-${shown[2]})`;
    };
    line(
      `${name}: build ${cell(build, subjects[0]?.build)}, search ${cell(search, subjects[0]?.search)}`,
    );
  }
  const rate = (values: readonly number[] = []): string =>
    ([...values].sort((a, b) => a - b)[Math.floor(rounds / 2)] ?? 0).toFixed(0);
  line(`1.00 is ${rate(subjects[0]?.build)} rows/s built, ${rate(subjects[0]?.search)} searches/s`);
}
