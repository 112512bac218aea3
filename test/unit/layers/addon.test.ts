import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ARCHITECTURES,
  BINARIES,
  committedBinary,
  committedFacts,
  FOLDER,
  inputsOf,
  sha256,
  versions,
} from '../../../layers/hnswlib/build.ts';
import { AMAZON_LINUX_2023, imageProblems } from '../../../layers/hnswlib/check.ts';
import { gatherSources, licences } from '../../../layers/hnswlib/sources.ts';
import { CASES, exercise, fileOf, type Outcome } from '../../support/layer/exercise.ts';
import { agreement, judge } from '../../support/layer/judge.ts';

const require = createRequire(import.meta.url);
// CommonJS, so that a function's zip can hold it as it is.
const { hasX64V3 } = require('../../../layers/hnswlib/x64/cpu.cjs') as {
  hasX64V3(cpuInfo: string): boolean;
};
const named = BINARIES.map((binary) => [`${binary.architecture}/${binary.name}`, binary] as const);

describe.each(named)('%s', (_name, binary) => {
  const { architecture, name } = binary;

  it('is the one that its facts and sums describe', () => {
    const sum = sha256(committedBinary(binary));
    expect(committedFacts(architecture).binaries[name]?.sha256).toBe(sum);
    const sums = readFileSync(join(FOLDER, architecture, 'SHA256SUMS'), 'utf8');
    expect(sums.split('\n')).toContain(`${sum}  ${name}`);
  });

  it('was compiled from the installed sources with the flags of today', () => {
    const committed = committedFacts(architecture).binaries[name]?.inputs;
    expect(committed, 'run `npm run layer`').toBe(inputsOf(binary, gatherSources()));
  });

  it('loads on Amazon Linux 2023', () => {
    expect(imageProblems(committedBinary(binary), architecture)).toEqual([]);
  });

  it('holds no path of the machine that compiled it', () => {
    const text = Buffer.from(committedBinary(binary)).toString('latin1');
    expect(text.match(/\/(?:tmp|home|root|usr|var|work|opt)\/[\w./-]+/g)).toBeNull();
    expect(text).not.toContain('GCC: (');
  });
});

it('multiplies and adds four numbers at a time on arm64, though hnswlib has no NEON code', () => {
  const bytes = readFileSync(join(FOLDER, 'arm64/addon.node'));
  let found = 0;
  // FMLA Vd.4S, Vn.4S, Vm.4S: instructions are words of 4 bytes, registers in the bits that are masked.
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    if ((bytes.readUInt32LE(at) & 0xffe0fc00) >>> 0 === 0x4e20cc00) found++;
  }
  // One loop for L2 and one for the inner product at least; compiled without our flags there is none.
  expect(found).toBeGreaterThan(1);
});

describe('the check of a binary', () => {
  const [first] = BINARIES;
  const sound = Buffer.from(first === undefined ? [] : committedBinary(first));

  /** A copy in which one text of the symbol tables reads otherwise. */
  function doctored(from: string, to: string): Buffer {
    expect(from.length).toBe(to.length);
    const copy = Buffer.from(sound);
    const at = copy.indexOf(`\0${from}\0`, 0, 'latin1');
    expect(at).toBeGreaterThan(0);
    copy.write(to, at + 1, 'latin1');
    return copy;
  }

  it.each([
    ['GLIBC_2.29', 'GLIBC_2.36', 'needs GLIBC_2.36 of libm.so.6; there is 2.34'],
    ['GLIBCXX_3.4.29', 'GLIBCXX_3.4.30', 'needs GLIBCXX_3.4.30 of libstdc++.so.6; there is 3.4.29'],
    ['CXXABI_1.3.9', 'CXXABI_1.4.9', 'needs CXXABI_1.4.9 of libstdc++.so.6; there is 1.3.13'],
    ['GLIBC_2.14', 'GLIBC_PRIV', 'needs GLIBC_PRIV of libc.so.6; there is none of that family'],
    ['libm.so.6', 'libx.so.6', 'needs libx.so.6, which is not there'],
    ['napi_throw', 'mapi_throw', 'needs mapi_throw, which Node-API does not have'],
  ])('finds %s that became %s', (from, to, problem) => {
    expect(imageProblems(doctored(from, to), 'x64')).toContain(problem);
  });

  it('finds a binary for another processor', () => {
    expect(imageProblems(sound, 'arm64')).toEqual(['compiled for machine 62, not 183']);
  });

  it('finds what an older image lacks', () => {
    const newest = { ...AMAZON_LINUX_2023.newest, GLIBC: '2.26' };
    expect(imageProblems(sound, 'x64', { ...AMAZON_LINUX_2023, newest })).toEqual([
      'needs GLIBC_2.29 of libm.so.6; there is 2.26',
    ]);
  });

  it.each([
    ['a text', Buffer.from('#!/bin/sh\necho not a library at all, but long enough to look into\n')],
    ['an empty file', Buffer.alloc(0)],
    ['the first half', sound.subarray(0, sound.length / 2)],
  ])('refuses %s', (_what, bytes) => {
    expect(() => imageProblems(bytes, 'x64')).toThrow();
  });
});

describe('the vendored folder', () => {
  it('is of the version in package.json', () => {
    const { optionalDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
      optionalDependencies: Record<string, string>;
    };
    expect(versions()['hnswlib-node']).toBe(optionalDependencies['hnswlib-node']);
    for (const architecture of ARCHITECTURES) {
      expect(committedFacts(architecture)).toMatchObject(versions());
    }
  });

  it('carries the licences of what it was compiled from, and says what was changed', () => {
    const text = readFileSync(join(FOLDER, 'LICENSES.txt'), 'utf8');
    expect(text).toBe(licences());
    expect(text.match(/Apache License\n +Version 2\.0/g)).toHaveLength(2);
    expect(text).toContain('The MIT License (MIT)');
    expect(text).toContain('Sterna changed one line of hnswlib');
  });
});

describe('the choice of a binary', () => {
  const v3 =
    'cx16 lahf_lm pni popcnt sse4_1 sse4_2 ssse3 abm avx avx2 bmi1 bmi2 f16c fma movbe xsave';

  it('takes the fast one where the kernel lists all that it needs', () => {
    expect(hasX64V3(`processor\t: 0\nflags\t\t: fpu ${v3} avx512f\nbogomips\t: 5000\n`)).toBe(true);
  });

  it.each(v3.split(' '))('takes the plain one without %s', (flag) => {
    const without = v3.split(' ').filter((each) => each !== flag);
    expect(hasX64V3(`flags\t\t: fpu ${without.join(' ')} ht\n`)).toBe(false);
  });

  it('takes the plain one where nothing is listed', () => {
    expect(hasX64V3('')).toBe(false);
    expect(hasX64V3(`model name\t: ${v3}\n`)).toBe(false);
  });
});

describe('on this machine', () => {
  const cpuInfo = readFileSync('/proc/cpuinfo', 'utf8');
  const runnable = BINARIES.filter(
    ({ architecture, name }) =>
      architecture === process.arch && (name === 'addon.node' || hasX64V3(cpuInfo)),
  );
  const libraries = [
    ['index', join(FOLDER, 'index.cjs')],
    ...runnable.map(({ architecture, name }) => [
      name.replace('.node', ''),
      join(FOLDER, architecture, name),
    ]),
  ] as [string, string][];
  const outcomes = new Map<string, Outcome>();
  let folder = '';

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sterna-addon-'));
    for (const [by, library] of libraries) outcomes.set(by, exercise(library, folder, by));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  it('runs a binary of its own architecture at least', () => {
    expect(runnable.length).toBeGreaterThan(0);
    expect([...outcomes.values()].map(({ keepsTiny }) => keepsTiny)).not.toContain(false);
  });

  it('loads the fastest that it can run', () => {
    expect(outcomes.get('index')?.loaded[0]).toBe(
      join(FOLDER, process.arch, runnable.at(-1)?.name ?? ''),
    );
  });

  it.each(CASES.flatMap((of) => libraries.map(([by]) => [by, of.space, of.dim, of] as const)))(
    '%s finds the neighbours by %s in %d dimensions, in every saved graph',
    (by, _space, _dim, of) => {
      const answers = outcomes.get(by)?.answers ?? {};
      for (const [other] of libraries.slice(0, libraries.findIndex(([name]) => name === by) + 1)) {
        const verdict = judge(of, answers[fileOf(other, of)] ?? []);
        expect(verdict.recall).toBeGreaterThan(0.95);
        expect(verdict.largestError).toBeLessThan(1e-5);
      }
    },
  );

  it('gives the same neighbours from one graph, whichever binary searches it', () => {
    const last = outcomes.get(libraries.at(-1)?.[0] ?? '')?.answers ?? {};
    for (const of of CASES) {
      const file = fileOf('index', of);
      const first = outcomes.get('index')?.answers[file] ?? [];
      expect(agreement(first, last[file] ?? [])).toBeGreaterThan(0.99);
    }
  });
});
