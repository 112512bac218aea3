import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { must } from '#base/assert.ts';
import { openLocal } from '#local/open-directory.ts';
import { COUNTER, raiseCounter } from '../../support/counter.ts';

const HOLDER = fileURLToPath(new URL('../../support/directory-holder.ts', import.meta.url));

type Holder = Readonly<{ process: ChildProcess; said: string }>;

let parent: string;
let directory: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'sterna-directory-'));
  directory = join(parent, 'new', 'data');
});

afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
  await rm(parent, { recursive: true, force: true });
});

/** Starts a process that opens the directory, and returns once it said how that went. */
async function hold(...args: string[]): Promise<Holder> {
  const child = spawn(process.execPath, [HOLDER, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const lines = createInterface({ input: must(child.stdout, 'its output is a pipe') });
  const [said] = (await once(lines, 'line')) as [string];
  return { process: child, said };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

const openAndClose = async (options = {}) => (await openLocal(directory, options)).close();

describe('a new directory', () => {
  it('gets a format file, and keeps what is written', async () => {
    const platform = await openLocal(directory);
    await platform.objects.put('a', new Uint8Array([1]));
    await platform.close();
    const format: unknown = JSON.parse(await readFile(join(directory, 'format.json'), 'utf8'));
    expect(format).toEqual({ format: 'sterna-data', version: 1, ownGlobal: true });
    const again = await openLocal(directory);
    expect(await again.objects.get('a')).toEqual(new Uint8Array([1]));
    await again.close();
  });

  it('may be an empty one, one of a fresh volume, or one whose first start died early', async () => {
    await mkdir(join(directory, 'lost+found'), { recursive: true });
    await mkdir(join(directory, 'lock'));
    await writeFile(join(directory, 'format.json.77.new'), '{"format":"ster');
    await openAndClose();
    await openAndClose();
  });

  it('loses the temporary files of an earlier process', async () => {
    await openAndClose();
    await writeFile(join(directory, 'tmp', '123-4'), 'half an object');
    await openAndClose();
    expect(await readdir(join(directory, 'tmp'))).toEqual([]);
  });

  it('closes twice without harm', async () => {
    const platform = await openLocal(directory);
    await platform.close();
    await platform.close();
    await openAndClose();
  });

  it('closes only after the writes that were under way', async () => {
    const platform = await openLocal(directory);
    const writes = Array.from({ length: 50 }, (_, index) =>
      platform.regionalTable.put({ partition: 'p', sort: `${index}` }, new Uint8Array(10)),
    );
    const closing = platform.close();
    const versions = await Promise.all(writes);
    await closing;
    expect(versions).toEqual(versions.map(() => 1));
    const again = await openLocal(directory);
    expect(await again.regionalTable.query('p')).toHaveLength(50);
    await again.close();
  });
});

describe('a directory that cannot be used', () => {
  const refused = async (code: string, ...words: string[]) => {
    const opening = openLocal(directory);
    await expect(opening).rejects.toMatchObject({ name: 'StoreError', code });
    for (const word of words) await expect(opening).rejects.toThrow(word);
  };

  it('holds something else, and is left as it was', async () => {
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'thesis.tex'), '');
    await refused('DIRECTORY_UNUSABLE', directory, 'thesis.tex');
    expect(await readdir(directory)).toEqual(['thesis.tex']);
  });

  it('was written by a newer Sterna, and is left as it was', async () => {
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'format.json'), '{"format":"sterna-data","version":2}');
    await refused('FORMAT_TOO_NEW', 'version 2', 'up to 1');
    expect(await readdir(directory)).toEqual(['format.json']);
  });

  it.each([
    '',
    'null',
    '{}',
    '{"format":"sterna-data"}',
    '{"format":"sterna-data","version":0}',
    '{"format":"other","version":1}',
  ])('has the format file %j', async (text) => {
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'format.json'), text);
    await refused('DIRECTORY_UNUSABLE', 'format.json');
  });

  it('is a file', async () => {
    directory = join(parent, 'file');
    await writeFile(directory, '');
    await refused('DIRECTORY_UNUSABLE', directory);
  });

  it('is below a file', async () => {
    await writeFile(join(parent, 'file'), '');
    directory = join(parent, 'file', 'data');
    await refused('DIRECTORY_UNUSABLE', directory);
  });

  it('has a global directory that is none', async () => {
    const globalDir = join(parent, 'global');
    await mkdir(globalDir);
    await writeFile(join(globalDir, 'format.json'), '{"format":"sterna-data","version":1}');
    await expect(openLocal(directory, { globalDir })).rejects.toMatchObject({
      code: 'DIRECTORY_UNUSABLE',
    });
    // The data directory was released again.
    await openAndClose();
  });
});

describe('the lock', () => {
  it('keeps out a second server of the same process, and says so', async () => {
    const platform = await openLocal(directory);
    const second = openLocal(directory);
    await expect(second).rejects.toMatchObject({ code: 'DIRECTORY_UNUSABLE' });
    await expect(second).rejects.toThrow(`this very process (process ${process.pid}`);
    await platform.regionalTable.put({ partition: 'p', sort: 's' }, new Uint8Array(1));
    // The refused one must not have taken the lock away with it.
    await expect(openLocal(directory)).rejects.toMatchObject({ code: 'DIRECTORY_UNUSABLE' });
    expect((await hold(directory)).said).toContain('DIRECTORY_UNUSABLE');
    await platform.close();
    await openAndClose();
  });

  it('keeps out a server of another process, names the holder, and ends with a clean close', async () => {
    const holder = await hold(directory);
    expect(holder.said).toBe('open');
    const second = openLocal(directory);
    await expect(second).rejects.toMatchObject({ code: 'DIRECTORY_UNUSABLE' });
    await expect(second).rejects.toThrow(`another server (process ${holder.process.pid} `);
    const third = await hold(directory);
    expect(third.said).toContain(`DIRECTORY_UNUSABLE the data directory ${directory} is in use`);
    const exited = once(holder.process, 'exit');
    holder.process.stdin?.end();
    await exited;
    await openAndClose();
  });

  it('ends with kill -9', async () => {
    for (let round = 0; round < 3; round++) {
      const holder = await hold(directory);
      expect(holder.said).toBe('open');
      await expect(openLocal(directory)).rejects.toMatchObject({ code: 'DIRECTORY_UNUSABLE' });
      await kill(holder.process);
      await openAndClose();
    }
  });

  it('is taken by exactly one of several servers that start together', async () => {
    const starters = await Promise.all(Array.from({ length: 5 }, () => hold(directory)));
    const outcomes = starters.map((starter) => starter.said.split(' ')[0]);
    expect(outcomes.sort()).toEqual([...Array(4).fill('DIRECTORY_UNUSABLE'), 'open']);
  });
});

describe('the global directory', () => {
  it('is below the data directory unless it is named', async () => {
    const platform = await openLocal(directory);
    await platform.globalTable.put(COUNTER, new Uint8Array([1]));
    await platform.close();
    const globalDir = join(directory, 'global');
    const other = await openLocal(join(parent, 'other'), { globalDir });
    expect((await other.globalTable.get(COUNTER))?.value).toEqual(new Uint8Array([1]));
    await other.close();
  });

  it('is one table for several processes, whose races have one winner each', async () => {
    const globalDir = join(parent, 'global');
    const starting = [1, 2].map((n) => hold(join(parent, `region-${n}`), globalDir, '40'));
    const platform = await openLocal(directory, { globalDir });
    for (let raised = 0; raised < 40; raised++) await raiseCounter(platform.globalTable);
    expect((await Promise.all(starting)).map((holder) => holder.said)).toEqual(['open', 'open']);
    const row = await platform.globalTable.get(COUNTER);
    expect(row && Buffer.from(row.value).toString()).toBe('120');
    expect(row?.version).toBe(120);
    await platform.close();
  });
});

describe('a directory without permission', () => {
  it('is refused with the reason', async () => {
    await mkdir(directory, { recursive: true });
    await chmod(directory, 0o500);
    // Root may write everywhere, so there the directory opens.
    const opening = openLocal(directory);
    if (process.getuid?.() === 0) await (await opening).close();
    else await expect(opening).rejects.toMatchObject({ code: 'DIRECTORY_UNUSABLE' });
  });
});
