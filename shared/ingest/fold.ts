/**
 * What each record of a shard's log is worth: position, log time and verdict.
 *
 * A pure fold over the log, the same code in apply and in the forwarder (DESIGN 4.2). It gives the
 * same answer however the log is cut into batches and from whatever earlier point it is delivered
 * again, which is what makes apply exactly-once (I2): what the state covers is skipped, everything
 * else is seen in order, and each record seen advances the applied position whatever its verdict.
 */
import type { StoreError } from '#base/errors.ts';
import { type RecordPosition, recordPosition } from '#base/position.ts';
import type { Sequence } from '#ports/log.ts';
import type { ShardState, Verdict, WalRecord } from '#wal/record.ts';

/**
 * How long an effective record id is remembered, in log time: 11 minutes = ten deadlines (the time
 * in which a request may be sent again, `idempotency.ts`) + one (its last record's own way).
 */
export const ID_WINDOW_MS = 11 * 60_000;

export type FoldState = Readonly<{
  /** The last record seen in order, effective or not. */
  applied: RecordPosition;
  /** Its log time. */
  logTimeMs: number;
  /** What the last effective fence decided. */
  fenceNumber: number;
  epoch: number;
  generation: number;
  state: ShardState;
  schemaVersion: number;
}>;

/** Log time of the effective record with this id, if it is remembered. */
export type Remembered = (recordId: string) => number | undefined;

export type LogRecord = DecodedRecord | UndecodedRecord;

type Delivered = Readonly<{ sequence: Sequence; arrivalMs: number }>;
type DecodedRecord = Delivered &
  Readonly<{
    record: WalRecord;
    /** An operator's decision: void, whatever it says of itself. Writes only. */
    setAside?: boolean;
  }>;
/** An entry that is no record of this shard, or none that this Sterna can read. */
type UndecodedRecord = Delivered & Readonly<{ record: undefined; refusal: StoreError }>;

export type FoldedRecord = Readonly<{
  record: WalRecord;
  sequence: Sequence;
  position: RecordPosition;
  /** The record seen before it in its shard. */
  previous: RecordPosition;
  logTimeMs: number;
  verdict: Verdict;
  /** The shard behind this record. */
  state: FoldState;
}>;

export type Folded = Readonly<{
  /** The records that the state did not cover, in order. */
  records: readonly FoldedRecord[];
  next: FoldState;
  /** Nothing from this entry on was folded: a gap, or bytes that are no record. */
  stop?: Readonly<{ sequence: Sequence; refusal?: StoreError }>;
  /** A forwarded record that does not follow the last one seen. */
  gap?: Readonly<{ position: RecordPosition; previous: RecordPosition; expected: RecordPosition }>;
}>;

/** Folds `records`, one shard's in log order, onto `state`. */
export function fold(
  state: FoldState,
  remembered: Remembered,
  records: readonly LogRecord[],
): Folded {
  const folded: FoldedRecord[] = [];
  const fresh = new Map<string, number>();
  const known: Remembered = (recordId) => fresh.get(recordId) ?? remembered(recordId);
  let now = state;
  for (const entry of records) {
    const { sequence } = entry;
    if (entry.record === undefined) {
      // Covered, it was set aside: delivered again it is recognised like any other record.
      if (recordPosition(now.generation, now.epoch, sequence) <= now.applied) continue;
      const stop = { sequence, refusal: entry.refusal };
      return { records: folded, next: now, stop };
    }
    const { record } = entry;
    const position = record.origin?.position ?? positionOf(now, entry);
    if (position <= now.applied) continue;
    if (record.origin !== undefined && record.origin.previous !== now.applied) {
      const gap = { position, previous: record.origin.previous, expected: now.applied };
      return { records: folded, next: now, stop: { sequence }, gap };
    }
    const logTimeMs = record.origin?.logTimeMs ?? Math.max(now.logTimeMs, entry.arrivalMs);
    const verdict = record.origin?.verdict ?? judge(now, known, entry, logTimeMs);
    const state = advance(now, record, position, logTimeMs, verdict);
    folded.push({ record, sequence, position, previous: now.applied, logTimeMs, verdict, state });
    if (verdict === 'effective' && record.body.kind === 'write') {
      fresh.set(record.recordId, logTimeMs);
    }
    now = state;
  }
  return { records: folded, next: now };
}

/**
 * Generation and epoch of a record are those of the last fence up to and including itself. A fence
 * that takes effect must count itself: the fence of a promotion or of a new log is the first record
 * of a log whose sequences may be lower than those already applied, and only its own epoch or
 * generation lifts it above them.
 */
function positionOf(now: FoldState, entry: DecodedRecord): RecordPosition {
  const { body, epoch } = entry.record;
  return body.kind === 'fence' && raises(now, entry, body.generation)
    ? recordPosition(body.generation, epoch, entry.sequence)
    : recordPosition(now.generation, now.epoch, entry.sequence);
}

/**
 * A fence takes effect once, by its number, and takes neither epoch nor generation back. Nothing
 * takes effect behind a drop.
 */
const raises = (
  now: FoldState,
  { record, arrivalMs }: DecodedRecord,
  generation: number,
): boolean =>
  arrivalMs <= record.deadlineMs &&
  record.fenceNumber > now.fenceNumber &&
  record.epoch >= now.epoch &&
  generation >= now.generation &&
  now.state !== 'dropped';

function judge(
  now: FoldState,
  known: Remembered,
  entry: DecodedRecord,
  logTimeMs: number,
): Verdict {
  const { record, arrivalMs } = entry;
  if (entry.setAside === true) return 'void';
  if (arrivalMs > record.deadlineMs) return 'void';
  if (record.body.kind === 'fence') {
    if (raises(now, entry, record.body.generation)) return 'effective';
    return record.fenceNumber <= now.fenceNumber ? 'duplicate' : 'void';
  }
  if (record.fenceNumber < now.fenceNumber || record.epoch < now.epoch || now.state !== 'open') {
    return 'void';
  }
  const before = known(record.recordId);
  return before !== undefined && logTimeMs - before <= ID_WINDOW_MS ? 'duplicate' : 'effective';
}

function advance(
  now: FoldState,
  record: WalRecord,
  position: RecordPosition,
  logTimeMs: number,
  verdict: Verdict,
): FoldState {
  const seen = { ...now, applied: position, logTimeMs };
  if (verdict !== 'effective' || record.body.kind !== 'fence') return seen;
  return {
    ...seen,
    fenceNumber: record.fenceNumber,
    epoch: record.epoch,
    generation: record.body.generation,
    state: record.body.state,
    schemaVersion: record.schemaVersion,
  };
}
