/**
 * What a read costs: objects and bytes that it fetched, counted at the port and charged to the read
 * that caused the fetch. A read that finds everything cached has fetched nothing; one that shares
 * another's fetch leaves the cost with the other.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { ObjectStore } from '#ports/object-store.ts';

/** By object key. */
export type Fetched = ReadonlyMap<string, Readonly<{ gets: number; bytes: number }>>;

export type Meter = Readonly<{
  /** The store whose reads are counted. */
  objects: ObjectStore;
  /** Runs `work` and says what was fetched on its account. */
  measure<T>(work: () => Promise<T>): Promise<Readonly<{ value: T; fetched: Fetched }>>;
}>;

type Account = Map<string, { gets: number; bytes: number }>;

export function createMeter(objects: ObjectStore): Meter {
  const accounts = new AsyncLocalStorage<Account>();
  const counted: ObjectStore = {
    async get(key, range) {
      const bytes = await objects.get(key, range);
      const account = accounts.getStore();
      if (account !== undefined) charge(account, key, bytes.length);
      return bytes;
    },
    put: (key, bytes) => objects.put(key, bytes),
    head: (key) => objects.head(key),
    list: (prefix, options) => objects.list(prefix, options),
    delete: (keys) => objects.delete(keys),
    copy: (from, to) => objects.copy(from, to),
  };
  return {
    objects: counted,
    async measure(work) {
      const account: Account = new Map();
      const value = await accounts.run(account, work);
      return { value, fetched: account };
    },
  };
}

function charge(account: Account, key: string, bytes: number): void {
  const entry = account.get(key);
  if (entry === undefined) account.set(key, { gets: 1, bytes });
  else {
    entry.gets += 1;
    entry.bytes += bytes;
  }
}
