/** What pins hold: the keys that their cuts list (I6, I9). */
import { LRUCache } from 'lru-cache';
import type { Catalog } from '#catalog/collections.ts';
import { holdingPins, type Pin } from '#catalog/pins.ts';
import { cutContentKeys, decodeCut } from '#manifest/cut.ts';
import type { Clock } from '#ports/clock.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';

export type HeldPorts = Readonly<{
  objects: ObjectStore;
  table: Table;
  clock: Clock;
  /** Which collections there are, in whatever state. Without it every holder counts, also one that is gone. */
  collections?: Pick<Catalog, 'getCollection'> | undefined;
}>;

export type Held = Readonly<{ keys: ReadonlySet<string>; pinIds: ReadonlySet<string> }>;

/** Keys of all cuts that are remembered: 10 MB of text. */
const KEYS_MAX = 100_000;

/** Cuts never change, so that each is read once by a process as long as it fits. */
export class HeldCuts {
  readonly #ports: HeldPorts;
  readonly #keys = new LRUCache<string, ReadonlySet<string>>({
    maxSize: KEYS_MAX,
    sizeCalculation: (keys) => keys.size + 1,
  });

  constructor(ports: HeldPorts) {
    this.#ports = ports;
  }

  /**
   * What is held now; undefined where a pin is open, which holds everything. Ask after reading the
   * heads: a pin that is opened later reads later heads.
   *
   * @throws StoreError `DATA_CORRUPT`, `OBJECT_NOT_FOUND` for a pin or cut that cannot be read: what
   *   it holds is not known, so nothing may be deleted
   */
  async read(): Promise<Held | undefined> {
    const keys = new Set<string>();
    const pinIds = new Set<string>();
    for (const { pin } of await holdingPins(this.#ports)) {
      if (pin.cut === undefined) return undefined;
      if (!(await isWanted(this.#ports, pin))) continue;
      pinIds.add(pin.pinId);
      for (const key of await this.#cutKeys(pin.cut.key)) keys.add(key);
    }
    return { keys, pinIds };
  }

  async #cutKeys(cutKey: string): Promise<ReadonlySet<string>> {
    const known = this.#keys.get(cutKey);
    if (known !== undefined) return known;
    const keys = cutContentKeys(decodeCut(await this.#ports.objects.get(cutKey), `cut ${cutKey}`));
    this.#keys.set(cutKey, keys);
    return keys;
  }
}

/** A holder whose collection has been collected holds nothing: its leaving was overtaken by a drop of the name. */
async function isWanted({ collections }: HeldPorts, { name, holders }: Pin): Promise<boolean> {
  if (name !== undefined || collections === undefined) return true;
  for (const holder of holders) {
    if ((await collections.getCollection(holder)) !== undefined) return true;
  }
  return false;
}
