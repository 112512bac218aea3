/**
 * A process that opens a data directory and commits to both of its tables until it is killed, with
 * values of all sizes, some overwritten within the commit that brought them. It says a line after
 * each round.
 *
 *     node directory-committer.ts DIR [GLOBAL_DIR]
 */
import { openLocal } from '#local/open-directory.ts';

const [directory = '', globalDir] = process.argv.slice(2);
/** From a row within a page to a value of 25 pages. */
const SIZES = [10, 900, 5_000, 100_000];

const platform = await openLocal(directory, globalDir === undefined ? {} : { globalDir });
for (let round = 0; ; round++) {
  const writes = [platform.regionalTable, platform.globalTable].flatMap((table) =>
    SIZES.flatMap((size) => {
      const key = { partition: `committer ${process.pid}`, sort: `${round % 40} ${size}` };
      return [table.put(key, new Uint8Array(size)), table.put(key, new Uint8Array(round % 300))];
    }),
  );
  await Promise.all(writes);
  console.log(round);
}
