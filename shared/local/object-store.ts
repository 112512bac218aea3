/**
 * Objects as files: the object `a/b/c` is the file `objects/a/b/c`.
 *
 * A put writes a temporary file, flushes it, renames it and flushes the directory, in this order. A
 * crash leaves at most a temporary file, which the next open removes: never a part of an object,
 * and never an object whose name is gone after the put has returned.
 */
import { constants } from 'node:fs';
import { copyFile, open, readdir, rename, rm, rmdir, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StoreError } from '#base/errors.ts';
import { checkByteRange, checkObjectKey, checkObjectPrefix, listLimit } from '#ports/arguments.ts';
import type { ByteRange, ListOptions, ObjectInfo, ObjectStore } from '#ports/object-store.ts';
import { DirectoryFlushes, makeDirectory, systemCode, writeSynced } from './durable-files.ts';
import { walkKeys } from './object-walk.ts';

/** Folders that deletions may have left empty; one that is forgotten stays, and costs listings. */
const EMPTIED_MAX = 10_000;

export type ObjectFolders = Readonly<{ objects: string; temporary: string }>;

/** Both folders must be on one file system. Temporary files of an earlier process are removed. */
export async function openObjectStore(folders: ObjectFolders): Promise<ObjectStore> {
  await makeDirectory(folders.objects);
  await makeDirectory(folders.temporary);
  for (const name of await readdir(folders.temporary)) {
    await rm(join(folders.temporary, name), { recursive: true, force: true });
  }
  return new FileObjectStore(folders);
}

class FileObjectStore implements ObjectStore {
  readonly #folders: ObjectFolders;
  readonly #flushes: DirectoryFlushes;
  readonly #emptied = new Set<string>();
  #temporaries = 0;
  /** Puts under way. A folder may be removed only while there is none, see {@link #sweep}. */
  #placing = 0;
  #sweeping: Promise<void> | undefined;

  constructor(folders: ObjectFolders) {
    this.#folders = folders;
    this.#flushes = new DirectoryFlushes(folders.objects);
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    checkObjectKey(key);
    await this.#place(key, (temporary) => writeSynced(temporary, bytes));
  }

  async get(key: string, range?: ByteRange): Promise<Uint8Array> {
    checkObjectKey(key);
    if (range !== undefined) checkByteRange(range);
    try {
      return await readFileRange(this.#path(key), range);
    } catch (error) {
      if (error instanceof EndsEarly) {
        const message = `object ${key} has ${error.sizeBytes} bytes; ${error.expected} were expected`;
        throw new StoreError('DATA_CORRUPT', message);
      }
      throw readFailure(key, error);
    }
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    checkObjectKey(key);
    try {
      const stats = await stat(this.#path(key));
      if (!stats.isFile()) return undefined;
      return { key, sizeBytes: stats.size, modifiedMs: Math.floor(stats.mtimeMs) };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw readFailure(key, error);
    }
  }

  async list(prefix: string, options?: ListOptions): Promise<readonly ObjectInfo[]> {
    checkObjectPrefix(prefix);
    const limit = listLimit(options);
    const infos: ObjectInfo[] = [];
    const keys: string[] = [];
    const addInfos = async () => {
      const found = await Promise.all(keys.splice(0).map((key) => this.head(key)));
      infos.push(...found.filter((info) => info !== undefined));
    };
    for await (const key of walkKeys(this.#folders.objects, prefix, options?.after ?? '')) {
      keys.push(key);
      // An object may be deleted while it is listed; only then does the page need more keys.
      if (infos.length + keys.length === limit) await addInfos();
      if (infos.length === limit) return infos;
    }
    await addInfos();
    return infos;
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) checkObjectKey(key);
    const directories = new Set<string>();
    for (const key of keys) {
      try {
        await unlink(this.#path(key));
        directories.add(dirname(key));
      } catch (error) {
        // A folder is no object: unlinking one fails with EISDIR, or EPERM on macOS.
        if (!isMissing(error) && systemCode(error) !== 'EPERM') throw writeFailure(key, error);
      }
    }
    for (const directory of directories) {
      await this.#flushes.flush(directory).catch(ignoreMissing);
      if (directory !== '.' && this.#emptied.size < EMPTIED_MAX) this.#emptied.add(directory);
    }
    await this.#sweep();
  }

  async copy(from: string, to: string): Promise<void> {
    checkObjectKey(from);
    checkObjectKey(to);
    await this.#place(to, async (temporary) => {
      await copyFile(this.#path(from), temporary, constants.COPYFILE_FICLONE).catch((error) => {
        throw readFailure(from, error);
      });
      const handle = await open(temporary, 'r+');
      await handle.datasync().finally(() => handle.close());
    });
  }

  #path(key: string): string {
    return join(this.#folders.objects, key);
  }

  /** Fills a temporary file and moves it under the key; nothing is under the key before the move. */
  async #place(key: string, fill: (temporary: string) => Promise<void>): Promise<void> {
    while (this.#sweeping !== undefined) await this.#sweeping;
    this.#placing += 1;
    const temporary = join(this.#folders.temporary, `${process.pid}-${++this.#temporaries}`);
    let moved = false;
    try {
      await fill(temporary);
      await this.#flushes.make(dirname(key));
      await rename(temporary, this.#path(key));
      moved = true;
      await this.#flushes.flush(dirname(key));
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw moved ? uncertain(key, error) : writeFailure(key, error);
    } finally {
      this.#placing -= 1;
    }
  }

  /**
   * Removes folders that deletions left empty, unless a put is under way; then a later delete does.
   * A put that moved its file into a folder which was removed and made again beside it could return
   * before the new folder's own name is on the disk.
   */
  async #sweep(): Promise<void> {
    if (this.#placing > 0 || this.#sweeping !== undefined) return;
    this.#sweeping = this.#removeEmptied().finally(() => {
      this.#sweeping = undefined;
    });
    await this.#sweeping;
  }

  async #removeEmptied(): Promise<void> {
    for (const directory of this.#emptied) {
      this.#emptied.delete(directory);
      for (let path = directory; path !== '.'; path = dirname(path)) {
        try {
          await rmdir(this.#path(path));
          this.#flushes.forget(path);
        } catch {
          // Not empty, or removed already with one of its folders: nothing else to do above it.
          break;
        }
      }
    }
  }
}

class EndsEarly extends Error {
  readonly sizeBytes: number;
  readonly expected: string;

  constructor(sizeBytes: number, expected: string) {
    super('the file ends early');
    this.sizeBytes = sizeBytes;
    this.expected = expected;
  }
}

async function readFileRange(path: string, range: ByteRange | undefined): Promise<Uint8Array> {
  const handle = await open(path, 'r');
  try {
    const offset = range?.offset ?? 0;
    const length = range?.length ?? (await handle.stat()).size;
    // Memory of its own that starts at an aligned address, so that columns can be read in place.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
    for (let at = 0; at < length; ) {
      const { bytesRead } = await handle.read(bytes, at, length - at, offset + at);
      if (bytesRead === 0) {
        const { size } = await handle.stat();
        throw new EndsEarly(size, `bytes ${offset} to ${offset + length}`);
      }
      at += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

/** The key names nothing, a folder, or something below an object. */
const isMissing = (error: unknown): boolean =>
  ['ENOENT', 'EISDIR', 'ENOTDIR'].includes(systemCode(error) ?? '');

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}

function readFailure(key: string, error: unknown): StoreError {
  if (isMissing(error)) return new StoreError('OBJECT_NOT_FOUND', `there is no object ${key}`);
  const reason = systemCode(error) ?? String(error);
  return new StoreError('UNCERTAIN', `object ${key} could not be read: ${reason}`, {
    cause: error,
  });
}

/** A full disk and a full table of open files are met before anything is under the key. */
function writeFailure(key: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const code = systemCode(error) ?? '';
  if (['ENOTDIR', 'EEXIST', 'EISDIR', 'ENOTEMPTY'].includes(code)) {
    const message = `${key} cannot be an object: it is a folder, or a part of it is an object`;
    return new StoreError('INVALID_ARGUMENT', message, { cause: error });
  }
  if (['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE'].includes(code)) {
    return new StoreError('OVERLOADED', `object ${key} was not written: ${code}`, { cause: error });
  }
  return uncertain(key, error);
}

function uncertain(key: string, error: unknown): StoreError {
  const reason = systemCode(error) ?? String(error);
  const message = `object ${key} may not have been written, or not be on the disk: ${reason}`;
  return new StoreError('UNCERTAIN', message, { cause: error });
}
