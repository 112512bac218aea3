import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { must } from '#base/assert.ts';
import { type QueryOptions, ROW_VALUE_BYTES_MAX, type Table } from '#ports/table.ts';
import { type OpenSubject, patternBytes, type Subject } from './subject.ts';

const RACERS = 50;

/** Everything `ports/table.ts` promises. */
export function tableContract(
  name: string,
  open: OpenSubject<Table>,
  { durable }: Readonly<{ durable: boolean }>,
): void {
  describe(`table: ${name}`, () => {
    let subject: Subject<Table>;
    let table: Table;
    beforeEach(async () => {
      subject = await open();
      table = subject.port;
    });
    afterEach(() => subject.close());

    const key = { partition: 'p', sort: 's' };
    const value = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

    describe('one row', () => {
      it('is what was put, and its version rises by one with each put', async () => {
        expect(await table.get(key)).toBeUndefined();
        expect(await table.put(key, value('a'))).toBe(1);
        expect(await table.get(key)).toEqual({ ...key, version: 1, value: value('a') });
        expect(await table.put(key, value('b'))).toBe(2);
        expect(await table.put(key, new Uint8Array())).toBe(3);
        expect(await table.get(key)).toEqual({ ...key, version: 3, value: new Uint8Array() });
      });

      it('begins again at version 1 after it was deleted', async () => {
        await table.put(key, value('a'));
        await table.put(key, value('b'));
        expect(await table.delete(key)).toBe(true);
        expect(await table.get(key)).toBeUndefined();
        expect(await table.put(key, value('c'))).toBe(1);
      });

      it('is told apart by both parts of its key', async () => {
        const keys = [
          { partition: 'a', sort: 'bc' },
          { partition: 'ab', sort: 'c' },
          { partition: 'a', sort: 'b' },
          { partition: 'a b', sort: 'c' },
          { partition: 'a', sort: ' b c' },
        ];
        for (const [index, each] of keys.entries()) await table.put(each, value(String(index)));
        for (const [index, each] of keys.entries()) {
          expect(await table.get(each)).toEqual({
            ...each,
            version: 1,
            value: value(String(index)),
          });
        }
        expect(await table.query('a')).toHaveLength(3);
      });

      it('keeps no hold on the arrays of its callers', async () => {
        const bytes = value('abc');
        const put = table.put(key, bytes);
        bytes.fill(0);
        await put;
        (await table.get(key))?.value.fill(1);
        for (const row of await table.query('p')) row.value.fill(2);
        expect((await table.get(key))?.value).toEqual(value('abc'));
      });

      it('holds up to 256 KiB, and no more', async () => {
        const large = patternBytes(ROW_VALUE_BYTES_MAX);
        await table.put(key, large);
        expect(Buffer.compare((await table.get(key))?.value ?? value(''), large)).toBe(0);
        const tooLarge = table.put(key, new Uint8Array(ROW_VALUE_BYTES_MAX + 1));
        await expect(tooLarge).rejects.toMatchObject({ code: 'TOO_LARGE' });
        expect((await table.get(key))?.version).toBe(1);
      });

      it('has a key of up to 512 bytes in each part', async () => {
        const longest = { partition: '~'.repeat(512), sort: ' '.repeat(512) };
        expect(await table.put(longest, value('x'))).toBe(1);
        expect(await table.get(longest)).toMatchObject(longest);
        expect(await table.query(longest.partition)).toMatchObject([longest]);
      });

      it.each(['', 'ä', '\n', '\0', '\x7f', 'a'.repeat(513)])(
        'has no key part %j',
        async (part) => {
          const refused = { code: 'INVALID_ARGUMENT' };
          for (const bad of [
            { partition: part, sort: 's' },
            { partition: 'p', sort: part },
          ]) {
            await expect(table.put(bad, value('x'))).rejects.toMatchObject(refused);
            await expect(table.get(bad)).rejects.toMatchObject(refused);
            await expect(table.delete(bad)).rejects.toMatchObject(refused);
          }
          await expect(table.query(part)).rejects.toMatchObject(refused);
          expect(await table.query('p')).toEqual([]);
        },
      );
    });

    describe('conditions', () => {
      it('put only where they hold, and change nothing where they do not', async () => {
        expect(await table.put(key, value('no'), 1)).toBeUndefined();
        expect(await table.get(key)).toBeUndefined();
        expect(await table.put(key, value('a'), 'absent')).toBe(1);
        expect(await table.put(key, value('no'), 'absent')).toBeUndefined();
        expect(await table.put(key, value('b'), 1)).toBe(2);
        expect(await table.put(key, value('no'), 1)).toBeUndefined();
        expect(await table.put(key, value('no'), 3)).toBeUndefined();
        expect(await table.get(key)).toEqual({ ...key, version: 2, value: value('b') });
      });

      it('delete only where they hold', async () => {
        expect(await table.delete(key)).toBe(true);
        expect(await table.delete(key, 1)).toBe(false);
        expect(await table.delete(key, 'absent')).toBe(false);
        await table.put(key, value('a'));
        expect(await table.delete(key, 'absent')).toBe(false);
        expect(await table.delete(key, 2)).toBe(false);
        expect((await table.get(key))?.version).toBe(1);
        expect(await table.delete(key, 1)).toBe(true);
        expect(await table.get(key)).toBeUndefined();
      });

      it(`let one of ${RACERS} racers create a row`, async () => {
        const versions = await Promise.all(
          Array.from({ length: RACERS }, (_, racer) => table.put(key, value(`${racer}`), 'absent')),
        );
        const winners = versions.flatMap((version, racer) =>
          version === undefined ? [] : [racer],
        );
        expect(winners).toHaveLength(1);
        expect(versions[winners[0] ?? -1]).toBe(1);
        expect(await table.get(key)).toEqual({ ...key, version: 1, value: value(`${winners[0]}`) });
      });

      it(`let one of ${RACERS} racers replace or delete a version`, async () => {
        await table.put(key, value('start'));
        const outcomes = await Promise.all(
          Array.from({ length: RACERS }, async (_, racer) =>
            racer % 2 === 0
              ? (await table.put(key, value(`${racer}`), 1)) === 2
              : await table.delete(key, 1),
          ),
        );
        expect(outcomes.filter(Boolean)).toHaveLength(1);
        const winner = outcomes.indexOf(true);
        const row = await table.get(key);
        if (winner % 2 === 0) expect(row).toMatchObject({ version: 2, value: value(`${winner}`) });
        else expect(row).toBeUndefined();
      });

      it('make a counter of compare-and-set exact', async () => {
        await Promise.all(
          Array.from({ length: 8 }, async () => {
            for (let raised = 0; raised < 5; ) {
              const row = await table.get(key);
              const count = Number(Buffer.from(row?.value ?? value('0')).toString());
              const put = await table.put(key, value(`${count + 1}`), row?.version ?? 'absent');
              if (put !== undefined) raised += 1;
            }
          }),
        );
        expect(await table.get(key)).toMatchObject({ version: 40, value: value('40') });
      });
    });

    describe('query', () => {
      const sorts = [
        ' ',
        '!',
        '0',
        '1',
        '10',
        '2',
        'A',
        'a',
        'a/1',
        'a/10',
        'a/2',
        'a0',
        'b',
        '~',
        '~~',
      ];
      beforeEach(async () => {
        for (const sort of sorts.toReversed())
          await table.put({ partition: 'p', sort }, value(sort));
        await table.put({ partition: 'p0', sort: 'other' }, value('x'));
        await table.put({ partition: 'o', sort: 'other' }, value('x'));
      });
      const queried = async (options?: QueryOptions) =>
        (await table.query('p', options)).map((row) => row.sort);

      it('is in bytewise order of sorts, or reverse, and stays in its partition', async () => {
        expect(await queried()).toEqual(sorts);
        expect(await queried({ reverse: true })).toEqual(sorts.toReversed());
        expect(await table.query('nobody')).toEqual([]);
        expect((await table.query('p', { limit: 1 }))[0]).toEqual({
          partition: 'p',
          sort: ' ',
          version: 1,
          value: value(' '),
        });
      });

      it('limits to a prefix and to bounds that exclude themselves, in every combination', async () => {
        const edges = [undefined, ' ', 'a', 'a/', 'a/1', 'a/10', 'a00', 'b', '~', '~~', '~~~'];
        for (const prefix of [undefined, 'a', 'a/1', '~', 'zz']) {
          for (const after of edges) {
            for (const before of edges) {
              const expected = sorts.filter(
                (sort) =>
                  sort.startsWith(prefix ?? '') &&
                  (after === undefined || sort > after) &&
                  (before === undefined || sort < before),
              );
              const bounds = {
                ...(prefix === undefined ? {} : { prefix }),
                ...(after === undefined ? {} : { after }),
                ...(before === undefined ? {} : { before }),
              };
              expect(await queried(bounds)).toEqual(expected);
              expect(await queried({ ...bounds, reverse: true })).toEqual(expected.toReversed());
              expect(await queried({ ...bounds, limit: 2 })).toEqual(expected.slice(0, 2));
              expect(await queried({ ...bounds, limit: 2, reverse: true })).toEqual(
                expected.toReversed().slice(0, 2),
              );
            }
          }
        }
      });

      it('pages in both directions', async () => {
        for (const limit of [1, 4, sorts.length]) {
          const forward: string[] = [];
          for (let page = await queried({ limit }); page.length > 0; ) {
            forward.push(...page);
            page = await queried({ limit, after: page.at(-1) ?? '' });
          }
          expect(forward).toEqual(sorts);
          const backward: string[] = [];
          for (let page = await queried({ limit, reverse: true }); page.length > 0; ) {
            backward.push(...page);
            page = await queried({ limit, reverse: true, before: page.at(-1) ?? '' });
          }
          expect(backward).toEqual(sorts.toReversed());
        }
      });

      it('has pages of 1,000 by default', async () => {
        const many = Array.from({ length: 1_002 }, (_, index) => `${1000 + index}`);
        await Promise.all(many.map((sort) => table.put({ partition: 'm', sort }, value(sort))));
        const page = await table.query('m');
        expect(page.map((row) => row.sort)).toEqual(many.slice(0, 1_000));
        expect(page.every((row) => Buffer.from(row.value).toString() === row.sort)).toBe(true);
        expect(await table.query('m', { after: page.at(-1)?.sort ?? '' })).toHaveLength(2);
      });

      it('returns large rows intact side by side', async () => {
        for (const seed of [1, 2, 3]) {
          await table.put({ partition: 'large', sort: `${seed}` }, patternBytes(200_000, seed));
        }
        const rows = await table.query('large');
        await table.query('p');
        for (const [index, row] of rows.entries()) {
          expect(Buffer.compare(row.value, patternBytes(200_000, index + 1))).toBe(0);
        }
      });

      it.each([0, -1, 1.5, 1_001, Number.NaN])('refuses the limit %d', async (limit) => {
        const refused = { code: 'INVALID_ARGUMENT' };
        await expect(table.query('p', { limit })).rejects.toMatchObject(refused);
      });
    });

    it('shows a put and a delete to every read that begins after them', async () => {
      for (let round = 0; round < 50; round++) {
        await table.put(key, value(`${round}`));
        expect((await table.get(key))?.value).toEqual(value(`${round}`));
        expect((await table.query('p'))[0]?.value).toEqual(value(`${round}`));
        if (round % 5 === 0) {
          await table.delete(key);
          expect(await table.get(key)).toBeUndefined();
          expect(await table.query('p')).toEqual([]);
        }
      }
    });

    if (durable)
      it('keeps rows and versions when it is opened again', async () => {
        const reopen = must(subject.reopen, 'what is durable can be opened again');
        await table.put(key, value('a'));
        await table.put(key, value('b'));
        await table.put({ partition: 'p', sort: 'gone' }, value('x'));
        await table.delete({ partition: 'p', sort: 'gone' });
        table = await reopen();
        expect(await table.query('p')).toEqual([{ ...key, version: 2, value: value('b') }]);
        expect(await table.put(key, value('c'), 2)).toBe(3);
      });
  });
}
