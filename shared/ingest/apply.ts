/**
 * Apply: from the log to the manifest, in order, exactly once (DESIGN 4.2, I2).
 *
 * One batch is one object and one manifest version. The object goes first: a crash behind it leaves
 * an orphan for collect. The commit moves the applied position, which is how every repetition, of
 * this batch or a larger one, here or in a second applier, recognises what is done. Gates are
 * settled and tail rows swept after the commit: a crash before that leaves work that the same
 * entries, delivered again, finish.
 */
import { isStoreError, StoreError } from '#base/errors.ts';
import { addSum, formatSum, parseSum, type SetSum } from '#base/setsum.ts';
import { commitManifest, isOutdated } from '#manifest/commit.ts';
import type { Manifest } from '#manifest/format.ts';
import { type ManifestCache, readManifest } from '#manifest/head.ts';
import { contentKeys, forgetRetired } from '#manifest/history.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { LogEntry, Sequence } from '#ports/log.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import type { CollectionSchema } from '#schema/field.ts';
import type { ArchiveRef, SegmentEntry } from '#segment/entry.ts';
import { settleGate } from '#wal/gate.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import { sweepTail } from '#wal/tail.ts';
import { readEntry } from './delivered.ts';
import {
  type Folded,
  type FoldedRecord,
  type FoldState,
  fold,
  ID_WINDOW_MS,
  type LogRecord,
} from './fold.ts';
import { foldLevelZero, isEffectiveWrite, type LevelZero } from './level-zero.ts';
import { segmentKey } from './product.ts';
import type { RecordIds } from './record-ids.ts';
import { canRetire, retireKeys } from './retired.ts';

export type ApplyPorts = Readonly<{
  objects: ObjectStore;
  table: Table;
  clock: Clock;
  entropy: Entropy;
  telemetry: Telemetry;
  recordIds: RecordIds;
  manifests?: ManifestCache | undefined;
  /** No further batch is begun after this time; what is committed by then stays. */
  stopMs?: number | undefined;
}>;

export type ApplyBounds = Readonly<{ rows: number; bytes: number }>;

/**
 * One level-0 object. 65,536 rows scan exactly in some 70 ms of plain JavaScript at 768 dimensions;
 * 64 MiB, or one larger payload, is in memory three times while it is encoded.
 */
export const APPLY_BOUNDS: ApplyBounds = { rows: 65_536, bytes: 64 * 1024 * 1024 };

export type Applied = Readonly<{ manifest: Manifest; records: number; rows: number }>;

/** Where applying came to its end before the last record. */
export type Stop = Readonly<{
  /** The first record that is not applied; undefined where the shard fails, whatever the record. */
  sequence: Sequence | undefined;
  error: unknown;
}>;

export type ApplyOptions = Readonly<{
  bounds?: ApplyBounds;
  /** The entry that an operator decided to set aside: it becomes void. */
  setAside?: Sequence | undefined;
}>;

/** Lost races and outdated objects in a row; each means that somebody else made progress. */
const REPEATS_MAX = 16;
const SWEEP_ROWS = 1_000;
/** 64,000 tail rows: all that `readTail` would ever return. */
const SWEEPS_MAX = 64;

/**
 * As {@link applyUntil}, for whoever cannot go on either.
 *
 * @throws StoreError what it throws, and `LOG_GAP`, `DATA_CORRUPT`, `OBJECT_NOT_FOUND`,
 *   `FORMAT_TOO_NEW` for a record that cannot be applied; what came before it is applied
 */
export async function applyBatch(
  ports: ApplyPorts,
  shard: ShardId,
  schema: CollectionSchema,
  entries: readonly LogEntry[],
  bounds: ApplyBounds = APPLY_BOUNDS,
): Promise<Applied> {
  const { stop, ...applied } = await applyUntil(ports, shard, schema, entries, { bounds });
  if (stop !== undefined) throw stop.error;
  return applied;
}

/**
 * Applies one shard's entries up to the first one that cannot be applied, in log order and beginning
 * anywhere at or before the first one that is not applied. Larger batches than the bounds become
 * several manifest versions. Where a batch fails it is halved until the record is found that does, so
 * that everything before it is applied; nothing behind it ever is.
 *
 * @throws StoreError what passes by itself ({@link isPassing}), and whatever is wrong with the manifest
 *   or what it names; `TIMEOUT` where `stopMs` came first: calling again with the same entries goes on
 */
export async function applyUntil(
  ports: ApplyPorts,
  shard: ShardId,
  schema: CollectionSchema,
  entries: readonly LogEntry[],
  { bounds = APPLY_BOUNDS, setAside }: ApplyOptions = {},
): Promise<Applied & Readonly<{ stop?: Stop }>> {
  const records = entries.map((entry) => readEntry(shard, entry, setAside));
  let { manifest } = await readManifest(ports, shard);
  const applied = { records: 0, rows: 0 };
  let recordsMax = Number.POSITIVE_INFINITY;
  let repeats = 0;
  while (repeats < REPEATS_MAX) {
    const find = await ports.recordIds.of(ports.objects, manifest);
    const folded = fold(stateOf(manifest), (id) => find(id)?.logTimeMs, records);
    const batch = cut(folded.records, bounds, recordsMax);
    const first = batch[0];
    if (first === undefined) {
      await finish(ports, shard, manifest, records);
      const stop = stopOf(shard, folded);
      return { manifest, ...applied, ...(stop === undefined ? {} : { stop }) };
    }
    refuseLate(ports, shard, folded);
    const committed = await attempt(() => commitBatch(ports, shard, schema, manifest, batch));
    if (committed.failed) {
      const { error } = committed;
      if (batch.length === 1) {
        await finish(ports, shard, manifest, records);
        return { manifest, ...applied, stop: { sequence: first.sequence, error } };
      }
      // Each failure halves it, so this ends; what fits from here on is found without growing again.
      recordsMax = Math.floor(batch.length / 2);
      continue;
    }
    const { rows } = committed;
    // Somebody else's batch, or a new mark of collect: fold again onto what is there now.
    repeats = rows === undefined ? repeats + 1 : 0;
    if (rows !== undefined) {
      applied.records += batch.length;
      applied.rows += rows;
    }
    ({ manifest } = await readManifest(ports, shard));
  }
  throw new StoreError('MANIFEST_CONTENDED', `${shardName(shard)}: ${REPEATS_MAX} batches lost`);
}

/**
 * Whether a failure says nothing about the record: a service that did not answer, is busy or refuses
 * everybody, a race, the end of our time. The same entries are to be delivered again.
 */
export const isPassing = (error: unknown): boolean =>
  isStoreError(
    error,
    'UNCERTAIN',
    'OVERLOADED',
    'MANIFEST_CONTENDED',
    'PLATFORM_REFUSED',
    'NOT_READY',
    'TIMEOUT',
  );

/** No record begins a batch behind `stopMs`. */
function refuseLate({ clock, stopMs }: ApplyPorts, shard: ShardId, { records }: Folded): void {
  if (stopMs === undefined || clock.nowMs() < stopMs) return;
  throw new StoreError('TIMEOUT', `${shardName(shard)}: ${records.length} records are left`);
}

type Committed =
  | Readonly<{ failed: false; rows: number | undefined }>
  | Readonly<{ failed: true; error: unknown }>;

async function attempt(commit: () => Promise<number | undefined>): Promise<Committed> {
  try {
    return { failed: false, rows: await commit() };
  } catch (error) {
    if (isPassing(error)) throw error;
    return { failed: true, error };
  }
}

/** What the fold goes on from. */
export function stateOf(manifest: Manifest): FoldState {
  const { applied, logTimeMs, fenceNumber, epoch, generation, state, schemaVersion } = manifest;
  return { applied, logTimeMs, fenceNumber, epoch, generation, state, schemaVersion };
}

/**
 * The first records that make one object: within the bounds (one record may exceed them), of one
 * schema version, and with a truncation only at the front, since it empties what lies before it.
 */
function cut(
  records: readonly FoldedRecord[],
  bounds: ApplyBounds,
  recordsMax: number,
): readonly FoldedRecord[] {
  let rows = 0;
  let bytes = 0;
  const end = records.findIndex((folded, index) => {
    if (index >= recordsMax) return true;
    if (index > 0 && (truncates(folded) || changesSchema(folded))) return true;
    if (!isEffectiveWrite(folded)) return false;
    const { body } = folded.record;
    rows += body.rows + body.tombstones;
    bytes += body.payload.at === 'inline' ? body.payload.bytes.length : body.payload.sizeBytes;
    return index > 0 && (rows > bounds.rows || bytes > bounds.bytes);
  });
  return end < 0 ? records : records.slice(0, end);
}

const isEffectiveFence = ({ record, verdict }: FoldedRecord, action: string): boolean =>
  verdict === 'effective' && record.body.kind === 'fence' && record.body.action === action;

const truncates = (folded: FoldedRecord): boolean => isEffectiveFence(folded, 'truncate');
const changesSchema = (folded: FoldedRecord): boolean => isEffectiveFence(folded, 'schema');

function stopOf(shard: ShardId, { stop, gap }: Folded): Stop | undefined {
  if (stop === undefined) return undefined;
  const { sequence, refusal } = stop;
  if (gap === undefined) return { sequence, error: refusal };
  const { position, previous, expected } = gap;
  const message = `${shardName(shard)}: record ${position} follows ${previous || 'nothing'}, the last one seen is ${expected || 'none'}`;
  return { sequence, error: new StoreError('LOG_GAP', message) };
}

/** Rows that this call committed; undefined where it has to be tried again on a newer manifest. */
async function commitBatch(
  ports: ApplyPorts,
  shard: ShardId,
  schema: CollectionSchema,
  base: Manifest,
  batch: readonly FoldedRecord[],
): Promise<number | undefined> {
  const product = await foldLevelZero(ports.objects, schema, batch);
  const key = segmentKey(ports.entropy, shard, base.version, 0);
  await ports.objects.put(key, product.bytes);
  const step = { base, batch, key, product, atMs: ports.clock.nowMs() };
  let manifest: Manifest;
  try {
    manifest = await commitManifest(ports, shard, (current) => advance(current, step));
  } catch (error) {
    if (isOutdated(error)) return undefined;
    throw error;
  }
  if (!manifest.idWindow.some((ref) => ref.key === key)) return undefined;
  ports.recordIds.add(shard, archiveRef(step), product.archive.filter(isRemembered));
  report(ports.telemetry, shard, batch, product);
  return product.rows;
}

type Step = Readonly<{
  base: Manifest;
  batch: readonly FoldedRecord[];
  key: string;
  product: LevelZero;
  atMs: number;
}>;

const isRemembered = ({ kind, verdict }: LevelZero['archive'][number]): boolean =>
  kind === 'write' && verdict === 'effective';

const archiveRef = ({ key, product, batch }: Step): ArchiveRef => ({
  key,
  footerOffset: product.entry.footerOffset,
  footerBytes: product.entry.footerBytes,
  footerCrc32: product.entry.footerCrc32,
  logTimeMs: batch.at(-1)?.logTimeMs ?? 0,
});

/**
 * The step from the manifest that the batch was folded onto. Any other applied position means that
 * the batch is in, or that another applier's is: nothing to do here, either way.
 */
function advance(current: Manifest, step: Step): Manifest | undefined {
  const last = step.batch.at(-1);
  if (last === undefined || current.applied !== step.base.applied) return undefined;
  const truncated = step.batch[0] !== undefined && truncates(step.batch[0]);
  const emptied = truncated ? withoutContent(current, step.atMs) : current;
  const { product } = step;
  const entry: SegmentEntry = { ...product.entry, key: step.key, auxiliary: [] };
  const holds = product.rows + product.tombstones > 0;
  const next: Manifest = {
    ...emptied,
    ...last.state,
    version: current.version + 1,
    sums: {
      ...emptied.sums,
      in: plus(emptied.sums.in, product.sum),
      held: plus(emptied.sums.held, product.sum),
    },
    rowsApplied: current.rowsApplied + product.rows,
    segments: holds ? [...emptied.segments, entry] : emptied.segments,
    idWindow: [...emptied.idWindow, archiveRef(step)],
  };
  return withinWindow(next, step.atMs);
}

const plus = (sum: string, added: SetSum): string => {
  const total = parseSum(sum);
  addSum(total, added);
  return formatSum(total);
};

/** A truncation moves everything that is held out, and retires every object of the content. */
function withoutContent(current: Manifest, atMs: number): Manifest {
  const { sums } = current;
  const nothing = { ...sums, out: sums.in, held: formatSum(new Uint32Array(8)) };
  return retireKeys({ ...current, segments: [], sums: nothing }, contentKeys(current), atMs);
}

/**
 * Without the archives whose youngest id is forgotten. One that never was a segment (only void
 * records, only fences) is retired here; where the list is full it simply is an orphan, since apply
 * must not wait for collect and nobody reads it.
 */
function withinWindow(next: Manifest, atMs: number): Manifest {
  const oldestMs = next.logTimeMs - ID_WINDOW_MS;
  const kept = next.idWindow.filter(({ logTimeMs }) => logTimeMs >= oldestMs);
  if (kept.length === next.idWindow.length) return next;
  const held = contentKeys(next);
  const gone = next.idWindow
    .filter(({ key, logTimeMs }) => logTimeMs < oldestMs && !held.has(key))
    .map(({ key }) => key);
  const shorter = { ...next, idWindow: kept };
  if (!canRetire(next, gone.length, atMs)) return shorter;
  // Its rows may have left long ago; whoever looks up ids on an older manifest reads it until now.
  return retireKeys(forgetRetired(shorter, new Set(gone)), gone, atMs);
}

/** What a crash before the end of an earlier call may have left undone; harmless to repeat. */
async function finish(
  ports: ApplyPorts,
  shard: ShardId,
  { applied, fenceNumber }: Manifest,
  records: readonly LogRecord[],
): Promise<void> {
  if (records.some(({ record }) => record?.body.kind === 'fence')) {
    try {
      await settleGate(ports.table, shard, fenceNumber);
    } catch (error) {
      // A dropped shard's gate may be gone before its last records.
      if (!isStoreError(error, 'COLLECTION_NOT_FOUND')) throw error;
    }
  }
  for (let sweep = 1; sweep <= SWEEPS_MAX; sweep++) {
    if ((await sweepTail(ports.table, shard, applied, SWEEP_ROWS)) < SWEEP_ROWS) return;
  }
}

function report(
  telemetry: Telemetry,
  shard: ShardId,
  batch: readonly FoldedRecord[],
  { rows, tombstones, bytes }: LevelZero,
): void {
  telemetry.count('apply_records_total', batch.length);
  telemetry.count('apply_rows_total', rows);
  telemetry.event('debug', 'apply-batch', {
    shard: shardName(shard),
    records: batch.length,
    rows,
    tombstones,
    sizeBytes: bytes.length,
  });
}
