/**
 * Room on the disk for what LMDB makes when it opens an environment.
 *
 * LMDB maps its lock file and writes to it through the map: where the disk has no room for the page,
 * the kernel ends the process instead of failing a call, and where its data file cannot be begun, its
 * binding does. So the room is asked for before, by a file of our own, whose refusal is an error.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { StoreError } from '#base/errors.ts';
import { systemCode, writeSynced } from './durable-files.ts';

/** LMDB's lock file within the folder of an environment. */
const LOCK_FILE = 'lock.mdb';
/**
 * Two meta pages, the commit that follows (four pages), and the lock file (8,272 bytes for 126 readers), of
 * the largest pages in use, 16 KiB.
 */
const ROOM_BYTES = 7 * 16_384;
const PROBE_FILE = 'room.new';
const NO_ROOM = ['ENOSPC', 'EDQUOT'];

/**
 * Returns where LMDB can open the environment in this folder without taking room on the disk, or
 * where there is room. The folder must exist.
 *
 * @throws StoreError `DIRECTORY_UNUSABLE` naming the folder or the file
 */
export async function ensureRoom(folder: string, dataFile: string): Promise<void> {
  if ((await isOnDisk(join(folder, LOCK_FILE))) && (await isOnDisk(join(folder, dataFile)))) return;
  // Under this name alone, so that what a crash left of it is removed by the next.
  const probe = join(folder, PROBE_FILE);
  try {
    await rm(probe, { force: true });
    await writeSynced(probe, new Uint8Array(ROOM_BYTES));
  } catch (error) {
    const code = systemCode(error) ?? '';
    // Another process opens the same global environment, and asks for the same room.
    if (code === 'EEXIST') return;
    if (!NO_ROOM.includes(code)) throw error;
    throw new StoreError(
      'DIRECTORY_UNUSABLE',
      `${folder} cannot be opened: there is no room on its disk for ${ROOM_BYTES} bytes (${code}); make room outside of the data directory`,
      { cause: error },
    );
  } finally {
    await rm(probe, { force: true });
  }
}

/** Whether a file is there and its first page has a place on the disk. */
async function isOnDisk(file: string): Promise<boolean> {
  const found = await stat(file).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return false;
  if (!found.isFile()) throw new StoreError('DIRECTORY_UNUSABLE', `${file} is not a file`);
  return found.size > 0 && found.blocks > 0;
}
