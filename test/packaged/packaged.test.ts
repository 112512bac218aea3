/** What `npm run package` made runs: each function in its own processes, through all the services. */
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import { deploy } from '../support/lambda/deployed.ts';
import type { Stack } from '../support/lambda/stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await deploy();
});
afterAll(() => stack.close());
beforeEach(() => onTestFailed(() => console.error(stack.log())));

/** An envelope of the API, or what the gateway says. */
type Reply = Readonly<{ status: number; body: Readonly<Record<string, unknown>> }>;

async function post(path: string, body: object): Promise<Reply> {
  const answer = await fetch(`${stack.url}/v2/vectordb/${path}`, {
    method: 'POST',
    headers: { authorization: 'Bearer root:Milvus', 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  // Every door answers with JSON here.
  return { status: answer.status, body: (await answer.json()) as Reply['body'] };
}

test('a collection is made, filled, searched, applied, compacted, proved and searched again', async () => {
  const collectionName = 'smoke';
  expect(await post('collections/create', { collectionName, dimension: 4 })).toMatchObject({
    status: 200,
    body: { code: 0 },
  });
  const data = Array.from({ length: 10 }, (_, id) => ({ id, vector: [id + 1, 1, 1, 1] }));
  expect((await post('entities/insert', { collectionName, data })).body).toMatchObject({
    code: 0,
    data: { insertCount: 10 },
  });
  const search = { collectionName, data: [[9, 1, 1, 1]], limit: 3, outputFields: ['id'] };
  const before = (await post('entities/search', search)).body;
  expect(before).toMatchObject({ code: 0, data: [{ id: 8 }, { id: 9 }, { id: 7 }] });

  await stack.eventSource.idle();
  expect(stack.watch.counts.get('s3 PutObject')).toBeGreaterThan(0);
  expect((await post('entities/search', search)).body['data']).toEqual(before['data']);

  expect(await stack.schedule('compact').run()).toMatchObject({
    kind: 'result',
    payload: { failures: 0, complete: true },
  });
  for (const name of ['collect', 'scrub']) {
    expect(await stack.schedule(name).run()).toMatchObject({
      kind: 'result',
      payload: { failures: 0, complete: true, shards: 1 },
    });
  }
  expect((await post('entities/search', search)).body['data']).toEqual(before['data']);
  // Each door led to its own function, and the password was fetched once in the deployment's life.
  const used = Object.entries(stack.functions).filter(([, { counts }]) => counts.invocations > 0);
  expect(used.map(([key]) => key).toSorted()).toEqual([
    'admin',
    'apply',
    'collect',
    'compact',
    'read',
    'scrub',
    'write',
  ]);
  expect(stack.watch.counts.get('secretsmanager GetSecretValue')).toBe(1);
});

test('what no route names goes to $default: preflights, verbs that are not built, unknown paths', async () => {
  const preflight = await fetch(`${stack.url}/v2/vectordb/entities/insert`, { method: 'OPTIONS' });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
  expect((await post('resource_groups/create', {})).body).toMatchObject({ code: 3000 });
  const unknown = await fetch(`${stack.url}/nowhere`);
  expect([unknown.status, await unknown.text()]).toEqual([404, '404 page not found']);
});
