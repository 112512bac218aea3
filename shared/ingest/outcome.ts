/**
 * What became of a record whose writer cannot tell by itself.
 *
 * The manifest decides: it remembers the ids of the records that took effect. So whoever lost the
 * log's answer, failed the check, or repeats an earlier request waits until the manifest remembers
 * the id, and answers from the record that took effect, whichever attempt's it was (I2, I12).
 */
import { isStoreError, StoreError } from '#base/errors.ts';
import { type Head, readManifest } from '#manifest/head.ts';
import { readArchive } from '#segment/archive.ts';
import { whyParked } from '#wal/parked.ts';
import { holdsLease } from './check.ts';
import { DEADLINE_MS, SKEW_MS } from './deadline.ts';
import { ID_WINDOW_MS } from './fold.ts';
import type { Remembrance } from './record-ids.ts';
import type { SentRecord, WritePorts, Written } from './write-shard.ts';

/** Ten applies of a second each, and well within an HTTP request's 30 s. */
export const OUTCOME_WAIT_MS = 10_000;
const POLL_MS_FIRST = 5;
const POLL_MS_MAX = 200;

/**
 * Waits for the manifest to say which record of this id took effect.
 *
 * @throws StoreError `NOT_READY` where the record is known to be void and nothing else was sent
 *   under its id; else `WRITE_UNCERTAIN`
 */
export async function awaitOutcome(ports: WritePorts, sent: SentRecord): Promise<Written> {
  const { clock } = ports;
  const untilMs = Math.min(clock.nowMs() + OUTCOME_WAIT_MS, sent.context.answerByMs);
  let pollMs = POLL_MS_FIRST;
  let cause: unknown;
  for (;;) {
    try {
      const written = await look(ports, sent);
      if (written !== undefined) return written;
    } catch (error) {
      if (!isStoreError(error) || isStoreError(error, 'NOT_READY', 'WRITE_UNCERTAIN')) throw error;
      // A read that failed says nothing about the record.
      cause = error;
    }
    if (clock.nowMs() >= untilMs) break;
    await clock.sleep(pollMs);
    pollMs = Math.min(pollMs * 2, POLL_MS_MAX);
  }
  // The hint is worth a look, not another error.
  const why = await whyParked(ports.table, sent.shard).catch(() => undefined);
  throw new StoreError(
    'WRITE_UNCERTAIN',
    `the write was sent to the log and its fate is not known yet; read to find out, or repeat it under the same RequestId${why === undefined ? '' : ` (${why})`}`,
    { cause },
  );
}

async function look(ports: WritePorts, sent: SentRecord): Promise<Written | undefined> {
  const head = await readManifest(ports, sent.shard);
  const find = await ports.recordIds.of(ports.objects, head.manifest);
  const found = find(sent.record.recordId);
  if (found !== undefined) return await answerFrom(ports, sent, found);
  refuseVoid(sent, head);
  return undefined;
}

/** The entry in the archive has the counts of the record that took effect, not of this attempt. */
async function answerFrom(
  ports: WritePorts,
  { shard, record, lease, context }: SentRecord,
  found: Remembrance,
): Promise<Written> {
  if (lease && !(await holdsLease(ports, record.epoch))) {
    throw new StoreError(
      'WRITE_UNCERTAIN',
      `the write took effect here, but the lease of epoch ${record.epoch} is over: the next primary may not have it`,
    );
  }
  const { position } = found;
  const own = { rows: record.body.rows, tombstones: record.body.tombstones };
  const counts = context.attempt === undefined ? own : await countsOf(ports, found);
  return { shard: shard.shard, position, ...counts };
}

async function countsOf(
  { objects }: WritePorts,
  { archive, position }: Remembrance,
): Promise<Readonly<{ rows: number; tombstones: number }>> {
  const entries = await readArchive({ objects }, archive);
  const entry = entries.find((candidate) => candidate.position === position);
  if (entry === undefined) {
    throw new StoreError('DATA_CORRUPT', `archive ${archive.key} lacks an entry it has the id of`);
  }
  return { rows: entry.rows, tombstones: entry.tombstones };
}

/**
 * Apply has passed the record's position and does not remember its id: it is void. That settles the
 * matter only where no other attempt can have sent a record of the same id, and where log time has
 * not gone on so far that the id would be forgotten by now.
 */
function refuseVoid({ position, record, context }: SentRecord, { manifest }: Head): void {
  if (position === undefined || manifest.applied < position) return;
  if (context.attempt !== undefined) return;
  const arrivalMsMin = record.deadlineMs - DEADLINE_MS - SKEW_MS;
  if (manifest.logTimeMs - ID_WINDOW_MS > arrivalMsMin) return;
  throw new StoreError(
    'NOT_READY',
    'the write reached the log behind a fence or after its deadline; nothing was written, try again',
  );
}
