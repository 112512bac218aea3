/** What is refused instead of opened as new or crashed upon, and what must not be refused. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { must } from '#base/assert.ts';
import { openEnvironment, openRows } from '#local/environment.ts';
import { checkEnvironment } from '#local/environment-check.ts';
import { openLocal } from '#local/open-directory.ts';
import { isSealed, seal, unseal } from '#local/sealed-rows.ts';

const COMMITTER = fileURLToPath(new URL('../../support/directory-committer.ts', import.meta.url));
const FILES = ['regional/data.mdb', 'global/table/data.mdb'];
const KEY = { partition: 'p', sort: 's' };
const UNFINISHED = { version: 1, unfinished: true };

let parent: string;
/** A directory with rows in every place, closed. */
let healthy: string;
let directory: string;
let made = 0;
const children: ChildProcess[] = [];

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'sterna-damaged-'));
  healthy = join(parent, 'healthy');
  const platform = await openLocal(healthy);
  for (let row = 0; row < 30; row++) {
    const key = { partition: 'p', sort: `${row}` };
    await platform.regionalTable.put(key, new Uint8Array(6_000));
    await platform.globalTable.put(key, new Uint8Array(3_000));
  }
  await platform.close();
});
afterAll(() => rm(parent, { recursive: true, force: true }));

beforeEach(() => {
  directory = join(parent, `directory-${++made}`);
});
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
});

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** Starts a process that commits without end, and returns once it did so this often. */
async function fill(rounds: number, ...args: string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [COMMITTER, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const lines = createInterface({ input: must(child.stdout, 'its output is a pipe') });
  let said = 0;
  for await (const _ of lines) if (++said === rounds) break;
  expect(said).toBe(rounds);
  child.stdout?.resume();
  return child;
}

async function expectRefused(...words: readonly string[]): Promise<void> {
  const opening = openLocal(directory);
  await expect(opening).rejects.toMatchObject({ name: 'StoreError', code: 'DIRECTORY_UNUSABLE' });
  for (const word of words) await expect(opening).rejects.toThrow(word);
}

const openAndClose = async (options = {}) => (await openLocal(directory, options)).close();

const formatOf = async (path: string): Promise<unknown> =>
  JSON.parse(await readFile(join(path, 'format.json'), 'utf8'));

describe.each(FILES)('%s of a directory in use', (name) => {
  let file: string;
  beforeEach(async () => {
    await cp(healthy, directory, { recursive: true });
    file = join(directory, name);
  });

  it('is opened when nothing happened to it', async () => {
    const platform = await openLocal(directory);
    expect(await platform.regionalTable.query('p')).toHaveLength(30);
    expect(await platform.globalTable.query('p')).toHaveLength(30);
    await platform.close();
  });

  it('is refused when it is missing, and not made again', async () => {
    await rm(file);
    await expectRefused(file, 'is missing', 'restore the whole directory from a copy');
    await expectRefused(file, 'is missing');
  });

  it('is refused when its folder is missing', async () => {
    await rm(join(file, '..'), { recursive: true });
    await expectRefused(file, 'is missing');
  });

  it('is refused when it is empty', async () => {
    await truncate(file, 0);
    await expectRefused(file, 'is empty (0 bytes)', 'restore the whole directory from a copy');
    expect((await stat(file)).size).toBe(0);
  });

  it.each([1, 100, 159, 160, 4_096, 4_200, 8_191, 8_192, 8_193, 12_288, 40_960])(
    'is refused when %i bytes of it are left',
    async (bytes) => {
      await truncate(file, bytes);
      await expectRefused(file, `${bytes} bytes`, 'restore the whole directory from a copy');
    },
  );

  it('is refused when its last page that is in use is missing, wherever that is', async () => {
    const { size } = await stat(file);
    // Of the last pages some may be free; four of them at once are not in a file that only grew.
    await truncate(file, size - 4 * 4_096);
    await expectRefused(file, `it has ${size - 4 * 4_096} bytes, up to ${size} were expected`);
  });

  it.each([
    ['all of it', 0, 1_000_000],
    ['the first meta page', 0, 4_096],
    ['the magic number', 24, 4],
    ['the version', 28, 4],
    ['the page size', 48, 4],
    ['the second meta page', 4_096, 4_096],
  ])('is refused when %s is garbage', async (_, from, length) => {
    const bytes = await readFile(file);
    await writeFile(file, bytes.fill(0xa7, from, Math.min(bytes.length, from + length)));
    await expectRefused(file, 'restore the whole directory from a copy');
  });

  it('is refused when it is zeros, as a file system may leave it', async () => {
    await writeFile(file, new Uint8Array(65_536));
    await expectRefused(file, 'does not begin as an LMDB file', 'found 0000000000000000');
  });

  it('is opened again once it was restored', async () => {
    await truncate(file, 5_000);
    await expectRefused(file);
    await cp(join(healthy, name), file);
    await openAndClose();
  });
});

describe('a row of a directory in use', () => {
  /** Flips a bit of the last place where the text stands. */
  const flip = async (name: string, text: string): Promise<string> => {
    await cp(healthy, directory, { recursive: true });
    const file = join(directory, name);
    const bytes = await readFile(file);
    const at = bytes.lastIndexOf(text, undefined, 'latin1');
    expect(at).toBeGreaterThan(0);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(file, bytes);
    return file;
  };

  it.each(FILES)('of %s is refused where a bit of its key flipped', async (name) => {
    const file = await flip(name, 'p\u000029');
    // Out of order among its neighbours, which is found first.
    await expectRefused(file, 'page ', 'garbled', 'restore the whole directory');
  });

  it('is refused where it is a value with pages of its own', async () => {
    const file = await flip(FILES[0] ?? '', '\u0000'.repeat(3_000));
    await expectRefused(file, 'does not match its checksum');
  });

  it('is named where the bit flips under a server', () => {
    const key = Buffer.from('p\u0000s');
    const stored = seal(key, Buffer.alloc(12, 7));
    expect(unseal('regional/data.mdb', key, stored)).toEqual(Buffer.alloc(8, 7));
    for (let at = 0; at < stored.length; at++) {
      const flipped = Buffer.from(stored);
      flipped[at] = (flipped[at] ?? 0) ^ 0x20;
      expect(isSealed(key, flipped)).toBe(false);
    }
    expect(() => unseal('regional/data.mdb', Buffer.from('p\u0000r'), stored)).toThrow(
      'regional/data.mdb: the row "p/r" does not match its checksum',
    );
    expect(isSealed(key, Buffer.alloc(3))).toBe(false);
  });
});

describe('a file of several moments', () => {
  it('is refused by the page that was written later than the rest', async () => {
    const platform = await openLocal(directory);
    const put = (sort: string) =>
      platform.regionalTable.put({ partition: 'p', sort }, new Uint8Array(900));
    for (let row = 0; row < 60; row++) await put(`${row}`);
    const file = join(directory, 'regional', 'data.mdb');
    const before = await readFile(file);
    for (let turn = 0; turn < 40; turn++) await put(`${turn % 7}`);
    await platform.close();
    const after = await readFile(file);
    // As a copy that took the meta pages first and the others when they were in use again.
    const cut = 2 * 4_096;
    await writeFile(file, Buffer.concat([before.subarray(0, cut), after.subarray(cut)]));
    await expectRefused(
      file,
      'was copied while a server wrote to it',
      'restore the whole directory',
    );
    await writeFile(file, before);
    await openAndClose();
  });

  it('is refused where a table lies in the place of another', async () => {
    await cp(healthy, directory, { recursive: true });
    const [regional, global] = FILES.map((name) => join(directory, name));
    await cp(join(healthy, FILES[0] ?? ''), must(global, 'a file'));
    await expectRefused(must(global, 'a file'), "another file than this directory's global table");
    await cp(join(healthy, FILES[1] ?? ''), must(global, 'a file'));
    await cp(join(healthy, FILES[1] ?? ''), must(regional, 'a file'));
    await expectRefused(must(regional, 'a file'), 'log and regional table');
  });
});

describe('folders of a directory in use', () => {
  it('are refused when the global directory is gone as a whole', async () => {
    await cp(healthy, directory, { recursive: true });
    await rm(join(directory, 'global'), { recursive: true });
    await expectRefused(join(directory, 'global', 'format.json'), 'is missing');
    await mkdir(join(directory, 'global'));
    await expectRefused(join(directory, 'global', 'format.json'), 'is missing');
  });

  it('may lack a global directory where another one was always named', async () => {
    const globalDir = join(parent, `global-${made}`);
    await openAndClose({ globalDir });
    expect(await formatOf(directory)).toEqual({ format: 'sterna-data', version: 1 });
    await openAndClose({ globalDir });
    await openAndClose();
    expect(await formatOf(directory)).toMatchObject({ ownGlobal: true });
  });

  it('are refused when the lock is cut off, which no crash may come of', async () => {
    await cp(healthy, directory, { recursive: true });
    const file = join(directory, 'lock', 'data.mdb');
    await truncate(file, 8_192);
    await expectRefused(file, 'delete that folder');
    await rm(join(directory, 'lock'), { recursive: true });
    await openAndClose();
  });
});

describe('a first start that died', () => {
  const expectFinished = async () => {
    const platform = await openLocal(directory);
    expect(await formatOf(directory)).toEqual({
      format: 'sterna-data',
      version: 1,
      ownGlobal: true,
    });
    expect(await formatOf(join(directory, 'global'))).toEqual({
      format: 'sterna-global',
      version: 1,
    });
    await platform.regionalTable.put(KEY, new Uint8Array(1));
    await platform.close();
    await rm(join(directory, 'regional', 'data.mdb'));
    await expectRefused('regional/data.mdb');
  };
  const writeFormat = (path: string, format: object) =>
    writeFile(join(path, 'format.json'), JSON.stringify(format));

  /** What is there, one step after the other. */
  const steps: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['the directory', () => mkdir(directory)],
    ['the lock', () => cp(join(healthy, 'lock'), join(directory, 'lock'), { recursive: true })],
    ['half a format file', () => writeFile(join(directory, 'format.json.7.new'), '{"for')],
    ['the format file', () => writeFormat(directory, { format: 'sterna-data', ...UNFINISHED })],
    ['the global folder', () => mkdir(join(directory, 'global'))],
    [
      'its format file',
      () => writeFormat(join(directory, 'global'), { format: 'sterna-global', ...UNFINISHED }),
    ],
    ['the regional folder', () => mkdir(join(directory, 'regional'))],
    ['an empty environment', () => writeFile(join(directory, 'regional', 'data.mdb'), '')],
    [
      'an environment',
      async () => {
        await (await openEnvironment(join(directory, 'regional'), 'new')).close();
      },
    ],
    [
      'an empty global environment',
      async () => {
        await mkdir(join(directory, 'global', 'table'));
        await writeFile(join(directory, 'global', 'table', 'data.mdb'), '');
      },
    ],
    [
      'a finished global directory',
      async () => {
        await (await openEnvironment(join(directory, 'global', 'table'), 'new')).close();
        await writeFormat(join(directory, 'global'), { format: 'sterna-global', version: 1 });
      },
    ],
  ];

  it.each(steps.map(([what], index) => [what, index] as const))(
    'after %s is finished by the next',
    async (_, index) => {
      for (const [, step] of steps.slice(0, index + 1)) await step();
      await expectFinished();
    },
  );

  it('leaves damage only by a power failure, and nothing is lost with it', async () => {
    await mkdir(join(directory, 'regional'), { recursive: true });
    await writeFormat(directory, { format: 'sterna-data', ...UNFINISHED });
    const file = join(directory, 'regional', 'data.mdb');
    await writeFile(file, new Uint8Array(8_192));
    await expectRefused(file, 'delete it and start again');
    await rm(file);
    await expectFinished();
  });

  it('is not what a directory without its format file is taken for', async () => {
    await cp(healthy, directory, { recursive: true });
    await rm(join(directory, 'format.json'));
    await expectRefused('no format.json');
    expect(await readFile(join(directory, 'regional', 'data.mdb'))).toEqual(
      await readFile(join(healthy, 'regional', 'data.mdb')),
    );
  });
});

describe('a healthy file', () => {
  it('may be shorter than its last page, where a transaction gave pages back', async () => {
    const environment = await openEnvironment(directory, 'new');
    const rows = openRows(environment, 'table');
    const key = Buffer.from('big');
    for (let row = 0; row < 300; row++)
      await rows.db.put(Buffer.from(`${row}`), Buffer.alloc(3_000));
    await rows.db.transaction(() => {
      rows.db.putSync(key, Buffer.alloc(400_000));
      rows.db.removeSync(key);
    });
    await environment.close();
    const file = join(directory, 'data.mdb');
    const bytes = await readFile(file);
    const last = [0, 4_096].map((meta) => Number(bytes.readBigUInt64LE(meta + 144)));
    expect((Math.max(...last) + 1) * 4_096).toBeGreaterThan(bytes.length);
    await checkEnvironment(directory, 'made', 'x');
    // The same file is refused as soon as a page that is in use is cut off.
    await truncate(file, bytes.length - 20 * 4_096);
    await expect(checkEnvironment(directory, 'made', 'x')).rejects.toThrow('was cut off');
  });

  it('is opened after kill -9 in the middle of commits, again and again', async () => {
    for (const rounds of [1, 2, 5, 20, 60]) {
      await kill(await fill(rounds, directory));
      await openAndClose();
    }
  }, 60_000);

  it('is opened while another process commits to it', async () => {
    const globalDir = join(parent, `global-${made}`);
    const child = await fill(3, join(parent, `other-${made}`), globalDir);
    for (let round = 0; round < 40; round++) await openAndClose({ globalDir });
    expect(child.exitCode).toBeNull();
    expect(child.signalCode).toBeNull();
  }, 60_000);
});
