/** What was read of objects, kept in memory within a bound: decoded sections, and loaded graphs. */
import { LRUCache } from 'lru-cache';
import type { Column } from '#schema/column.ts';

/** A loaded thing and the memory that it takes. */
export type Loaded<T> = Readonly<{ value: T; sizeBytes: number }>;

export type CacheLimits = Readonly<{
  /** Decoded sections: keys, stamps, columns, vectors that are read whole. */
  sectionBytesMax: number;
  /** Loaded graphs, which live outside of the JavaScript heap. */
  graphBytesMax: number;
}>;

/** Freed when it leaves the cache. */
export interface Closable {
  close(): void;
}

/**
 * Objects are immutable, so nothing is ever stale: an entry only leaves when others need its room.
 * One load is in flight per name; a failed one is forgotten, so that the next asks again.
 */
export class SectionCache {
  readonly limits: CacheLimits;
  readonly #sections: BoundedLoads<object>;
  readonly #graphs: BoundedLoads<Closable>;

  constructor(limits: CacheLimits) {
    this.limits = limits;
    this.#sections = new BoundedLoads(limits.sectionBytesMax, () => {});
    this.#graphs = new BoundedLoads(limits.graphBytesMax, (graph) => graph.close());
  }

  /**
   * The section of this name, loaded unless it is here. A name belongs to one type of value: it
   * starts with the object's key and says which section it is.
   */
  section<T extends object>(name: string, load: () => Promise<Loaded<T>>): Promise<T> {
    // A name is only ever used with one type.
    return this.#sections.get(name, load) as Promise<T>;
  }

  /** The section if it is here now. */
  loadedSection(name: string): object | undefined {
    return this.#sections.peek(name);
  }

  /**
   * The graph of this name; `undefined` from {@link loadedGraph} means that nobody loaded it.
   *
   * @param sizeBytes what it will take: room is made before it is loaded, so that what is kept and what
   *   is on its way stay within the bound together
   */
  graph<T extends Closable>(
    name: string,
    load: () => Promise<Loaded<T>>,
    sizeBytes = 0,
  ): Promise<T> {
    // As above.
    return this.#graphs.get(name, load, sizeBytes) as Promise<T>;
  }

  /** The graph if it is here now. */
  loadedGraph(name: string): Closable | undefined {
    return this.#graphs.peek(name);
  }

  /** Drops everything that belongs to an object, e.g. after it was retired. */
  forget(objectKey: string): void {
    this.#sections.forget(objectKey);
    this.#graphs.forget(objectKey);
  }

  get sizeBytes(): Readonly<{ sections: number; graphs: number }> {
    return { sections: this.#sections.sizeBytes, graphs: this.#graphs.sizeBytes };
  }
}

/** An LRU by bytes with one load in flight per name. */
class BoundedLoads<V extends object> {
  readonly #kept: LRUCache<string, Loaded<V>>;
  readonly #loading = new Map<string, Promise<V>>();
  readonly #bytesMax: number;
  /** Announced by loads that are under way. */
  #comingBytes = 0;
  /** Loads that wait for those: at most as many as callers begin at once (two, `query/graphs`). */
  readonly #waiting: (() => void)[] = [];

  constructor(bytesMax: number, onEvict: (value: V) => void) {
    this.#bytesMax = bytesMax;
    this.#kept = new LRUCache<string, Loaded<V>>({
      maxSize: Math.max(1, Math.floor(bytesMax)),
      sizeCalculation: ({ sizeBytes }) => Math.max(1, Math.ceil(sizeBytes)),
      dispose: ({ value }) => onEvict(value),
    });
  }

  get sizeBytes(): number {
    return this.#kept.calculatedSize;
  }

  get(name: string, load: () => Promise<Loaded<V>>, sizeBytes = 0): Promise<V> {
    const kept = this.#kept.get(name);
    if (kept !== undefined) return Promise.resolve(kept.value);
    const loading = this.#loading.get(name) ?? this.#start(name, load, sizeBytes);
    return loading;
  }

  peek(name: string): V | undefined {
    return this.#kept.get(name)?.value;
  }

  #start(name: string, load: () => Promise<Loaded<V>>, sizeBytes: number): Promise<V> {
    const loading = (async () => {
      if (sizeBytes > 0) await this.#makeRoom(sizeBytes);
      try {
        const loaded = await load();
        // What is larger than the whole cache is not kept, only handed out.
        this.#kept.set(name, loaded);
        return loaded.value;
      } finally {
        this.#comingBytes -= sizeBytes;
        this.#loading.delete(name);
        this.#arrived();
      }
    })();
    this.#loading.set(name, loading);
    return loading;
  }

  /**
   * Lets the oldest go, and waits for loads under way where that is not enough. What is larger than
   * everything that may be kept pushes nobody out.
   */
  async #makeRoom(sizeBytes: number): Promise<void> {
    const fits = (): boolean =>
      this.#kept.calculatedSize + this.#comingBytes + sizeBytes <= this.#bytesMax;
    while (sizeBytes <= this.#bytesMax && !fits()) {
      if (this.#kept.pop() !== undefined) continue;
      if (this.#comingBytes === 0) break;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    // In the same moment: another load must find it counted.
    this.#comingBytes += sizeBytes;
  }

  #arrived(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  forget(objectKey: string): void {
    for (const name of [...this.#kept.keys()]) {
      if (name.startsWith(`${objectKey}#`)) this.#kept.delete(name);
    }
  }
}

/** Bytes that a decoded column takes; a short string costs about 40 besides its characters. */
export function columnBytes(column: Column): number {
  const valid = column.valid?.byteLength ?? 0;
  switch (column.type) {
    case 'VarChar': {
      const characters = column.dictionary.reduce((sum, text) => sum + text.length, 0);
      return valid + column.codes.byteLength + column.dictionary.length * 40 + characters;
    }
    case 'JSON':
      return valid + column.offsets.byteLength + column.bytes.byteLength;
    default:
      return valid + column.values.byteLength;
  }
}
