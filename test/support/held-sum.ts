/** What a segment holds, recomputed from its bytes. */
import { type RowPosition, rowPosition } from '#base/position.ts';
import { addSum, type SetSum } from '#base/setsum.ts';
import type { Collection } from '#catalog/collection.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import { batchSum, tombstoneSum } from '#schema/canonical.ts';
import type { Column } from '#schema/column.ts';
import { keyAt } from '#schema/gather.ts';
import { SectionCache } from '#segment/cache.ts';
import type { SegmentEntry } from '#segment/entry.ts';
import { openSegment } from '#segment/reader.ts';
import type { RowStamps } from '#segment/source.ts';

export async function heldSum(
  objects: ObjectStore,
  { schema }: Pick<Collection, 'schema'>,
  entry: SegmentEntry,
): Promise<SetSum> {
  const cache = new SectionCache({ sectionBytesMax: 2 ** 28, graphBytesMax: 1 });
  const reader = openSegment({ objects }, entry, cache);
  const columns = new Map<number, Column>();
  for (const field of schema.fields) columns.set(field.id, await reader.column(field));
  const stamps = await reader.stamps();
  const batch = { count: reader.rows, columns, partitions: await reader.partitions() };
  const sum = batchSum(schema, batch, (row) => positionIn(stamps, row));
  const tombstones = await reader.tombstones();
  for (let index = 0; index < tombstones.count; index++) {
    const position = positionIn(tombstones.stamps, index);
    addSum(sum, tombstoneSum(position, keyAt(tombstones.keys, index), tombstones.bounds[index]));
  }
  return sum;
}

function positionIn({ records, record, ordinal }: RowStamps, row: number): RowPosition {
  return rowPosition(records[record[row] ?? 0] ?? '', ordinal[row] ?? 0);
}
