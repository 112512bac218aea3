/**
 * Rows as they arrive become one columnar batch, or are refused as a whole (I11).
 *
 * Everything that could fail later fails here: types, ranges, dimensions, lengths, nulls, keys that
 * the schema does not know. Defaults are written out, so that a later schema changes no stored row.
 * Names match exactly; only request fields, never row keys, are matched without regard to case.
 */
import { assert } from '#base/assert.ts';
import { StoreError } from '#base/errors.ts';
import { bareObject } from '#base/json-read.ts';
import { ColumnBuilder, type Stored } from './build.ts';
import type { Column, Key, RowBatch } from './column.ts';
import {
  type CollectionSchema,
  DYNAMIC_FIELD,
  dynamicField,
  type Field,
  type Json,
  type JsonObject,
  primaryField,
  vectorFields,
} from './field.ts';
import { gatherBatch, keyAt, keyColumn } from './gather.ts';
import { Misfit, readJson, readScalar, readVector } from './value.ts';

export type RowOptions = Readonly<{
  partitionId: number;
  /** One per row, where the primary key is generated: bigints for Int64, strings for VarChar. */
  generatedKeys?: readonly Key[];
}>;

/**
 * Checks rows against a schema and makes them columnar, in their order. Equal keys stay: see
 * {@link lastWins}.
 *
 * @throws StoreError `INVALID_ROW` that names the first offending row, by index, and its field.
 */
export function rowsToBatch(
  schema: CollectionSchema,
  rows: readonly JsonObject[],
  { partitionId, generatedKeys }: RowOptions,
): RowBatch {
  const key = primaryField(schema);
  const dynamic = dynamicField(schema);
  const named = schema.fields.filter((field) => field !== dynamic);
  const count = countWithVectors(rows, schema);
  const builders = new Map(
    schema.fields.map((field) => [field.id, new ColumnBuilder(field, count)]),
  );
  const targets = named.map((field) => ({ field, builder: builderOf(builders, field) }));
  const names = new Set(named.map(({ name }) => name));
  if (key.autoId) assert(generatedKeys?.length === rows.length, 'a generated key for every row');

  for (const [index, row] of rows.slice(0, count).entries()) {
    let matched = 0;
    for (const { field, builder } of targets) {
      const value = Object.hasOwn(row, field.name) ? row[field.name] : undefined;
      if (value !== undefined) matched += 1;
      if (field === key && key.autoId) writeGenerated(field, builder, index, value, generatedKeys);
      else writeValue(field, builder, index, value);
    }
    // As many keys as matched: nothing is outside the schema.
    if (Object.keys(row).length === matched) continue;
    writeDynamic(row, index, names, dynamic, dynamic && builderOf(builders, dynamic));
  }

  const columns = new Map<number, Column>();
  for (const [id, builder] of builders) columns.set(id, builder.finish());
  return {
    count,
    columns,
    partitions: new Uint32Array(count).fill(partitionId),
  };
}

/**
 * Rows up to and including the first that lacks a vector of the right length and will be refused.
 * Columns are allotted for these only: a body of a million empty rows must not ask for a million
 * times the dimension.
 */
function countWithVectors(rows: readonly JsonObject[], schema: CollectionSchema): number {
  const fields = vectorFields(schema);
  const bad = rows.findIndex((row) =>
    fields.some(({ name, dim }) => {
      const value = Object.hasOwn(row, name) ? row[name] : undefined;
      return !Array.isArray(value) || value.length !== dim;
    }),
  );
  return bad < 0 ? rows.length : bad + 1;
}

function builderOf(builders: ReadonlyMap<number, ColumnBuilder>, field: Field): ColumnBuilder {
  const builder = builders.get(field.id);
  assert(builder !== undefined, `a builder for field ${field.name}`);
  return builder;
}

function refuse(index: number, field: string, reason: string): never {
  throw new StoreError('INVALID_ROW', `row ${index}, field ${JSON.stringify(field)}: ${reason}`, {
    details: { row: index, field },
  });
}

function writeGenerated(
  field: Field,
  builder: ColumnBuilder,
  index: number,
  given: Json | undefined,
  generatedKeys: readonly Key[] | undefined,
): void {
  if (given !== undefined && given !== null) {
    refuse(index, field.name, 'the primary key is generated (autoID) and must not be given');
  }
  const key = generatedKeys?.[index];
  assert(typeof key === (field.type === 'Int64' ? 'bigint' : 'string'), 'a key of the right type');
  // The assertion above leaves bigint and string.
  builder.set(index, key as Stored);
}

function writeValue(
  field: Field,
  builder: ColumnBuilder,
  index: number,
  value: Json | undefined,
): void {
  if (value === undefined || value === null) {
    writeAbsent(field, builder, index, value);
    return;
  }
  if (field.type === 'FloatVector') {
    const unfit = readVector(builder.vector(index), value);
    if (unfit !== undefined) refuse(index, field.name, unfit.reason);
    return;
  }
  const stored = readScalar(field, value);
  if (stored instanceof Misfit) refuse(index, field.name, stored.reason);
  builder.set(index, stored);
}

/** A field that is missing or null: its default, else nothing if it may be null. */
function writeAbsent(
  field: Field,
  builder: ColumnBuilder,
  index: number,
  value: null | undefined,
): void {
  if (field.defaultValue !== undefined && field.defaultValue !== null) {
    // The definition of the field brought its default into the stored form.
    builder.set(index, field.defaultValue as Stored);
    return;
  }
  if (field.nullable) return;
  const what = field.primaryKey ? 'the primary key' : `a ${field.type} field that is not nullable`;
  refuse(index, field.name, `${what} is ${value === null ? 'null' : 'missing'}`);
}

/** Keys outside the schema go into the dynamic field, beside what the row names as `$meta`. */
function writeDynamic(
  row: JsonObject,
  index: number,
  names: ReadonlySet<string>,
  field: Field | undefined,
  builder: ColumnBuilder | undefined,
): void {
  const dynamic = bareObject();
  let count = 0;
  const add = (name: string, value: Json): void => {
    if (dynamic[name] !== undefined) {
      refuse(index, name, `stands both in the row and in ${DYNAMIC_FIELD}`);
    }
    dynamic[name] = value;
    count += 1;
  };
  for (const [name, value] of Object.entries(row)) {
    if (names.has(name)) continue;
    if (field === undefined) {
      refuse(index, name, 'is not in the schema, and the collection has no dynamic field');
    }
    if (name !== DYNAMIC_FIELD) {
      add(name, value);
      continue;
    }
    if (!isJsonObject(value)) refuse(index, name, 'expected an object of dynamic keys');
    for (const [inner, innerValue] of Object.entries(value)) {
      if (names.has(inner) || inner === DYNAMIC_FIELD) {
        refuse(
          index,
          name,
          `holds the key ${JSON.stringify(inner)}, which is a field of the schema`,
        );
      }
      add(inner, innerValue);
    }
  }
  if (count === 0) return;
  const text = readJson(dynamic);
  if (text instanceof Misfit) refuse(index, DYNAMIC_FIELD, text.reason);
  builder?.set(index, text);
}

const isJsonObject = (value: Json): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Of the rows with equal primary keys the last; the rows that are left keep their order. The batch
 * itself where all keys differ.
 */
export function lastWins(batch: RowBatch, keyField: Field): RowBatch {
  const column = keyColumn(batch, keyField);
  const last = new Map<Key, number>();
  for (let row = 0; row < batch.count; row++) last.set(keyAt(column, row), row);
  if (last.size === batch.count) return batch;
  return gatherBatch(batch, Uint32Array.from(last.values()).sort());
}
