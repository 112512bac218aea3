/** LMDB environments, opened and committed so that what a promise says is on the disk. */
import { open as openFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Database, open, type RootDatabase } from 'lmdb';
import { isStoreError, StoreError } from '#base/errors.ts';
import { makeDirectory, syncDirectory } from './durable-files.ts';
import { checkEnvironment, DATA_FILE, type EnvironmentAge } from './environment-check.ts';
import { ensureRoom } from './environment-room.ts';
import { isSealed, unseal } from './sealed-rows.ts';

export type Environment = RootDatabase<Buffer, Buffer>;
/** `file`: what errors call the file that the rows lie in. */
export type Rows = Readonly<{ db: Database<Buffer, Buffer>; file: string }>;

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
 * @throws StoreError `DIRECTORY_UNUSABLE` where the file is damaged, a `made` one is missing, or LMDB
 * cannot open it
 */
export async function openEnvironment(path: string, age: EnvironmentAge): Promise<Environment> {
  await checkEnvironment(path, age, REMEDIES[age], isSealed);
  await makeDirectory(path);
  await ensureRoom(path, DATA_FILE);
  const environment = openNaming(path, () =>
    open<Buffer, Buffer>({
      path,
      noSubdir: false,
      overlappingSync: false,
      encoding: 'binary',
      keyEncoding: 'binary',
      maxDbs: DATABASES_MAX,
      eventTurnBatching: false,
    }),
  );
  names.set(environment, `${basename(path)}/${DATA_FILE}`);
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

/**
 * Calls LMDB on the environment in a folder; it does not say in its errors which one that is.
 *
 * @throws StoreError `DIRECTORY_UNUSABLE` naming the folder
 */
export function openNaming<T>(folder: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw new StoreError('DIRECTORY_UNUSABLE', `${folder} cannot be opened: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** LMDB's words for a write of which the disk took a part only. */
const PARTLY_WRITTEN = /^(Error: )?Input\/output error$/;

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return PARTLY_WRITTEN.test(message) ? `${message}: no space is left, or the disk fails` : message;
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

/** Names of the databases that were made in an environment; lmdb ends them with a zero byte. */
export const databaseNames = (environment: Environment): readonly string[] =>
  [...environment.getKeys()].map((name) => name.toString('latin1').replace('\u0000', ''));

export const openRows = (environment: Environment, name: string): Rows => ({
  db: environment.openDB<Buffer, Buffer>(name, { encoding: 'binary', keyEncoding: 'binary' }),
  file: names.get(environment) ?? DATA_FILE,
});

/** Within the data directory: what clients are told, who need not know where that is. */
const names = new WeakMap<Environment, string>();

/**
 * What is stored under a key; undefined where nothing is.
 *
 * @throws StoreError `DATA_CORRUPT`
 */
export function readSealed({ db, file }: Rows, key: Buffer): Buffer | undefined {
  const stored = db.getBinary(key);
  return stored && unseal(file, key, stored);
}

/**
 * Runs `action` inside a write transaction and resolves with its answer once the transaction is on
 * the disk. Actions of concurrent callers share a transaction, in the order of their calls, and are
 * not rolled back one by one: an action decides before it writes, and does not throw.
 *
 * @throws StoreError `UNCERTAIN` where the commit failed
 */
export async function commit<T>(rows: Rows, what: string, action: () => T): Promise<T> {
  try {
    return await rows.db.transaction(action);
  } catch (error) {
    if (isStoreError(error)) throw error;
    const reason = await commitFailure(error);
    const message = `the disk did not take ${what} for ${rows.file}: ${reason}`;
    throw new StoreError('UNCERTAIN', message, { cause: error });
  }
}

/**
 * lmdb rejects with a general message and hands the true one over in a promise, which must be
 * caught and may settle a moment later.
 */
async function commitFailure(error: unknown): Promise<string> {
  const message = reasonOf(error);
  if (!(error instanceof Error) || !('commitError' in error)) return message;
  const later = Promise.resolve(error.commitError).then(reasonOf, reasonOf);
  return Promise.race([later, nextTurn(message)]);
}

/**
 * The rows of a range, read at once: lmdb keeps a read snapshot for a turn of the event loop, and
 * with another process at the same environment that snapshot may be older than a write that this
 * caller has heard of, so every read begins with a new one.
 */
export function freshly(rows: Rows): Rows {
  rows.db.resetReadTxn();
  return rows;
}

/** A view of lmdb's buffer as plain bytes: `slice` of a Buffer would share memory. */
export const plainBytes = (buffer: Buffer, from = 0): Uint8Array =>
  new Uint8Array(buffer.buffer, buffer.byteOffset + from, buffer.length - from);
