/**
 * What must have come of the log, told a second time: a plain walk over every record that ever
 * arrived, which shares the decoders with the engine and none of its decisions.
 */
import { parsePosition, recordPosition, rowPosition } from '#base/position.ts';
import { addSum, emptySum, formatSum, type SetSum } from '#base/setsum.ts';
import type { Collection } from '#catalog/collection.ts';
import { decodeCollection } from '#catalog/collections-codec.ts';
import { compareSequences, type LogEntry, type Sequence } from '#ports/log.ts';
import { batchSum, tombstoneSum } from '#schema/canonical.ts';
import type { Key } from '#schema/column.ts';
import { type CollectionSchema, primaryField } from '#schema/field.ts';
import { keyAt, keyColumn, valueAt } from '#schema/gather.ts';
import { decodePayload, type Payload } from '#wal/payload.ts';
import type { WriteBody } from '#wal/record.ts';
import { shardName } from '#wal/shard.ts';
import type { CutSeen } from './records.ts';
import type { World } from './services.ts';

/** A live row version. */
export type ModelRow = Readonly<{
  position: string;
  value: bigint | undefined;
  logTimeMs: number;
}>;

/** A row as it was written, by the record that holds it. */
export type WrittenRow = Readonly<{
  key: Key;
  sequence: Sequence;
  logTimeMs: number;
  position: string;
}>;

export type ModelShard = {
  readonly rows: Map<Key, ModelRow>;
  /** Effective rows of its own records ever, by the value that names the write that made them. */
  readonly written: Map<bigint, WrittenRow & { times: number }>;
  /** Values and keys of records that an operator set aside. */
  readonly asideValues: Set<bigint>;
  readonly asideKeys: Set<Key>;
  /** Of all effective rows and tombstones. */
  readonly sum: SetSum;
  generation: number;
  applied: string;
  logTimeMs: number;
  effective: number;
  void: number;
  duplicate: number;
  setAside: number;
  fences: number;
  dropped: boolean;
};

/** DESIGN 4.2: ids of effective records are remembered for 11 minutes of log time. */
const ID_WINDOW_MS = 660_000;

/** Which records belong to a part of the log, in log order: everything before the first that does not. */
export type Through = (sequence: Sequence, logTimeMs: number) => boolean;

const ALL: Through = () => true;

/** What `through` says of a cut: with one shard what the head had, with several all up to its log time. */
export function throughCut({ cut }: CutSeen, shard: number): Through {
  if (cut.manifests.length > 1) return (_, logTimeMs) => logTimeMs <= cut.logTimeMs;
  const { applied } = cut.manifests[shard] ?? { applied: '' };
  if (applied === '') return () => false;
  const last = parsePosition(applied);
  return (sequence) => compareSequences(sequence, last.sequence) <= 0;
}

/** The definition of the collection that a cut is of, as the cut has it. */
export const sourceOf = ({ cut, key }: CutSeen): Collection =>
  decodeCollection(cut.definition, key);

/** What a shard holds before its own first record: nothing, or what the cut holds that it began with. */
function beginning(world: World, { collectionId }: Collection, shard: number): ModelShard {
  const seen = world.records.cutHeldBy(collectionId);
  const fresh = { ...NOTHING, written: new Map(), asideValues: new Set<bigint>() };
  const own = { ...fresh, asideKeys: new Set<Key>() };
  if (seen === undefined) return { ...own, rows: new Map(), sum: emptySum() };
  const cut = cutShard(world, seen, shard);
  const { rows, sum, applied, logTimeMs, generation } = cut;
  return { ...own, rows, sum, applied, logTimeMs, generation: generation + 1 };
}

const NOTHING = {
  ...{ generation: 1, applied: '', logTimeMs: 0 },
  ...{ effective: 0, void: 0, duplicate: 0, setAside: 0, fences: 0, dropped: false },
};

/** What a shard of a cut must hold, by the log of its source. */
export function cutShard(world: World, seen: CutSeen, shard: number): ModelShard {
  const { source } = seen.pin;
  const parent = world.records.collections.get(source.collectionId) ?? sourceOf(seen);
  // A position behind the beginning of a copy is one of its own log; before it, of its source's.
  const { applied = '' } = seen.cut.manifests[shard] ?? {};
  const born = world.records.born.get(shardName({ collectionId: source.collectionId, shard }));
  const isBeginning = seen.cut.manifests.length === 1 && applied === born?.applied;
  return replay(world, parent, shard, isBeginning ? () => false : throughCut(seen, shard));
}

export function replay(
  world: World,
  collection: Collection,
  shard: number,
  through: Through = ALL,
): ModelShard {
  const name = shardName({ collectionId: collection.collectionId, shard });
  const model = beginning(world, collection, shard);
  const asides = world.records.asides.get(name);
  const ids = new Map<string, number>();
  let fenceNumber = 1;
  const records = [...(world.logged.get(name) ?? [])].sort((a, b) =>
    compareSequences(a.entry.sequence, b.entry.sequence),
  );
  for (const { entry, record } of records) {
    const logTimeMs = Math.max(model.logTimeMs, entry.arrivalMs);
    if (!through(entry.sequence, logTimeMs)) break;
    // What cannot be read is passed in no other way; where nobody could tell any more it was.
    const aside = asides?.get(entry.sequence);
    const isAside =
      record === undefined ? aside !== undefined : aside === 'void' || aside === 'unknown';
    if (record === undefined && !isAside) continue;
    model.logTimeMs = logTimeMs;
    const position = recordPosition(model.generation, 1, entry.sequence);
    model.applied = position;
    if (isAside) model.setAside += 1;
    if (record === undefined) continue;
    const { body } = record;
    const late = entry.arrivalMs > record.deadlineMs;
    if (body.kind === 'fence') {
      if (late || record.fenceNumber <= fenceNumber || model.dropped) continue;
      fenceNumber = record.fenceNumber;
      model.dropped = body.state === 'dropped';
      model.fences += 1;
      // Whatever lies behind it in the log came later.
      if (body.action === 'truncate') model.rows.clear();
      continue;
    }
    if (isAside) {
      // Nobody was told that it is durable: then nothing excuses it.
      const isUnheard = world.records.unheard.has(`${name} ${entry.sequence}`);
      noteAside(model, collection, payloadOf(world, entry, body), isUnheard);
    }
    if (isAside || late || record.fenceNumber < fenceNumber || model.dropped) {
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
    apply(model, collection, position, payloadOf(world, entry, body));
  }
  return model;
}

function noteAside(
  { asideValues, asideKeys }: ModelShard,
  { schema }: Collection,
  { rows, tombstones }: Payload,
  isUnheard: boolean,
): void {
  if (isUnheard) return;
  const keys = keyColumn(rows, primaryField(schema));
  const value = valuesOf(schema, rows);
  for (let row = 0; row < rows.count; row++) {
    asideKeys.add(keyAt(keys, row));
    const tag = value(row);
    if (tag !== undefined) asideValues.add(tag);
  }
  for (const index of tombstones.bounds.keys()) asideKeys.add(keyAt(tombstones.keys, index));
}

function payloadOf(world: World, entry: LogEntry, { payload }: WriteBody): Payload {
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
  const value = valuesOf(schema, rows);
  const { sequence } = parsePosition(position);
  const { logTimeMs } = model;
  for (let row = 0; row < rows.count; row++) {
    const key = keyAt(keys, row);
    const tag = value(row);
    const own = rowPosition(position, row);
    if (tag !== undefined) {
      const times = (model.written.get(tag)?.times ?? 0) + 1;
      model.written.set(tag, { key, sequence, logTimeMs, position: own, times });
    }
    model.rows.set(key, { position: own, value: tag, logTimeMs });
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

/** The value of a row that names its write. */
function valuesOf(
  schema: CollectionSchema,
  rows: Payload['rows'],
): (row: number) => bigint | undefined {
  const field = schema.fields.find(({ name }) => name === 'value');
  const values = field && rows.columns.get(field.id);
  return (row) => {
    const value = values === undefined ? undefined : valueAt(values, row);
    return typeof value === 'bigint' ? value : undefined;
  };
}

/** For a message. */
export const sequenceOf = (position: string): string =>
  position === '' ? 'the beginning' : parsePosition(position).sequence;

export const sumText = ({ sum }: ModelShard): string => formatSum(sum);
