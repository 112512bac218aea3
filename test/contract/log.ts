import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { must } from '#base/assert.ts';
import { compareSequences, type Log, type LogEntry, type ReadOptions } from '#ports/log.ts';
import { type OpenSubject, patternBytes, type Subject } from './subject.ts';

/**
 * Everything `ports/log.ts` promises. `trims`: false where entries are forgotten by age alone, so that
 * a trim must change nothing.
 */
export function logContract(
  name: string,
  open: OpenSubject<Log>,
  { durable, trims = true }: Readonly<{ durable: boolean; trims?: boolean }>,
): void {
  describe(`log: ${name}`, () => {
    let subject: Subject<Log>;
    let log: Log;
    beforeEach(async () => {
      subject = await open();
      log = subject.port;
    });
    afterEach(() => subject.close());

    const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
    const text = (entry: LogEntry): string => Buffer.from(entry.data).toString();
    const append = async (partition: string, data: string) => log.append(partition, bytes(data));
    /** Every entry of the log, stream shard by stream shard. */
    const readAll = async (): Promise<readonly LogEntry[]> => {
      const pages = (await log.streamShards()).map((shard) =>
        log.read(shard.name, { limit: 10_000 }),
      );
      return (await Promise.all(pages)).flat();
    };
    const numbers = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, index) => String(from + index));

    describe('append and read', () => {
      it('returns what was appended, in order, with its partition and arrival', async () => {
        const { streamShard } = await append('part', 'a');
        await append('part', 'b');
        await log.append('part', new Uint8Array());
        const entries = await log.read(streamShard, { limit: 10 });
        expect(entries.map(text)).toEqual(['a', 'b', '']);
        expect(entries.map((entry) => entry.partition)).toEqual(['part', 'part', 'part']);
        for (const entry of entries) expect(Number.isInteger(entry.arrivalMs)).toBe(true);
      });

      it('gives growing decimal sequences, the same ones to append and read', async () => {
        const appended = [];
        for (const each of numbers(0, 12)) appended.push(await append('part', each));
        for (const [index, { sequence }] of appended.entries()) {
          expect(sequence).toMatch(/^(0|[1-9][0-9]{0,55})$/);
          const previous = appended[index - 1];
          if (previous) expect(compareSequences(sequence, previous.sequence)).toBeGreaterThan(0);
        }
        const read = await log.read(must(appended[0], 'one').streamShard, { limit: 100 });
        expect(read.map((entry) => entry.sequence)).toEqual(appended.map((each) => each.sequence));
      });

      it('appends beyond the floor it is given', async () => {
        const first = await append('part', 'a');
        const second = await log.append('part', bytes('b'), { after: first.sequence });
        expect(compareSequences(second.sequence, first.sequence)).toBeGreaterThan(0);
        // A floor that the partition is far beyond already changes nothing.
        const third = await log.append('part', bytes('c'), { after: first.sequence });
        expect(compareSequences(third.sequence, second.sequence)).toBeGreaterThan(0);
      });

      it('keeps entries intact at any size, and no hold on the arrays of its callers', async () => {
        const large = patternBytes(900_000);
        const data = large.slice();
        const appending = log.append('part', data);
        data.fill(0);
        const { streamShard } = await appending;
        const [entry] = await log.read(streamShard, { limit: 1 });
        expect(Buffer.compare(must(entry, 'one entry').data, large)).toBe(0);
        entry?.data.fill(0);
        const [again] = await log.read(streamShard, { limit: 1 });
        expect(Buffer.compare(must(again, 'one entry').data, large)).toBe(0);
      });

      it('takes partitions of 1 to 256 characters of any script', async () => {
        for (const partition of ['a', 'ß', '日本語', 'a/b c', '🐦'.repeat(128)]) {
          const { streamShard, sequence } = await append(partition, partition);
          const entries = await log.read(streamShard, { limit: 100 });
          expect(entries.find((entry) => entry.sequence === sequence)?.partition).toBe(partition);
        }
        for (const partition of ['', 'a'.repeat(257), '\ud83d']) {
          await expect(append(partition, 'x')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
        }
      });

      it('keeps a partition on one stream shard and in the order of its writer', async () => {
        const partitions = numbers(0, 10).map((each) => `partition-${each}`);
        await Promise.all(
          partitions.map(async (partition) => {
            for (const each of numbers(0, 10)) await append(partition, each);
          }),
        );
        const shards = await Promise.all(
          partitions.map(async (partition) => (await append(partition, '10')).streamShard),
        );
        for (const [index, partition] of partitions.entries()) {
          const page = await log.read(must(shards[index], 'a shard'), { limit: 1_000 });
          const own = page.filter((entry) => entry.partition === partition);
          expect(own.map(text)).toEqual(numbers(0, 11));
        }
        expect(await readAll()).toHaveLength(110);
      });

      it('gives concurrent writers sequences of their own', async () => {
        const appended = await Promise.all(numbers(0, 200).map((each) => append('part', each)));
        expect(new Set(appended.map((each) => each.sequence)).size).toBe(200);
        const read = await readAll();
        for (const [index, { sequence }] of appended.entries()) {
          const entry = read.find((each) => each.sequence === sequence);
          expect(entry && text(entry)).toBe(String(index));
        }
      });

      it('has arrivals that never fall and are the same for every reader', async () => {
        for (const each of numbers(0, 20)) await append('part', each);
        const arrivals = (await readAll()).map((entry) => entry.arrivalMs);
        expect([...arrivals].sort((a, b) => a - b)).toEqual(arrivals);
        expect((await readAll()).map((entry) => entry.arrivalMs)).toEqual(arrivals);
      });
    });

    describe('pages', () => {
      let streamShard: string;
      const read = async (options: ReadOptions) => (await log.read(streamShard, options)).map(text);
      beforeEach(async () => {
        for (const each of numbers(10, 22)) ({ streamShard } = await append('part', each));
      });

      it('begin after a sequence and end at a limit', async () => {
        const entries = await log.read(streamShard, { limit: 100 });
        for (const [index, { sequence }] of entries.entries()) {
          expect(await read({ after: sequence, limit: 3 })).toEqual(
            numbers(10, 22).slice(index + 1, index + 4),
          );
        }
        expect(await read({ limit: 1 })).toEqual(['10']);
        expect(await read({ after: '0', limit: 2 })).toEqual(['10', '11']);
      });

      it('end once their bytes suffice, but have an entry at least', async () => {
        expect(await read({ limit: 100, maxBytes: 1 })).toEqual(['10']);
        expect(await read({ limit: 100, maxBytes: 2 })).toEqual(['10']);
        expect(await read({ limit: 100, maxBytes: 3 })).toEqual(['10', '11']);
        expect(await read({ limit: 100, maxBytes: 1_000 })).toEqual(numbers(10, 22));
      });

      it('refuse a bound that is none, and a stream shard that is none', async () => {
        const refused = { code: 'INVALID_ARGUMENT' };
        for (const limit of [0, -1, 1.5, 10_001, Number.NaN]) {
          await expect(log.read(streamShard, { limit })).rejects.toMatchObject(refused);
        }
        for (const after of ['', '01', '-1', 'x', '1'.repeat(57)]) {
          await expect(log.read(streamShard, { limit: 1, after })).rejects.toMatchObject(refused);
        }
        await expect(log.read(streamShard, { limit: 1, maxBytes: 0 })).rejects.toMatchObject(
          refused,
        );
        await expect(log.read('nobody', { limit: 1 })).rejects.toMatchObject(refused);
        await expect(log.wait('nobody', undefined, 1)).rejects.toMatchObject(refused);
        await expect(log.checkpoint('c', 'nobody')).rejects.toMatchObject(refused);
        await expect(log.trim('nobody', '1')).rejects.toMatchObject(refused);
      });
    });

    it('lists stream shards under stable names, parents before children', async () => {
      const shards = await log.streamShards();
      expect(shards.length).toBeGreaterThan(0);
      expect(await log.streamShards()).toEqual(shards);
      for (const [index, shard] of shards.entries()) {
        const earlier = shards.slice(0, index).map((each) => each.name);
        for (const parent of shard.parents) expect(earlier).toContain(parent);
        expect(earlier).not.toContain(shard.name);
      }
      expect(shards.map((shard) => shard.name)).toContain((await append('part', 'x')).streamShard);
    });

    describe('wait', () => {
      it('returns at once where there are entries, and at the next append where there are none', async () => {
        const [shard] = await log.streamShards();
        const { streamShard, sequence } = await append('part', 'a');
        await log.wait(streamShard, undefined, 60_000);
        await log.wait(streamShard, '0', 60_000);
        const waiting = log.wait(streamShard, sequence, 60_000);
        await append('part', 'b');
        await waiting;
        expect(shard).toBeDefined();
      });

      it('wakes every one who waits', async () => {
        const { streamShard, sequence } = await append('part', 'a');
        const waiting = numbers(0, 10).map(() => log.wait(streamShard, sequence, 60_000));
        await append('part', 'b');
        await Promise.all(waiting);
        expect(await log.read(streamShard, { after: sequence, limit: 10 })).toHaveLength(1);
      });
    });

    describe('checkpoints', () => {
      it('are none at first, then the highest that was saved', async () => {
        const { streamShard } = await append('part', 'a');
        expect(await log.checkpoint('apply', streamShard)).toBeUndefined();
        for (const [saved, expected] of [
          ['5', '5'],
          ['4', '5'],
          ['5', '5'],
          ['10', '10'],
          ['9', '10'],
          ['123456789012345678901234567890', '123456789012345678901234567890'],
          ['99', '123456789012345678901234567890'],
        ] as const) {
          await log.saveCheckpoint('apply', streamShard, saved);
          expect(await log.checkpoint('apply', streamShard)).toBe(expected);
        }
      });

      it('belong to a consumer', async () => {
        const { streamShard } = await append('part', 'a');
        await log.saveCheckpoint('apply', streamShard, '7');
        await log.saveCheckpoint('replicate', streamShard, '3');
        expect(await log.checkpoint('apply', streamShard)).toBe('7');
        expect(await log.checkpoint('replicate', streamShard)).toBe('3');
        expect(await log.checkpoint('appl', streamShard)).toBeUndefined();
      });

      it('do not move back when they are saved at the same time', async () => {
        const { streamShard } = await append('part', 'a');
        const saved = numbers(1, 60).sort();
        await Promise.all(saved.map((each) => log.saveCheckpoint('apply', streamShard, each)));
        expect(await log.checkpoint('apply', streamShard)).toBe('59');
      });

      it('refuse a consumer or a sequence that is none', async () => {
        const { streamShard } = await append('part', 'a');
        const refused = { code: 'INVALID_ARGUMENT' };
        for (const consumer of ['', 'a b', 'ä', 'a'.repeat(129)]) {
          await expect(log.checkpoint(consumer, streamShard)).rejects.toMatchObject(refused);
          await expect(log.saveCheckpoint(consumer, streamShard, '1')).rejects.toMatchObject(
            refused,
          );
        }
        await expect(log.saveCheckpoint('c', streamShard, '007')).rejects.toMatchObject(refused);
      });
    });

    if (!trims)
      it('trim checks what it is given, and keeps every entry and checkpoint', async () => {
        const appended = [];
        for (const each of numbers(0, 6)) appended.push(await append('part', each));
        const { sequence, streamShard } = must(appended[3], 'the fourth');
        await log.saveCheckpoint('apply', streamShard, sequence);
        await log.trim(streamShard, sequence);
        expect((await readAll()).map(text)).toEqual(numbers(0, 6));
        const after = await log.read(streamShard, { after: sequence, limit: 10 });
        expect(after.map(text)).toEqual(['4', '5']);
        expect(await log.checkpoint('apply', streamShard)).toBe(sequence);
        await expect(log.trim(streamShard, '007')).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
        });
      });

    if (trims)
      describe('trim', () => {
        it('forgets entries up to and including a sequence', async () => {
          const appended = [];
          for (const each of numbers(0, 6)) appended.push(await append('part', each));
          const { sequence, streamShard } = must(appended[3], 'the fourth');
          await log.trim(streamShard, sequence);
          expect((await readAll()).map(text)).toEqual(['4', '5']);
          await log.trim(streamShard, must(appended[1], 'the second').sequence);
          expect((await readAll()).map(text)).toEqual(['4', '5']);
          expect((await log.read(streamShard, { after: '0', limit: 1 })).map(text)).toEqual(['4']);
        });

        it('forgets everything, and never gives a sequence twice', async () => {
          await Promise.all(numbers(0, 2_500).map((each) => append('part', each)));
          const entries = await readAll();
          const last = must(entries.at(-1), 'the last entry');
          const { streamShard } = await append('part', 'more');
          await log.saveCheckpoint('apply', streamShard, last.sequence);
          await log.trim(streamShard, last.sequence);
          expect((await readAll()).map(text)).toEqual(['more']);
          const [more] = await readAll();
          await log.trim(streamShard, must(more, 'one').sequence);
          expect(await readAll()).toEqual([]);
          const next = await append('part', 'next');
          expect(compareSequences(next.sequence, must(more, 'one').sequence)).toBeGreaterThan(0);
          expect(await log.checkpoint('apply', streamShard)).toBe(last.sequence);
        });
      });

    if (durable)
      it('keeps entries, checkpoints and sequences when it is opened again', async () => {
        const reopen = must(subject.reopen, 'what is durable can be opened again');
        await append('part', 'a');
        const second = await append('part', 'b');
        await log.saveCheckpoint('apply', second.streamShard, second.sequence);
        const before = await readAll();
        log = await reopen();
        expect(await readAll()).toEqual(before);
        expect(await log.checkpoint('apply', second.streamShard)).toBe(second.sequence);
        await log.trim(second.streamShard, second.sequence);
        log = await reopen();
        const third = await append('part', 'c');
        expect(compareSequences(third.sequence, second.sequence)).toBeGreaterThan(0);
        expect((await readAll()).map(text)).toEqual(trims ? ['c'] : ['a', 'b', 'c']);
      });
  });
}
