/**
 * A client that remembers what it was told. Each of its writers upserts and deletes keys of its own; of every
 * key the ledger knows which contents the server may show: the acknowledged one, or one whose effect it
 * was not told. Whatever else is found is lost, resurrected or torn.
 */
import { shardOf } from '#schema/hash.ts';
import type { ServerProcess } from './e2e-process.ts';
import type { Envelope } from './server.ts';

export const SHARDS = 2;
const KEYS_PER_WRITER = 200;
const MARKER_FIRST = 1_000_000;
/** Enough keys to meet every shard. */
const MARKERS = Array.from({ length: 32 }, (_, index) => MARKER_FIRST + index);

/** The number of the write that a row came from; undefined where there is no row. */
type Content = number | undefined;
type Known = { acknowledged: Content; possible: { content: Content; batch: number }[] };

export type Verdict = Readonly<{ lost: number; resurrected: number; torn: number }>;
export const NOTHING_WRONG: Verdict = { lost: 0, resurrected: 0, torn: 0 };

export type LedgerOptions = Readonly<{
  collectionName: string;
  /** Of every other write, beyond the 8 KiB that ride inline; of the rest a few characters. */
  textLength?: number;
  rowsPerWrite?: number;
  ttlSeconds?: number;
}>;

export class Ledger {
  readonly #options: LedgerOptions;
  readonly #known = new Map<number, Known>();
  #batches = 0;
  /** Replies of writes: how often each `code/effect` came; `none` where no reply came. */
  readonly replies = new Map<string, number>();

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  get acknowledged(): number {
    return this.replies.get('0') ?? 0;
  }

  async create(server: ServerProcess): Promise<void> {
    const { collectionName, ttlSeconds } = this.#options;
    await server.must('vectordb/collections/create', {
      collectionName,
      schema: {
        fields: [
          { fieldName: 'id', dataType: 'Int64', isPrimary: true },
          { fieldName: 'stamp', dataType: 'Int64' },
          { fieldName: 'text', dataType: 'VarChar', elementTypeParams: { max_length: '60000' } },
          { fieldName: 'vector', dataType: 'FloatVector', elementTypeParams: { dim: '8' } },
        ],
      },
      indexParams: [
        { fieldName: 'vector', indexName: 'vector', metricType: 'L2', indexType: 'HNSW' },
      ],
      params: { shardsNum: SHARDS, ...(ttlSeconds === undefined ? {} : { ttlSeconds }) },
    });
  }

  /** One write of a writer; undefined where no answer came. */
  async write(
    server: ServerProcess,
    writer: number,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Envelope | undefined> {
    const batch = ++this.#batches;
    const count = this.#options.rowsPerWrite ?? 1 + Math.floor(Math.random() * 12);
    const ids = new Set<number>();
    while (ids.size < count) {
      ids.add(writer * KEYS_PER_WRITER + Math.floor(Math.random() * KEYS_PER_WRITER));
    }
    const isDelete = Math.random() < 0.2;
    const length = batch % 2 === 0 ? (this.#options.textLength ?? 10_000) : 10;
    const body = isDelete
      ? { filter: `id in [${[...ids].join(',')}]` }
      : { data: [...ids].map((id) => this.#row(id, batch, length)) };
    const verb = isDelete ? 'delete' : 'upsert';
    return await this.#send(server, verb, body, [...ids], isDelete ? undefined : batch, headers);
  }

  async #send(
    server: ServerProcess,
    verb: string,
    body: object,
    ids: readonly number[],
    content: Content,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Envelope | undefined> {
    const batch = this.#batches;
    for (const id of ids) this.#of(id).possible.push({ content, batch });
    const { collectionName } = this.#options;
    const reply = await server
      .call(`vectordb/entities/${verb}`, { collectionName, ...body }, headers)
      .catch(() => undefined);
    const kind =
      reply === undefined ? 'none' : reply.code === 0 ? '0' : `${reply.code}/${reply['effect']}`;
    this.replies.set(kind, (this.replies.get(kind) ?? 0) + 1);
    if (reply === undefined || reply['effect'] === 'unknown') return reply;
    for (const id of ids) {
      const known = this.#of(id);
      // Later than all that is open: an acknowledged write is newer than any that was sent before.
      if (reply.code === 0) this.#known.set(id, { acknowledged: content, possible: [] });
      else known.possible = known.possible.filter((one) => one.batch !== batch);
    }
    return reply;
  }

  /** Whether nothing else than what the server was told is read from it, whatever is still open. */
  async look(server: ServerProcess): Promise<Verdict> {
    return this.#judge(await this.#read(server), false);
  }

  /**
   * The same once nothing is open any more: a record without an answer may take effect when it is applied,
   * so a marker is written behind it in every shard and awaited.
   */
  async settle(server: ServerProcess): Promise<Verdict> {
    const { collectionName } = this.#options;
    const data = MARKERS.map((id) => this.#row(id, ++this.#batches, 0));
    await server.must('vectordb/entities/upsert', { collectionName, data });
    await server.must('vectordb/collections/flush', { collectionName });
    return this.#judge(await this.#read(server), true);
  }

  /** No two texts are equal: equal ones take the room of one. */
  #row(id: number, stamp: number, length: number) {
    const text = `${stamp}/${id} `.padEnd(length, `${stamp * id} `);
    const vector = Array.from({ length: 8 }, (_, axis) => Math.fround(Math.sin(id * 8 + axis)));
    return { id, stamp, text, vector };
  }

  #of(id: number): Known {
    const known = this.#known.get(id) ?? { acknowledged: undefined, possible: [] };
    this.#known.set(id, known);
    return known;
  }

  /** Contents by key; throws where a key is there twice or was never written. */
  async #read(server: ServerProcess): Promise<ReadonlyMap<number, number>> {
    const { data } = await server.must('vectordb/entities/query', {
      collectionName: this.#options.collectionName,
      filter: `id < ${MARKER_FIRST}`,
      outputFields: ['id', 'stamp'],
      limit: 16_384,
    });
    const found = new Map<number, number>();
    for (const { id, stamp } of data) {
      if (found.has(id)) throw new Error(`key ${id} is there twice`);
      if (!this.#known.has(id)) throw new Error(`key ${id} was never written`);
      found.set(id, stamp);
    }
    return found;
  }

  #judge(found: ReadonlyMap<number, number>, settled: boolean): Verdict {
    const verdict = { lost: 0, resurrected: 0, torn: 0 };
    const happened = new Map<string, boolean>();
    for (const [id, known] of this.#known) {
      const content = found.get(id);
      const { acknowledged, possible } = known;
      const open = possible.filter((one) => one.content !== acknowledged);
      const [only] = open;
      if (only !== undefined && open.length === 1) {
        const part = `${only.batch}/${shardOf(BigInt(id), SHARDS)}`;
        const did = content === only.content;
        if (happened.has(part) && happened.get(part) !== did) verdict.torn++;
        happened.set(part, did);
      }
      if (content !== acknowledged && !open.some((one) => one.content === content)) {
        const older = content !== undefined && content < (acknowledged ?? Number.POSITIVE_INFINITY);
        verdict[older ? 'resurrected' : 'lost']++;
        console.error(
          `key ${id}: found ${content}, acknowledged ${acknowledged}, open ${open.map((one) => one.content)}`,
        );
      }
      if (settled) this.#known.set(id, { acknowledged: content, possible: [] });
    }
    return verdict;
  }
}
