/** Objects in memory for one test, with a look at what was read. */
import type { ByteRange } from '#ports/object-store.ts';
import type { SegmentEntry } from '#segment/entry.ts';
import type { NewSegment } from '#segment/writer.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';

export const KEY = 'collections/1/0/segment/000000000001-a';

export class WatchedObjects {
  readonly reads: (ByteRange | undefined)[] = [];
  readonly #store = new MemoryObjectStore(new ManualClock(0));

  static async of(bytes: Uint8Array, key = KEY): Promise<WatchedObjects> {
    const objects = new WatchedObjects();
    await objects.#store.put(key, bytes);
    return objects;
  }

  get(key: string, range?: ByteRange): Promise<Uint8Array> {
    this.reads.push(range);
    return this.#store.get(key, range);
  }
}

export const entryOf = (segment: NewSegment): SegmentEntry => ({
  ...segment.entry,
  key: KEY,
  auxiliary: [],
});
