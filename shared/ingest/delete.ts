/**
 * Delete by filter: a strong read resolves the filter to keys and the versions that it saw, and those
 * pairs become tombstones with that bound. A version written meanwhile survives: the filter was never
 * asked about it. A filter that only names keys needs no read and kills whatever is there.
 */
import { StoreError } from '#base/errors.ts';
import type { RowPosition } from '#base/position.ts';
import type { Collection } from '#catalog/collection.ts';
import { compileFilter } from '#filter/compile.ts';
import { keyLookup, type Predicate } from '#filter/predicate.ts';
import type { Key } from '#schema/column.ts';
import { type JsonObject, primaryField } from '#schema/field.ts';
import { acceptDelete } from './accept.ts';
import type { RequestIdentity } from './idempotency.ts';
import type { Victim } from './split.ts';
import type { WritePorts } from './write-shard.ts';

/**
 * Every live row that the predicate selects, with the position of the version read; sees every write
 * acknowledged before the call. Rows of all partitions where `partitionId` is undefined.
 */
export type ResolveVictims = (
  collection: Collection,
  predicate: Predicate,
  partitionId: number | undefined,
) => Promise<readonly Readonly<{ key: Key; position: RowPosition }>[]>;

export type FilterDelete = Readonly<{
  filter: string;
  exprParams?: JsonObject;
  partitionId?: number | undefined;
  identity?: RequestIdentity;
  deadlineMs?: number;
}>;

/**
 * A million Int64 keys with their bounds are a payload of some 20 MB, and as many tombstones for
 * every later read to look through.
 */
export const VICTIMS_MAX = 1_000_000;

/**
 * @returns the number of distinct keys that were named, or of rows that the filter found
 * @throws StoreError `MISSING_FIELD` for an empty filter, `INVALID_ARGUMENT`, `UNSUPPORTED` as
 *   `compileFilter`, `TOO_LARGE` above {@link VICTIMS_MAX}, and as `acceptDelete`
 */
export async function deleteByFilter(
  ports: WritePorts,
  resolve: ResolveVictims,
  collection: Collection,
  request: FilterDelete,
): Promise<Readonly<{ count: number; token: string }>> {
  const { filter, exprParams, partitionId, ...rest } = request;
  const predicate = compileFilter(filter, collection.schema, exprParams);
  if (predicate === undefined) throw new StoreError('MISSING_FIELD', 'the filter is empty');
  const keys =
    partitionId === undefined
      ? keyLookup(predicate, primaryField(collection.schema).id)
      : undefined;
  const victims: readonly Victim[] =
    keys?.map((key) => ({ key })) ??
    (await resolve(collection, predicate, partitionId)).map(({ key, position }) => ({
      key,
      version: position,
    }));
  if (victims.length > VICTIMS_MAX) {
    throw new StoreError(
      'TOO_LARGE',
      `the filter selects ${victims.length} rows, one request deletes at most ${VICTIMS_MAX}`,
    );
  }
  return await acceptDelete(ports, collection, { ...rest, victims, found: keys === undefined });
}
