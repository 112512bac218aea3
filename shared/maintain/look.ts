/**
 * What collect remembers of a shard between two runs: whether listing its objects could show anything
 * new. On S3 a listing costs as much as a put, some twenty times a read of a row, and a shard has four
 * of them; most shards of most deployments are idle.
 *
 * It is a row and no field of the process: a function that a schedule starts every quarter of an hour
 * is a new process each time. It only spares work, so one that cannot be read counts as none.
 */
import * as z from 'zod';
import { utf8 } from '#base/bytes.ts';
import { isStoreError } from '#base/errors.ts';
import { canonicalJson } from '#base/json.ts';
import type { RowKey, Table } from '#ports/table.ts';
import { type ShardId, shardName } from '#wal/shard.ts';

const StoredLook = z.object({
  /** The head's version: products and payloads become garbage only by a newer one. */
  version: z.int().min(0),
  /** When to look again in any case. */
  againMs: z.int().min(0),
  /** The pins by which something was spared that no head names; absent where nothing was. */
  pins: z.string().exactOptional(),
});

export type Look = Readonly<z.output<typeof StoredLook>>;

const lookKey = (shard: ShardId): RowKey => ({ partition: shardName(shard), sort: 'collect' });

export async function readLook(table: Table, shard: ShardId): Promise<Look | undefined> {
  const row = await table.get(lookKey(shard));
  if (row === undefined) return undefined;
  try {
    return StoredLook.parse(JSON.parse(Buffer.from(row.value).toString('utf8')));
  } catch {
    return undefined;
  }
}

/** Whoever is last wins: two runs at once have seen the same shard. */
export async function rememberLook(table: Table, shard: ShardId, look: Look): Promise<void> {
  try {
    await table.put(lookKey(shard), utf8(canonicalJson({ ...look })));
  } catch (error) {
    // It may be there or not; the next run reads which.
    if (!isStoreError(error, 'UNCERTAIN')) throw error;
  }
}

/** Equal where the same pins hold something. */
export const pinsName = (pinIds: ReadonlySet<string>): string => [...pinIds].sort().join(' ');
