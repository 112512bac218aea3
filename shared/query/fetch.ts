/** Rows that were decided on, fetched from wherever they lie and put into the shape of a reply. */
import { type Bitmap, bitmapOf, type Column, hasBit, setBit } from '#schema/column.ts';
import type { CollectionSchema, Field } from '#schema/field.ts';
import type { VectorSource } from '#segment/source.ts';
import { type Cells, type Output, type OutputRow, outputFields, outputRow } from './output.ts';

/** A row of a source, with its distance where it is the hit of a search. */
export type Pick = Readonly<{ source: VectorSource; row: number; distance?: number }>;

/** The rows in the order of the picks. Columns are read whole, vectors only those picked. */
export async function fetchRows(
  schema: CollectionSchema,
  output: Output,
  picks: readonly Pick[],
): Promise<OutputRow[]> {
  const fields = outputFields(schema, output);
  const bySource = new Map<VectorSource, number[]>();
  for (const [index, { source }] of picks.entries()) {
    const indexes = bySource.get(source);
    if (indexes === undefined) bySource.set(source, [index]);
    else indexes.push(index);
  }
  const shown: OutputRow[] = new Array(picks.length);
  await Promise.all(
    [...bySource].map(async ([source, indexes]) => {
      const rows = Uint32Array.from(indexes, (index) => picks[index]?.row ?? 0);
      const cells = await Promise.all(fields.map((field) => cellsOf(source, field, rows)));
      for (const [picked, index] of indexes.entries()) {
        const row = rows[picked] ?? 0;
        shown[index] = outputRow(cells, { row, picked }, output, picks[index]?.distance);
      }
    }),
  );
  return shown;
}

async function cellsOf(source: VectorSource, field: Field, rows: Uint32Array): Promise<Cells> {
  if (field.type !== 'FloatVector') {
    return { field, column: await source.column(field), by: 'source' };
  }
  const [values, valid] = await Promise.all([
    source.vectorsAt(field, rows),
    source.vectorValidity(field),
  ]);
  const column: Column = { type: 'FloatVector', dim: field.dim ?? 0, values };
  const picked = valid === undefined ? column : { ...column, valid: pickBits(valid, rows) };
  return { field, column: picked, by: 'picked' };
}

function pickBits(valid: Bitmap, rows: Uint32Array): Bitmap {
  const bits = bitmapOf(rows.length);
  rows.forEach((row, at) => {
    if (hasBit(valid, row)) setBit(bits, at);
  });
  return bits;
}
