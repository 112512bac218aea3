/** File systems of a test's own, which can be filled, sealed and seen under two names. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Mounts to take down, the newest last. */
const mounted: string[] = [];

function run(program: string, ...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return;
  throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}

/** Why no file system can be mounted here; undefined where one can. */
export async function whyNoMount(): Promise<string | undefined> {
  const path = await mkdtemp(join(tmpdir(), 'sterna-mount-'));
  try {
    mountMemory(path, 1024 * 1024);
    unmount(path);
    return undefined;
  } catch (error) {
    return String(error);
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

/** An empty file system in memory on an existing folder. */
export function mountMemory(path: string, sizeBytes: number): void {
  run('mount', '-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'sterna-test', path);
  mounted.push(path);
}

/** Makes another existing folder the same folder. */
export function bindMount(path: string, also: string): void {
  run('mount', '--bind', path, also);
  mounted.push(also);
}

export const resize = (path: string, sizeBytes: number): void =>
  run('mount', '-o', `remount,size=${sizeBytes}`, path);

/** Fails with EBUSY while a file is open for writing. */
export const seal = (path: string): void => run('mount', '-o', 'remount,ro', path);
export const unseal = (path: string): void => run('mount', '-o', 'remount,rw', path);

/** A file that is being written takes milliseconds; 100 looks of 50 ms see a moment without one. */
const SEAL_ATTEMPTS_MAX = 100;
const SEAL_PAUSE_MS = 50;

/**
 * A second view of a folder through which nothing can be written. The folder is busy while a server
 * writes a file in it, so sealing is tried until it is not.
 */
export function bindSealed(path: string, also: string): void {
  bindMount(path, also);
  for (let attempt = 1; ; attempt++) {
    try {
      run('mount', '-o', 'remount,bind,ro', also);
      return;
    } catch (error) {
      if (attempt === SEAL_ATTEMPTS_MAX || !String(error).includes('busy')) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SEAL_PAUSE_MS);
    }
  }
}

/** Also where a process that is about to end still has it open. */
export function unmount(path: string): void {
  run('umount', '--lazy', path);
  mounted.splice(mounted.lastIndexOf(path), 1);
}

/** For `afterEach`, once no server runs on them any more. */
export function unmountLeftovers(): void {
  for (const path of mounted.slice().reverse()) unmount(path);
}

/** Takes all the room that a file system has but for `leftBytes`, in whole pages. */
export async function fillUp(path: string, leftBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(path);
  const takenBytes = Math.max(0, bavail * bsize - leftBytes);
  await writeFile(join(path, BALLAST), new Uint8Array(takenBytes));
}

export const makeRoom = (path: string): Promise<void> => truncate(join(path, BALLAST), 0);

const BALLAST = 'ballast';
