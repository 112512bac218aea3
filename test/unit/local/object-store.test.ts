import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openObjectStore } from '#local/object-store.ts';
import type { ObjectStore } from '#ports/object-store.ts';

let directory: string;
let store: ObjectStore;
const folders = () => ({ objects: join(directory, 'objects'), temporary: join(directory, 'tmp') });
const bytes = (length: number) => new Uint8Array(length).fill(7);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sterna-objects-'));
  store = await openObjectStore(folders());
});

afterEach(() => rm(directory, { recursive: true, force: true }));

describe('files', () => {
  it('are named like their objects, and nothing temporary stays', async () => {
    await store.put('a/b/c.bin', bytes(3));
    await store.copy('a/b/c.bin', 'd');
    expect(await readdir(directory, { recursive: true })).toEqual(
      expect.arrayContaining(['objects/a/b/c.bin', 'objects/d']),
    );
    expect(await readdir(folders().temporary)).toEqual([]);
  });

  it('are removed with the folders that they leave empty', async () => {
    await store.put('a/b/c/1', bytes(1));
    await store.put('a/x', bytes(1));
    await store.delete(['a/b/c/1']);
    expect((await readdir(folders().objects, { recursive: true })).sort()).toEqual(['a', 'a/x']);
    await store.delete(['a/x']);
    expect(await readdir(folders().objects)).toEqual([]);
    await store.put('a/b/c/1', bytes(2));
    expect(await store.get('a/b/c/1')).toEqual(bytes(2));
  });

  it('that are no objects are not listed', async () => {
    await store.put('a/b', bytes(1));
    await writeFile(join(folders().objects, 'a', '.DS_Store'), '');
    await mkdir(join(folders().objects, 'Empty Folder'));
    expect((await store.list('')).map((info) => info.key)).toEqual(['a/b']);
  });

  it('that were cut short are corrupt where the lost part is read', async () => {
    await store.put('a/b', bytes(100));
    await truncate(join(folders().objects, 'a/b'), 60);
    expect(await store.get('a/b', { offset: 0, length: 60 })).toEqual(bytes(60));
    const lost = store.get('a/b', { offset: 50, length: 20 });
    await expect(lost).rejects.toMatchObject({ code: 'DATA_CORRUPT' });
    await expect(lost).rejects.toThrow('object a/b has 60 bytes');
  });

  it('are read into memory of their own, so that columns can be viewed in place', async () => {
    await store.put('k', bytes(64));
    const read = await store.get('k', { offset: 3, length: 16 });
    expect(read.byteOffset).toBe(0);
    expect(read.buffer.byteLength).toBe(16);
    expect(new Float32Array(read.buffer)).toHaveLength(4);
  });
});

describe('a put that fails', () => {
  it('leaves nothing under the key', async () => {
    await rm(folders().temporary, { recursive: true });
    const failed = store.put('a/b', bytes(10));
    await expect(failed).rejects.toMatchObject({ code: 'UNCERTAIN' });
    await expect(failed).rejects.toThrow('a/b');
    expect(await store.head('a/b')).toBeUndefined();
    await mkdir(folders().temporary);
    await store.put('a/b', bytes(10));
    expect(await store.get('a/b')).toEqual(bytes(10));
  });

  it('says where an object is in the way of a folder, or a folder in the way of an object', async () => {
    await store.put('a', bytes(1));
    await store.put('f/x', bytes(1));
    await expect(store.put('a/b', bytes(1))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(store.put('f', bytes(1))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect((await store.list('')).map((info) => info.key)).toEqual(['a', 'f/x']);
    expect(await readdir(folders().temporary)).toEqual([]);
  });
});

it('keeps every put of a storm of puts and deletes in shared folders', async () => {
  const kept: string[] = [];
  await Promise.all(
    Array.from({ length: 40 }, async (_, task) => {
      const folder = `folder-${task % 3}`;
      for (let round = 0; round < 5; round++) {
        const key = `${folder}/deep/${task}-${round}`;
        await store.put(key, bytes(task + 1));
        if (round < 4) await store.delete([key]);
        else kept.push(key);
      }
    }),
  );
  expect((await store.list('')).map((info) => info.key)).toEqual(kept.sort());
  expect(await readdir(folders().temporary)).toEqual([]);
});
