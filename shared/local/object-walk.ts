import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from './durable-files.ts';

/** What a file manager leaves in a folder, such as `.DS_Store`, is no object. */
const OBJECT_STEP = /^[a-z0-9._-]+$/;

/**
 * The keys below `root` that start with `prefix` and come after `after`, in bytewise order. Only
 * the folders that can hold such keys are read, each when the walk gets there.
 */
export async function* walkKeys(
  root: string,
  prefix: string,
  after: string,
): AsyncGenerator<string> {
  // Keys of one folder share it, so the walk starts at the deepest folder that the prefix names.
  yield* walkFolder(root, prefix.slice(0, prefix.lastIndexOf('/') + 1), prefix, after);
}

async function* walkFolder(
  root: string,
  folder: string,
  prefix: string,
  after: string,
): AsyncGenerator<string> {
  for (const name of await readNames(join(root, folder))) {
    const path = folder + name;
    if (name.endsWith('/')) {
      const canMatch = path.startsWith(prefix) || prefix.startsWith(path);
      const isPast = path < after && !after.startsWith(path);
      if (canMatch && !isPast) yield* walkFolder(root, path, prefix, after);
    } else if (path.startsWith(prefix) && path > after) {
      yield path;
    }
  }
}

/**
 * The names in a folder, folders with a slash behind them, in the order of the keys they lead to:
 * with the slash, because `a-b` comes before `a/b` and `a0` after it.
 */
async function readNames(path: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries
      .filter((entry) => OBJECT_STEP.test(entry.name))
      .map((entry) => entry.name + (entry.isDirectory() ? '/' : ''))
      .sort();
  } catch (error) {
    // Removed since it was listed, or never there.
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return [];
    throw error;
  }
}
