/**
 * What a scrub found, and what finding it took. It goes on behind whatever is damaged: the second
 * damaged object matters as much as the first.
 */
import { isStoreError, StoreError } from '#base/errors.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Telemetry } from '#ports/telemetry.ts';

/** An object, or a row that is said to be one, and what is wrong with it. */
export type Finding = Readonly<{ key: string; what: string }>;

export type ScrubCounts = Readonly<{
  /** Verified, also those with findings. */
  objects: number;
  /** Read from the object store, some of them twice at the edges of ranges. */
  bytes: number;
  /** Of segments. */
  rows: number;
  requests: number;
}>;

export type ScrubFindings = ScrubCounts &
  Readonly<{
    /** Bytes that are not what was written, or that say something else than the manifest. */
    damaged: readonly Finding[];
    /** Named by something, and not there. */
    missing: readonly Finding[];
  }>;

export const NO_FINDINGS: ScrubFindings = {
  ...{ objects: 0, bytes: 0, rows: 0, requests: 0 },
  ...{ damaged: [], missing: [] },
};

/** Findings of each kind that are listed: 100 of 300 characters fit beside the rest in a row. */
export const LISTED_MAX = 100;
const WHAT_CHARACTERS_MAX = 300;

/** Reads that are counted. */
export type ScrubReads = Pick<ObjectStore, 'get' | 'head' | 'list'>;

const refuse = async (): Promise<never> => {
  throw new StoreError('INTERNAL', 'a scrub changes no object');
};

/** Lives as long as one step of a scrub. */
export class Findings {
  /** The store, read only and counted. */
  readonly objects: ObjectStore;
  readonly #telemetry: Telemetry;
  readonly #where: string;
  readonly #counts = { objects: 0, bytes: 0, rows: 0, requests: 0 };
  readonly #damaged: Finding[] = [];
  readonly #missing: Finding[] = [];

  /** @param where the shard, or what else is looked at, for events */
  constructor(objects: ObjectStore, telemetry: Telemetry, where: string) {
    this.#telemetry = telemetry;
    this.#where = where;
    const count = <T>(reading: Promise<T>): Promise<T> => {
      this.#counts.requests += 1;
      return reading;
    };
    this.objects = {
      get: async (key, range) => {
        const bytes = await count(objects.get(key, range));
        this.#counts.bytes += bytes.length;
        return bytes;
      },
      head: (key) => count(objects.head(key)),
      list: (prefix, options) => count(objects.list(prefix, options)),
      ...{ put: refuse, delete: refuse, copy: refuse },
    };
  }

  get counts(): ScrubCounts {
    return { ...this.#counts };
  }

  all(): ScrubFindings {
    return { ...this.#counts, damaged: [...this.#damaged], missing: [...this.#missing] };
  }

  verified(rows = 0): void {
    this.#counts.objects += 1;
    this.#counts.rows += rows;
  }

  damaged(key: string, what: string): void {
    this.#add(this.#damaged, 'damaged', { key, what: what.slice(0, WHAT_CHARACTERS_MAX) });
  }

  missing(key: string, what: string): void {
    this.#add(this.#missing, 'missing', { key, what: what.slice(0, WHAT_CHARACTERS_MAX) });
  }

  /**
   * Does one part of the work. Damage is noted under the object's key and the result is undefined.
   *
   * @throws StoreError whatever says nothing about the object's bytes, also `OBJECT_NOT_FOUND`: whether
   *   an object should be there is for the caller to say
   */
  async attempt<T>(key: string, work: () => Promise<T> | T): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.damaged(key, error.message);
      return undefined;
    }
  }

  /** Notes what is wrong where there is something. */
  check(key: string, holds: boolean, what: string): void {
    if (!holds) this.damaged(key, what);
  }

  #add(list: Finding[], kind: 'damaged' | 'missing', finding: Finding): void {
    const { key, what } = finding;
    if (list.some((known) => known.key === key && known.what === what)) return;
    this.#telemetry.event('error', 'scrub-damaged', {
      where: this.#where,
      kind,
      object: key,
      reason: what,
    });
    this.#telemetry.count('scrub_damaged_total', 1, { kind });
    if (list.length < LISTED_MAX) list.push(finding);
  }
}

const isDamage = (error: unknown): error is StoreError =>
  isStoreError(error, 'DATA_CORRUPT') || isStoreError(error, 'FORMAT_TOO_NEW');

/** Both together, as far as they are listed. */
export const addFindings = (a: ScrubFindings, b: ScrubFindings): ScrubFindings => ({
  objects: a.objects + b.objects,
  bytes: a.bytes + b.bytes,
  rows: a.rows + b.rows,
  requests: a.requests + b.requests,
  damaged: [...a.damaged, ...b.damaged].slice(0, LISTED_MAX),
  missing: [...a.missing, ...b.missing].slice(0, LISTED_MAX),
});
