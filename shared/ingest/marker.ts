/**
 * A marker: a write without rows. It has a place and a log time like any other record, so that whoever
 * has to know that no record from before a moment is still to come can make its shard move on.
 */
import { isStoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Log } from '#ports/log.ts';
import type { Table } from '#ports/table.ts';
import type { CollectionSchema } from '#schema/field.ts';
import { readGate } from '#wal/gate.ts';
import { encodePayload } from '#wal/payload.ts';
import { encodeRecord } from '#wal/record-codec.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import { DEADLINE_MS } from './deadline.ts';
import { randomRecordId } from './idempotency.ts';
import { emptyPart } from './split.ts';

type Ports = Readonly<{ log: Log; table: Table; clock: Clock; entropy: Entropy }>;

/**
 * Appends a marker. It may be void, or never arrive: who waits for it looks, and appends another.
 *
 * @throws StoreError `COLLECTION_NOT_FOUND` where the shard has no gate
 */
export async function appendMarker(
  { log, table, clock, entropy }: Ports,
  schema: CollectionSchema,
  shard: ShardId,
): Promise<void> {
  const { gate } = await readGate(table, shard);
  const { rows, tombstones } = emptyPart(schema, shard.shard);
  const record = {
    recordId: randomRecordId(entropy),
    collectionId: shard.collectionId,
    shard: shard.shard,
    deadlineMs: clock.nowMs() + DEADLINE_MS,
    epoch: gate.epoch,
    fenceNumber: gate.number,
    schemaVersion: schema.version,
    body: {
      kind: 'write',
      rows: 0,
      tombstones: 0,
      payload: {
        at: 'inline',
        bytes: encodePayload({ schemaVersion: schema.version, rows, tombstones }),
      },
    },
  } as const;
  try {
    await log.append(shardName(shard), encodeRecord(record));
  } catch (error) {
    if (!isStoreError(error, 'UNCERTAIN', 'OVERLOADED')) throw error;
  }
}
