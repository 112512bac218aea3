/** What the golden segment and the golden graph hold, written down by hand. Never change it: add a version. */
import { rowPosition, recordPosition } from '#base/position.ts';
import { utf8 } from '#base/bytes.ts';
import type { Column } from '#schema/column.ts';
import type { CollectionSchema, Field, FieldType } from '#schema/field.ts';
import type { SegmentInput } from '#segment/writer.ts';

const field = (id: number, name: string, type: FieldType, rest: Partial<Field> = {}): Field => ({
  id,
  name,
  type,
  description: '',
  primaryKey: false,
  autoId: false,
  nullable: false,
  dynamic: false,
  ...rest,
});

export const SCHEMA: CollectionSchema = {
  version: 3,
  fields: [
    field(100, 'sku', 'VarChar', { primaryKey: true, maxLength: 64 }),
    field(101, 'sold', 'Bool', { nullable: true }),
    field(102, 'tiny', 'Int8'),
    field(103, 'small', 'Int16'),
    field(104, 'medium', 'Int32'),
    field(105, 'big', 'Int64', { nullable: true }),
    field(106, 'single', 'Float'),
    field(107, 'double', 'Double'),
    field(108, 'label', 'VarChar', { nullable: true, maxLength: 64 }),
    field(109, 'vector', 'FloatVector', { dim: 3 }),
    field(110, 'image', 'FloatVector', { dim: 2, nullable: true }),
    field(111, '$meta', 'JSON', { dynamic: true, nullable: true }),
  ],
};

const texts = (values: readonly string[]): Pick<Column & { type: 'JSON' }, 'offsets' | 'bytes'> => {
  const offsets = Uint32Array.from({ length: values.length + 1 }, (_, index) =>
    utf8(values.slice(0, index).join('')).length,
  );
  return { offsets, bytes: utf8(values.join('')) };
};

const COLUMNS: [number, Column][] = [
  [100, { type: 'VarChar', dictionary: ['tern', 'ärctic', '\u{1f41f}', '\uffee'], codes: Uint32Array.of(0, 1, 2, 3, 0) }],
  [101, { type: 'Bool', values: Uint8Array.of(1, 0, 0, 1, 1), valid: Uint8Array.of(0b11011) }],
  [102, { type: 'Int8', values: Int8Array.of(-128, -1, 0, 1, 127) }],
  [103, { type: 'Int16', values: Int16Array.of(-32768, -1, 0, 1, 32767) }],
  [104, { type: 'Int32', values: Int32Array.of(-2147483648, -1, 0, 1, 2147483647) }],
  [105, { type: 'Int64', values: BigInt64Array.of(-(2n ** 63n), -1n, 0n, 9007199254740993n, 2n ** 63n - 1n), valid: Uint8Array.of(0b11011) }],
  [106, { type: 'Float', values: Float32Array.of(-3.5, Math.fround(0.1), 0, 1e-40, 3.4028234663852886e38) }],
  [107, { type: 'Double', values: Float64Array.of(-3.5, 0.1, 0, 5e-324, 1.7976931348623157e308) }],
  [108, { type: 'VarChar', dictionary: ['', 'pole to pole'], codes: Uint32Array.of(1, 0, 0, 1, 0), valid: Uint8Array.of(0b01011) }],
  [109, { type: 'FloatVector', dim: 3, values: Float32Array.of(1, 2, 3, 0.5, -0.5, 0.25, 0, 0, 0, -1, -2, -3, 1e10, 1e-10, 7) }],
  [110, { type: 'FloatVector', dim: 2, values: Float32Array.of(0, 0, 1, 2, 0, 0, 3, 4, 5, 6), valid: Uint8Array.of(0b11010) }],
  [111, { type: 'JSON', ...texts(['{"a":1}', '', '{"deep":{"list":[1,2.5,"ü"]},"n":18446744073709551615}', '{}', '{"b":null}']), valid: Uint8Array.of(0b11101) }],
];

const first = recordPosition(1, 1, '7');
const second = recordPosition(1, 1, '12');
const third = recordPosition(2, 3, '49590338271490256608559692538361571095921575989136588898');

export const INPUT: SegmentInput = {
  schema: SCHEMA,
  level: 0,
  rows: {
    batch: { count: 5, columns: new Map(COLUMNS), partitions: Uint32Array.of(1, 1, 2, 70000, 1) },
    stamps: {
      records: [first, second, third],
      logTimesMs: Float64Array.of(1_764_000_000_000, 1_764_000_000_001, 1_764_000_000_900),
      record: Uint32Array.of(0, 0, 1, 1, 2),
      ordinal: Uint32Array.of(0, 1, 0, 5, 0),
    },
  },
  tombstones: {
    count: 2,
    keys: { type: 'VarChar', dictionary: ['tern', 'gone'], codes: Uint32Array.of(0, 1) },
    stamps: {
      records: [second],
      logTimesMs: Float64Array.of(1_764_000_000_001),
      record: Uint32Array.of(0, 0),
      ordinal: Uint32Array.of(6, 7),
    },
    bounds: [undefined, rowPosition(first, 1)],
  },
  archive: [
    {
      recordId: '000102030405060708090a0b0c0d0e0f',
      kind: 'write',
      position: first,
      previous: '',
      logTimeMs: 1_764_000_000_000,
      fenceNumber: 1,
      epoch: 1,
      schemaVersion: 3,
      verdict: 'effective',
      rows: 2,
      tombstones: 0,
    },
    {
      recordId: 'ffffffffffffffffffffffffffffffff',
      kind: 'fence',
      position: second,
      previous: first,
      logTimeMs: 1_764_000_000_001,
      fenceNumber: 2,
      epoch: 1,
      schemaVersion: 3,
      verdict: 'effective',
      rows: 0,
      tombstones: 0,
      body: Uint8Array.of(1, 2, 3),
    },
    {
      recordId: '0123456789abcdef0123456789abcdef',
      kind: 'write',
      position: third,
      previous: second,
      logTimeMs: 1_764_000_000_900,
      fenceNumber: 1,
      epoch: 1,
      schemaVersion: 2,
      verdict: 'void',
      rows: 9,
      tombstones: 1,
    },
  ],
};

/** Rows in key order by UTF-8 bytes: tern (old, new), ärctic, U+FFEE, U+1F41F. */
export const KEY_ORDER = [0, 4, 1, 3, 2];

/** The points of the golden graphs: 40 on a spiral, row 5 without a vector. */
export const GRAPH_DIM = 4;
export const GRAPH_VECTORS = Float32Array.from({ length: 40 * GRAPH_DIM }, (_, at) => {
  const row = Math.floor(at / GRAPH_DIM);
  const axis = at % GRAPH_DIM;
  return ((row * (axis + 3) * 37) % 101) / 16 - 3 + axis / 8;
});
export const GRAPH_VALID = Uint8Array.of(0b11011111, 255, 255, 255, 255);
