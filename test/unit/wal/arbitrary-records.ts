/** Arbitrary WAL records, tail entries, gates and payloads. */
import fc from 'fast-check';
import { toHex } from '#base/bytes.ts';
import {
  type RecordPosition,
  type RowPosition,
  recordPosition,
  rowPosition,
} from '#base/position.ts';
import type { Column, KeyColumn } from '#schema/column.ts';
import type { Gate, RaisedFence } from '#wal/gate.ts';
import type { Payload } from '#wal/payload.ts';
import {
  FENCE_ACTIONS,
  type FenceBody,
  type PayloadRef,
  SHARD_STATES,
  VERDICTS,
  type WalRecord,
  type WriteBody,
} from '#wal/record.ts';
import type { TailEntry } from '#wal/tail.ts';
import type { Token } from '#wal/token.ts';

export const u32 = fc.oneof(fc.nat(3), fc.nat(0xffff_ffff));
export const whole = fc.oneof(fc.nat(1000), fc.maxSafeNat());

export const recordPositions: fc.Arbitrary<RecordPosition> = fc
  .tuple(u32, u32, fc.oneof(fc.bigInt(0n, 2000n), fc.bigInt(0n, 10n ** 56n - 1n)))
  .map(([generation, epoch, sequence]) => recordPosition(generation, epoch, String(sequence)));

export const rowPositions: fc.Arbitrary<RowPosition> = fc
  .tuple(recordPositions, u32)
  .map(([record, ordinal]) => rowPosition(record, ordinal));

export const recordIds = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(toHex);

export const payloadRefs: fc.Arbitrary<PayloadRef> = fc.oneof(
  fc.record({ at: fc.constant('inline' as const), bytes: fc.uint8Array({ maxLength: 100 }) }),
  fc.record({ at: fc.constant('object' as const), key: fc.string(), sizeBytes: whole, crc32: u32 }),
);

export const fenceBodies: fc.Arbitrary<FenceBody> = fc.record({
  kind: fc.constant('fence' as const),
  action: fc.constantFrom(...FENCE_ACTIONS),
  generation: u32,
  state: fc.constantFrom(...SHARD_STATES),
});

const writeBodies: fc.Arbitrary<WriteBody> = fc.record({
  kind: fc.constant('write' as const),
  rows: u32,
  tombstones: u32,
  payload: payloadRefs,
});

export const records: fc.Arbitrary<WalRecord> = fc.record(
  {
    recordId: recordIds,
    collectionId: whole,
    shard: u32,
    deadlineMs: whole,
    epoch: u32,
    fenceNumber: whole,
    schemaVersion: whole,
    body: fc.oneof(writeBodies, fenceBodies),
    origin: fc.record({
      position: recordPositions,
      previous: fc.oneof(fc.constant(''), recordPositions),
      logTimeMs: whole,
      verdict: fc.constantFrom(...VERDICTS),
    }),
  },
  {
    requiredKeys: [
      'recordId',
      'collectionId',
      'shard',
      'deadlineMs',
      'epoch',
      'fenceNumber',
      'schemaVersion',
      'body',
    ],
  },
);

export const tailEntries: fc.Arbitrary<TailEntry> = fc.record({
  position: recordPositions,
  fenceNumber: whole,
  recordId: recordIds,
  schemaVersion: whole,
  arrivalMs: whole,
  rows: u32,
  tombstones: u32,
  payload: payloadRefs,
});

const raisedFences: fc.Arbitrary<RaisedFence> = fc.record({
  action: fc.constantFrom(...FENCE_ACTIONS),
  number: whole,
  recordId: recordIds,
});

export const gates: fc.Arbitrary<Gate> = fc.record(
  {
    number: whole,
    epoch: u32,
    generation: u32,
    lease: fc.boolean(),
    schemaVersion: whole,
    shardMapVersion: whole,
    state: fc.constantFrom(...SHARD_STATES),
    underWay: raisedFences,
    past: fc.array(raisedFences, { maxLength: 16 }),
  },
  {
    requiredKeys: [
      'number',
      'epoch',
      'generation',
      'lease',
      'schemaVersion',
      'shardMapVersion',
      'state',
      'past',
    ],
  },
);

export const tokens: fc.Arbitrary<Token> = fc.record({
  collectionId: whole,
  positions: fc
    .uniqueArray(fc.tuple(fc.nat(63), recordPositions), { selector: ([shard]) => shard })
    .map((entries) => new Map(entries)),
});

/** `count` values from an arbitrary that is drawn `count` times. */
const many = <T>(count: number, value: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.array(value, { minLength: count, maxLength: count });

const int64s = (count: number): fc.Arbitrary<KeyColumn> =>
  many(count, fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)).map((values) => ({
    type: 'Int64',
    values: BigInt64Array.from(values),
  }));

const strings = (count: number): fc.Arbitrary<KeyColumn> =>
  many(count, fc.string({ unit: 'grapheme', maxLength: 8 })).map((values) => {
    const dictionary = [...new Set(values)];
    const codes = Uint32Array.from(values, (value) => dictionary.indexOf(value));
    return { type: 'VarChar', dictionary, codes };
  });

const keyColumns = (count: number): fc.Arbitrary<KeyColumn> =>
  fc.oneof(int64s(count), strings(count));

const vectors = (count: number, dim: number): fc.Arbitrary<Column> =>
  many(count * dim, fc.float({ noNaN: true })).map((values) => ({
    type: 'FloatVector',
    dim,
    values: Float32Array.from(values),
  }));

const bools = (count: number): fc.Arbitrary<Column> =>
  fc.tuple(many(count, fc.nat(1)), many(count, fc.boolean())).map(([values, present]) => {
    const valid = new Uint8Array((count + 7) >> 3);
    present.forEach((is, row) => {
      if (is) valid[row >> 3] = (valid[row >> 3] ?? 0) | (1 << (row & 7));
    });
    return { type: 'Bool', values: Uint8Array.from(values), valid };
  });

/** Rows have a key, a flag that may be missing, and a vector. */
export const payloads: fc.Arbitrary<Payload> = fc
  .tuple(fc.nat(12), fc.nat(12), fc.integer({ min: 1, max: 5 }), whole)
  .chain(([rows, tombstones, dim, schemaVersion]) =>
    fc.record({
      schemaVersion: fc.constant(schemaVersion),
      rows: fc.record({
        count: fc.constant(rows),
        columns: fc
          .tuple(keyColumns(rows), bools(rows), vectors(rows, dim))
          .map(([key, flag, vector]): ReadonlyMap<number, Column> => {
            return new Map<number, Column>([
              [100, key],
              [101, flag],
              [7000, vector],
            ]);
          }),
        partitions: many(rows, fc.oneof(fc.constant(1), u32)).map((ids) => Uint32Array.from(ids)),
      }),
      tombstones: fc.record({
        keys: keyColumns(tombstones),
        bounds: many(tombstones, fc.option(rowPositions, { nil: undefined })),
      }),
    }),
  );
