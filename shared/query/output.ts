/**
 * Rows as a reply shows them: exact values under their names, dynamic keys beside the fields.
 *
 * Int64 is a bigint, JSON is native, a vector a `Float32Array` that must not be changed, a missing
 * value null; a dynamic key that a row lacks is left out.
 */
import { StoreError } from '#base/errors.ts';
import type { JsonOut } from '#base/json.ts';
import { shortFloat32 } from '#base/json.ts';
import { bareObject } from '#base/json-read.ts';
import type { Column } from '#schema/column.ts';
import {
  type CollectionSchema,
  DYNAMIC_FIELD,
  dynamicField,
  type Field,
  primaryField,
} from '#schema/field.ts';
import { valueAt } from '#schema/gather.ts';

export type OutputRow = Readonly<Record<string, JsonOut>>;

/** What a reply shows of a row besides its primary key, which it always shows. */
export type Output = Readonly<{
  /** Fields of the schema, without primary key and hidden field, in the schema's order. */
  fields: readonly Field[];
  /** Keys of the hidden dynamic field: all, or these. */
  dynamic: 'all' | readonly string[];
}>;

/** Nothing but the primary key. */
export const KEY_ONLY: Output = { fields: [], dynamic: [] };

export const COUNT = 'count(*)';

/** True where the only thing asked for is `count(*)`. */
export const asksForCount = (names: readonly string[] | undefined): boolean =>
  names?.length === 1 && names[0]?.replaceAll(/\s/g, '').toLowerCase() === COUNT;

/**
 * Field names of a request as an output. `*` is every field and every dynamic key, `$meta` every
 * dynamic key, `$meta["x"]` or an unknown name one dynamic key.
 *
 * @param names undefined or empty: the `fallback`
 * @throws StoreError `FIELD_NOT_FOUND` where the collection has no dynamic field to look into
 */
export function resolveOutput(
  schema: CollectionSchema,
  names: readonly string[] | undefined,
  fallback: 'all' | 'key',
): Output {
  const shown = schema.fields.filter(({ primaryKey, dynamic }) => !primaryKey && !dynamic);
  const hasDynamic = dynamicField(schema) !== undefined;
  const all: Output = { fields: shown, dynamic: hasDynamic ? 'all' : [] };
  if (names === undefined || names.length === 0) return fallback === 'all' ? all : KEY_ONLY;
  if (names.includes('*')) {
    for (const name of names) checkName(schema, name, hasDynamic);
    return all;
  }
  const fields = new Set<string>();
  const keys = new Set<string>();
  let everyKey = false;
  for (const name of names) {
    const kind = checkName(schema, name, hasDynamic);
    if (kind.is === 'field') fields.add(name);
    else if (kind.is === 'key') keys.add(kind.key);
    else everyKey = true;
  }
  return {
    fields: shown.filter(({ name }) => fields.has(name)),
    dynamic: everyKey ? 'all' : [...keys],
  };
}

type Named = Readonly<{ is: 'field' } | { is: 'dynamic' } | { is: 'key'; key: string }>;

function checkName(schema: CollectionSchema, name: string, hasDynamic: boolean): Named {
  if (name === '*') return { is: 'field' };
  if (name === DYNAMIC_FIELD && hasDynamic) return { is: 'dynamic' };
  if (schema.fields.some((field) => field.name === name && !field.dynamic)) return { is: 'field' };
  if (hasDynamic) {
    const path = /^\$meta\[(?:"([^"\\]*)"|'([^'\\]*)')\]$/.exec(name);
    return { is: 'key', key: path?.[1] ?? path?.[2] ?? name };
  }
  throw new StoreError(
    'FIELD_NOT_FOUND',
    `outputFields: field ${JSON.stringify(name.slice(0, 255))} does not exist; the collection has ${schema.fields.map((field) => field.name).join(', ')}`,
  );
}

/** Fields whose columns {@link outputRow} reads. */
export function outputFields(schema: CollectionSchema, output: Output): readonly Field[] {
  const hidden = dynamicField(schema);
  const fields = [primaryField(schema), ...output.fields];
  return hidden === undefined || output.dynamic.length === 0 ? fields : [...fields, hidden];
}

/** A field's values, by the row numbers of the source or by those of the rows picked from it. */
export type Cells = Readonly<{ field: Field; column: Column; by: 'source' | 'picked' }>;

/**
 * One row.
 *
 * @param cells of {@link outputFields}
 * @param row its number in the source
 * @param picked its number among the rows picked
 * @param distance of a search, shown behind the primary key
 */
export function outputRow(
  cells: readonly Cells[],
  { row, picked }: Readonly<{ row: number; picked: number }>,
  output: Output,
  distance?: number,
): OutputRow {
  const shown: Record<string, JsonOut> = bareObject();
  for (const { field, column, by } of cells) {
    const value = valueAt(column, by === 'source' ? row : picked);
    if (field.dynamic) spread(shown, value, output.dynamic);
    // A field called `distance` does not hide the score.
    else if (!Object.hasOwn(shown, field.name)) shown[field.name] = value;
    if (field.primaryKey && distance !== undefined) shown['distance'] = distance;
  }
  return shown;
}

/** Schema fields come first, so that no dynamic key can ever stand in for one. */
function spread(row: Record<string, JsonOut>, value: JsonOut, wanted: Output['dynamic']): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value) || value instanceof Float32Array) return;
  for (const [key, item] of Object.entries(value)) {
    if (wanted !== 'all' && !wanted.includes(key)) continue;
    if (item !== undefined && !Object.hasOwn(row, key)) row[key] = item;
  }
}

/**
 * A score as `distance` shows it: the shortest decimal of the float32, or rounded half away from
 * zero to `roundDecimal` digits where that is 0 to 6.
 */
export function distanceOf(score: number, roundDecimal: number | undefined): number {
  const narrow = Math.fround(score);
  if (roundDecimal === undefined || roundDecimal < 0) return shortFloat32(narrow);
  const factor = 10 ** Math.min(roundDecimal, 6);
  return (Math.sign(narrow) * Math.round(Math.abs(narrow) * factor)) / factor;
}
