/**
 * Compiles the addon for Lambda, for both architectures on either, with the compilers of Debian 12.
 *
 * Equal sources give equal bytes: the compiler runs in a folder that holds nothing but the sources, all
 * paths are relative to it, its environment is empty, and nothing that names a build or a compiler stays
 * in the file.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Architecture } from './check.ts';
import { gatherSources, type Sources, versionOf } from './sources.ts';

export const FOLDER = import.meta.dirname;
export const ARCHITECTURES: readonly Architecture[] = ['x64', 'arm64'];

/** The names that Debian gives to compilers of either kind, native or cross. */
export const TOOLCHAINS: Readonly<Record<Architecture, string>> = {
  x64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
};
export const PACKAGES: Readonly<Record<Architecture, string>> = {
  x64: 'g++-x86-64-linux-gnu (on x64: g++)',
  arm64: 'g++-aarch64-linux-gnu (on arm64: g++)',
};

/** As `node-gyp` compiles it, and nothing visible but the entry that Node looks for. */
const COMPILE = [
  ...['-std=gnu++17', '-O3', '-fPIC', '-pthread', '-fno-rtti'],
  ...['-fvisibility=hidden', '-fvisibility-inlines-hidden', '-fno-gnu-unique', '-fno-ident'],
  ...['-DNAPI_DISABLE_CPP_EXCEPTIONS', '-DNODE_GYP_MODULE_NAME=addon', '-DBUILDING_NODE_EXTENSION'],
  '-Iinclude',
];
/** All symbols are bound when it is loaded, so one that is missing is found then. */
const LINK = ['-shared', '-s', '-Wl,--build-id=none', '-Wl,--as-needed', '-Wl,-z,relro,-z,now'];

/**
 * Sums may be formed in another order: without that a sum of products is one chain of additions. Not
 * `-ffast-math`: GCC 12 then links code that makes the whole process treat tiny numbers as 0.
 */
const REORDER = ['-fassociative-math', '-fno-signed-zeros', '-fno-trapping-math'];
/** Four sums at a time, so that an addition need not wait for the one before it. */
const FOUR_SUMS = [
  ...['-funroll-loops', '-fvariable-expansion-in-unroller'],
  ...['--param', 'max-variable-expansions-in-unroller=3'],
];

export type Binary = Readonly<{
  architecture: Architecture;
  name: string;
  flags: readonly string[];
}>;

/** Tuned for Graviton2, the oldest that Lambda has; it runs on every AArch64. */
export const BINARIES: readonly Binary[] = [
  { architecture: 'x64', name: 'addon.node', flags: [...REORDER, ...FOUR_SUMS] },
  {
    architecture: 'x64',
    name: 'addon-v3.node',
    flags: ['-march=x86-64-v3', ...REORDER, ...FOUR_SUMS],
  },
  { architecture: 'arm64', name: 'addon.node', flags: ['-mtune=neoverse-n1', ...REORDER] },
];

/** What `build.json` beside the binaries says. */
export type BuildFacts = Readonly<{
  'hnswlib-node': string;
  'node-addon-api': string;
  gcc: string;
  binutils: string;
  binaries: Readonly<Record<string, Readonly<{ inputs: string; sha256: string }>>>;
}>;

export const sha256 = (bytes: Uint8Array | string): string =>
  createHash('sha256').update(bytes).digest('hex');

/** One hash of everything that we give to the compiler. */
export function inputsOf(binary: Binary, sources: Sources): string {
  return sha256(JSON.stringify([COMPILE, LINK, binary.flags, [...sources]]));
}

/**
 * Compiles one binary in a folder that it fills.
 *
 * @param linkFlags more for the linker; only the test of the checks has any
 * @throws Error that names what to install where a compiler is missing
 */
export function buildBinary(
  binary: Binary,
  folder: string,
  linkFlags: readonly string[] = [],
  sources: Sources = gatherSources(),
): Uint8Array {
  for (const [path, text] of sources) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const { architecture, flags } = binary;
  const compile = [...COMPILE, ...flags, 'src/addon.cc', ...LINK, ...linkFlags, '-o', 'addon.node'];
  run(architecture, 'g++', compile, folder);
  // What is left of the compiler's name comes from the start files of the C library.
  run(architecture, 'objcopy', ['-R', '.comment', 'addon.node'], folder);
  return readFileSync(join(folder, 'addon.node'));
}

/** Versions of the tools that the hashes hang on. */
export function toolsOf(architecture: Architecture): Pick<BuildFacts, 'gcc' | 'binutils'> {
  const binutils = run(architecture, 'objcopy', ['--version'], FOLDER).split('\n', 1)[0] ?? '';
  return {
    gcc: run(architecture, 'g++', ['-dumpfullversion'], FOLDER).trim(),
    binutils: /[0-9]+(\.[0-9]+)+$/.exec(binutils)?.[0] ?? binutils,
  };
}

export const versions = (): Pick<BuildFacts, 'hnswlib-node' | 'node-addon-api'> => ({
  'hnswlib-node': versionOf('hnswlib-node'),
  'node-addon-api': versionOf('node-addon-api'),
});

/** What is committed for an architecture. */
export function committedFacts(architecture: Architecture): BuildFacts {
  // Written by rebuild.ts from a BuildFacts.
  return JSON.parse(readFileSync(join(FOLDER, architecture, 'build.json'), 'utf8')) as BuildFacts;
}

export const committedBinary = ({ architecture, name }: Binary): Uint8Array =>
  readFileSync(join(FOLDER, architecture, name));

function run(
  architecture: Architecture,
  tool: string,
  args: readonly string[],
  cwd: string,
): string {
  const program = `${TOOLCHAINS[architecture]}-${tool}`;
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' };
  try {
    return execFileSync(program, args, { cwd, env, encoding: 'utf8' });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    throw new Error(`no ${program}: on Debian 12 \`apt-get install ${PACKAGES[architecture]}\``);
  }
}
