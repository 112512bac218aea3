/** What an operator looks at beside the verbs: metrics, health, and what the log keeps to itself. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startServer();
  const params = { shardsNum: 2 };
  await server.must('collections/create', { collectionName: 'terns', dimension: 2, params });
  const data = Array.from({ length: 50 }, (_, id) => ({ id, vector: [id, 1] }));
  await server.must('entities/insert', { collectionName: 'terns', data });
  await server.must('entities/query', { collectionName: 'terns' });
});
afterAll(() => server.close());

/** Name and labels of every sample, with its value. */
async function samples(): Promise<ReadonlyMap<string, number>> {
  const response = await fetch(`${server.url}/metrics`);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
  const text = await response.text();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  for (const line of lines) expect(line).toMatch(/^[a-z_][a-z0-9_]*(\{[^}]*\})? \S+$/i);
  return new Map(
    lines.map((line): [string, number] => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

const ofLevels = (found: ReadonlyMap<string, number>, name: string): number =>
  [...found]
    .filter(([sample]) => sample.startsWith(`${name}{`))
    .reduce((sum, [, value]) => sum + value, 0);

describe('metrics', () => {
  test('requests by verb and code, with their durations', async () => {
    const found = await samples();
    const path = 'path="/v2/vectordb/entities/insert"';
    expect(found.get(`sterna_http_requests_total{code="0",${path}}`)).toBe(1);
    expect(found.get(`sterna_http_request_duration_ms_count{${path}}`)).toBe(1);
  });

  test('what is stored: collections, rows, and how they lie in tail and segments', async () => {
    const before = await samples();
    expect(before.get('sterna_collections')).toBe(1);
    expect(before.get('sterna_rows')).toBe(50);
    expect(
      (before.get('sterna_tail_rows') ?? Number.NaN) + ofLevels(before, 'sterna_segment_rows'),
    ).toBe(50);

    await server.must('collections/flush', { collectionName: 'terns' });
    const flushed = await samples();
    expect(flushed.get('sterna_tail_rows')).toBe(0);
    expect(flushed.get('sterna_tail_records')).toBe(0);
    expect(ofLevels(flushed, 'sterna_segments')).toBeGreaterThanOrEqual(1);
    expect(ofLevels(flushed, 'sterna_segment_rows')).toBe(50);
    expect(flushed.get('sterna_apply_rows_total')).toBe(50);
  });

  test('a dropped collection is counted no more', async () => {
    await server.must('collections/create', { collectionName: 'brief', dimension: 2 });
    const data = [{ id: 1, vector: [1, 1] }];
    await server.must('entities/insert', { collectionName: 'brief', data });
    expect((await samples()).get('sterna_rows')).toBe(51);
    await server.must('collections/drop', { collectionName: 'brief' });
    const after = await samples();
    expect(after.get('sterna_collections')).toBe(1);
    expect(after.get('sterna_rows')).toBe(50);
  });
});

test.each(['/healthz', '/metrics'])('HEAD %s answers as GET, without a body', async (path) => {
  const response = await fetch(server.url + path, { method: 'HEAD' });
  expect(response.status).toBe(200);
  expect(await response.text()).toBe('');
});
