/**
 * What must have come of the log, told a second time: a plain walk over every record that ever
 * arrived, which shares the decoders with the engine and none of its decisions.
 */
import { parsePosition, recordPosition, rowPosition } from '#base/position.ts';
import { addSum, emptySum, formatSum, type SetSum } from '#base/setsum.ts';
import type { Collection } from '#catalog/collection.ts';
import { compareSequences } from '#ports/log.ts';
import { batchSum, tombstoneSum } from '#schema/canonical.ts';
import type { Key } from '#schema/column.ts';
import { primaryField } from '#schema/field.ts';
import { keyAt, keyColumn, valueAt } from '#schema/gather.ts';
import { decodePayload, type Payload } from '#wal/payload.ts';
import type { WriteBody } from '#wal/record.ts';
import { shardName } from '#wal/shard.ts';
import type { LoggedRecord, World } from './services.ts';

/** A live row version. */
export type ModelRow = Readonly<{ position: string; value: bigint | undefined }>;

export type ModelShard = {
  readonly rows: Map<Key, ModelRow>;
  /** Effective rows ever, by the value that names the write that made them. */
  readonly written: Map<bigint, { key: Key; times: number }>;
  /** Of all effective rows and tombstones. */
  readonly sum: SetSum;
  applied: string;
  effective: number;
  void: number;
  duplicate: number;
  fences: number;
  dropped: boolean;
};

/** DESIGN 4.2: ids of effective records are remembered for 11 minutes of log time. */
const ID_WINDOW_MS = 660_000;

export function replay(world: World, collection: Collection, shard: number): ModelShard {
  const name = shardName({ collectionId: collection.collectionId, shard });
  const model: ModelShard = {
    rows: new Map(),
    written: new Map(),
    sum: emptySum(),
    applied: '',
    effective: 0,
    void: 0,
    duplicate: 0,
    fences: 0,
    dropped: false,
  };
  const ids = new Map<string, number>();
  let fenceNumber = 1;
  let logTimeMs = 0;
  const records = [...(world.logged.get(name) ?? [])].sort((a, b) =>
    compareSequences(a.entry.sequence, b.entry.sequence),
  );
  for (const { entry, record } of records) {
    const { body } = record;
    logTimeMs = Math.max(logTimeMs, entry.arrivalMs);
    const position = recordPosition(1, 1, entry.sequence);
    model.applied = position;
    const late = entry.arrivalMs > record.deadlineMs;
    if (body.kind === 'fence') {
      if (late || record.fenceNumber <= fenceNumber || model.dropped) continue;
      fenceNumber = record.fenceNumber;
      model.dropped = body.state === 'dropped';
      model.fences += 1;
      continue;
    }
    if (late || record.fenceNumber < fenceNumber || model.dropped) {
      model.void += 1;
      continue;
    }
    const before = ids.get(record.recordId);
    if (before !== undefined && logTimeMs - before <= ID_WINDOW_MS) {
      model.duplicate += 1;
      continue;
    }
    ids.set(record.recordId, logTimeMs);
    model.effective += 1;
    apply(model, collection, position, payloadOf(world, { entry, record }, body));
  }
  return model;
}

function payloadOf(world: World, { entry }: LoggedRecord, { payload }: WriteBody): Payload {
  if (payload.at === 'inline') return decodePayload(payload.bytes, `record ${entry.sequence}`);
  const bytes = world.everPut.get(payload.key);
  if (bytes === undefined) throw new Error(`no payload ${payload.key} was ever put`);
  return decodePayload(bytes, payload.key);
}

function apply(
  model: ModelShard,
  { schema }: Collection,
  position: string,
  { rows, tombstones }: Payload,
): void {
  const present = { ...schema, fields: schema.fields.filter(({ id }) => rows.columns.has(id)) };
  addSum(
    model.sum,
    batchSum(present, rows, (row) => rowPosition(position, row)),
  );
  const keys = keyColumn(rows, primaryField(schema));
  const valueField = schema.fields.find(({ name }) => name === 'value');
  const values = valueField && rows.columns.get(valueField.id);
  for (let row = 0; row < rows.count; row++) {
    const key = keyAt(keys, row);
    const value = values === undefined ? undefined : valueAt(values, row);
    const tag = typeof value === 'bigint' ? value : undefined;
    if (tag !== undefined) {
      const known = model.written.get(tag);
      model.written.set(tag, { key, times: (known?.times ?? 0) + 1 });
    }
    model.rows.set(key, { position: rowPosition(position, row), value: tag });
  }
  tombstones.bounds.forEach((bound, index) => {
    const key = keyAt(tombstones.keys, index);
    const own = rowPosition(position, rows.count + index);
    addSum(model.sum, tombstoneSum(own, key, bound));
    const live = model.rows.get(key);
    if (live === undefined || (bound !== undefined && live.position > bound)) return;
    if (live.position < own) model.rows.delete(key);
  });
}

/** For a message. */
export const sequenceOf = (position: string): string =>
  position === '' ? 'the beginning' : parsePosition(position).sequence;

export const sumText = ({ sum }: ModelShard): string => formatSum(sum);
