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
import { makeDirectory } from './durable-files.ts';
import { systemEntropy } from './entropy.ts';
import { databaseNames, type Environment, openEnvironment } from './environment.ts';
import { checkEnvironment, DATA_FILE } from './environment-check.ts';
import {
  type DirectoryFormat,
  FORMAT_FILE,
  type FormatState,
  readFormat,
  writeFormat,
} from './format-file.ts';
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
 * A first start makes things in this order: `format.json` that says unfinished, the environments,
 * `format.json` without that word. One that dies in between is finished by the next start; later on a
 * missing or an empty file is lost data and refused, never made again.
 *
 * @throws StoreError `DIRECTORY_UNUSABLE` where another server has it, it holds something else, or a
 * file of it is missing or damaged; `FORMAT_TOO_NEW` where a newer Sterna wrote it
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
    const claimed = await claim(path);
    undo.push(claimed.lock.release);
    const isOwn = globalPath === join(path, GLOBAL_FOLDER);
    if (isOwn && claimed.state.ownGlobal) await requireGlobal(globalPath);
    const globalState = await prepare(globalPath, 'sterna-global', []);
    const machine = openClock();
    const clock = options.clock ?? machine;
    const regional = await openClosing(join(path, 'regional'), claimed.state, undo);
    const global = await openClosing(join(globalPath, 'table'), globalState, undo);
    refuseSwapped(regional, join(path, 'regional'), global, join(globalPath, 'table'));
    // The inner one first: what the outer one says of it is then true.
    await finish(globalPath, 'sterna-global', globalState, false);
    await finish(path, 'sterna-data', claimed.state, isOwn || claimed.state.ownGlobal);
    const objects = await openObjectStore({
      objects: join(path, 'objects'),
      temporary: join(path, 'tmp'),
    });
    const log = openLog(regional, clock);
    undo.push(async () => log.close());
    // Arrivals never fall. On a machine whose clock was set back since, every new record would
    // arrive past its deadline, and its payload look old enough to be collected.
    machine.notBefore(log.lastArrivalMs());
    const regionalTable = openTable(regional);
    const globalTable = openTable(global);
    const entropy = systemEntropy;
    return { directory: path, objects, log, regionalTable, globalTable, clock, entropy, close };
  } catch (error) {
    await close();
    throw unusable(path, error);
  }
}

const LOCK_REMEDY = 'it holds nothing but the lock: delete that folder while no server uses it';

/** Locks the directory and makes it a data directory where it is none yet. */
async function claim(path: string): Promise<{ lock: DirectoryLock; state: FormatState }> {
  // Looked at before the lock's folder is created, so that nothing is added to a foreign directory.
  await readFormat(path, 'sterna-data', [LOCK_FOLDER]);
  await makeDirectory(path);
  await checkEnvironment(join(path, LOCK_FOLDER), 'new', LOCK_REMEDY);
  const lock = await lockDirectory(path);
  try {
    return { lock, state: await prepare(path, 'sterna-data', [LOCK_FOLDER]) };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** Begins to make a directory one of the format; of one that is, says how far that came. */
async function prepare(
  path: string,
  format: DirectoryFormat,
  ignored: readonly string[],
): Promise<FormatState> {
  const found = await readFormat(path, format, ignored);
  if (found !== undefined) return found;
  const begun = { unfinished: true, ownGlobal: false };
  await makeDirectory(path);
  await writeFormat(path, format, begun);
  return begun;
}

/** Says that everything the directory is made of is there. Before this nothing is acknowledged. */
async function finish(
  path: string,
  format: DirectoryFormat,
  state: FormatState,
  ownGlobal: boolean,
): Promise<void> {
  if (!state.unfinished && state.ownGlobal === ownGlobal) return;
  await writeFormat(path, format, { unfinished: false, ownGlobal });
}

/** @throws StoreError `DIRECTORY_UNUSABLE` where the global directory, which was made, is gone */
async function requireGlobal(globalPath: string): Promise<void> {
  if ((await readFormat(globalPath, 'sterna-global', ['table'])) !== undefined) return;
  throw new StoreError(
    'DIRECTORY_UNUSABLE',
    `${join(globalPath, FORMAT_FILE)} is missing, although this data directory had a global table there: restore the whole directory from a copy`,
  );
}

/**
 * Each is whole, and in the place of the other it would look empty. A log is made before the table
 * beside it, and a global table has none.
 *
 * @throws StoreError `DIRECTORY_UNUSABLE`
 */
function refuseSwapped(
  regional: Environment,
  regionalPath: string,
  global: Environment,
  globalPath: string,
): void {
  const [inRegional, inGlobal] = [databaseNames(regional), databaseNames(global)];
  const lacksLog = inRegional.includes('table') && !inRegional.includes('log');
  if (!lacksLog && !inGlobal.includes('log')) return;
  const [found, expected] = lacksLog
    ? [join(regionalPath, DATA_FILE), 'log and regional table']
    : [join(globalPath, DATA_FILE), 'global table'];
  throw new StoreError(
    'DIRECTORY_UNUSABLE',
    `${found} is another file than this directory's ${expected}: restore the whole directory from a copy`,
  );
}

async function openClosing(
  path: string,
  state: FormatState,
  undo: (() => Promise<void>)[],
): Promise<Environment> {
  const environment = await openEnvironment(path, state.unfinished ? 'new' : 'made');
  undo.push(() => environment.close());
  return environment;
}

function unusable(path: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  // A system error's message holds its code, the call, and the path.
  const reason = error instanceof Error ? error.message : String(error);
  const message = `the data directory ${path} cannot be opened: ${reason}`;
  return new StoreError('DIRECTORY_UNUSABLE', message, { cause: error });
}
