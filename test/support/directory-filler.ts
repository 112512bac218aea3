/**
 * A process that appends to the log of the data directory it is given until the disk takes no more,
 * then says, as a line of JSON, what was acknowledged and what it still reads. For the test of the
 * full disk, which starts it with a limit on the size of files.
 *
 *     node directory-filler.ts DIR
 */
import { isStoreError } from '#base/errors.ts';
import { openLocal } from '#local/open-directory.ts';

/** Far more than the limit lets through. */
const APPENDS_MAX = 1_000;

const platform = await openLocal(process.argv[2] ?? '');
const acknowledged: string[] = [];
let refusal = '';
while (refusal === '' && acknowledged.length < APPENDS_MAX) {
  try {
    const { sequence } = await platform.log.append('p', new Uint8Array(50_000));
    acknowledged.push(sequence);
  } catch (error) {
    refusal = isStoreError(error) ? error.code : String(error);
  }
}
const entries = await platform.log.read('shard-0', { limit: 10_000 });
console.log(
  JSON.stringify({ acknowledged, refusal, read: entries.map((entry) => entry.sequence) }),
);
await platform.close();
