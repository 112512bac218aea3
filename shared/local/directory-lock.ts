/**
 * One server for each data directory.
 *
 * Node has no flock, and a file with a process id in it survives `kill -9` and lies once the id is
 * used again. LMDB has what is needed: whoever reads a database owns a slot in its reader table and
 * a record lock of the kernel on the lock file, at the offset of its process id. The kernel drops
 * that lock with the process, however it ends, and LMDB clears slots whose lock is gone.
 *
 * So the lock is a slot in the reader table of a tiny environment that nobody reads for any other
 * reason. It is taken inside a write transaction, whose mutex LMDB shares between processes and
 * recovers from a dead owner: of several servers that start together exactly one finds no slot.
 */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { open, type RootDatabase, type Transaction } from 'lmdb';
import { StoreError } from '#base/errors.ts';
import { makeDirectory } from './durable-files.ts';
import { openNaming } from './environment.ts';
import { DATA_FILE } from './environment-check.ts';
import { ensureRoom } from './environment-room.ts';

/** The folder of a data directory that the lock's environment lives in. */
export const LOCK_FOLDER = 'lock';

const HOLDER_KEY = 'holder';
/** One slot is used; the rest is room for servers that start at the same moment. */
const READERS_MAX = 16;

export type DirectoryLock = Readonly<{ release: () => Promise<void> }>;

/** @throws StoreError `DIRECTORY_UNUSABLE` where another server, or this one, holds the directory, or the lock cannot be opened. */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const folder = join(directory, LOCK_FOLDER);
  await makeDirectory(folder);
  await ensureRoom(folder, DATA_FILE);
  const db = openNaming(folder, () =>
    open<string, string>({
      path: folder,
      noSubdir: false,
      overlappingSync: false,
      encoding: 'string',
      maxReaders: READERS_MAX,
    }),
  );
  try {
    const slot = openNaming(folder, () => db.transactionSync(() => takeSlot(db)));
    if (typeof slot === 'string') {
      throw new StoreError(
        'DIRECTORY_UNUSABLE',
        `the data directory ${directory} is in use by ${slot}; stop that server, or name another directory`,
      );
    }
    return {
      release: async () => {
        slot.done();
        await db.close();
      },
    };
  } catch (error) {
    await db.close();
    throw error;
  }
}

/** The slot, or who has it. Runs inside the write transaction. */
function takeSlot(db: RootDatabase<string, string>): Transaction | string {
  db.readerCheck();
  if (readerProcessIds(db.readerList()).length > 0) return holderSentence(db.get(HOLDER_KEY));
  const slot = db.useReadTransaction();
  db.putSync(
    HOLDER_KEY,
    JSON.stringify({ processId: process.pid, host: hostname(), since: new Date().toISOString() }),
  );
  return slot;
}

/** The reader table is text: a heading, then one line for each slot that begins with its process. */
function readerProcessIds(readerList: string): readonly number[] {
  return readerList
    .split('\n')
    .map((line) => /^\s*([0-9]+)\s/.exec(line)?.[1])
    .filter((id) => id !== undefined)
    .map(Number);
}

function holderSentence(json: string | undefined): string {
  if (json === undefined) return 'another server';
  // Only takeSlot writes this row, in this form.
  const holder = JSON.parse(json) as { processId: number; host: string; since: string };
  const who =
    holder.processId === process.pid && holder.host === hostname()
      ? 'this very process'
      : 'another server';
  return `${who} (process ${holder.processId} on ${holder.host}, since ${holder.since})`;
}
