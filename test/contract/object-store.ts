import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { must } from '#base/assert.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import { type OpenSubject, patternBytes, type Subject } from './subject.ts';

/** Everything `ports/object-store.ts` promises. */
export function objectStoreContract(
  name: string,
  open: OpenSubject<ObjectStore>,
  { durable }: Readonly<{ durable: boolean }>,
): void {
  describe(`object store: ${name}`, () => {
    let subject: Subject<ObjectStore>;
    let store: ObjectStore;
    beforeEach(async () => {
      subject = await open();
      store = subject.port;
    });
    afterEach(() => subject.close());

    describe('objects', () => {
      it('returns the bytes that were put, also none and many', async () => {
        for (const [key, length] of [
          ['none', 0],
          ['one', 1],
          ['folder/deep/er/many.bin', 1024 * 1024 + 3],
        ] as const) {
          const bytes = patternBytes(length);
          await store.put(key, bytes);
          expect(Buffer.compare(await store.get(key), bytes)).toBe(0);
          expect(await store.head(key)).toMatchObject({ key, sizeBytes: length });
        }
      });

      it('keeps no hold on the arrays of its callers', async () => {
        const bytes = new Uint8Array([1, 2, 3]);
        await store.put('k', bytes);
        bytes.fill(0);
        const first = await store.get('k');
        first.fill(9);
        expect([...(await store.get('k'))]).toEqual([1, 2, 3]);
      });

      it('takes a view into a larger array for what it shows', async () => {
        await store.put('k', patternBytes(100).subarray(10, 14));
        expect(await store.get('k')).toEqual(patternBytes(100).slice(10, 14));
      });

      it('replaces an object as a whole', async () => {
        await store.put('k', patternBytes(5000, 1));
        await store.put('k', patternBytes(70, 2));
        expect(await store.get('k')).toEqual(patternBytes(70, 2));
        expect(await store.head('k')).toMatchObject({ sizeBytes: 70 });
      });

      it('shows a racing reader one whole version', async () => {
        await store.put('k', patternBytes(40_000, 1));
        const writes = (async () => {
          for (let round = 0; round < 20; round++) {
            await store.put('k', patternBytes(40_000, (round % 2) + 1));
          }
        })();
        for (let round = 0; round < 20; round++) {
          const seen = await store.get('k');
          const isWhole = [1, 2].some(
            (seed) => Buffer.compare(seen, patternBytes(40_000, seed)) === 0,
          );
          expect(isWhole).toBe(true);
        }
        await writes;
      });

      it('knows when an object was written', async () => {
        await store.put('k', patternBytes(1));
        const info = await store.head('k');
        expect(Number.isInteger(info?.modifiedMs)).toBe(true);
        expect((await store.list(''))[0]).toEqual(info);
      });

      it('says that a missing object is missing', async () => {
        await store.put('a/b/c', patternBytes(1));
        for (const key of ['x', 'a', 'a/b', 'a/b/d', 'a/b/c/d']) {
          expect(await store.head(key)).toBeUndefined();
          const got = store.get(key);
          await expect(got).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
          await expect(got).rejects.toThrow(key);
        }
      });

      it('survives many puts at the same time into one folder and into many', async () => {
        const keys = Array.from({ length: 120 }, (_, index) =>
          index % 2 === 0 ? `same/folder/${index}` : `other/${index}/deep/x`,
        );
        await Promise.all(keys.map((key, index) => store.put(key, patternBytes(50, index + 1))));
        for (const [index, key] of keys.entries()) {
          expect(await store.get(key)).toEqual(patternBytes(50, index + 1));
        }
        expect(await store.list('')).toHaveLength(keys.length);
      });
    });

    describe('ranges', () => {
      it('returns exactly the range', async () => {
        const bytes = patternBytes(1000);
        await store.put('k', bytes);
        for (const [offset, length] of [
          [0, 1],
          [0, 1000],
          [999, 1],
          [123, 456],
        ] as const) {
          expect(await store.get('k', { offset, length })).toEqual(
            bytes.slice(offset, offset + length),
          );
        }
      });

      it('names the object that ends before the range does', async () => {
        await store.put('folder/short', patternBytes(10));
        for (const range of [
          { offset: 0, length: 11 },
          { offset: 9, length: 2 },
          { offset: 10, length: 1 },
          { offset: 500, length: 1 },
        ]) {
          const got = store.get('folder/short', range);
          await expect(got).rejects.toMatchObject({ code: 'DATA_CORRUPT' });
          await expect(got).rejects.toThrow('folder/short');
        }
      });

      it('says that a range of a missing object is missing, not corrupt', async () => {
        const got = store.get('nothing', { offset: 0, length: 1 });
        await expect(got).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
      });

      it('refuses a range that is none', async () => {
        await store.put('k', patternBytes(10));
        for (const range of [
          { offset: -1, length: 1 },
          { offset: 0, length: 0 },
          { offset: 0.5, length: 1 },
          { offset: 0, length: Number.NaN },
        ]) {
          await expect(store.get('k', range)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
        }
      });
    });

    describe('listing', () => {
      // In bytewise order: `-` and `.` come before `/`, digits and letters after it.
      const keys = [
        'a-b',
        'a.b',
        'a/b',
        'a/b-c/d',
        'a/b.c',
        'a/c/d/e',
        'a/c/d/f',
        'a0',
        'ab',
        'b/x',
      ];
      beforeEach(async () => {
        for (const key of keys.toReversed()) await store.put(key, patternBytes(1));
      });
      const listed = async (...list: Parameters<ObjectStore['list']>) =>
        (await store.list(...list)).map((info) => info.key);

      it('is in bytewise order of whole keys', async () => {
        expect(await listed('')).toEqual(keys);
        expect([...keys].sort()).toEqual(keys);
      });

      it('limits to a prefix, wherever it ends', async () => {
        for (const prefix of [
          'a',
          'a/',
          'a/b',
          'a/c/',
          'a/c/d/e',
          'a/c/d/ee',
          'b',
          'b/x',
          'c',
          'a/z/',
        ]) {
          expect(await listed(prefix)).toEqual(keys.filter((key) => key.startsWith(prefix)));
        }
      });

      it('goes on after any text, a key or not', async () => {
        for (const after of [...keys, 'a', 'a/', 'a/c', 'a/c/d/ee', 'a/cc', 'zzz', '']) {
          expect(await listed('', { after })).toEqual(keys.filter((key) => key > after));
          expect(await listed('a/', { after })).toEqual(
            keys.filter((key) => key.startsWith('a/') && key > after),
          );
        }
      });

      it('pages through everything once, whatever the limit', async () => {
        for (const limit of [1, 2, 3, 7, keys.length, 1000]) {
          const seen: string[] = [];
          for (let after: string | undefined; ; after = seen.at(-1)) {
            const page = await listed('', after === undefined ? { limit } : { limit, after });
            expect(page.length).toBeLessThanOrEqual(limit);
            seen.push(...page);
            if (page.length < limit) break;
          }
          expect(seen).toEqual(keys);
        }
      });

      it('has pages of 1,000 by default', async () => {
        const many = Array.from({ length: 1_003 }, (_, index) => `many/${1000 + index}`);
        await Promise.all(many.map((key) => store.put(key, patternBytes(1))));
        const page = await listed('many/');
        expect(page).toEqual(many.slice(0, 1_000));
        expect(await listed('many/', { after: page.at(-1) ?? '' })).toEqual(many.slice(1_000));
      });

      it('refuses a limit or a prefix that is none', async () => {
        for (const limit of [0, -1, 1.5, 1001, Number.NaN]) {
          await expect(store.list('', { limit })).rejects.toMatchObject({
            code: 'INVALID_ARGUMENT',
          });
        }
        for (const prefix of ['A', 'a//', '../', 'a/../b', '/']) {
          await expect(store.list(prefix)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
        }
      });
    });

    describe('delete and copy', () => {
      it('deletes what exists and minds nothing that does not', async () => {
        for (const key of ['a/1', 'a/2', 'b']) await store.put(key, patternBytes(1));
        await store.delete(['a/1', 'missing', 'a/none', 'b', 'a']);
        expect((await store.list('')).map((info) => info.key)).toEqual(['a/2']);
        await expect(store.get('b')).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
        await store.delete([]);
      });

      it('takes new objects where all were deleted, also at the same time', async () => {
        for (let round = 0; round < 10; round++) {
          await store.put('folder/deep/old', patternBytes(1));
          await Promise.all([
            store.delete(['folder/deep/old']),
            store.put(`folder/deep/new-${round}`, patternBytes(2)),
          ]);
          expect(await store.get(`folder/deep/new-${round}`)).toEqual(patternBytes(2));
          await store.delete([`folder/deep/new-${round}`]);
        }
        expect(await store.list('')).toEqual([]);
      });

      it('copies an object, which then lives on its own', async () => {
        await store.put('from/x', patternBytes(5000));
        await store.copy('from/x', 'to/y/z');
        await store.delete(['from/x']);
        expect(await store.get('to/y/z')).toEqual(patternBytes(5000));
        await store.put('other', patternBytes(3));
        await store.copy('other', 'to/y/z');
        expect(await store.get('to/y/z')).toEqual(patternBytes(3));
      });

      it('cannot copy what is missing', async () => {
        await expect(store.copy('missing', 'x')).rejects.toMatchObject({
          code: 'OBJECT_NOT_FOUND',
        });
        expect(await store.head('x')).toBeUndefined();
      });
    });

    describe('keys', () => {
      it('takes the longest', async () => {
        const key = `${'a'.repeat(200)}/${'b'.repeat(200)}/${'c'.repeat(110)}`;
        expect(key).toHaveLength(512);
        await store.put(key, patternBytes(1));
        expect(await store.list('')).toMatchObject([{ key }]);
        expect(await store.get(key)).toEqual(patternBytes(1));
      });

      const bad = [
        '',
        '/a',
        'a/',
        'a//b',
        '.',
        '..',
        'a/../b',
        'a/./b',
        'A',
        'ä',
        'a b',
        'a\\b',
        'a\0b',
        'a\n',
        'a:b',
      ];
      it.each([...bad, 'a'.repeat(201), `${'a'.repeat(200)}/`.repeat(3)])(
        'refuses %j',
        async (key) => {
          const refused = { code: 'INVALID_ARGUMENT' };
          await store.put('there', patternBytes(1));
          await expect(store.put(key, patternBytes(1))).rejects.toMatchObject(refused);
          await expect(store.get(key)).rejects.toMatchObject(refused);
          await expect(store.head(key)).rejects.toMatchObject(refused);
          await expect(store.delete(['there', key])).rejects.toMatchObject(refused);
          await expect(store.copy('there', key)).rejects.toMatchObject(refused);
          await expect(store.copy(key, 'x')).rejects.toMatchObject(refused);
          expect((await store.list('')).map((info) => info.key)).toEqual(['there']);
        },
      );
    });

    if (durable)
      it('keeps what was put when it is opened again', async () => {
        const reopen = must(subject.reopen, 'what is durable can be opened again');
        await store.put('a/b', patternBytes(5000));
        await store.put('gone', patternBytes(1));
        await store.delete(['gone']);
        store = await reopen();
        expect(await store.get('a/b')).toEqual(patternBytes(5000));
        expect((await store.list('')).map((info) => info.key)).toEqual(['a/b']);
      });
  });
}
