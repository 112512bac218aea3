/**
 * A process that opens the data directory it is given, says so, and holds it until its standard
 * input ends. For the tests of the directory's lock.
 *
 *     node directory-holder.ts DIR [GLOBAL_DIR COUNT]
 *
 * With COUNT it then raises a counter in the global table that often, by compare-and-set.
 */
import { isStoreError } from '#base/errors.ts';
import { openLocal } from '#local/open-directory.ts';
import { raiseCounter } from './counter.ts';

const [directory = '', globalDir, count = '0'] = process.argv.slice(2);

try {
  const platform = await openLocal(directory, globalDir === undefined ? {} : { globalDir });
  for (let raised = 0; raised < Number(count); raised++) await raiseCounter(platform.globalTable);
  console.log('open');
  process.stdin.resume();
  process.stdin.on('end', () => platform.close());
} catch (error) {
  console.log(isStoreError(error) ? `${error.code} ${error.message}` : String(error));
}
