import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter } from '#base/bytes.ts';
import { isStoreError } from '#base/errors.ts';
import { recordOf, rowPosition } from '#base/position.ts';
import type { RowStamps } from '#segment/source.ts';
import {
  buildStamps,
  compareStamps,
  concatStamps,
  gatherStamps,
  logTimeAt,
  placeAt,
  placeOf,
  positionAt,
  positionRangeOf,
  readStamps,
  stampCount,
  writeStamps,
} from '#segment/stamps.ts';
import {
  concatTombstones,
  decodeTombstones,
  encodeTombstones,
  gatherTombstones,
} from '#segment/tombstones.ts';
import { Dice, field, randomRuns, randomTombstones, record } from './random-rows.ts';

const stampsOf = (dice: Dice, count: number): RowStamps =>
  buildStamps(randomRuns(dice, count, 1 + dice.below(8)).sort(() => dice.float()));

const places = (stamps: RowStamps) =>
  Array.from({ length: stampCount(stamps) }, (_, row) => [
    positionAt(stamps, row),
    logTimeAt(stamps, row),
  ]);

describe('row stamps', () => {
  it('say of each row what its run said', () => {
    const stamps = buildStamps([
      { record: record(12), logTimeMs: 7, count: 2, firstOrdinal: 3 },
      { record: record(9), logTimeMs: 5, count: 1 },
      { record: record(12), logTimeMs: 7, count: 1 },
    ]);
    expect(stamps.records).toEqual([record(9), record(12)]);
    expect(places(stamps)).toEqual([
      [rowPosition(record(12), 3), 7],
      [rowPosition(record(12), 4), 7],
      [rowPosition(record(9), 0), 5],
      [rowPosition(record(12), 0), 7],
    ]);
    expect(positionRangeOf(stamps)).toEqual({
      min: rowPosition(record(9), 0),
      max: rowPosition(record(12), 4),
    });
    expect(positionRangeOf(buildStamps([]))).toBeUndefined();
  });

  it('keep every place when joined, picked and written', () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(fc.nat(9), { minLength: 1, maxLength: 4 }), (seed, sizes) => {
        const dice = new Dice(seed);
        const parts = sizes.map((size) => stampsOf(dice, size));
        const joined = concatStamps(parts);
        expect(places(joined)).toEqual(parts.flatMap(places));
        const rows = Uint32Array.from({ length: stampCount(joined) }, () =>
          dice.below(stampCount(joined)),
        );
        const picked = gatherStamps(joined, rows);
        expect(places(picked)).toEqual([...rows].map((row) => places(joined)[row]));
        expect(new Set(picked.record).size).toBe(picked.records.length);
        const writer = new ByteWriter().u8(1);
        writeStamps(writer, joined);
        const reader = new ByteReader(writer.finish(), 'stamps');
        reader.u8();
        expect(readStamps(reader)).toEqual(joined);
        reader.end();
      }),
    );
  });

  it('order as positions do, also against positions of other sources', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(12), fc.nat(12), (seed, m, n) => {
        const dice = new Dice(seed);
        const [a, b] = [stampsOf(dice, m), stampsOf(dice, n)];
        for (let i = 0; i < m; i++) {
          for (let j = 0; j < n; j++) {
            const [left, right] = [positionAt(a, i), positionAt(b, j)];
            const order = left < right ? -1 : left > right ? 1 : 0;
            expect(Math.sign(compareStamps(a, i, b, j))).toBe(order);
            const place = placeOf(a, recordOf(right), b.ordinal[j] ?? 0);
            expect(placeAt(a, i) < place).toBe(left < right);
          }
        }
      }),
    );
  });

  it('fail to be read with DATA_CORRUPT and nothing else', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const dice = new Dice(seed);
        const writer = new ByteWriter();
        writeStamps(writer, stampsOf(dice, 5));
        const bytes = writer.finish();
        bytes[dice.below(bytes.length)] = dice.below(256);
        const cut = dice.chance(0.3) ? bytes.subarray(0, dice.below(bytes.length)) : bytes;
        expectCorruptAtWorst(() => readStamps(new ByteReader(cut, 'stamps')));
      }),
    );
  });
});

describe('tombstones', () => {
  const schema = { version: 1, fields: [field(100, 'VarChar', { primaryKey: true })] };

  it('keep keys, positions and bounds when joined, picked and written', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(9), fc.nat(9), (seed, m, n) => {
        const dice = new Dice(seed);
        const [a, b] = [randomTombstones(dice, schema, m, 3), randomTombstones(dice, schema, n)];
        const joined = concatTombstones([a, b]);
        const pick = (from: number, count: number) =>
          gatherTombstones(
            joined,
            Uint32Array.from({ length: count }, (_, index) => from + index),
          );
        expect(encodeTombstones(pick(0, m))).toEqual(encodeTombstones(gatherTombstones(a, all(m))));
        expect(encodeTombstones(pick(m, n))).toEqual(encodeTombstones(gatherTombstones(b, all(n))));
        expect(decodeTombstones(encodeTombstones(joined), 'tombstones')).toEqual(joined);
        const broken = encodeTombstones(joined);
        broken[dice.below(broken.length)] = dice.below(256);
        expectCorruptAtWorst(() => decodeTombstones(broken, 'tombstones'));
      }),
    );
  });
});

const all = (count: number): Uint32Array =>
  Uint32Array.from({ length: count }, (_, index) => index);

function expectCorruptAtWorst(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    expect(isStoreError(error, 'DATA_CORRUPT')).toBe(true);
  }
}
