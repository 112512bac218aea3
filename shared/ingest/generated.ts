/** Generated primary keys (autoID) put into rows, and the keys that an upsert of such rows names. */
import { StoreError } from '#base/errors.ts';
import type { Json, JsonObject } from '#base/json.ts';
import type { Key, KeyColumn, RowBatch } from '#schema/column.ts';
import type { Field } from '#schema/field.ts';
import { Misfit, readScalar } from '#schema/value.ts';
import type { Victim } from './split.ts';

/**
 * Keys for rows that are being checked: real ones are taken only for rows that are right.
 * {@link withKeys} replaces them.
 */
export function placeholderKeys(field: Field, count: number): Key[] {
  const key: Key = field.type === 'Int64' ? 0n : '';
  return new Array<Key>(count).fill(key);
}

/** The batch with consecutive keys from `first`; as decimal digits where the key is a VarChar. */
export function withKeys(batch: RowBatch, field: Field, first: bigint): RowBatch {
  const keys = Array.from({ length: batch.count }, (_, row) => first + BigInt(row));
  const column: KeyColumn =
    field.type === 'Int64'
      ? { type: 'Int64', values: BigInt64Array.from(keys) }
      : {
          type: 'VarChar',
          dictionary: keys.map(String),
          codes: Uint32Array.from(keys, (_, row) => row),
        };
  return { ...batch, columns: new Map([...batch.columns, [field.id, column]]) };
}

export type Replacement = Readonly<{
  /** All given rows, without their keys. */
  rows: readonly JsonObject[];
  /** What they replace. */
  victims: readonly Victim[];
  /** Of the rows that named one key the last, ascending. */
  kept: Uint32Array;
  /** Per given row the one of `kept` that stands for it. */
  standIns: readonly number[];
}>;

/**
 * An upsert into a collection with generated keys: each row's key selects what it replaces.
 *
 * @throws StoreError `INVALID_ROW` where a row names no key, or no key of the field's type
 */
export function replacedKeys(field: Field, given: readonly JsonObject[]): Replacement {
  const keys = given.map((row, index) => readKey(field, index, row[field.name]));
  const last = new Map(keys.map((key, index) => [key, index]));
  return {
    rows: given.map((row) => withoutKey(row, field.name)),
    victims: [...last.keys()].map((key) => ({ key })),
    kept: Uint32Array.from(last.values()).sort(),
    standIns: keys.map((key, index) => last.get(key) ?? index),
  };
}

const withoutKey = (row: JsonObject, name: string): JsonObject => {
  const { [name]: _, ...rest } = row;
  return rest;
};

function readKey(field: Field, index: number, value: Json | undefined): Key {
  const refuse = (reason: string): never => {
    throw new StoreError(
      'INVALID_ROW',
      `row ${index}, field ${JSON.stringify(field.name)}: ${reason}`,
      {
        details: { row: index, field: field.name },
      },
    );
  };
  if (value === undefined || value === null) {
    return refuse('upsert needs the primary key of the row that is to be replaced');
  }
  const key = readScalar(field, value);
  if (key instanceof Misfit) return refuse(key.reason);
  return typeof key === 'bigint' || typeof key === 'string' ? key : refuse('is no key');
}
