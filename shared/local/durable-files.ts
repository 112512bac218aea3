/**
 * Files and directories that are on the disk when a promise resolves.
 *
 * A file's name is an entry of its directory, so that three things must reach the disk in this
 * order: the bytes, the name, and the names of the directories above it.
 */
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** The code of a system error such as `ENOENT`; undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Waits until the directory's names are on the disk. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Creates a directory with everything above it and waits until all their names are on the disk;
 * those that exist are left alone.
 *
 * One name at a time: Node's recursive `mkdir` never ends where the directory above is there and
 * still no name can be made in it, as below `/proc`.
 */
export async function makeDirectory(path: string): Promise<void> {
  const parent = dirname(path);
  if (parent !== path && !(await isDirectory(parent))) await makeDirectory(parent);
  try {
    await mkdir(path);
  } catch (error) {
    if (!(await isDirectory(path))) throw error;
  }
  // Also where it was there: who made it may have died before the flush.
  await syncDirectory(parent);
}

const isDirectory = (path: string): Promise<boolean> =>
  stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );

/** Writes a new file and waits until its bytes are on the disk; its name may not be, yet. */
export async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(bytes);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

/** Puts a small file under its name as a whole, replacing another; durable when it returns. */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const fresh = `${path}.${process.pid}.new`;
  await rm(fresh, { force: true });
  await writeSynced(fresh, bytes);
  await rename(fresh, path);
  await syncDirectory(dirname(path));
}

/**
 * Makes directories durable once, and lets everybody who puts a name into one directory at the same
 * time share its flushes.
 */
export class DirectoryFlushes {
  readonly #root: string;
  /** Directories below the root whose own names are known to be on the disk. */
  readonly #made = new Map<string, Promise<void>>();
  readonly #flushes = new Map<string, Flush>();

  constructor(root: string) {
    this.#root = root;
  }

  /** Creates a directory below the root, given relative to it; durable when it returns. */
  async make(relative: string): Promise<void> {
    if (relative === '.' || relative === '') return;
    const known = this.#made.get(relative);
    if (known !== undefined) return known;
    // A process before this one may have died between making the directory and flushing its name,
    // so the first use flushes the parent even where the directory is there already.
    const making = this.#make(relative);
    if (this.#made.size >= MADE_DIRECTORIES_MAX) this.#made.clear();
    this.#made.set(relative, making);
    making.catch(() => this.#made.delete(relative));
    return making;
  }

  /** Forgets a directory that was removed, so that the next user makes it again. */
  forget(relative: string): void {
    this.#made.delete(relative);
  }

  /** Waits for a flush of the directory that begins after this call. */
  async flush(relative: string): Promise<void> {
    const flush = this.#flushes.get(relative) ?? { running: undefined, next: undefined };
    this.#flushes.set(relative, flush);
    if (flush.running === undefined) return this.#run(relative, flush);
    flush.next ??= flush.running.then(
      () => this.#run(relative, flush),
      () => this.#run(relative, flush),
    );
    return flush.next;
  }

  async #make(relative: string): Promise<void> {
    const parent = dirname(relative);
    await this.make(parent);
    await mkdir(join(this.#root, relative), { recursive: true });
    await this.flush(parent);
  }

  #run(relative: string, flush: Flush): Promise<void> {
    const running = syncDirectory(join(this.#root, relative)).finally(() => {
      if (flush.next === undefined) this.#flushes.delete(relative);
      flush.running = undefined;
    });
    flush.running = running;
    flush.next = undefined;
    return running;
  }
}

type Flush = { running: Promise<void> | undefined; next: Promise<void> | undefined };

/** A few hundred bytes each; a directory that was forgotten is only flushed once more. */
const MADE_DIRECTORIES_MAX = 10_000;
