/**
 * The graph addon as it is vendored for Lambda: rebuilt to the same bytes, and run by Node 24 on both
 * architectures. Needs Debian 12's g++ for both and QEMU's user emulation; it says so where they are not.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ARCHITECTURES,
  BINARIES,
  buildBinary,
  committedFacts,
  FOLDER,
  sha256,
  toolsOf,
} from '../../layers/hnswlib/build.ts';
import { type Architecture, imageProblems } from '../../layers/hnswlib/check.ts';
import { CASES, fileOf, type Outcome } from '../support/layer/exercise.ts';
import { ForeignNode, type Ran } from '../support/layer/foreign-node.ts';
import { agreement, judge } from '../support/layer/judge.ts';

const named = BINARIES.map((binary) => [`${binary.architecture}/${binary.name}`, binary] as const);
const MAIN = join(import.meta.dirname, '../support/layer/exercise-main.ts');
let scratch = '';

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'sterna-layer-'));
});
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

describe.each(named)('%s, compiled again', (name, binary) => {
  it('has the committed bytes, in whichever folder', () => {
    const { architecture } = binary;
    const { gcc, binutils, binaries } = committedFacts(architecture);
    // Other tools give other bytes, rightly: then compare on Debian 12, or run `npm run layer` and commit.
    expect(toolsOf(architecture)).toEqual({ gcc, binutils });
    for (const folder of ['a', 'another/folder of some length']) {
      const bytes = buildBinary(binary, join(scratch, folder, name));
      expect(sha256(bytes), folder).toBe(binaries[binary.name]?.sha256);
    }
  });
});

describe.each(named.filter(([name]) => name.endsWith('/addon.node')))(
  '%s, linked wrongly',
  (name, binary) => {
    const wrong = ['-static-libstdc++', '-Wl,-rpath,/opt/lib', '-Wl,--no-as-needed,-lresolv'];

    it('is refused for each of three faults', () => {
      const bytes = buildBinary(binary, join(scratch, 'wrong', name), wrong);
      const problems = imageProblems(bytes, binary.architecture);
      // Debian 12's own libstdc++, linked in, wants its own glibc.
      const newer = /^needs GLIBC_2\.3[5-9] of libc\.so\.6; there is 2\.34$/;
      expect(problems).toContainEqual(expect.stringMatching(newer));
      expect(problems).toContain('searches /opt/lib for libraries');
      expect(problems).toContain('needs libresolv.so.2, which is not there');
    });
  },
);

describe('under Node 24', () => {
  const nodes = new Map<Architecture, ForeignNode>();
  const outcomes = new Map<Architecture, Outcome>();

  async function run(
    architecture: Architecture,
    library: string,
    folder: string,
    cpu?: string,
  ): Promise<Ran> {
    const node = nodes.get(architecture) ?? new ForeignNode(architecture);
    nodes.set(architecture, node);
    return await node.run([MAIN, join(FOLDER, library), folder, architecture], cpu);
  }

  function outcomeOf({ stdout, stderr, ok }: Ran): Outcome {
    expect(ok, stderr).toBe(true);
    // Printed by exercise-main.ts.
    return JSON.parse(stdout) as Outcome;
  }

  beforeAll(async () => {
    const folder = join(scratch, 'graphs');
    mkdirSync(folder);
    // The first saves its graphs; the second finds them, and leaves its own to the first's second run.
    for (const architecture of [...ARCHITECTURES, ...ARCHITECTURES]) {
      outcomes.set(architecture, outcomeOf(await run(architecture, 'index.cjs', folder)));
    }
  });
  afterAll(() => {
    for (const node of nodes.values()) node.close();
  });

  it('each architecture loads its own binary and keeps tiny numbers', () => {
    for (const architecture of ARCHITECTURES) {
      const outcome = outcomes.get(architecture);
      expect(outcome).toMatchObject({ architecture, keepsTiny: true });
      expect(outcome?.loaded).toHaveLength(1);
      expect(outcome?.loaded[0]).toContain(join(FOLDER, architecture));
    }
  });

  it.each(CASES.map((of) => [of.space, of.dim, of] as const))(
    'both find the neighbours by %s in %d dimensions, in their own graph and in the other one',
    (_space, _dim, of) => {
      for (const by of ARCHITECTURES) {
        const file = fileOf(by, of);
        const [left = [], right = []] = ARCHITECTURES.map(
          (architecture) => outcomes.get(architecture)?.answers[file],
        );
        for (const answers of [left, right]) {
          const verdict = judge(of, answers);
          expect(verdict.recall).toBeGreaterThan(0.95);
          expect(verdict.largestError).toBeLessThan(1e-5);
        }
        expect(agreement(left, right)).toBeGreaterThan(0.99);
      }
    },
  );

  it('the plain x64 binary runs on a processor without AVX, where the fast one dies', async () => {
    const folder = join(scratch, 'old');
    mkdirSync(folder);
    const plain = outcomeOf(await run('x64', 'x64/addon.node', folder, 'Nehalem'));
    for (const of of CASES) {
      expect(judge(of, plain.answers[fileOf('x64', of)] ?? []).recall).toBeGreaterThan(0.95);
    }
    const fast = await run('x64', 'x64/addon-v3.node', folder, 'Nehalem');
    expect(fast.ok).toBe(false);
    expect(fast.stderr).toContain('Illegal instruction');
  });
});
