/** `clusters/scrub` and `sterna scrub`: a clean bill where all is well, else the name of what is not. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLI, run } from '../support/e2e-process.ts';
import { ROOT, startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
  const rows = Array.from({ length: 300 }, (_, id) => ({ id, vector: [id, 1, 0, -1] }));
  for (const collectionName of ['terns', 'gulls']) {
    const params = { shardsNum: 2 };
    await server.must('collections/create', { collectionName, dimension: 4, params });
    await server.must('entities/insert', { collectionName, data: rows });
    await server.must('collections/flush', { collectionName });
  }
  await server.must('snapshots/create', { collectionName: 'terns', snapshotName: 'monday' });
  const clone = { collectionName: 'terns', targetCollectionName: 'clone' };
  await server.must('collections/clone', clone);
});
afterAll(() => server.close());

async function scrub(body: object) {
  const response = await fetch(`${server.url}/v2/clusters/scrub`, {
    method: 'POST',
    headers: { authorization: ROOT },
    body: JSON.stringify(body),
  });
  // biome-ignore lint/suspicious/noExplicitAny: assertions look into it
  return (await response.json()) as any;
}

/** As the command line does: until everything was read. */
async function whole(body: object) {
  let { data } = await scrub({ ...body, full: true });
  for (let call = 0; data.complete !== true && call < 20; call++) ({ data } = await scrub(body));
  expect(data.complete).toBe(true);
  return data;
}

const findings = (data: { shards: { damaged: { key: string }[]; missing: { key: string }[] }[] }) =>
  data.shards.flatMap(({ damaged, missing }) => [...damaged, ...missing].map(({ key }) => key));

test('everything is read and nothing is damaged', async () => {
  const data = await whole({});
  expect(data.shards).toHaveLength(6);
  expect(findings(data)).toEqual([]);
  expect(data.shards.reduce((sum: number, { rows }: { rows: number }) => sum + rows, 0)).toBe(900);
  expect(data.pins).toMatchObject({ complete: true, damaged: [], missing: [] });
  expect(data.unknown).toEqual([]);
  const one = await whole({ collectionName: 'gulls' });
  expect(one.shards).toHaveLength(2);
  expect(one).not.toHaveProperty('pins');
});

test('a request that it does not understand is refused', async () => {
  expect(await scrub({ full: 'yes' })).toMatchObject({ code: 1801, retry: 'never' });
  expect(await scrub({ collectionName: 'petrels' })).toMatchObject({ code: 100 });
});

test('the command line prints a table and ends with 0, and with 1 where an object is damaged', async () => {
  const clean = await run([CLI, 'scrub', '--full', '--url', server.url]);
  expect(clean).toMatchObject({ code: 0 });
  expect(clean.stdout).toContain('nothing is damaged');
  expect(clean.stdout).toContain('(snapshots)');

  const { objects } = server.ports;
  const [segment] = (await objects.list('collections/')).filter(({ key }) =>
    key.includes('/segment/'),
  );
  if (segment === undefined) throw new Error('a segment');
  const bytes = await objects.get(segment.key);
  bytes[200] = (bytes[200] ?? 0) ^ 4;
  await objects.put(segment.key, bytes);
  const damaged = await run([CLI, 'scrub', '--full', '--url', server.url]);
  expect(damaged).toMatchObject({ code: 1 });
  expect(damaged.stdout).toContain(`damaged: ${segment.key}`);
  const asJson = await run([CLI, 'scrub', '--json', '--url', server.url]);
  expect(asJson).toMatchObject({ code: 1, stderr: '' });
  expect(findings(JSON.parse(asJson.stdout))).toContain(segment.key);
});
