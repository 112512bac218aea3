/**
 * What the tables of a history say and have ever said: heads, pins, collections, records set aside.
 * Kept up to date row by row as rows are put, so that an oracle can ask in any moment, and after the
 * rows are gone.
 */
import type { Collection } from '#catalog/collection.ts';
import { decodeCollection } from '#catalog/collections-codec.ts';
import { COLLECTIONS, namePartition } from '#catalog/names.ts';
import type { Pin } from '#catalog/pins.ts';
import { decodeManifest } from '#manifest/codec.ts';
import { type Cut, cutContentKeys, decodeCut } from '#manifest/cut.ts';
import type { Manifest } from '#manifest/format.ts';
import { decodeHead } from '#manifest/head.ts';
import { reachableKeys } from '#manifest/history.ts';
import type { RowKey } from '#ports/table.ts';
import { decodeAside } from '#wal/parked-aside.ts';
import { parseShardName, type ShardId, shardName } from '#wal/shard.ts';

export type HeadSeen = Readonly<{
  manifest: Manifest;
  objectKey?: string;
  /** Everything that it names, its own object among it. */
  keys: ReadonlySet<string>;
}>;

/** A cut whose pin was complete once, and every collection that ever held it. */
export type CutSeen = Readonly<{
  pin: Pin;
  cut: Cut;
  key: string;
  keys: ReadonlySet<string>;
  holders: Set<number>;
}>;

export class Records {
  readonly #everPut: ReadonlyMap<string, Uint8Array>;
  readonly #heads = new Map<string, HeadSeen>();
  /** Every collection that ever had a row, as its last row says. */
  readonly collections = new Map<number, Collection>();
  /** Those of them that had their name, and could be found by it. */
  readonly found = new Set<number>();
  /** The first manifest of each shard. */
  readonly born = new Map<string, Manifest>();
  readonly pins = new Map<string, Pin>();
  /** When the row of a pin was first there, by pin. */
  readonly openedMs = new Map<string, number>();
  readonly cuts = new Map<string, CutSeen>();
  /** By shard: the sequences of records that an operator set aside, by what became of them. */
  readonly asides = new Map<string, Map<string, string>>();
  /** Those of them of which the operator was told that nobody ever heard: `shard sequence`. */
  readonly unheard = new Set<string>();
  /** Ids whose rows are there now. */
  readonly #known = new Set<number>();

  constructor(everPut: ReadonlyMap<string, Uint8Array>) {
    this.#everPut = everPut;
  }

  headOf(shard: ShardId): HeadSeen | undefined {
    return this.#heads.get(shardName(shard));
  }

  get heads(): Iterable<readonly [string, HeadSeen]> {
    return this.#heads;
  }

  /** What a head row says. */
  decode(value: Uint8Array, name: string): HeadSeen {
    const head = decodeHead(value, `head of ${name}`);
    if (head.at === 'inline') {
      const manifest = decodeManifest(head.bytes, name);
      return { manifest, keys: reachableKeys(manifest) };
    }
    const manifest = decodeManifest(this.#everPut.get(head.key) ?? new Uint8Array(0), head.key);
    const keys = new Set([...reachableKeys(manifest), head.key]);
    return { manifest, objectKey: head.key, keys };
  }

  putHead(partition: string, head: HeadSeen): void {
    this.#heads.set(partition, head);
    if (!this.born.has(partition)) this.born.set(partition, head.manifest);
  }

  /** Any other row. Returns the cut of a pin that has just become complete. */
  put({ partition, sort }: RowKey, value: Uint8Array, nowMs: number): CutSeen | undefined {
    if (partition === COLLECTIONS) this.#putCollection(value, sort);
    // A name that is free is a row without a value.
    if (partition.startsWith(NAMES) && value.length > 0) {
      this.found.add(Number(Buffer.from(value).toString('utf8')));
    }
    if (sort.startsWith(ASIDE)) {
      const sequence = sort.slice(ASIDE.length + 2);
      const own = this.asides.get(partition) ?? new Map<string, string>();
      this.asides.set(partition, own);
      const { state, wasVisible } = decodeAside(value, sequence, sort);
      own.set(sequence, state);
      if (!wasVisible) this.unheard.add(`${partition} ${sequence}`);
    }
    return partition === PINS ? this.#putPin(sort, value, nowMs) : undefined;
  }

  delete({ partition, sort }: RowKey): void {
    if (sort === 'head') this.#heads.delete(partition);
    // With a dropped collection everything goes, and what it was is still to be known.
    if (sort.startsWith(ASIDE) && !this.isDropped(partition)) {
      this.asides.get(partition)?.delete(sort.slice(ASIDE.length + 2));
    }
    if (partition === PINS) this.pins.delete(sort);
    if (partition === COLLECTIONS) this.#known.delete(Number(sort));
  }

  /** The collection of that name that is there; the first who looks for one that has its name opens it. */
  named(name: string): Collection | undefined {
    return [...this.collections.values()].find(
      ({ collectionName, collectionId, state }) =>
        collectionName === name &&
        this.found.has(collectionId) &&
        (state === 'open' || state === 'creating'),
    );
  }

  /** Whether the shard's collection is dropped, and its rows and objects go. */
  isDropped(partition: string): boolean {
    const { collectionId = 0 } = parseShardName(partition) ?? {};
    return this.collections.get(collectionId)?.state === 'dropped';
  }

  /** The collection's beginning, where it began as the copy of another. */
  cutHeldBy(collectionId: number): CutSeen | undefined {
    for (const seen of this.cuts.values()) if (seen.holders.has(collectionId)) return seen;
    return undefined;
  }

  /** Whether the pin keeps its objects: it has a name, or somebody who shares them. */
  holds({ state, name, holders }: Pin): boolean {
    if (state !== 'complete') return false;
    return name !== undefined || holders.some((holder) => this.#known.has(holder));
  }

  #putCollection(value: Uint8Array, sort: string): void {
    const collection = decodeCollection(value, sort);
    this.collections.set(collection.collectionId, collection);
    this.#known.add(collection.collectionId);
  }

  #putPin(sort: string, value: Uint8Array, nowMs: number): CutSeen | undefined {
    // What catalog/pins.ts has just encoded.
    const pin = JSON.parse(Buffer.from(value).toString('utf8')) as Pin;
    this.pins.set(sort, pin);
    if (!this.openedMs.has(pin.pinId)) this.openedMs.set(pin.pinId, nowMs);
    if (pin.cut === undefined) return undefined;
    const known = this.cuts.get(pin.pinId);
    if (known !== undefined) {
      for (const holder of pin.holders) known.holders.add(holder);
      return undefined;
    }
    const { key } = pin.cut;
    const cut = decodeCut(this.#everPut.get(key) ?? new Uint8Array(0), key);
    const keys = new Set([...cutContentKeys(cut), key]);
    const seen = { pin, cut, key, keys, holders: new Set(pin.holders) };
    this.cuts.set(pin.pinId, seen);
    return seen;
  }
}

const PINS = 'pins';
const NAMES = namePartition('');
const ASIDE = 'aside/';
