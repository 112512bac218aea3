/**
 * The README's first lines, typed as they stand there: every curl command is run by a shell against a
 * new server, and what the README prints beneath it is what comes back, but for the opaque token.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type KilledServer, startKillable } from '../support/killed-server.ts';

const DEFAULT_ADDRESS = 'http://127.0.0.1:19530';

let dir = '';
let server: KilledServer;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sterna-readme-'));
  server = await startKillable(dir);
});

afterAll(async () => {
  await server.stop();
  await rm(dir, { recursive: true, force: true });
});

test('the curl lines answer as printed', async () => {
  const readme = await readFile('README.md', 'utf8');
  const block = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)]
    .map((match) => match[1] ?? '')
    .find((text) => text.includes('curl'));
  const steps = stepsOf(block ?? '');
  expect(steps.length).toBeGreaterThanOrEqual(5);
  const setup = steps[0]?.before.replace(DEFAULT_ADDRESS, server.url) ?? '';
  let compared = 0;
  for (const { command, printed } of steps) {
    const answer = execFileSync('bash', ['-c', `${setup}\n${command}`], { encoding: 'utf8' });
    expect(answer, command).toMatch(/^\{"code":0,/);
    if (printed === '') continue;
    expect(withoutToken(answer), command).toBe(withoutToken(printed));
    compared++;
  }
  expect(compared).toBeGreaterThanOrEqual(4);
});

type Step = Readonly<{ before: string; command: string; printed: string }>;

/** Commands start with `curl`, what they print stands beneath in lines that start with `# `. */
function stepsOf(block: string): readonly Step[] {
  const [before = '', ...rest] = block.split(/^(?=curl )/m);
  return rest.map((part) => {
    const lines = part.trimEnd().split('\n');
    const printed = lines.filter((line) => line.startsWith('#')).map((line) => line.slice(2));
    const command = lines.filter((line) => !line.startsWith('#')).join('\n');
    return { before, command, printed: printed.map((line) => line.trim()).join('') };
  });
}

const withoutToken = (reply: string): string =>
  reply.trim().replace(/"token":"[^"]*"/, '"token":"..."');
