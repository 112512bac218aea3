/** Rows in memory, such as the tail's, as a source like any other. */
import { assert } from '#base/assert.ts';
import type { Bitmap, Column, VectorColumn } from '#schema/column.ts';
import type { Field } from '#schema/field.ts';
import { emptyColumn, gatherColumn, keyColumn } from '#schema/gather.ts';
import { buildKeyIndex, keyRangeOf, spanKeys } from './key-index.ts';
import { tombstoneIndex } from './kills.ts';
import type {
  KeyIndex,
  KeyRange,
  PositionRange,
  StampedBatch,
  StampedTombstones,
  VectorSource,
} from './source.ts';
import { positionRangeOf, spanPositions } from './stamps.ts';

/** Keys are sorted and ranges computed when first asked for. */
export function memorySource(
  id: string,
  rows: StampedBatch,
  tombstones: StampedTombstones,
  keyField: Field,
): VectorSource {
  const { batch, stamps } = rows;
  const index = once<KeyIndex>(() => buildKeyIndex(keyColumn(batch, keyField), stamps));
  const keyRange = once<KeyRange | undefined>(() =>
    spanKeys(keyRangeOf(index()), keyRangeOf(tombstoneIndex(tombstones))),
  );
  const positionRange = once<PositionRange | undefined>(() =>
    spanPositions(positionRangeOf(stamps), positionRangeOf(tombstones.stamps)),
  );
  const columnOf = (field: Field): Column =>
    batch.columns.get(field.id) ?? emptyColumn(field, batch.count);
  return {
    id,
    rows: batch.count,
    tombstoneCount: tombstones.count,
    get keyRange() {
      return keyRange();
    },
    get positionRange() {
      return positionRange();
    },
    keys: async () => index(),
    stamps: async () => stamps,
    tombstones: async () => tombstones,
    partitions: async () => batch.partitions,
    column: async (field) => columnOf(field),
    vectorValidity: async (field): Promise<Bitmap | undefined> => columnOf(field).valid,
    vectorsAt: async (field, picked) => asVectors(gatherColumn(columnOf(field), picked)).values,
    scanVectors: async (field, onChunk) => {
      const column = batch.columns.get(field.id);
      if (column !== undefined && batch.count > 0) await onChunk(asVectors(column).values, 0);
    },
  };
}

function asVectors(column: Column): VectorColumn {
  assert(column.type === 'FloatVector', `vectors, not ${column.type}`);
  return column;
}

/** Computes a value at the first call and keeps it. */
function once<T>(compute: () => T): () => T {
  let known: { value: T } | undefined;
  return () => {
    known ??= { value: compute() };
    return known.value;
  };
}
