/**
 * Collections in the global table: what they are, and under which name.
 *
 * Two rows per collection. The *content row* is keyed by id and holds everything; the *name row*
 * holds only the id. Putting the name row, if absent, is the commit point of a creation: of racing
 * creators one wins. No step writes two rows, so each may be the last before a crash:
 *
 * | written so far | what a crash leaves | who clears it up |
 * |---|---|---|
 * | content (creating) | nothing that has a name | `abandonCreations`, after a while |
 * | heads and gates of the shards | the same | the same |
 * | name | a collection | the next look-up opens it |
 * | content (open) | a collection | - |
 * | content (dropping) | no collection for readers; the name is taken | the next drop, create or start |
 * | fences, no name, content (dropped) | nothing | collect |
 */
import { isStoreError, StoreError } from '#base/errors.ts';
import { canonicalJson, type Json } from '#base/json.ts';
import type { Manifest } from '#manifest/format.ts';
import { createHead, initialManifest } from '#manifest/head.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import { COLLECTIONS_MAX } from '#schema/limits.ts';
import { createGate } from '#wal/gate.ts';
import { type Collection, DEFAULT_DATABASE } from './collection.ts';
import { CollectionRows } from './collections-rows.ts';
import { COLLECTIONS, mintCollectionId } from './names.ts';
import { readTopology, type Topology } from './topology.ts';

export type CatalogPorts = Readonly<{
  global: Table;
  table: Table;
  objects: ObjectStore;
  clock: Clock;
  entropy: Entropy;
}>;

/** What the creator of a collection decides. */
export type NewCollection = Omit<Collection, 'collectionId' | 'createdMs' | 'droppedMs' | 'state'>;

/** `dropping`: the name still belongs to a collection whose drop has to be finished first. */
export type Creation = Readonly<{
  outcome: 'created' | 'existing' | 'dropping';
  collection: Collection;
}>;

/** Sixteen lost races in a row mean a runaway, not bad luck. */
const ATTEMPTS_MAX = 16;
/** Ids collide once in 2,048 creations of one millisecond. */
const ID_ATTEMPTS_MAX = 8;
/** Look-ups of a listing under way at once. */
const LOOKUPS_AT_ONCE = 64;
/** A creation takes milliseconds; one that is this old has no creator any more. */
const CREATION_MS_MAX = 15 * 60_000;

/** Where every collection starts. */
const FIRST = { fenceNumber: 1, shardMapVersion: 1 } as const;

/**
 * Decides what a new collection begins with. Called once its id has a row and before anything is made
 * under the id, so that it can register as a holder of what it shares.
 */
export type Seed = (collectionId: number) => Promise<Beginning>;

export type Beginning = Readonly<{
  /** Above the generation of every row that it begins with. */
  generation: number;
  content(shard: number): ShardContent;
}>;
export type ShardContent = Partial<
  Pick<Manifest, 'applied' | 'logTimeMs' | 'sums' | 'rowsApplied' | 'segments'>
>;

const EMPTY: Seed = async () => ({ generation: 1, content: () => ({}) });

export const openCatalog = (ports: CatalogPorts): Catalog => new Catalog(ports);

export class Catalog {
  readonly #ports: CatalogPorts;
  readonly #rows: CollectionRows;

  constructor(ports: CatalogPorts) {
    this.#ports = ports;
    this.#rows = new CollectionRows(ports.global);
  }

  /**
   * Creates a collection, or finds the one of the same name and definition.
   *
   * @param seed what it begins with; default nothing
   * @throws StoreError
   *   - `ALREADY_EXISTS` where the name belongs to a collection of another definition
   *   - `DATABASE_NOT_FOUND`, `TOO_MANY_COLLECTIONS`, `TOO_LARGE`
   *   - `UNCERTAIN` where a table did not answer; creating again is safe
   */
  async createCollection(wanted: NewCollection, seed: Seed = EMPTY): Promise<Creation> {
    checkDatabase(wanted.dbName);
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const found = await this.#byName(wanted.dbName, wanted.collectionName);
      if (found?.state === 'dropping') return { outcome: 'dropping', collection: found };
      if (found !== undefined) return { outcome: 'existing', collection: sameAs(found, wanted) };
      await this.#checkCount(wanted.dbName);
      const created = await this.#create(wanted, seed);
      if (created !== undefined) return { outcome: 'created', collection: created };
    }
    throw contended(wanted.collectionName);
  }

  /**
   * The open collection of that name.
   *
   * @throws StoreError `DATABASE_NOT_FOUND`, `COLLECTION_NOT_FOUND`
   */
  async findCollection(dbName: string, collectionName: string): Promise<Collection> {
    checkDatabase(dbName);
    const found = await this.#byName(dbName, collectionName);
    if (found?.state === 'open') return found;
    throw new StoreError(
      'COLLECTION_NOT_FOUND',
      `can't find collection[database=${dbName}][collection=${collectionName.slice(0, 255)}]`,
    );
  }

  /** The collection that holds the name, also while it is being dropped; undefined where it is free. */
  async findNamed(dbName: string, collectionName: string): Promise<Collection | undefined> {
    checkDatabase(dbName);
    return this.#byName(dbName, collectionName);
  }

  /** In any state; undefined where there is no such id. */
  async getCollection(collectionId: number): Promise<Collection | undefined> {
    return (await this.#rows.read(collectionId))?.collection;
  }

  /** Names of the open collections of a database, in bytewise order. */
  async listCollections(dbName: string): Promise<string[]> {
    checkDatabase(dbName);
    const names = await this.#rows.names(dbName);
    const open: string[] = [];
    for (let at = 0; at < names.length; at += LOOKUPS_AT_ONCE) {
      const page = names.slice(at, at + LOOKUPS_AT_ONCE);
      const found = await Promise.all(page.map((name) => this.#byName(dbName, name)));
      open.push(...page.filter((_, index) => found[index]?.state === 'open'));
    }
    return open;
  }

  /** Every collection in one of the states; by default those that have rows to apply and serve. */
  async allCollections(
    states: readonly Collection['state'][] = ['creating', 'open', 'dropping'],
  ): Promise<Collection[]> {
    const rows = await this.#rows.all(COLLECTIONS);
    return rows.map((row) => this.#rows.parse(row)).filter(({ state }) => states.includes(state));
  }

  /**
   * Applies a pure change until it wins; `change` is called again after a lost race and returns
   * undefined where nothing is left to do.
   *
   * @throws StoreError `COLLECTION_NOT_FOUND` where the collection is not open;
   *   `UNCERTAIN` after sixteen lost races or answers, and calling again is safe
   */
  async updateCollection(
    collectionId: number,
    change: (current: Collection) => Collection | undefined,
  ): Promise<Collection> {
    return this.#update(collectionId, (current) => {
      if (current.state === 'open') return change(current);
      throw new StoreError(
        'COLLECTION_NOT_FOUND',
        `can't find collection[database=${current.dbName}][collection=${current.collectionName}]`,
      );
    });
  }

  /** First step of a drop: from here on nobody finds the collection. */
  async markDropping(collectionId: number): Promise<Collection> {
    return this.#update(collectionId, (current) =>
      current.state === 'dropped' || current.state === 'dropping'
        ? undefined
        : { ...current, state: 'dropping' },
    );
  }

  /** Last step, once every shard is fenced: frees the name, then leaves the row to collect. */
  async finishDrop(collection: Collection): Promise<void> {
    await this.#rows.freeName(collection);
    await this.#update(collection.collectionId, (current) =>
      current.state === 'dropped'
        ? undefined
        : { ...current, state: 'dropped', droppedMs: this.#ports.clock.nowMs() },
    );
  }

  /** The very last step: nothing of the collection is left. Ids are never used again. */
  async forgetCollection(collectionId: number): Promise<void> {
    await this.#rows.delete(collectionId);
  }

  /**
   * Collections that a crash left half dropped; half-created ones that nobody is creating any more
   * become such. At start, before the first request.
   */
  async unfinishedDrops(): Promise<Collection[]> {
    const open = await this.allCollections(['creating', 'dropping']);
    const dropping: Collection[] = [];
    for (const collection of open) {
      const { dbName, collectionName, collectionId, createdMs, state } = collection;
      if (state === 'dropping') dropping.push(collection);
      else if (this.#ports.clock.nowMs() - createdMs > CREATION_MS_MAX) {
        const named = await this.#byName(dbName, collectionName);
        if (named?.collectionId === collectionId) continue;
        // Its maker may wake up right now, and somebody find it: what is open stays.
        const marked = await this.#update(collectionId, (current) =>
          current.state === 'creating' ? { ...current, state: 'dropping' } : undefined,
        );
        if (marked.state === 'dropping') dropping.push(marked);
      }
    }
    return dropping;
  }

  async #create(wanted: NewCollection, seed: Seed): Promise<Collection | undefined> {
    const content = await this.#putContent(wanted);
    const beginning = await seed(content.collectionId);
    const topology = await readTopology(this.#ports.global);
    for (let shard = 0; shard < wanted.shards; shard++) {
      await this.#createShard(content, shard, topology, beginning);
    }
    await this.#rows.putName(content);
    try {
      return await this.#afterNaming(content);
    } catch (error) {
      // Behind the name the next look-up opens it: no code may promise that nothing was made (I12).
      throw unclear(error, 'the collection may be there already');
    }
  }

  async #afterNaming({
    collectionId,
    dbName,
    collectionName,
  }: Collection): Promise<Collection | undefined> {
    if ((await this.#rows.idOf(dbName, collectionName)) !== collectionId) {
      // Lost to another creator: nobody ever saw this one.
      await this.markDropping(collectionId);
      return undefined;
    }
    const opened = await this.#open(collectionId);
    return opened.state === 'open' ? opened : undefined;
  }

  async #putContent(wanted: NewCollection): Promise<Collection> {
    const { clock, entropy } = this.#ports;
    for (let attempt = 1; attempt <= ID_ATTEMPTS_MAX; attempt++) {
      const collection: Collection = {
        ...wanted,
        collectionId: mintCollectionId(clock, entropy),
        createdMs: clock.nowMs(),
        state: 'creating',
      };
      if (await this.#rows.create(collection)) return collection;
    }
    throw contended(wanted.collectionName);
  }

  /** Head before gate: who reads a gate finds a manifest. */
  async #createShard(
    { collectionId, schema }: Collection,
    shard: number,
    { epoch, lease }: Topology,
    { generation, content }: Beginning,
  ): Promise<void> {
    const { objects, table, entropy } = this.#ports;
    const id = { collectionId, shard };
    const { fenceNumber, shardMapVersion } = FIRST;
    const schemaVersion = schema.version;
    const start = { generation, epoch, fenceNumber, schemaVersion };
    const manifest = { ...initialManifest(id, start), ...content(shard) };
    await createHead({ objects, table, entropy }, id, manifest);
    await createGate(table, id, {
      number: fenceNumber,
      epoch,
      generation,
      lease: lease !== undefined,
      schemaVersion,
      shardMapVersion,
      state: 'open',
      past: [],
    });
  }

  #open(collectionId: number): Promise<Collection> {
    return this.#update(collectionId, (current) =>
      current.state === 'creating' ? { ...current, state: 'open' } : undefined,
    );
  }

  /** A name whose collection is gone is freed on the way. */
  async #byName(dbName: string, collectionName: string): Promise<Collection | undefined> {
    const collectionId = await this.#rows.idOf(dbName, collectionName);
    if (collectionId === undefined) return undefined;
    const found = (await this.#rows.read(collectionId))?.collection;
    if (found?.state === 'creating') return this.#open(collectionId);
    if (found !== undefined && found.state !== 'dropped') return found;
    await this.#rows.freeName({ dbName, collectionName, collectionId });
    return undefined;
  }

  async #update(
    collectionId: number,
    change: (current: Collection) => Collection | undefined,
  ): Promise<Collection> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      // Behind a swap whose answer was lost, a look that is refused tells nothing of it (I12).
      const current = await this.#rows.read(collectionId).catch((error: unknown) => {
        throw attempt === 1
          ? error
          : unclear(error, 'whether the collection was changed is not known');
      });
      if (current === undefined) {
        throw new StoreError('COLLECTION_NOT_FOUND', `can't find collection[id=${collectionId}]`);
      }
      const next = change(current.collection);
      if (next === undefined) return current.collection;
      if (await this.#rows.swap(next, current.version)) return next;
    }
    throw contended(String(collectionId));
  }

  async #checkCount(dbName: string): Promise<void> {
    const count = (await this.#rows.names(dbName)).length;
    if (count < COLLECTIONS_MAX) return;
    throw new StoreError(
      'TOO_MANY_COLLECTIONS',
      `database ${dbName} holds ${count} collections, the maximum is ${COLLECTIONS_MAX}`,
    );
  }
}

/** The error as one that promises nothing. */
function unclear(error: unknown, what: string): unknown {
  if (!isStoreError(error) || error.advice.effect !== 'none') return error;
  return new StoreError('UNCERTAIN', `${what} (${error.message}); try again`, { cause: error });
}

/** @throws StoreError `DATABASE_NOT_FOUND`: there is one database */
export function checkDatabase(dbName: string): void {
  if (dbName === DEFAULT_DATABASE) return;
  throw new StoreError(
    'DATABASE_NOT_FOUND',
    `database not found[database=${dbName.slice(0, 255)}]`,
  );
}

const contended = (what: string): StoreError =>
  new StoreError('UNCERTAIN', `catalog: ${what} lost ${ATTEMPTS_MAX} races; try again`);

/**
 * The existing collection, where `wanted` would have made the same one. Load state and indexes may
 * have changed since; an index that is asked for must still be there.
 */
function sameAs(existing: Collection, wanted: NewCollection): Collection {
  const indexes = existing.indexes.map(fingerprint);
  const same =
    definitionOf(existing) === definitionOf(wanted) &&
    wanted.indexes.every((index) => indexes.includes(fingerprint(index)));
  if (same) return existing;
  throw new StoreError(
    'ALREADY_EXISTS',
    `create duplicate collection with different parameters, collection: ${wanted.collectionName}`,
  );
}

/** Plain data throughout, hence JSON. */
const fingerprint = (value: unknown): string => canonicalJson(value as Json);

const definitionOf = (collection: NewCollection): string => {
  const { description, schema, shards, consistencyLevel, properties } = collection;
  return fingerprint({ description, schema, shards, consistencyLevel, properties });
};
