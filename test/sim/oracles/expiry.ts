/**
 * Rows that live for a time only: seen until then, never afterwards, and by the log's time (I4, I5).
 *
 * A reader's clock decides, and it may be off. So between the earliest moment at which a row may be gone
 * and the latest at which it may still be seen either answer is right.
 */
import type { Key } from '#schema/column.ts';
import { BRIEF, BRIEF_SECONDS } from '../actors/collections.ts';
import type { ReadOperation, WriteOperation } from '../evidence.ts';
import type { WrittenRow } from '../model.ts';
import type { Case } from './judge.ts';

/** What a clock is off by at most, and the whole seconds in which times to live are counted. */
const DOUBT_MS = 2_500 + 1_000;
const LIFE_MS = BRIEF_SECONDS * 1_000;

/** @returns how many reads of a key saw nothing because the row's time was over */
export function checkExpiry({ world, evidence, models }: Case): number {
  const written = new Map<bigint, WrittenRow>();
  const aside = new Set<Key>();
  for (const model of models.values()) {
    for (const [value, row] of model.written) written.set(value, row);
    for (const key of model.asideKeys) aside.add(key);
  }
  const writes = evidence.writes.filter(({ collection }) => collection === BRIEF.name);
  let expired = 0;
  for (const read of evidence.reads.filter(({ collection }) => collection === BRIEF.name)) {
    for (const [key, value] of read.seen) {
      if (aside.has(key)) continue;
      const seen = value === undefined ? undefined : written.get(value);
      const who = `${read.client}: ${read.what} of key ${key}`;
      if (seen !== undefined && seen.logTimeMs + LIFE_MS + DOUBT_MS < read.startMs) {
        const agoMs = Math.round(read.startMs - seen.logTimeMs - LIFE_MS);
        world.violate('I5', `${who} saw ${value}, which expired ${agoMs} ms before`);
      }
      const newest = newestBefore(writes, written, read, key);
      if (newest === undefined || newest.position <= (seen?.position ?? '')) continue;
      if (newest.logTimeMs + LIFE_MS - DOUBT_MS > read.endMs) {
        world.violate('I4', `${who} saw ${value ?? 'nothing'}, ${newest.value} is newer and alive`);
      } else if (seen === undefined) expired += 1;
    }
  }
  return expired;
}

/** The newest version of a key that was acknowledged before the read and that nothing may have deleted. */
function newestBefore(
  writes: readonly WriteOperation[],
  written: ReadonlyMap<bigint, WrittenRow>,
  { startMs, endMs }: ReadOperation,
  key: Key,
): Readonly<{ position: string; logTimeMs: number; value: bigint }> | undefined {
  let newest: { position: string; logTimeMs: number; value: bigint; sentMs: number } | undefined;
  for (const { change, outcome, endMs: writeEndMs, startMs: sentMs } of writes) {
    if (change.kind !== 'rows' || outcome !== 'done' || writeEndMs >= startMs) continue;
    const value = change.rows.get(key);
    const row = value === undefined ? undefined : written.get(value);
    if (value === undefined || row === undefined) continue;
    if (row.position > (newest?.position ?? '')) {
      newest = { position: row.position, logTimeMs: row.logTimeMs, value, sentMs };
    }
  }
  if (newest === undefined) return undefined;
  const { sentMs } = newest;
  const mayBeGone = writes.some(
    ({ change, outcome, startMs: from, endMs: to }) =>
      outcome !== 'none' &&
      from < endMs &&
      (outcome === 'unknown' || to > sentMs) &&
      (change.kind === 'empty' || (change.kind === 'delete-keys' && change.keys.includes(key))),
  );
  return mayBeGone ? undefined : newest;
}
