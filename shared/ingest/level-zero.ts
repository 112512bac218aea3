/**
 * Folds a run of records into one object: the level-0 segment, which is also the archive.
 *
 * It holds the rows and tombstones of the effective writes, each at its own position, and an entry
 * for every record, void and duplicate ones too.
 */
import pLimit from 'p-limit';
import { assert } from '#base/assert.ts';
import { StoreError } from '#base/errors.ts';
import { addSum, emptySum, type SetSum } from '#base/setsum.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import { batchSum, tombstoneSum } from '#schema/canonical.ts';
import type { KeyColumn, RowBatch } from '#schema/column.ts';
import { type CollectionSchema, primaryField } from '#schema/field.ts';
import { concatBatches, keyAt } from '#schema/gather.ts';
import type { ArchiveEntry } from '#segment/entry.ts';
import type { StampedBatch, StampedTombstones } from '#segment/source.ts';
import { buildStamps, positionAt, type StampRun } from '#segment/stamps.ts';
import { concatTombstones, noTombstones } from '#segment/tombstones.ts';
import { encodeSegment, type NewSegment } from '#segment/writer.ts';
import { encodeFenceBody } from '#wal/fence.ts';
import { loadPayload, type Payload } from '#wal/payload.ts';
import type { WriteBody } from '#wal/record.ts';
import type { FoldedRecord } from './fold.ts';
import { emptyBatch } from './split.ts';

/** Payload objects in flight: eight of 27 ms each are 300 records a second from S3. */
const LOADS_AT_ONCE = 8;

export type LevelZero = NewSegment &
  Readonly<{
    archive: readonly ArchiveEntry[];
    rows: number;
    tombstones: number;
    /** Of all rows and tombstones in it (I7). */
    sum: SetSum;
  }>;

/**
 * Loads the payloads of `records`, which are consecutive and of one schema version, and encodes them.
 *
 * @throws StoreError `DATA_CORRUPT` or `OBJECT_NOT_FOUND` naming the payload
 */
export async function foldLevelZero(
  objects: ObjectStore,
  schema: CollectionSchema,
  records: readonly FoldedRecord[],
): Promise<LevelZero> {
  const loads = pLimit(LOADS_AT_ONCE);
  const effective = records.filter(isEffectiveWrite);
  const writes = await Promise.all(
    effective.map((folded) => loads(() => loadWrite(objects, folded))),
  );
  const rows = stampRows(schema, writes);
  const tombstones = stampTombstones(schema, writes);
  const archive = records.map(archiveEntry);
  const batchSchema = schemaOf(schema, rows.batch);
  const segment = encodeSegment({ schema: batchSchema, level: 0, rows, tombstones, archive });
  return {
    ...segment,
    archive,
    rows: rows.batch.count,
    tombstones: tombstones.count,
    sum: contentSum(batchSchema, rows, tombstones),
  };
}

type EffectiveWrite = FoldedRecord & Readonly<{ record: Readonly<{ body: WriteBody }> }>;
type LoadedWrite = Readonly<{ folded: FoldedRecord; payload: Payload }>;

export const isEffectiveWrite = (folded: FoldedRecord): folded is EffectiveWrite =>
  folded.verdict === 'effective' && folded.record.body.kind === 'write';

async function loadWrite(objects: ObjectStore, folded: EffectiveWrite): Promise<LoadedWrite> {
  const { body, schemaVersion } = folded.record;
  const payload = await loadPayload(objects, body.payload);
  const fits =
    payload.rows.count === body.rows &&
    payload.tombstones.bounds.length === body.tombstones &&
    payload.schemaVersion === schemaVersion;
  if (!fits) {
    const name = body.payload.at === 'object' ? body.payload.key : 'an inline payload';
    throw new StoreError(
      'DATA_CORRUPT',
      `${name}: ${payload.rows.count} rows, ${payload.tombstones.bounds.length} tombstones, schema ${payload.schemaVersion}; ` +
        `its record says ${body.rows}, ${body.tombstones}, ${schemaVersion}`,
    );
  }
  return { folded, payload };
}

function stampRows(schema: CollectionSchema, writes: readonly LoadedWrite[]): StampedBatch {
  const filled = writes.filter(({ payload }) => payload.rows.count > 0);
  const batches = filled.map(({ payload }) => payload.rows);
  return {
    batch: batches.length === 0 ? emptyBatch(schema) : concatBatches(batches),
    stamps: buildStamps(filled.map((write) => runOf(write, write.payload.rows.count, 0))),
  };
}

/** A payload's tombstones have the ordinals behind its rows. */
function stampTombstones(
  schema: CollectionSchema,
  writes: readonly LoadedWrite[],
): StampedTombstones {
  const lists = writes.flatMap((write): StampedTombstones[] => {
    const { rows, tombstones } = write.payload;
    const { keys, bounds } = tombstones;
    const count = bounds.length;
    if (count === 0) return [];
    return [{ count, keys, bounds, stamps: buildStamps([runOf(write, count, rows.count)]) }];
  });
  return lists.length === 0 ? noTombstones(keyTypeOf(schema)) : concatTombstones(lists);
}

export function keyTypeOf(schema: CollectionSchema): KeyColumn['type'] {
  const { type } = primaryField(schema);
  assert(type === 'Int64' || type === 'VarChar', 'keys are Int64 or VarChar');
  return type;
}

const runOf = ({ folded }: LoadedWrite, count: number, firstOrdinal: number): StampRun => ({
  record: folded.position,
  logTimeMs: folded.logTimeMs,
  count,
  firstOrdinal,
});

/**
 * The fields that these rows have. Fields that were added since are left out, not filled in: what a
 * row does not hold must not enter its hash (I7), and readers fill it in themselves.
 */
const schemaOf = (schema: CollectionSchema, batch: RowBatch): CollectionSchema => ({
  ...schema,
  fields: schema.fields.filter(({ id }) => batch.columns.has(id)),
});

/** The sum of rows and tombstones, as `in`, `held` and `out` count them. */
export function contentSum(
  schema: CollectionSchema,
  { batch, stamps }: StampedBatch,
  tombstones: StampedTombstones,
): SetSum {
  const sum = batchSum(schema, batch, (row) => positionAt(stamps, row));
  addSum(sum, tombstonesSum(tombstones));
  return sum;
}

export function tombstonesSum({ count, keys, stamps, bounds }: StampedTombstones): SetSum {
  const sum = emptySum();
  for (let index = 0; index < count; index++) {
    addSum(sum, tombstoneSum(positionAt(stamps, index), keyAt(keys, index), bounds[index]));
  }
  return sum;
}

function archiveEntry({ record, verdict, ...place }: FoldedRecord): ArchiveEntry {
  const { body, recordId, fenceNumber, epoch, schemaVersion } = record;
  const { position, previous, logTimeMs } = place;
  const known = {
    recordId,
    position,
    previous,
    logTimeMs,
    fenceNumber,
    epoch,
    schemaVersion,
    verdict,
  };
  if (body.kind === 'write') {
    return { ...known, kind: 'write', rows: body.rows, tombstones: body.tombstones };
  }
  const entry = { ...known, kind: 'fence', rows: 0, tombstones: 0 } as const;
  return verdict === 'effective' ? { ...entry, body: encodeFenceBody(body) } : entry;
}
