/** LMDB environments, opened and committed so that what a promise says is on the disk. */
import { open as openFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Database, open, type RootDatabase } from 'lmdb';
import { isStoreError, StoreError } from '#base/errors.ts';
import { makeDirectory, syncDirectory } from './durable-files.ts';
import { checkEnvironment, DATA_FILE, type EnvironmentAge } from './environment-check.ts';

export type Environment = RootDatabase<Buffer, Buffer>;
export type Rows = Database<Buffer, Buffer>;

/** The log has two databases and the table one; the rest is room for the next format. */
const DATABASES_MAX = 8;

const REMEDIES: Readonly<Record<EnvironmentAge, string>> = {
  made: 'what was stored in it cannot be read: restore the whole directory from a copy',
  new: 'the directory was never completely made, so that this file holds nothing that was acknowledged: delete it and start again',
};

/**
 * Opens the environment in a directory of its own; a `new` one is created, and on the disk as a
 * whole when this returns, so that it may be called made.
 *
 * `overlappingSync` off: a commit is LMDB's own, which flushes the pages, then the meta page, and
 * only then reports success. With it on, promises resolve before the flush. Writers do not wait for
 * each other's flushes one by one all the same: what is asked for while a commit runs becomes the
 * next commit as a whole. `eventTurnBatching` off: with it on, lmdb adds a promise to each batch that
 * nobody holds, and a full disk ends the process with an unhandled rejection. `mapSize` is not given:
 * lmdb then doubles the map as the data grows.
 *
 * @throws StoreError `DIRECTORY_UNUSABLE` where the file is damaged, or a `made` one is missing
 */
export async function openEnvironment(path: string, age: EnvironmentAge): Promise<Environment> {
  await checkEnvironment(path, age, REMEDIES[age]);
  await makeDirectory(path);
  const environment: Environment = open({
    path,
    noSubdir: false,
    overlappingSync: false,
    encoding: 'binary',
    keyEncoding: 'binary',
    maxDbs: DATABASES_MAX,
    eventTurnBatching: false,
  });
  try {
    if (age === 'new') await flush(join(path, DATA_FILE));
    // LMDB flushes its file with every commit, but not the file's name.
    await syncDirectory(path);
    return environment;
  } catch (error) {
    await environment.close();
    throw error;
  }
}

/** LMDB writes the first meta pages of a file without a flush. */
async function flush(file: string): Promise<void> {
  const handle = await openFile(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export const openRows = (environment: Environment, name: string): Rows =>
  environment.openDB<Buffer, Buffer>(name, { encoding: 'binary', keyEncoding: 'binary' });

/**
 * Runs `action` inside a write transaction and resolves with its answer once the transaction is on
 * the disk. Actions of concurrent callers share a transaction, in the order of their calls, and are
 * not rolled back one by one: an action decides before it writes, and does not throw.
 *
 * @throws StoreError `UNCERTAIN` where the commit failed
 */
export async function commit<T>(rows: Rows, what: string, action: () => T): Promise<T> {
  try {
    return await rows.transaction(action);
  } catch (error) {
    if (isStoreError(error)) throw error;
    const reason = await commitFailure(error);
    throw new StoreError('UNCERTAIN', `the disk did not take ${what}: ${reason}`, { cause: error });
  }
}

/**
 * lmdb rejects with a general message and hands the true one over in a promise, which must be
 * caught and may settle a moment later.
 */
async function commitFailure(error: unknown): Promise<string> {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof Error) || !('commitError' in error)) return message;
  const later = Promise.resolve(error.commitError).then(String, String);
  return Promise.race([later, nextTurn(message)]);
}

/**
 * The rows of a range, read at once: lmdb keeps a read snapshot for a turn of the event loop, and
 * with another process at the same environment that snapshot may be older than a write that this
 * caller has heard of, so every read begins with a new one.
 */
export function freshly(rows: Rows): Rows {
  rows.resetReadTxn();
  return rows;
}

/** A view of lmdb's buffer as plain bytes: `slice` of a Buffer would share memory. */
export const plainBytes = (buffer: Buffer, from = 0): Uint8Array =>
  new Uint8Array(buffer.buffer, buffer.byteOffset + from, buffer.length - from);
