/** Where the catalog keeps its rows in the global table, and how ids are made. */
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { RowKey } from '#ports/table.ts';

export const COLLECTIONS = 'collections';

/** What a collection is: by id, so that a rename moves nothing. */
export const contentKey = (collectionId: number): RowKey => ({
  partition: COLLECTIONS,
  sort: String(collectionId),
});

/** All names of one database. */
export const namePartition = (dbName: string): string => `names/${dbName}`;

/** Which collection a name means; its value is the id as decimal digits. */
export const nameKey = (dbName: string, collectionName: string): RowKey => ({
  partition: namePartition(dbName),
  sort: collectionName,
});

/** Random bits of an id: two creations in one millisecond collide once in 2,048 and then try again. */
const RANDOM_IDS = 2048;

/**
 * A new collection's id: creation time and chance, at most 2^53 until the year 2109
 * (2^42 milliseconds times 2^11).
 */
export function mintCollectionId(clock: Clock, entropy: Entropy): number {
  const [low = 0, high = 0] = entropy.bytes(2);
  return Math.max(1, clock.nowMs() * RANDOM_IDS + ((high * 256 + low) % RANDOM_IDS));
}
