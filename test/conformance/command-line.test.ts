/** What a terminal shows of a server: tables that fit. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLI, killLeftovers, run } from '../support/e2e-process.ts';
import { startServer, type TestServer } from '../support/server.ts';

/** A wide terminal, or half of a screen in small print. */
const COLUMNS_MAX = 180;

let server: TestServer;

beforeAll(async () => {
  server = await startServer();
  await server.must('collections/create', { collectionName: 'terns', dimension: 2 });
  const data = Array.from({ length: 20 }, (_, id) => ({ id, vector: [id, 1] }));
  await server.must('entities/insert', { collectionName: 'terns', data });
  await server.must('collections/flush', { collectionName: 'terns' });
});
afterAll(async () => {
  await killLeftovers();
  await server.close();
});

const widest = (text: string): number =>
  text.split('\n').reduce((most, line) => Math.max(most, line.length), 0);

test('inspect and explain fit a terminal; --json cuts nothing', async () => {
  const inspected = await run([CLI, 'inspect', '--url', server.url]);
  expect(inspected.code).toBe(0);
  expect(inspected.stdout).toContain('sumHeld');
  expect(widest(inspected.stdout)).toBeLessThanOrEqual(COLUMNS_MAX);

  const search = ['search', 'terns', '--vector', '[1, 1]', '--explain', '--url', server.url];
  const explained = await run([CLI, ...search]);
  expect(explained.code).toBe(0);
  expect(explained.stdout).toContain('bytesRead');
  expect(widest(explained.stdout)).toBeLessThanOrEqual(COLUMNS_MAX);

  const whole = await run([CLI, 'inspect', '--json', '--url', server.url]);
  expect(whole.stdout).toMatch(/"sumHeld":"[0-9a-f]{64}"/);
});
