/** Payloads are stored where the record says, and what comes back is what the record meant. */
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import type { Column } from '#schema/column.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { encodePayload, loadPayload, type Payload, storePayload } from '#wal/payload.ts';
import { INLINE_BYTES_MAX, type PayloadRef } from '#wal/record.ts';
import { payloads } from './arbitrary-records.ts';

const shard = { collectionId: 7, shard: 1 };
const clock = { nowMs: () => 1_700_000_000_000, sleep: async () => undefined };
const entropy = { bytes: (count: number) => new Uint8Array(count).fill(0xab), random: () => 0.5 };
const KEY = 'collections/7/1/payload/01700000000000-abababababababab';

const withRows = (count: number): Payload => ({
  schemaVersion: 3,
  rows: {
    count,
    columns: new Map([[100, { type: 'Int64', values: new BigInt64Array(count).fill(7n) }]]),
    partitions: new Uint32Array(count).fill(1),
  },
  tombstones: { keys: { type: 'Int64', values: new BigInt64Array(0) }, bounds: [] },
});

let objects: MemoryObjectStore;
beforeEach(() => {
  objects = new MemoryObjectStore(clock);
});
const store = (bytes: Uint8Array) => storePayload({ objects, clock, entropy }, shard, bytes);

test('whatever was stored is loaded', async () => {
  await fc.assert(
    fc.asyncProperty(payloads, async (payload) => {
      const ref = await store(encodePayload(payload));
      expect(await loadPayload(objects, ref)).toEqual(payload);
    }),
  );
});

test('up to the bound a payload is inline, beyond it an object', async () => {
  expect(await store(new Uint8Array(INLINE_BYTES_MAX))).toMatchObject({ at: 'inline' });
  expect(await objects.list('')).toEqual([]);
  expect(await store(new Uint8Array(INLINE_BYTES_MAX + 1))).toMatchObject({
    at: 'object',
    key: KEY,
  });
  expect((await objects.list('')).map(({ key }) => key)).toEqual([KEY]);
});

test('vectors of a large payload are views of what was read', async () => {
  const values = Float32Array.from({ length: 4096 }, (_, index) => index);
  const vector = { type: 'FloatVector' as const, dim: 8, values };
  const payload = withRows(512);
  const columns = new Map<number, Column>([...payload.rows.columns, [101, vector]]);
  const ref = await store(encodePayload({ ...payload, rows: { ...payload.rows, columns } }));
  const loaded = (await loadPayload(objects, ref)).rows.columns.get(101);
  expect(loaded).toEqual(vector);
  if (loaded?.type !== 'FloatVector') throw new Error('a vector column');
  expect(loaded.values.buffer.byteLength).toBeGreaterThan(values.byteLength);
});

describe('an object that is not what the record means', () => {
  const bytes = encodePayload(withRows(2000));
  const loading = async (change: (ref: Extract<PayloadRef, { at: 'object' }>) => PayloadRef) => {
    const ref = await store(bytes);
    if (ref.at !== 'object') throw new Error('a large payload is an object');
    try {
      await loadPayload(objects, change(ref));
    } catch (error) {
      if (isStoreError(error)) return `${error.code} ${error.message}`;
      throw error;
    }
    return 'nothing';
  };

  test('another size', async () => {
    expect(await loading((ref) => ({ ...ref, sizeBytes: 5 }))).toBe(
      `DATA_CORRUPT payload ${KEY}: ${bytes.length} bytes, the record says 5`,
    );
  });

  test('another checksum', async () => {
    expect(await loading((ref) => ({ ...ref, crc32: 5 }))).toMatch(
      new RegExp(`^DATA_CORRUPT payload ${KEY}: checksum [0-9a-f]+, the record says 5$`),
    );
  });

  test('not there', async () => {
    const message = await loading((ref) => ({ ...ref, key: 'collections/7/1/payload/x' }));
    expect(message).toContain('OBJECT_NOT_FOUND');
    expect(message).toContain('collections/7/1/payload/x');
  });
});

test('a batch whose parts disagree is not encoded', () => {
  const good = withRows(3);
  const lame = { ...good, rows: { ...good.rows, partitions: new Uint32Array(2) } };
  expect(() => encodePayload(lame)).toThrow('every row has a partition');
  expect(() => encodePayload({ ...good, rows: { ...good.rows, count: 2 } })).toThrow('field 100');
  const unbound = { ...good, tombstones: { ...good.tombstones, bounds: [undefined] } };
  expect(() => encodePayload(unbound)).toThrow('a key and a bound');
});
