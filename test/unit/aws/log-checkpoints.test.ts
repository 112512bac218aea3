import { expect, it } from 'vitest';
import { openCheckpoints } from '#aws/checkpoints.ts';
import type { Table } from '#ports/table.ts';
import { MemoryTable } from '#sim/memory-table.ts';

/** A table in which `meanwhile` happens between each read of a row and the write that follows it. */
const raced = (table: Table, meanwhile: () => Promise<void>): Table => ({
  get: async (key) => {
    const row = await table.get(key);
    await meanwhile();
    return row;
  },
  query: (partition, options) => table.query(partition, options),
  put: (key, value, condition) => table.put(key, value, condition),
  delete: (key, condition) => table.delete(key, condition),
});

it('keeps the higher of two that race, first or later', async () => {
  const table = new MemoryTable();
  const other = openCheckpoints(table, 'stream');
  for (const [rival, own, kept] of [
    ['5', '3', '5'],
    ['20', '19', '20'],
    ['21', '30', '30'],
  ] as const) {
    let races = 0;
    const racing = raced(table, async () => {
      if (races++ === 0) await other.save('apply', 'shard', rival);
    });
    await openCheckpoints(racing, 'stream').save('apply', 'shard', own);
    expect(await other.get('apply', 'shard')).toBe(kept);
    expect(races).toBe(2);
  }
});

it('gives up when it loses every race, and has saved nothing', async () => {
  const table = new MemoryTable();
  const key = { partition: 'log-checkpoints/stream', sort: 'shard/apply' };
  // Someone who writes the same row again and again, each time as a new version.
  const racing = raced(table, async () => {
    await table.put(key, new TextEncoder().encode('1'));
  });
  await expect(openCheckpoints(racing, 'stream').save('apply', 'shard', '7')).rejects.toMatchObject(
    { code: 'OVERLOADED' },
  );
  expect(await openCheckpoints(table, 'stream').get('apply', 'shard')).toBe('1');
});

it('keeps streams, stream shards and consumers apart in one table', async () => {
  const table = new MemoryTable();
  const [one, other] = ['one', 'other'].map((name) => openCheckpoints(table, name));
  await one?.save('c', 's', '1');
  await one?.save('s/c', 's', '2');
  await one?.save('c', 't', '3');
  await other?.save('c', 's', '4');
  expect(await one?.get('c', 's')).toBe('1');
  expect(await one?.get('s/c', 's')).toBe('2');
  expect(await one?.get('c', 't')).toBe('3');
  expect(await other?.get('c', 's')).toBe('4');
  expect(await other?.get('c', 't')).toBeUndefined();
});

it('names the row that holds no sequence', async () => {
  const table = new MemoryTable();
  const key = { partition: 'log-checkpoints/stream', sort: 'shard/apply' };
  await table.put(key, new TextEncoder().encode('007'));
  await expect(openCheckpoints(table, 'stream').get('apply', 'shard')).rejects.toMatchObject({
    code: 'DATA_CORRUPT',
    message: expect.stringContaining('shard/apply'),
  });
});
