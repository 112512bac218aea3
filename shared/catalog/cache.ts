/**
 * Parsed collections by the version of their row.
 *
 * The row is read each time (one consistent read); only parsing is spared. So a change in another
 * process is seen by the next request, and a cached value can never be stale.
 */
import { LRUCache } from 'lru-cache';
import type { Row } from '#ports/table.ts';
import type { Collection } from './collection.ts';
import { decodeCollection } from './collections-codec.ts';

/** A parsed collection of 64 fields is about 20 KB: 20 MB when full. */
const COLLECTIONS_MAX = 1024;

type Parsed = Readonly<{ version: number; collection: Collection }>;

export class CollectionCache {
  readonly #parsed = new LRUCache<string, Parsed>({ max: COLLECTIONS_MAX });

  /** @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW` */
  parse(row: Row): Collection {
    const known = this.#parsed.get(row.sort);
    if (known?.version === row.version) return known.collection;
    const collection = decodeCollection(row.value, `catalog row of collection ${row.sort}`);
    this.#parsed.set(row.sort, { version: row.version, collection });
    return collection;
  }
}
