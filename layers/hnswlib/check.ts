/**
 * Whether a binary loads in Lambda's `nodejs24.x`, which is Amazon Linux 2023: glibc 2.34 and the
 * libraries of GCC 11. A binary that asks for more fails when the first function starts, not when it is
 * deployed; so it is asked here.
 */
import { readElf } from './elf.ts';

export type Architecture = 'x64' | 'arm64';

/** What a machine image has. */
export type Image = Readonly<{
  libraries: ReadonlySet<string>;
  /** The newest version of each interface. A family that is not named is not there. */
  newest: Readonly<Record<string, string>>;
}>;

export const AMAZON_LINUX_2023: Image = {
  libraries: new Set([
    'libc.so.6',
    'libgcc_s.so.1',
    'libm.so.6',
    'libstdc++.so.6',
    'ld-linux-x86-64.so.2',
    'ld-linux-aarch64.so.1',
  ]),
  newest: { GLIBC: '2.34', GLIBCXX: '3.4.29', CXXABI: '1.3.13', GCC: '11.0' },
};

const MACHINES: Readonly<Record<Architecture, number>> = { x64: 62, arm64: 183 };
/** Node's stable native interface: the same in every Node since its version was added. */
const NODE_API = /^(napi|node_api)_/;

/** What stands in the way of loading a binary there, one sentence each; nothing where it loads. */
export function imageProblems(
  bytes: Uint8Array,
  architecture: Architecture,
  image: Image = AMAZON_LINUX_2023,
): readonly string[] {
  const elf = readElf(bytes);
  const problems: string[] = [];
  if (elf.machine !== MACHINES[architecture]) {
    problems.push(`compiled for machine ${elf.machine}, not ${MACHINES[architecture]}`);
  }
  for (const library of elf.needed) {
    if (!image.libraries.has(library)) problems.push(`needs ${library}, which is not there`);
  }
  for (const path of elf.searchPaths) problems.push(`searches ${path} for libraries`);
  for (const { library, version } of elf.versions) {
    const [family = '', number = ''] = splitVersion(version);
    const newest = image.newest[family];
    if (newest === undefined || isNewer(number, newest)) {
      problems.push(`needs ${version} of ${library}; there is ${newest ?? 'none of that family'}`);
    }
  }
  for (const symbol of elf.open) {
    if (!NODE_API.test(symbol)) problems.push(`needs ${symbol}, which Node-API does not have`);
  }
  return problems;
}

/** `GLIBCXX_3.4.29` as family and number; what has no number belongs to no family. */
function splitVersion(version: string): readonly string[] {
  return /^([A-Z]+)_([0-9]+(?:\.[0-9]+)*)$/.exec(version)?.slice(1) ?? [];
}

function isNewer(number: string, newest: string): boolean {
  const [left, right] = [number.split('.').map(Number), newest.split('.').map(Number)];
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return false;
}
