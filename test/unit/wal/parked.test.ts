/** The rows of parked shards: codecs, order, and what a lost race or answer leaves. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LogEntry } from '#ports/log.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import {
  decodeParked,
  encodeParked,
  listedShards,
  listParked,
  type Parked,
  readParked,
  swapParked,
  unlistParked,
} from '#wal/parked.ts';
import { ASIDE_STATES, type Aside, decodeAside, encodeAside } from '#wal/parked-aside.ts';
import {
  decodeParkedEntry,
  deleteParkedEntries,
  encodeParkedEntry,
  type ParkedEntry,
  putParkedEntries,
  readParkedEntries,
  sortableSequence,
} from '#wal/parked-entries.ts';
import { payloadRefs, recordIds, recordPositions, u32, whole } from './arbitrary-records.ts';
import { checkDamage, checkRoundTrip, checkTotality } from './codec-checks.ts';

const SHARD = { collectionId: 7, shard: 0 };

const sequences = fc.bigInt(0n, 10n ** 56n - 1n).map(String);
const parkedRows: fc.Arbitrary<Parked> = fc.record({
  isParked: fc.boolean(),
  sequence: fc.option(sequences, { nil: undefined }),
  code: fc.string(),
  reason: fc.string(),
  sinceMs: whole,
  through: sequences,
  entries: whole,
  attempts: whole,
  nextReplayMs: whole,
});
const entries: fc.Arbitrary<ParkedEntry> = fc.record({ arrivalMs: whole, data: payloadRefs });
const asides: fc.Arbitrary<Aside> = fc.record({
  state: fc.constantFrom(...ASIDE_STATES),
  sequence: fc.constant('12'),
  position: recordPositions,
  arrivalMs: whole,
  setAsideMs: whole,
  code: fc.string(),
  reason: fc.string(),
  wasVisible: fc.boolean(),
  recordBytes: whole,
  payloadBytes: fc.option(whole, { nil: undefined }),
  recordId: fc.option(recordIds, { nil: undefined }),
  rows: u32,
  tombstones: u32,
  schemaVersion: whole,
});

describe.each([
  ['parked', parkedRows, encodeParked, (bytes: Uint8Array) => decodeParked(bytes, 'it')],
  ['entry', entries, encodeParkedEntry, (bytes: Uint8Array) => decodeParkedEntry(bytes, 'it')],
  ['aside', asides, encodeAside, (bytes: Uint8Array) => decodeAside(bytes, '12', 'it')],
] as const)('%s row', (_, values, encode, decode) => {
  // Each codec goes with its own values: the table above pairs them.
  const [any, write] = [values as fc.Arbitrary<unknown>, encode as (value: unknown) => Uint8Array];
  test('comes back as it went', () => checkRoundTrip(any, write, decode));
  test('damage is refused', () => checkDamage(any, write, decode));
  test('decoding is total', () => checkTotality(any, write, decode));
});

test('sequences sort as text as they do as numbers', () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 3000n), fc.bigInt(0n, 10n ** 56n - 1n), (a, b) => {
      const isBelow = sortableSequence(String(a)) < sortableSequence(String(b));
      expect(isBelow).toBe(a < b);
    }),
  );
});

function world() {
  const clock = new ManualClock();
  return { table: new MemoryTable(), objects: new MemoryObjectStore(clock) };
}

const entry = (sequence: string, sizeBytes: number): LogEntry => ({
  sequence,
  partition: 'c7-0',
  data: new Uint8Array(sizeBytes).fill(Number(sequence)),
  arrivalMs: 5,
});

describe('entries', () => {
  test('come back in the order of the log, up to where they are complete', async () => {
    const ports = world();
    const all = [entry('9', 3), entry('10', 300_000), entry('11', 0), entry('100', 9_000)];
    await putParkedEntries(ports, SHARD, [...all].reverse());
    await putParkedEntries(ports, SHARD, all);
    expect(await readParkedEntries(ports, SHARD, '100', 10)).toEqual(all);
    expect(await readParkedEntries(ports, SHARD, '99', 10)).toEqual(all.slice(0, 3));
    expect(await readParkedEntries(ports, SHARD, '100', 2)).toEqual(all.slice(0, 2));
    expect(await readParkedEntries(ports, SHARD, '8', 2)).toEqual([]);
    await deleteParkedEntries(ports, SHARD, all);
    expect(await ports.table.query('c7-0')).toEqual([]);
    expect(await ports.objects.list('')).toEqual([]);
  });

  test('keep their place where a large one was lost', async () => {
    const ports = world();
    await putParkedEntries(ports, SHARD, [entry('1', 300_000), entry('2', 300_000)]);
    const [first, second] = await ports.objects.list('');
    await ports.objects.delete([first?.key ?? '']);
    await ports.objects.put(second?.key ?? '', new Uint8Array(300_000));
    const read = await readParkedEntries(ports, SHARD, '9', 10);
    expect(read.map(({ sequence, data }) => [sequence, data.length])).toEqual([
      ['1', 0],
      ['2', 0],
    ]);
  });
});

test('the row moves only from the version that was read', async () => {
  const { table } = world();
  const [parked] = fc.sample(parkedRows, 1);
  if (parked === undefined) throw new Error('no sample');
  const none = await readParked(table, SHARD);
  expect(none).toEqual({ parked: undefined, version: 0 });
  expect(await swapParked(table, SHARD, none, parked)).toBe(true);
  expect(await swapParked(table, SHARD, none, parked)).toBe(false);
  const first = await readParked(table, SHARD);
  expect(first.parked).toEqual(parked);
  expect(await swapParked(table, SHARD, first, { ...parked, attempts: 1 })).toBe(true);
  expect(await swapParked(table, SHARD, first, parked)).toBe(false);
});

test('shards are listed once, and until they are taken off', async () => {
  const { table } = world();
  const shards = Array.from({ length: 1_100 }, (_, index) => ({
    collectionId: 10_000 + index,
    shard: 3,
  }));
  for (const shard of [...shards, ...shards]) await listParked(table, shard);
  expect(await listedShards(table)).toEqual(shards);
  for (const shard of shards.slice(1)) await unlistParked(table, shard);
  expect(await listedShards(table)).toEqual(shards.slice(0, 1));
});
