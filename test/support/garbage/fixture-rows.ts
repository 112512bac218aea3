/** The collections of the fixture and their rows. What may be in a row, MAIN, KEYS and AUTO say. */
import type { RowShape } from './row-spec.ts';

/** What a body is before it is text: bigints are written as digits. */
export type Tree =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Tree[]
  | { readonly [key: string]: Tree };

/** Loaded and not loaded collections of the fixture (world.ts). */
export const LOADED = ['main', 'keys', 'auto'];
export const UNLOADED = ['bare', 'indexed', 'unindexed'];
export const EXISTING = [...LOADED, ...UNLOADED];

export const MAIN: RowShape = {
  dynamic: true,
  fields: {
    id: { type: 'Int64' },
    vector: { type: 'FloatVector', size: 4 },
    flag: { type: 'Bool', optional: true },
    tiny: { type: 'Int8', optional: true },
    small: { type: 'Int16', optional: true },
    medium: { type: 'Int32', optional: true },
    large: { type: 'Int64', optional: true },
    single: { type: 'Float', optional: true },
    double: { type: 'Double', optional: true },
    text: { type: 'VarChar', size: 16, optional: true },
    json: { type: 'JSON', optional: true },
    preset: { type: 'Int32', optional: true },
  },
};
export const KEYS: RowShape = {
  dynamic: false,
  fields: {
    key: { type: 'VarChar', size: 8 },
    vector: { type: 'FloatVector', size: 3 },
    note: { type: 'VarChar', size: 8 },
    small: { type: 'Int16' },
  },
};
export const AUTO: RowShape = {
  dynamic: true,
  generated: 'id',
  fields: { id: { type: 'Int64' }, vector: { type: 'FloatVector', size: 2 } },
};

export const row = {
  id: 1,
  vector: [0.5, -2, 3e-5, 4],
  flag: true,
  tiny: -128,
  small: 32_767,
  medium: 5,
  large: -9223372036854775808n,
  single: 0.1,
  double: 0.1,
  text: 'größe',
  json: { a: [1, { b: null }] },
  preset: 3,
  extra: true,
};
export const MAIN_ROWS: readonly Tree[] = [
  row,
  { ...row, id: 2, text: 'x' },
  { id: 3, vector: [1, 2, 3, 4] },
];
export const KEYS_ROWS: readonly Tree[] = [
  { key: 'a', vector: [1, 0, 0], note: 'n', small: 1 },
  { key: 'ö', vector: [0, 1, 0], note: '', small: -1 },
];
export const AUTO_ROWS: readonly Tree[] = [{ vector: [1, 2], x: 1 }, { vector: [3, 4] }];
