/** A machine whose clock was set back while the server was down, against the times in its log. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLocal } from '#local/open-directory.ts';
import { startServer } from '../../support/server.ts';

const HOUR_MS = 3_600_000;

/** A data directory whose log was last written to an hour from now. */
async function directoryFromTheFuture(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sterna-test-'));
  const clock = { nowMs: () => Date.now() + HOUR_MS, sleep: async () => {} };
  const local = await openLocal(dir, { clock });
  await local.log.append('someone', new Uint8Array([1]));
  await local.close();
  return dir;
}

test('what is acknowledged afterwards is there after apply, large payloads too', async () => {
  const server = await startServer({ dir: await directoryFromTheFuture() });
  try {
    const collectionName = 'c';
    await server.must('collections/create', { collectionName, dimension: 512 });
    const vector = Array.from({ length: 512 }, (_, at) => at / 512);
    const data = Array.from({ length: 20 }, (_, id) => ({ id, vector }));
    await server.must('entities/insert', { collectionName, data });
    await server.must('entities/insert', { collectionName, data: [{ id: 20, vector }] });
    await server.must('collections/flush', { collectionName });
    const query = { collectionName, filter: '', outputFields: ['count(*)'] };
    const { data: rows } = await server.must('entities/query', query);
    expect(rows).toEqual([{ 'count(*)': 21 }]);
  } finally {
    await server.close();
  }
});
