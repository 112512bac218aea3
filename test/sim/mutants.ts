/**
 * `npm run mutants [-- --sample K] [--only NAME] [--histories N] [--seed S] [--verify]`: what the
 * simulator is worth. Each patch in `mutants/` plants one protocol bug into a copy of the tree, and
 * the copy runs histories until one breaks an invariant. The last line says how many were caught.
 *
 * The first line of a patch names the invariant and says in a sentence what is wrong; it is written
 * before anybody looks whether an oracle catches it. `--verify` also asks of each mutant what a bug
 * worth planting must do: survive 50 histories in which nothing goes wrong, and the unit tests of the
 * chapters that it touches.
 */
import { spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    sample: { type: 'string' },
    only: { type: 'string' },
    histories: { type: 'string', default: '300' },
    seed: { type: 'string' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    verify: { type: 'boolean', default: false },
  },
});

const FOLDER = 'test/sim/mutants';
const COPIED = ['package.json', 'tsconfig.json', 'vitest.config.ts', 'shared', 'test'];
/** Histories without faults that a bug worth planting survives. */
const CALM_HISTORIES = 50;

type Verdict = Readonly<{
  name: string;
  invariant: string;
  caught: boolean;
  /** Histories up to the one that failed, it included. */
  after: number;
  by: string;
  survivesCalm: boolean | undefined;
  survivesUnits: boolean | undefined;
}>;

/** Patches that do not apply: the code moved on, and they must follow. */
const outdated: string[] = [];
const seed = values.seed ?? String(randomInt(2 ** 31));

function chosen(): readonly string[] {
  const all = readdirSync(FOLDER)
    .filter((file) => file.endsWith('.patch'))
    .map((file) => file.slice(0, -'.patch'.length))
    .sort();
  const named = values.only === undefined ? all : values.only.split(',');
  const count = values.sample === undefined ? named.length : Number(values.sample);
  const from = Number(seed) % named.length;
  // A sample is another one for another seed, and goes round all of them.
  return Array.from({ length: Math.min(count, named.length) }, (_, index) => {
    return named[(from + index) % named.length] ?? '';
  }).sort();
}

/** A copy of the tree with the bug in it. */
function plant(name: string): string | undefined {
  const dir = mkdtempSync(join(tmpdir(), `mutant-${name}-`));
  for (const part of COPIED) cpSync(part, join(dir, part), { recursive: true });
  symlinkSync(resolve('node_modules'), join(dir, 'node_modules'));
  const patch = resolve(FOLDER, `${name}.patch`);
  const { status, stderr } = spawnSync('git', ['apply', '--whitespace=nowarn', patch], {
    cwd: dir,
    encoding: 'utf8',
  });
  if (status === 0) return dir;
  rmSync(dir, { recursive: true });
  console.log(`${name}.patch does not apply any more: ${stderr.trim()}`);
  outdated.push(name);
  return undefined;
}

type Ended = Readonly<{ status: number | null; text: string }>;

const simulate = (dir: string, args: readonly string[]): Promise<Ended> =>
  run(dir, ['test/sim/main.ts', '--no-shrink', '--jobs', '1', ...args]);

/** The unit tests of the chapters that the patch touches. */
function testUnits(dir: string, patch: string): Promise<Ended> {
  const chapters = [...patch.matchAll(/^\+\+\+ b\/shared\/([a-z]+)\//gm)].map((match) => match[1]);
  const folders = chapters.map((chapter) => `test/unit/${chapter}`);
  const there = folders.filter((folder) => existsSync(join(dir, folder)));
  if (there.length === 0) return Promise.resolve({ status: 0, text: '' });
  return run(dir, [resolve('node_modules/vitest/vitest.mjs'), 'run', ...there]);
}

function run(dir: string, args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    child.stdout.on('data', (data: Buffer) => {
      text += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      text += data.toString();
    });
    child.on('close', (status) => resolve({ status, text }));
  });
}

/** Undefined where the patch does not apply. */
async function judge(name: string): Promise<Verdict | undefined> {
  const patch = readFileSync(join(FOLDER, `${name}.patch`), 'utf8');
  const head = patch.split('\n', 1)[0] ?? '';
  const invariant = head.split(':', 1)[0] ?? '';
  const dir = plant(name);
  if (dir === undefined) return undefined;
  try {
    const wanted = ['--first', '--histories', values.histories, '--seed', seed];
    const { status, text } = await simulate(dir, wanted);
    const found = /^seed \d+: (.*)$/m.exec(text)?.[1];
    const after = Number(/^sim: (\d+) histories/m.exec(text)?.[1] ?? 0);
    const calm = values.verify
      ? await simulate(dir, ['--calm', '--histories', String(CALM_HISTORIES), '--seed', seed])
      : undefined;
    const units = values.verify ? await testUnits(dir, patch) : undefined;
    return {
      name,
      invariant,
      caught: found !== undefined || (status !== 0 && after === 0),
      after,
      by: found ?? (status === 0 ? '' : (text.trim().split('\n').at(-1) ?? '')),
      survivesCalm: calm && calm.status === 0,
      survivesUnits: units && units.status === 0,
    };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const BY_CHARACTERS = 110;
const names = [...chosen()];
const total = names.length;
console.log(
  `mutants: ${total} of them, up to ${values.histories} histories each, seeds from ${seed}`,
);
const verdicts: Verdict[] = [];
const work = async (): Promise<void> => {
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const verdict = await judge(name);
    if (verdict === undefined) continue;
    verdicts.push(verdict);
    const { caught, after, invariant, by, survivesCalm, survivesUnits } = verdict;
    const units = survivesUnits === false ? ', FAILS UNIT TESTS' : '';
    const calm = `${survivesCalm === false ? ', FAILS IN CALM' : ''}${units}`;
    const how = caught ? `caught after ${after}: ${by.slice(0, BY_CHARACTERS)}` : 'NOT CAUGHT';
    console.log(`${name.padEnd(28)} ${invariant.padEnd(4)} ${how}${calm}`);
  }
};
await Promise.all(Array.from({ length: Number(values.jobs) }, work));
const missed = verdicts.filter(({ caught }) => !caught).map(({ name }) => name);
const byInvariant = Map.groupBy(verdicts, ({ invariant }) => invariant);
for (const [invariant, own] of [...byInvariant].sort(([a], [b]) => (a < b ? -1 : 1))) {
  console.log(`${invariant}: ${own.filter(({ caught }) => caught).length} of ${own.length}`);
}
if (outdated.length > 0) {
  console.log(`do not apply: ${outdated.join(', ')}`);
  process.exitCode = 1;
}
if (missed.length > 0) console.log(`not caught: ${missed.join(', ')}`);
console.log(`caught ${verdicts.length - missed.length} of ${total}`);
