import { StoreError } from '#base/errors.ts';
import { checkByteRange, checkObjectKey, checkObjectPrefix, listLimit } from '#ports/arguments.ts';
import type { Clock } from '#ports/clock.ts';
import type { ByteRange, ListOptions, ObjectInfo, ObjectStore } from '#ports/object-store.ts';

type Stored = Readonly<{ bytes: Uint8Array; modifiedMs: number }>;

/**
 * Objects in memory. Bytes are copied on their way in and out, so that nobody can change a stored
 * object by holding on to an array.
 */
export class MemoryObjectStore implements ObjectStore {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #objects = new Map<string, Stored>();
  #sortedKeys: readonly string[] | undefined;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    checkObjectKey(key);
    this.#checkFolders(key);
    // Not `slice`, which for a Buffer shares the memory: the caller may do with its bytes what it likes.
    this.#store(key, new Uint8Array(bytes));
  }

  async get(key: string, range?: ByteRange): Promise<Uint8Array> {
    checkObjectKey(key);
    if (range !== undefined) checkByteRange(range);
    const { bytes } = this.#find(key);
    if (range === undefined) return new Uint8Array(bytes);
    if (range.offset + range.length > bytes.length) {
      throw new StoreError(
        'DATA_CORRUPT',
        `object ${key} has ${bytes.length} bytes; bytes ${range.offset} to ${range.offset + range.length} were expected`,
      );
    }
    return bytes.slice(range.offset, range.offset + range.length);
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    checkObjectKey(key);
    const stored = this.#objects.get(key);
    return stored && { key, sizeBytes: stored.bytes.length, modifiedMs: stored.modifiedMs };
  }

  /** Whether the object is there, for an oracle that looks in the moment in which something happens. */
  has(key: string): boolean {
    return this.#objects.has(key);
  }

  async list(prefix: string, options?: ListOptions): Promise<readonly ObjectInfo[]> {
    checkObjectPrefix(prefix);
    const limit = listLimit(options);
    const after = options?.after ?? '';
    this.#sortedKeys ??= [...this.#objects.keys()].sort();
    const infos: ObjectInfo[] = [];
    for (const key of this.#sortedKeys) {
      if (infos.length === limit) break;
      const stored = this.#objects.get(key);
      if (stored === undefined || key <= after || !key.startsWith(prefix)) continue;
      infos.push({ key, sizeBytes: stored.bytes.length, modifiedMs: stored.modifiedMs });
    }
    return infos;
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) checkObjectKey(key);
    for (const key of keys) this.#objects.delete(key);
    this.#sortedKeys = undefined;
  }

  async copy(from: string, to: string): Promise<void> {
    checkObjectKey(from);
    checkObjectKey(to);
    this.#checkFolders(to);
    this.#store(to, this.#find(from).bytes);
  }

  #find(key: string): Stored {
    const stored = this.#objects.get(key);
    if (stored === undefined) throw new StoreError('OBJECT_NOT_FOUND', `there is no object ${key}`);
    return stored;
  }

  #store(key: string, bytes: Uint8Array): void {
    if (!this.#objects.has(key)) this.#sortedKeys = undefined;
    this.#objects.set(key, { bytes, modifiedMs: this.#clock.nowMs() });
  }

  /** A file system would refuse an object below another object, so memory does as well. */
  #checkFolders(key: string): void {
    for (let at = key.indexOf('/'); at !== -1; at = key.indexOf('/', at + 1)) {
      const folder = key.slice(0, at);
      if (this.#objects.has(folder)) {
        throw new StoreError('INVALID_ARGUMENT', `${folder} is an object and no folder of ${key}`);
      }
    }
  }
}
