/** A folder for files that nobody needs after this process: graphs that are loaded by file name. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StoreError } from '#base/errors.ts';

const SCRATCH_FOLDER = 'scratch';

/**
 * The scratch folder of a data directory, empty. What a crash left there belongs to nobody: the caller
 * holds the directory's lock. The folder itself stays: it may be a file system of its own.
 *
 * @throws StoreError `DIRECTORY_UNUSABLE`
 */
export async function emptyScratch(directory: string): Promise<string> {
  const path = join(directory, SCRATCH_FOLDER);
  try {
    await mkdir(path, { recursive: true });
    for (const name of await readdir(path)) await rm(join(path, name), { recursive: true });
    return path;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StoreError('DIRECTORY_UNUSABLE', `${path} cannot be emptied: ${reason}`, {
      cause: error,
    });
  }
}
