/**
 * The two rows of a collection, one operation each: the content row by id, the name row by name.
 *
 * A name that is freed keeps its row, empty. Its versions go on, so that whoever frees it late, after
 * it was given away again, misses; a row that is deleted and made anew would begin at the same version
 * and be taken for the old one.
 *
 * The order in which they are written, and what a crash in between leaves, is `collections.ts`.
 */
import { fromUtf8, utf8 } from '#base/bytes.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import type { Row, Table } from '#ports/table.ts';
import { COLLECTIONS_MAX } from '#schema/limits.ts';
import { CollectionCache } from './cache.ts';
import type { Collection } from './collection.ts';
import { encodeCollection } from './collections-codec.ts';
import { contentKey, nameKey, namePartition } from './names.ts';

const PAGE_ROWS = 1000;
/** Content rows, dropped ones included: twice as many as there may be names. */
const PAGES_MAX = (2 * COLLECTIONS_MAX) / PAGE_ROWS + 1;

export type Content = Readonly<{ collection: Collection; version: number }>;
/** What a name row says. */
export type Naming = Pick<Collection, 'dbName' | 'collectionName' | 'collectionId'>;

export class CollectionRows {
  readonly #global: Table;
  readonly #cache = new CollectionCache();

  constructor(global: Table) {
    this.#global = global;
  }

  async read(collectionId: number): Promise<Content | undefined> {
    const row = await this.#global.get(contentKey(collectionId));
    return row && { collection: this.#cache.parse(row), version: row.version };
  }

  /** False where the id is taken. */
  async create(collection: Collection): Promise<boolean> {
    const key = contentKey(collection.collectionId);
    return (await this.#global.put(key, encodeCollection(collection), 'absent')) !== undefined;
  }

  /** An uncertain swap counts as lost: the next round reads what really happened. */
  async swap(next: Collection, ifVersion: number): Promise<boolean> {
    const key = contentKey(next.collectionId);
    try {
      return (await this.#global.put(key, encodeCollection(next), ifVersion)) !== undefined;
    } catch (error) {
      if (isStoreError(error, 'UNCERTAIN')) return false;
      throw error;
    }
  }

  async idOf(dbName: string, collectionName: string): Promise<number | undefined> {
    if (!isStorable(collectionName)) return undefined;
    const row = await this.#global.get(nameKey(dbName, collectionName));
    return row === undefined || isFree(row) ? undefined : readId(row);
  }

  /** The names of a database that are in use. @throws StoreError `OVERLOADED` as {@link all} */
  async names(dbName: string): Promise<string[]> {
    const rows = await this.all(namePartition(dbName));
    return rows.filter((row) => !isFree(row)).map(({ sort }) => sort);
  }

  /** A lost answer decides nothing: the caller reads the row, whoever wrote it. */
  async putName({ dbName, collectionName, collectionId }: Naming): Promise<void> {
    const key = nameKey(dbName, collectionName);
    const value = utf8(String(collectionId));
    const row = await this.#global.get(key);
    if (row !== undefined && !isFree(row)) return;
    try {
      await this.#global.put(key, value, row?.version ?? 'absent');
    } catch (error) {
      if (!isStoreError(error, 'UNCERTAIN')) throw error;
      // Where that cannot be found out either, the answer stays what it is.
      const id = await this.idOf(dbName, collectionName).catch(() => undefined);
      if (id === undefined) throw error;
    }
  }

  /** The version pins the row that names this collection: a later owner's stays. */
  async freeName({ dbName, collectionName, collectionId }: Naming): Promise<void> {
    const key = nameKey(dbName, collectionName);
    const row = await this.#global.get(key);
    if (row === undefined || isFree(row) || readId(row) !== collectionId) return;
    await this.#global.put(key, FREE, row.version);
  }

  async delete(collectionId: number): Promise<void> {
    await this.#global.delete(contentKey(collectionId));
  }

  parse(row: Row): Collection {
    return this.#cache.parse(row);
  }

  /** @throws StoreError `OVERLOADED` beyond the bound: half a listing would be a lie */
  async all(partition: string): Promise<Row[]> {
    const rows: Row[] = [];
    let after: string | undefined;
    for (let page = 1; page <= PAGES_MAX; page++) {
      const from = after === undefined ? {} : { after };
      const found = await this.#global.query(partition, { ...from, limit: PAGE_ROWS });
      rows.push(...found);
      after = found.at(-1)?.sort;
      if (found.length < PAGE_ROWS) return rows;
    }
    throw new StoreError('OVERLOADED', `the catalog has more than ${rows.length} ${partition}`);
  }
}

/** Keys of table rows are printable ASCII; a name that is not names nothing. */
const isStorable = (name: string): boolean => /^[\x21-\x7e]{1,255}$/.test(name);

/** What the row of a name holds that means nothing. */
const FREE = new Uint8Array(0);
const isFree = ({ value }: Row): boolean => value.length === 0;

function readId(row: Row): number {
  const text = fromUtf8(row.value);
  if (/^[1-9][0-9]{0,15}$/.test(text)) return Number(text);
  throw new StoreError('DATA_CORRUPT', `name row ${row.partition}/${row.sort} holds no id`);
}
