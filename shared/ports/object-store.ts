/**
 * Immutable objects under string keys: put, get (ranges), head, list, delete, copy.
 *
 * Promises of every adapter (`test/contract/object-store.ts`):
 * - A put that returned is durable and is seen by every read and listing that begins afterwards.
 * - An object appears wholly or not at all.
 * - Keys are written once. Putting the same key again replaces the object as a whole; nothing in
 *   Sterna relies on it except a retry of the same bytes.
 * - A failed call whose effect is not known throws `UNCERTAIN`.
 *
 * Keys: 1 to 512 characters of `[a-z0-9/._-]`, no empty, `.` or `..` step between slashes, at most
 * 200 characters a step; a key is never a folder of another key.
 */
export interface ObjectStore {
  put(key: string, bytes: Uint8Array): Promise<void>;
  /**
   * The object, or `length` bytes of it from `offset`.
   *
   * @throws StoreError `OBJECT_NOT_FOUND`; `DATA_CORRUPT` where the object ends before the range does.
   */
  get(key: string, range?: ByteRange): Promise<Uint8Array>;
  /** Undefined where there is no such object. */
  head(key: string): Promise<ObjectInfo | undefined>;
  /** Objects whose key starts with `prefix`, in bytewise order of keys, after `after` if given. */
  list(prefix: string, options?: ListOptions): Promise<readonly ObjectInfo[]>;
  /** Deletes those that exist; a missing one is no error. */
  delete(keys: readonly string[]): Promise<void>;
  /** Copies within the store. @throws StoreError `OBJECT_NOT_FOUND` */
  copy(from: string, to: string): Promise<void>;
}

/** `offset` >= 0 and `length` >= 1, in bytes. */
export type ByteRange = Readonly<{ offset: number; length: number }>;

export type ObjectInfo = Readonly<{ key: string; sizeBytes: number; modifiedMs: number }>;

/** `limit`: 1 to 1,000, default 1,000. A page shorter than the limit is the last. */
export type ListOptions = Readonly<{ after?: string; limit?: number }>;
