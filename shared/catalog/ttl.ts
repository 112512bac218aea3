/**
 * Rows that live for a time only (Milvus's `collection.ttl.seconds`): a row expires by its log time, and
 * is gone from every read at once and from storage with a later merge.
 */
import type { Collection } from './collection.ts';

export const TTL_PROPERTY = 'collection.ttl.seconds';

/**
 * Rows with a log time before this are expired at `nowMs`; undefined where rows do not expire. Whole
 * seconds, so that what is derived from it holds for a second.
 */
export function expiredBeforeMs(
  { properties }: Pick<Collection, 'properties'>,
  nowMs: number,
): number | undefined {
  const seconds = Number(properties[TTL_PROPERTY] ?? 0);
  return seconds > 0 ? Math.floor(nowMs / 1000 - seconds) * 1000 : undefined;
}
