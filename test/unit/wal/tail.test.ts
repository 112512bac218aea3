/** The tail: every entry behind a position, in order, until it is swept (I4). */
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { ORIGIN, recordPosition } from '#base/position.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { shardName } from '#wal/shard.ts';
import {
  newestTail,
  putTail,
  readTail,
  readTailPage,
  sweepTail,
  type TailEntry,
} from '#wal/tail.ts';
import { recordPositions, tailEntries } from './arbitrary-records.ts';

const shard = { collectionId: 7, shard: 0 };
let table: MemoryTable;
beforeEach(() => {
  table = new MemoryTable();
});

const entryAt = (sequence: number): TailEntry => ({
  position: recordPosition(1, 1, String(sequence)),
  fenceNumber: 1,
  recordId: String(sequence).padStart(32, '0'),
  schemaVersion: 1,
  arrivalMs: 1_000 + sequence,
  rows: 1,
  tombstones: 0,
  payload: { at: 'inline', bytes: Uint8Array.of(sequence & 0xff) },
});

const byPosition = (a: TailEntry, b: TailEntry): number => (a.position < b.position ? -1 : 1);

test('entries behind a position come in order, and sweeping takes those up to one', async () => {
  const distinct = fc.uniqueArray(tailEntries, {
    selector: ({ position }) => position,
    maxLength: 12,
  });
  await fc.assert(
    fc.asyncProperty(distinct, recordPositions, fc.nat(), async (entries, other, pick) => {
      const store = new MemoryTable();
      for (const entry of entries) await putTail(store, shard, entry);
      const cut = entries[pick % (entries.length + 1)]?.position ?? other;
      const sorted = [...entries].sort(byPosition);
      const behind = sorted.filter(({ position }) => position > cut);
      expect(await readTail(store, shard, ORIGIN)).toEqual(sorted);
      expect(await readTail(store, shard, cut)).toEqual(behind);
      expect(await newestTail(store, shard)).toEqual(sorted.at(-1));

      expect(await sweepTail(store, shard, cut, 1000)).toBe(sorted.length - behind.length);
      expect(await readTail(store, shard, ORIGIN)).toEqual(behind);
      expect(await sweepTail(store, shard, cut, 1000)).toBe(0);
    }),
  );
});

test('pages are read to the end', async () => {
  for (let sequence = 0; sequence < 2005; sequence++)
    await putTail(table, shard, entryAt(sequence));
  const entries = await readTail(table, shard, entryAt(3).position);
  expect(entries.length).toBe(2001);
  expect(entries.at(-1)).toEqual(entryAt(2004));
  const page = await readTailPage(table, shard, entryAt(3).position, 2);
  expect(page).toEqual([entryAt(4), entryAt(5)]);
  expect(await sweepTail(table, shard, entryAt(2004).position, 1000)).toBe(1000);
  expect((await readTail(table, shard, ORIGIN))[0]).toEqual(entryAt(1000));
});

describe('boundaries', () => {
  test('putting an entry again changes nothing', async () => {
    await putTail(table, shard, entryAt(5));
    await putTail(table, shard, entryAt(5));
    expect(await readTail(table, shard, ORIGIN)).toEqual([entryAt(5)]);
  });

  test('nothing is at or below the origin', async () => {
    await putTail(table, shard, entryAt(5));
    expect(await sweepTail(table, shard, ORIGIN, 1000)).toBe(0);
    expect(await newestTail(table, shard)).toEqual(entryAt(5));
  });

  test('an empty tail has no newest entry, and other rows of the shard are none', async () => {
    await table.put({ partition: shardName(shard), sort: 'gate' }, Uint8Array.of(1));
    await table.put({ partition: shardName(shard), sort: 'tail0' }, Uint8Array.of(1));
    expect(await newestTail(table, shard)).toBeUndefined();
    expect(await readTail(table, shard, ORIGIN)).toEqual([]);
  });

  test('a damaged row is named', async () => {
    const sort = `tail/${entryAt(5).position}`;
    await table.put({ partition: shardName(shard), sort }, new Uint8Array(30));
    await expect(readTail(table, shard, ORIGIN)).rejects.toThrow(`tail row c7-0 ${sort}`);
  });
});
