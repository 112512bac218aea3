/** Which rows of a source a read may show: alive, in a wanted partition, selected by the filter. */
import { must } from '#base/assert.ts';
import { evaluateFilter } from '#filter/evaluate.ts';
import { fieldsOf, type Predicate } from '#filter/predicate.ts';
import { mayMatch } from '#filter/prune.ts';
import { type Bitmap, bitmapOf, type Column, setBit } from '#schema/column.ts';
import type { CollectionSchema } from '#schema/field.ts';
import type { RowSource } from '#segment/source.ts';
import { complement, countBits, keepRows, removeRows } from './bits.ts';
import { type SkipReason, skipReason } from './plan.ts';
import type { SourceView } from './view.ts';

export type Scope = Readonly<{
  schema: CollectionSchema;
  filter: Predicate | undefined;
  /** Ids of the wanted partitions; undefined: all. */
  partitions: ReadonlySet<number> | undefined;
}>;

export type Allowed =
  | Readonly<{ is: 'skipped'; reason: SkipReason }>
  /** `rows` undefined: every row. */
  | Readonly<{ is: 'some'; rows: Bitmap | undefined; count: number }>;

export async function allowedRows(view: SourceView, scope: Scope): Promise<Allowed> {
  const { source, segment, dead, deadRows } = view;
  const { filter } = scope;
  const reason = skipReason({
    rows: source.rows,
    deadRows,
    mayMatch:
      filter === undefined ||
      segment === undefined ||
      mayMatch(filter, (fieldId) => segment.entry.stats.get(fieldId)),
    inPartitions: true,
  });
  if (reason !== undefined) return { is: 'skipped', reason };
  const inside = await partitionRows(source, scope);
  if (inside !== undefined && countBits(inside) === 0) {
    return { is: 'skipped', reason: 'partitions' };
  }
  const rows = filter === undefined ? undefined : await filterRows(source, scope.schema, filter);
  const both = intersect(rows, inside);
  if (both === undefined) {
    const count = source.rows - deadRows;
    return { is: 'some', rows: deadRows === 0 ? undefined : complement(dead, source.rows), count };
  }
  if (dead !== undefined) removeRows(both, dead);
  const count = countBits(both);
  return count === 0 ? { is: 'skipped', reason: 'filter' } : { is: 'some', rows: both, count };
}

/** Both are this read's own bitmaps. */
function intersect(a: Bitmap | undefined, b: Bitmap | undefined): Bitmap | undefined {
  if (a !== undefined && b !== undefined) keepRows(a, b);
  return a ?? b;
}

async function partitionRows(
  source: RowSource,
  { partitions }: Scope,
): Promise<Bitmap | undefined> {
  if (partitions === undefined) return undefined;
  const inside = bitmapOf(source.rows);
  const ids = await source.partitions();
  for (let row = 0; row < ids.length; row++) {
    if (partitions.has(ids[row] ?? -1)) setBit(inside, row);
  }
  return inside;
}

async function filterRows(
  source: RowSource,
  schema: CollectionSchema,
  filter: Predicate,
): Promise<Bitmap> {
  const fields = fieldsOf(filter).map((id) =>
    must(
      schema.fields.find((field) => field.id === id),
      `the schema has the filter's field ${id}`,
    ),
  );
  const columns = new Map<number, Column>();
  await Promise.all(fields.map(async (field) => columns.set(field.id, await source.column(field))));
  const column = (fieldId: number): Column =>
    must(columns.get(fieldId), `field ${fieldId} is read`);
  return evaluateFilter(filter, { count: source.rows, column });
}
