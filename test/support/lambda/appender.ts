/**
 * A client that only ever inserts, into a collection that makes the keys: each acknowledged batch is
 * there once, with the keys that its answer named; a batch of unknown effect is there wholly, once, or
 * not at all; a refused one is not there.
 */
import { ask, type ClientCounts, read } from './clients.ts';

type Batch = { readonly rows: number; readonly told: 'unknown' | 'refused' | readonly string[] };

export type AppenderOptions = Readonly<{
  url: string;
  collectionName: string;
  next: () => number;
  counts: ClientCounts;
}>;

const ATTEMPTS_MAX = 40;
const ROWS_MAX = 5;
const LIMIT = 16_384;

export class Appender {
  readonly findings: string[] = [];
  readonly told = { acknowledged: 0, unknown: 0, refused: 0 };
  readonly #options: AppenderOptions;
  readonly #batches = new Map<number, Batch>();

  constructor(options: AppenderOptions) {
    this.#options = options;
  }

  /** @param withIds share of the batches under a RequestId */
  async run(isOver: () => boolean, withIds = 0.5): Promise<void> {
    while (!isOver()) await this.#append(withIds);
  }

  async #append(withIds: number): Promise<void> {
    const { url, collectionName, next, counts } = this.#options;
    const tag = this.#batches.size;
    const rows = 1 + Math.floor(next() * ROWS_MAX);
    const withId = next() < withIds;
    const data = Array.from({ length: rows }, (_, part) => ({ tag, part, vector: [tag, part] }));
    const headers: Record<string, string> = withId ? { RequestId: `tag-${tag}` } : {};
    // The model has it from the beginning: a look may come before the answer.
    this.#batches.set(tag, { rows, told: 'unknown' });
    for (let attempt = 0; attempt < (withId ? ATTEMPTS_MAX : 1); attempt++) {
      const reply = await ask(
        url,
        'entities/insert',
        { collectionName, data },
        headers,
        counts.reasons,
      );
      if (reply?.['code'] === 0) {
        this.told.acknowledged += 1;
        // What an insert answers; ids are texts where the client asks for it, else numbers.
        const { insertIds } = reply['data'] as { insertIds: readonly unknown[] };
        this.#batches.set(tag, { rows, told: insertIds.map(String) });
        return;
      }
      if (reply?.['effect'] === 'none' && attempt === 0) {
        this.told.refused += 1;
        this.#batches.set(tag, { rows, told: 'refused' });
        return;
      }
    }
    this.told.unknown += 1;
  }

  /** When nothing is under way any more. @returns rows that were looked at */
  async check(): Promise<number> {
    const { data } = await read(this.#options, 'entities/query', {
      collectionName: this.#options.collectionName,
      filter: 'tag >= 0',
      outputFields: ['id', 'tag', 'part'],
      limit: LIMIT,
    });
    // The output fields of the collection under test.
    const found = data as readonly Readonly<{ id: unknown; tag: number; part: number }>[];
    const byTag = Map.groupBy(found, ({ tag }) => tag);
    for (const [tag, { rows, told }] of this.#batches) {
      const own = byTag.get(tag) ?? [];
      const parts = own.map(({ part }) => part).sort((a, b) => a - b);
      const isWhole = parts.join() === Array.from({ length: rows }, (_, part) => part).join();
      const isThere =
        typeof told === 'object'
          ? isWhole &&
            own
              .map(({ id }) => String(id))
              .sort()
              .join() === [...told].sort().join()
          : own.length === 0 || (told === 'unknown' && isWhole);
      if (!isThere) {
        this.findings.push(
          `batch ${tag} of ${rows} rows (${told}): parts ${parts.join()} are there`,
        );
      }
    }
    return found.length;
  }
}
