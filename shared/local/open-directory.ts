/**
 * The embedded platform: everything a server keeps, in one directory.
 *
 * Layout and versions: docs/formats/data-directory.md. Why LMDB, files and this lock:
 * docs/adr/0002-embedded-storage.md.
 */
import { join, resolve } from 'node:path';
import { StoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Log } from '#ports/log.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import { openClock } from './clock.ts';
import { type DirectoryLock, LOCK_FOLDER, lockDirectory } from './directory-lock.ts';
import { makeDirectory, systemCode } from './durable-files.ts';
import { systemEntropy } from './entropy.ts';
import { type Environment, openEnvironment } from './environment.ts';
import { type DirectoryFormat, hasFormat, writeFormat } from './format-file.ts';
import { openLog } from './log.ts';
import { openObjectStore } from './object-store.ts';
import { openTable } from './table.ts';

/**
 * `globalDir`: where the global table lives, `DIR/global` by default; several servers may
 * open the same one at a time. `clock`: the log's own, the machine's by default.
 */
export type OpenLocalOptions = Readonly<{ globalDir?: string; clock?: Clock }>;

export type LocalPlatform = Readonly<{
  directory: string;
  objects: ObjectStore;
  log: Log;
  regionalTable: Table;
  globalTable: Table;
  clock: Clock;
  entropy: Entropy;
  /** Waits for commits under way, closes the databases, then releases the directory. */
  close: () => Promise<void>;
}>;

const GLOBAL_FOLDER = 'global';

/**
 * Opens a data directory, making one where there is none.
 *
 * @throws StoreError `DIRECTORY_UNUSABLE` where another server has it, or it holds something else;
 * `FORMAT_TOO_NEW` where a newer Sterna wrote it
 */
export async function openLocal(
  directory: string,
  options: OpenLocalOptions = {},
): Promise<LocalPlatform> {
  const path = resolve(directory);
  const globalPath = resolve(options.globalDir ?? join(path, GLOBAL_FOLDER));
  const undo: (() => Promise<void>)[] = [];
  const close = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    undo.push((await claim(path)).release);
    await prepare(globalPath, 'sterna-global', []);
    const clock = options.clock ?? openClock();
    const regional = await openClosing(join(path, 'regional'), undo);
    const global = await openClosing(join(globalPath, 'table'), undo);
    const objects = await openObjectStore({
      objects: join(path, 'objects'),
      temporary: join(path, 'tmp'),
    });
    const log = openLog(regional, clock);
    undo.push(async () => log.close());
    const regionalTable = openTable(regional);
    const globalTable = openTable(global);
    const entropy = systemEntropy;
    return { directory: path, objects, log, regionalTable, globalTable, clock, entropy, close };
  } catch (error) {
    await close();
    throw unusable(path, error);
  }
}

/** Locks the directory and makes it a data directory where it is none yet. */
async function claim(path: string): Promise<DirectoryLock> {
  // Looked at before the lock's folder is created, so that nothing is added to a foreign directory.
  await hasFormat(path, 'sterna-data', [LOCK_FOLDER]);
  await makeDirectory(path);
  const lock = await lockDirectory(path);
  try {
    await prepare(path, 'sterna-data', [LOCK_FOLDER]);
    return lock;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** Makes a directory one of the format; a crash before the format file leaves it as good as empty. */
async function prepare(
  path: string,
  format: DirectoryFormat,
  ignored: readonly string[],
): Promise<void> {
  if (await hasFormat(path, format, ignored)) return;
  await makeDirectory(path);
  await writeFormat(path, format);
}

async function openClosing(path: string, undo: (() => Promise<void>)[]): Promise<Environment> {
  const environment = await openEnvironment(path);
  undo.push(() => environment.close());
  return environment;
}

function unusable(path: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const reason = systemCode(error) ?? (error instanceof Error ? error.message : String(error));
  const message = `the data directory ${path} cannot be opened: ${reason}`;
  return new StoreError('DIRECTORY_UNUSABLE', message, { cause: error });
}
