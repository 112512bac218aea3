/** `sterna users update-password`: passwords come from standard input, and nothing prints one. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createUser } from '#catalog/access.ts';
import { CLI } from '../support/e2e-process.ts';
import { startServer, type TestServer } from '../support/server.ts';

const FIRST = 'first-secret';
const SECOND = 'second-secret';

let server: TestServer;

beforeAll(async () => {
  server = await startServer();
  await createUser(server.ports, { user: 'ann', password: FIRST });
});
afterAll(() => server.close());

/** `input` is standard input; the end of it follows. */
async function command(input: string, ...args: readonly string[]) {
  const child = spawn(process.execPath, [CLI, 'users', 'update-password', ...args], {
    env: { PATH: process.env['PATH'], STERNA_URL: server.url },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  // A command that has read enough closes its end of the pipe.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  await once(child, 'close');
  return { code: child.exitCode, said };
}

const isIn = async (password: string): Promise<boolean> => {
  const headers = { authorization: `Bearer ann:${password}` };
  return (await server.call('collections/list', {}, headers)).status === 200;
};

test.each([
  { why: 'a wrong password', input: `wrong-one\n${SECOND}\n`, says: 'error 1800' },
  { why: 'a short one', input: `${FIRST}\nshort\n`, says: 'error 1100' },
  { why: 'one line', input: `${FIRST}\n`, says: 'expected 2 lines' },
  { why: 'three lines', input: `${FIRST}\n${SECOND}\nmore\n`, says: 'expected 2 lines' },
  { why: 'an empty line', input: `${FIRST}\n\n`, says: 'expected 2 lines' },
  { why: 'too much', input: 'x'.repeat(100_000), says: 'more than 4096 bytes' },
])('$why is refused', async ({ input, says }) => {
  const { code, said } = await command(input, 'ann', '--passwords-stdin');
  expect({ code, said }).toMatchObject({ code: 1, said: expect.stringContaining(says) });
  expect(said).not.toMatch(/first-|second-/);
  expect(await isIn(FIRST)).toBe(true);
});

test('without a terminal it does not ask', async () => {
  const { code, said } = await command('', 'ann');
  expect({ code, said }).toMatchObject({ code: 1, said: expect.stringContaining('no terminal') });
});

test('the new password is valid, and the old one is not', async () => {
  const { code, said } = await command(`${FIRST}\n${SECOND}\n`, 'ann', '--passwords-stdin');
  expect({ code, said }).toMatchObject({ code: 0, said: expect.stringContaining('is changed') });
  expect(said).not.toMatch(/first-|second-/);
  expect(await isIn(FIRST)).toBe(false);
  expect(await isIn(SECOND)).toBe(true);
});
