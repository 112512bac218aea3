/**
 * A data directory that cannot be written to: from the start, where the server says so in a sentence that
 * names it, and under way, where it reads on and refuses writes until it may write again.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Ledger, NOTHING_WRONG, SHARDS } from '../support/e2e-ledger.ts';
import { bindSealed, unmount, unmountLeftovers, whyNoMount } from '../support/e2e-mount.ts';
import { CLI, killLeftovers, run, serve } from '../support/e2e-process.ts';
import { verifySums } from '../support/verify-sums.ts';

const SERVER = new URL('../support/e2e-server.ts', import.meta.url).pathname;

const obstacle = await whyNoMount();
if (obstacle !== undefined) console.error(`\n  NOT TESTED: read-only mounts. ${obstacle}\n`);
const mounting = describe.skipIf(obstacle !== undefined);

let parent = '';
let made = 0;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'sterna-sealed-'));
});
afterEach(async () => {
  await killLeftovers();
  unmountLeftovers();
});
afterAll(() => rm(parent, { recursive: true, force: true }));

async function freshFolder(): Promise<string> {
  const path = join(parent, `folder-${++made}`);
  await mkdir(path);
  return path;
}

async function fill(dir: string): Promise<Ledger> {
  const ledger = new Ledger({ collectionName: 'sealed' });
  const server = await serve([SERVER, dir, 'quick']);
  await ledger.create(server);
  for (let count = 0; count < 10; count++) await ledger.write(server, count % 3);
  await server.stop();
  return ledger;
}

async function expectRefused(dir: string): Promise<void> {
  const ended = await run([CLI, 'serve', '--port', '0', '--data', dir]);
  expect(ended).toMatchObject({ code: 1, signal: null, stdout: '' });
  expect(ended.stderr).toMatch(/^error: [^\n]+\n$/);
  expect(ended.stderr).toContain(dir);
}

async function expectWhole(dir: string, ledger: Ledger): Promise<void> {
  const server = await serve([SERVER, dir, 'quick']);
  expect(await ledger.settle(server)).toEqual(NOTHING_WRONG);
  await server.stop();
  expect(await verifySums(dir)).toBe(SHARDS);
}

mounting('a file system that is mounted read-only', () => {
  test('is refused at the start, used or not, and nothing changes', async () => {
    const real = await freshFolder();
    const ledger = await fill(join(real, 'data'));
    const sealed = await freshFolder();
    bindSealed(real, sealed);
    await expectRefused(join(sealed, 'data'));
    await expectRefused(join(sealed, 'fresh'));
    unmount(sealed);
    await expectWhole(join(real, 'data'), ledger);
  });

  test.each(['objects', 'tmp', 'scratch', 'regional', 'global', 'lock'])(
    'as %s alone is refused at the start, or does not matter',
    async (name) => {
      const dir = join(await freshFolder(), 'data');
      const ledger = await fill(dir);
      if (name === 'scratch') await writeFile(join(dir, name, 'left-by-a-crash'), 'a graph');
      bindSealed(join(dir, name), join(dir, name));
      const server = await serve([CLI, 'serve', '--port', '0', '--data', dir]).catch(
        (error: unknown) => String(error),
      );
      if (typeof server === 'string') {
        expect(server).toContain('"code":1,"signal":null');
        expect(server).toContain(`"stderr":"error: ${join(dir, name)}`);
      } else {
        expect([0, 1]).toContain((await ledger.write(server, 0))?.code);
        expect(await ledger.look(server)).toEqual(NOTHING_WRONG);
        await server.kill();
      }
      unmountLeftovers();
      await expectWhole(dir, ledger);
    },
  );

  test('under way refuses what needs an object, reads on, and goes on once it is writable', async () => {
    const dir = join(await freshFolder(), 'data');
    const ledger = await fill(dir);
    const server = await serve([SERVER, dir, 'quick']);
    const sealed = ['objects', 'tmp', 'scratch'].map((name) => join(dir, name));
    for (const path of sealed) bindSealed(path, path);
    for (let count = 0; count < 8; count++) {
      const reply = await ledger.write(server, count % 3);
      if (reply?.code !== 0) {
        expect(reply).toMatchObject({ code: 1, retry: 'later', effect: 'none' });
        expect(reply?.message).toContain('EROFS');
      }
    }
    expect([...ledger.replies.keys()]).toContain('1/none');
    expect(await ledger.look(server)).toEqual(NOTHING_WRONG);
    expect(await server.health()).toMatchObject({ ready: true });
    for (const path of sealed) unmount(path);
    expect(await ledger.write(server, 0)).toMatchObject({ code: 0 });
    expect(await ledger.settle(server)).toEqual(NOTHING_WRONG);
    await server.stop();
    await expectWhole(dir, ledger);
  });
});
