/**
 * The Node of the lockfile for another processor, run by QEMU's emulation of a single program. Fetched as
 * npm fetches it, and used only where it has the lockfile's checksum.
 */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PACKAGES, TOOLCHAINS } from '../../../layers/hnswlib/build.ts';
import type { Architecture } from '../../../layers/hnswlib/check.ts';

const QEMU: Readonly<Record<Architecture, string>> = { x64: 'qemu-x86_64', arm64: 'qemu-aarch64' };
/** A few MB: no more than an outcome of exercise.ts. */
const OUTPUT_BYTES_MAX = 32 * 1024 * 1024;

export type Ran = Readonly<{ stdout: string; stderr: string; ok: boolean }>;

/** A Node for an architecture: the one that runs this where it is the same. */
export class ForeignNode {
  readonly architecture: Architecture;
  readonly #folder: string | undefined;

  constructor(architecture: Architecture) {
    this.architecture = architecture;
    this.#folder = process.arch === architecture ? undefined : unpack(architecture);
  }

  /** @param cpu a processor for QEMU to imitate; without one the native Node runs on the real one */
  async run(args: readonly string[], cpu?: string): Promise<Ran> {
    const node = this.#folder === undefined ? process.execPath : join(this.#folder, 'bin/node');
    const isNative = this.#folder === undefined && cpu === undefined;
    const [program = '', ...rest] = isNative ? [node] : this.#emulated(node, cpu);
    try {
      const { stdout, stderr } = await promisify(execFile)(program, [...rest, ...args], {
        maxBuffer: OUTPUT_BYTES_MAX,
      });
      return { stdout, stderr, ok: true };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if ('code' in error && error.code === 'ENOENT') throw needQemu(program);
      // What execFile rejects with carries the output.
      const { stdout, stderr } = error as Error & { stdout: string; stderr: string };
      return { stdout, stderr, ok: false };
    }
  }

  close(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true });
  }

  #emulated(node: string, cpu: string | undefined): string[] {
    const isForeign = this.#folder !== undefined;
    // The cross compiler's package brings the C library that a foreign program needs.
    const root = isForeign ? ['-L', `/usr/${TOOLCHAINS[this.architecture]}`] : [];
    return [QEMU[this.architecture], ...root, ...(cpu === undefined ? [] : ['-cpu', cpu]), node];
  }
}

const needQemu = (program: string): Error =>
  new Error(`no ${program}: on Debian 12 \`apt-get install qemu-user ${PACKAGES.arm64}\``);

function unpack(architecture: Architecture): string {
  const name = `node-linux-${architecture}`;
  // A lockfile of version 3 has its packages by path.
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { version: string; integrity: string }>;
  };
  const locked = lock.packages[`node_modules/${name}`];
  if (locked === undefined) throw new Error(`${name} is not in package-lock.json`);
  const folder = mkdtempSync(join(tmpdir(), `sterna-${name}-`));
  try {
    const file = `${name}-${locked.version}.tgz`;
    const args = ['pack', `${name}@${locked.version}`, '--silent', '--pack-destination', folder];
    execFileSync('npm', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    const archive = join(folder, file);
    const integrity = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
    if (integrity !== locked.integrity) throw new Error(`${file} is not the one of the lockfile`);
    const only = ['--strip-components=1', 'package/bin/node'];
    execFileSync('tar', ['-xzf', archive, '-C', folder, ...only]);
    rmSync(archive);
    return folder;
  } catch (error) {
    rmSync(folder, { recursive: true });
    throw error;
  }
}
