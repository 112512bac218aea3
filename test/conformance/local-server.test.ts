/**
 * What only the server of one process has, beside the verbs: metrics and health, and bodies larger than
 * API Gateway lets through. On AWS the metrics are CloudWatch's, and nobody asks a function how it is.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CLI, killLeftovers, run } from '../support/e2e-process.ts';
import { expectError, startServer, type TestServer } from '../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startServer();
  const params = { shardsNum: 2 };
  await server.must('collections/create', { collectionName: 'terns', dimension: 2, params });
  const data = Array.from({ length: 50 }, (_, id) => ({ id, vector: [id, 1] }));
  await server.must('entities/insert', { collectionName: 'terns', data });
  await server.must('entities/query', { collectionName: 'terns' });
});
afterAll(async () => {
  await killLeftovers();
  await server.close();
});

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
    expect(found.get(`sterna_http_request_duration_ms_count{outcome="answered",${path}}`)).toBe(1);
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

test('/healthz and /metrics need no credentials', async () => {
  await server.call('collections/list');
  const health = await fetch(`${server.url}/healthz`);
  expect(health.status).toBe(200);
  expect(await health.json()).toMatchObject({
    ready: true,
    graphs: expect.any(Boolean),
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
  });
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(metrics).toMatch(
    /http_requests_total\{.*path="\/v2\/vectordb\/collections\/list".*\} \d+/,
  );
});

test('more than 64 MB is 1102, and the server goes on', async () => {
  const answer = await server.call('collections/list', ' '.repeat(64 * 1024 * 1024 + 1));
  expectError(answer, 1102, 'fewer rows');
  expect((await server.call('collections/list')).body.code).toBe(0);
});

test('--version is that of the package and of /healthz', async () => {
  const health = (await (await fetch(`${server.url}/healthz`)).json()) as { version: string };
  const { code, stdout } = await run([CLI, '--version']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${health.version}\n` });
});

// Linux says of /proc that it is there, and of every new name below it that its parent is not.
test('a data directory that cannot be made ends the start', async () => {
  const { code, signal, stderr } = await run([CLI, 'serve', '--port', '0', '--data', '/proc/x/y']);
  expect({ code, signal }).toEqual({ code: 1, signal: null });
  expect(stderr).toContain('/proc/x/y cannot be opened');
}, 90_000);
