/** What the log delivered, as the fold takes it. */
import { isStoreError, StoreError } from '#base/errors.ts';
import type { LogEntry, Sequence } from '#ports/log.ts';
import type { WalRecord } from '#wal/record.ts';
import { decodeRecord } from '#wal/record-codec.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import type { LogRecord } from './fold.ts';

/** Bytes that are no record of this shard matter only where the manifest does not cover them. */
export function readEntry(
  shard: ShardId,
  { sequence, data, arrivalMs }: LogEntry,
  setAside: Sequence | undefined,
): LogRecord {
  const what = `record ${sequence} of ${shardName(shard)}`;
  const isAside = sequence === setAside ? { setAside: true } : {};
  try {
    const record = decodeRecord(data, what);
    if (record.collectionId === shard.collectionId && record.shard === shard.shard) {
      return { record, sequence, arrivalMs, ...isAside };
    }
    throw new StoreError('DATA_CORRUPT', `${what}: belongs to shard ${shardName(record)}`);
  } catch (error) {
    if (!isStoreError(error)) throw error;
    if (sequence === setAside) return { record: blank(shard), sequence, arrivalMs, setAside: true };
    return { record: undefined, refusal: error, sequence, arrivalMs };
  }
}

/** Stands in the archive for what cannot be read: a place in the order, and nothing else. */
const blank = (shard: ShardId): WalRecord => ({
  recordId: '0'.repeat(32),
  ...shard,
  deadlineMs: 0,
  epoch: 0,
  fenceNumber: 0,
  schemaVersion: 0,
  body: {
    kind: 'write',
    rows: 0,
    tombstones: 0,
    payload: { at: 'inline', bytes: new Uint8Array(0) },
  },
});
