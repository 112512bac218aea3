/**
 * A data directory that cannot be had: the server says so in one line that names it, ends with code 1,
 * and leaves what it found as it was.
 */
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CLI, type Ended, killLeftovers, run, serve } from '../support/e2e-process.ts';

const ROOT_USER = 0;

let parent = '';
let made = 0;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'sterna-directories-'));
});
afterEach(killLeftovers);
afterAll(() => rm(parent, { recursive: true, force: true }));

const freshPath = (): string => join(parent, `directory-${++made}`);

const serveArgs = (dir: string): readonly string[] => [CLI, 'serve', '--port', '0', '--data', dir];

/** One sentence on standard error, nothing on standard output, code 1. */
function expectRefusal(ended: Ended, ...words: readonly string[]): void {
  expect(ended).toMatchObject({ code: 1, signal: null, stdout: '' });
  expect(ended.stderr).toMatch(/^error: [^\n]+\n$/);
  for (const word of words) expect(ended.stderr).toContain(word);
}

/** Everything below a directory, with the bytes of files. */
async function contentOf(dir: string): Promise<ReadonlyMap<string, string>> {
  const content = new Map<string, string>();
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    content.set(path, entry.isFile() ? await readFile(path, 'base64') : '');
  }
  return content;
}

describe('a directory that another server uses', () => {
  test('is refused with the name of its holder, who goes on', async () => {
    const dir = freshPath();
    const first = await serve(serveArgs(dir));
    await first.must('vectordb/collections/create', { collectionName: 'mine', dimension: 2 });
    expectRefusal(await run(serveArgs(dir)), dir, 'in use by another server', '(process ');
    const { data } = await first.must('vectordb/collections/list', {});
    expect(data).toEqual(['mine']);
    expect(await first.stop()).toMatchObject({ code: 0, signal: null });
  });

  test('is free as soon as its holder is gone, however it went', async () => {
    const dir = freshPath();
    const first = await serve(serveArgs(dir));
    expect(await first.kill()).toMatchObject({ signal: 'SIGKILL' });
    const second = await serve(serveArgs(dir));
    expect(await second.stop()).toMatchObject({ code: 0 });
  });

  test('goes to exactly one of several that start at the same moment', async () => {
    const dir = freshPath();
    const starts = await Promise.allSettled(Array.from({ length: 3 }, () => serve(serveArgs(dir))));
    const refused = starts.filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(2);
    for (const start of refused) {
      expect(String('reason' in start ? start.reason : '')).toContain('in use by another server');
    }
  });
});

describe('a directory of something else', () => {
  const refusedAsItWas = async (dir: string, ...words: readonly string[]): Promise<void> => {
    const before = await contentOf(dir);
    expectRefusal(await run(serveArgs(dir)), dir, ...words);
    expect(await contentOf(dir)).toEqual(before);
  };

  test('somebody’s files', async () => {
    const dir = freshPath();
    await mkdir(join(dir, 'letters'), { recursive: true });
    await writeFile(join(dir, 'letters', 'one.txt'), 'dear');
    await refusedAsItWas(dir, 'letters', 'name an empty or a new directory');
  });

  test('a newer Sterna’s', async () => {
    const dir = freshPath();
    await mkdir(dir);
    await writeFile(join(dir, 'format.json'), '{"format":"sterna-data","version":2}\n');
    await refusedAsItWas(dir, 'version 2', 'up to 1', 'use a newer Sterna');
  });

  test('a newer Sterna’s global table within a directory of ours', async () => {
    const dir = freshPath();
    await (await serve(serveArgs(dir))).stop();
    const format = join(dir, 'global', 'format.json');
    const known = await readFile(format, 'utf8');
    await writeFile(format, known.replace('"version":1', '"version":7'));
    expectRefusal(await run(serveArgs(dir)), join(dir, 'global'), 'version 7', 'up to 1');
    await writeFile(format, known);
    expect(await (await serve(serveArgs(dir))).stop()).toMatchObject({ code: 0 });
  });

  test('a format file that was cut off', async () => {
    const dir = freshPath();
    await mkdir(dir);
    await writeFile(join(dir, 'format.json'), '{"format":"ste');
    await refusedAsItWas(dir, 'format.json');
  });
});

describe('a path that is no directory', () => {
  test('a file, and a path below a file', async () => {
    const file = freshPath();
    await writeFile(file, 'a file');
    expectRefusal(await run(serveArgs(file)), file, 'ENOTDIR');
    expectRefusal(await run(serveArgs(join(file, 'data'))), join(file, 'data'), 'ENOTDIR');
    expect(await readFile(file, 'utf8')).toBe('a file');
  });

  test('one that nothing may be written to', async () => {
    // Permissions mean nothing to root; no one makes directories in /sys.
    const sealed = process.getuid?.() === ROOT_USER ? '/sys' : freshPath();
    if (sealed !== '/sys') {
      await mkdir(sealed);
      await chmod(sealed, 0o555);
      expectRefusal(await run(serveArgs(sealed)), sealed);
    }
    expectRefusal(await run(serveArgs(join(sealed, 'sterna'))), join(sealed, 'sterna'));
  });

  test('one whose parents are missing is made with them', async () => {
    const dir = join(freshPath(), 'not', 'yet', 'there');
    const server = await serve(serveArgs(dir));
    expect(server.said.stdout).toContain(`data in ${dir}`);
    await server.stop();
    expect(await readdir(dir)).toContain('format.json');
  });
});

test('a port that is taken leaves the directory free for the next', async () => {
  const holder = await serve(serveArgs(freshPath()));
  const port = new URL(holder.url).port;
  const dir = freshPath();
  const ended = await run([CLI, 'serve', '--port', port, '--data', dir]);
  expectRefusal(ended, `port ${port}`, 'EADDRINUSE');
  expect(await (await serve(serveArgs(dir))).stop()).toMatchObject({ code: 0 });
});

test('a copy of a stopped server’s directory is a directory of its own', async () => {
  const dir = freshPath();
  const first = await serve(serveArgs(dir));
  await first.must('vectordb/collections/create', { collectionName: 'copied', dimension: 2 });
  const data = [{ id: 1, vector: [1, 2] }];
  await first.must('vectordb/entities/insert', { collectionName: 'copied', data });
  await first.stop();
  const copy = freshPath();
  await cp(dir, copy, { recursive: true });
  const original = await serve(serveArgs(dir));
  const second = await serve(serveArgs(copy));
  for (const server of [original, second]) {
    const reply = await server.must('vectordb/entities/get', { collectionName: 'copied', id: 1 });
    expect(reply.data).toEqual(data);
  }
});
