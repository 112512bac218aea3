/** A checkout as it is where the graph library could not be installed. */
import { cp, mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = new URL('../..', import.meta.url).pathname;
const LIBRARY = 'hnswlib-node';

/**
 * `absent`: npm left the optional package out. `not compiled`: it is there, and its addon is not, as
 * where scripts of packages are not run.
 */
export type Lacking = 'absent' | 'not compiled';

/**
 * Copies the program to `dir` beside links to all packages but the graph library, since Node looks for
 * packages beside a file's true path.
 */
export async function copyTreeWithout(lacking: Lacking, dir: string): Promise<void> {
  const packages = join(ROOT, 'node_modules');
  await mkdir(join(dir, 'node_modules'), { recursive: true });
  await cp(join(ROOT, 'shared'), join(dir, 'shared'), { recursive: true });
  await cp(join(ROOT, 'package.json'), join(dir, 'package.json'));
  for (const name of await readdir(packages)) {
    if (name === LIBRARY || name.startsWith('.')) continue;
    await symlink(join(packages, name), join(dir, 'node_modules', name));
  }
  if (lacking === 'absent') return;
  await cp(join(packages, LIBRARY), join(dir, 'node_modules', LIBRARY), {
    recursive: true,
    filter: (path) => !path.startsWith(join(packages, LIBRARY, 'build')),
  });
}
