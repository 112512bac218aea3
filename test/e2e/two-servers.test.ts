/**
 * Two servers on one data directory, whatever each of them calls it: the second is refused, the first does not
 * notice, and when the first is gone, however it went, the second finds everything.
 */
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Ledger, NOTHING_WRONG, SHARDS } from '../support/e2e-ledger.ts';
import { bindMount, unmountLeftovers, whyNoMount } from '../support/e2e-mount.ts';
import { killLeftovers, type RunOptions, run, serve, until } from '../support/e2e-process.ts';
import { verifySums } from '../support/verify-sums.ts';

const SERVER = new URL('../support/e2e-server.ts', import.meta.url).pathname;
/** A process in it has number 1, as the server of a container has, and sees no others. */
const CONTAINER = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];

const noMount = await whyNoMount();
const { status, stderr } = spawnSync(CONTAINER[0] ?? '', [...CONTAINER.slice(1), 'true'], {
  encoding: 'utf8',
});
const noContainer = status === 0 ? undefined : stderr;
for (const obstacle of [noMount, noContainer]) {
  if (obstacle !== undefined) console.error(`\n  NOT TESTED: some second servers. ${obstacle}\n`);
}

let parent = '';
let made = 0;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'sterna-two-'));
});
afterEach(async () => {
  await killLeftovers();
  unmountLeftovers();
});
afterAll(() => rm(parent, { recursive: true, force: true }));

/** How a server is started: its name for the directory, and around it what there is. */
type Way = Readonly<{ path: string; options: RunOptions }>;

async function begin(): Promise<Readonly<{ dir: string; ledger: Ledger }>> {
  const dir = join(parent, `data-${++made}`);
  const ledger = new Ledger({ collectionName: 'shared' });
  const first = await serve([SERVER, dir, 'quick']);
  await ledger.create(first);
  await first.stop();
  return { dir, ledger };
}

async function otherName(kind: 'symbolic link' | 'linked parent' | 'bind mount', dir: string) {
  const other = join(parent, `other-${made}`);
  if (kind === 'symbolic link') await symlink(dir, other);
  if (kind === 'linked parent') await symlink(parent, other);
  if (kind === 'bind mount') {
    await mkdir(other);
    bindMount(dir, other);
  }
  return kind === 'linked parent' ? join(other, `data-${made}`) : other;
}

async function expectOneAtATime(dir: string, ledger: Ledger, one: Way, two: Way): Promise<void> {
  for (const [first, second] of [
    [one, two],
    [two, one],
  ] as const) {
    const server = await serve([SERVER, first.path, 'quick'], first.options);
    const writing = (async () => {
      for (let count = 0; count < 20; count++) await ledger.write(server, count % 3);
    })();
    for (let turn = 0; turn < 2; turn++) {
      const refused = await run([SERVER, second.path, 'quick'], second.options);
      expect(refused.code).not.toBe(0);
      expect(refused.stdout).toBe('');
      expect(refused.stderr).toContain(`the data directory ${second.path} is in use by`);
    }
    await writing;
    expect([...ledger.replies.keys()], 'every write was taken').toEqual(['0']);
    await server.kill();
    // The process of a container ends a moment after whoever started it.
    await until('the second starts', async () => {
      const started = await serve([SERVER, second.path, 'quick'], second.options).catch(
        (error: unknown) => String(error),
      );
      if (typeof started === 'string') {
        expect(started).toContain('is in use by');
        return false;
      }
      expect(await ledger.settle(started)).toEqual(NOTHING_WRONG);
      await started.kill();
      return true;
    });
  }
  await until('the directory is free', () =>
    verifySums(dir).then(
      (shards) => shards === SHARDS,
      (error: unknown) => {
        expect(String(error)).toContain('is in use by');
        return false;
      },
    ),
  );
}

const alone = { options: {} };

describe('a directory by two names', () => {
  test.each(['symbolic link', 'linked parent'] as const)('%s', async (kind) => {
    const { dir, ledger } = await begin();
    const other = { path: await otherName(kind, dir), ...alone };
    await expectOneAtATime(dir, ledger, { path: dir, ...alone }, other);
  });

  test.skipIf(noMount !== undefined)('bind mount', async () => {
    const { dir, ledger } = await begin();
    const other = { path: await otherName('bind mount', dir), ...alone };
    await expectOneAtATime(dir, ledger, { path: dir, ...alone }, other);
  });

  test('a new name, given to it while it was in use', async () => {
    const { dir, ledger } = await begin();
    const server = await serve([SERVER, dir, 'quick']);
    await ledger.write(server, 0);
    const moved = `${dir}-moved`;
    await rename(dir, moved);
    const refused = await run([SERVER, moved, 'quick']);
    expect(refused.stderr).toContain('is in use by');
    for (let count = 0; count < 6; count++) await ledger.write(server, 1);
    await server.kill();
    const after = await serve([SERVER, moved, 'quick']);
    expect(await ledger.settle(after)).toEqual(NOTHING_WRONG);
    await after.stop();
  });
});

describe.skipIf(noContainer !== undefined)('a directory in two containers', () => {
  const inside = { under: CONTAINER };

  test('both of whose servers are process 1', async () => {
    const { dir, ledger } = await begin();
    await expectOneAtATime(
      dir,
      ledger,
      { path: dir, options: inside },
      { path: dir, options: inside },
    );
  });

  test('one of whose servers is outside of any', async () => {
    const { dir, ledger } = await begin();
    const outside = { path: dir, ...alone };
    await expectOneAtATime(dir, ledger, { path: dir, options: inside }, outside);
  });

  test('goes to one of several that start at the same moment under all its names', async () => {
    const { dir } = await begin();
    const ways: readonly Way[] = [
      { path: dir, ...alone },
      { path: await otherName('symbolic link', dir), ...alone },
      { path: dir, options: inside },
      { path: dir, options: inside },
    ];
    const starts = await Promise.allSettled(
      ways.map(({ path, options }) => serve([SERVER, path, 'quick'], options)),
    );
    const refused = starts.filter(({ status: how }) => how === 'rejected');
    expect(refused).toHaveLength(ways.length - 1);
    for (const start of refused) {
      expect(String('reason' in start ? start.reason : '')).toContain('is in use by');
    }
  });
});
