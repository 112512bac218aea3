/**
 * Everything that reads rows: search, query, get, count, and what a delete by filter resolves to.
 *
 * A reader lives as long as its process and keeps what it has read of immutable objects; what a
 * shard holds is asked anew by every read: one gate get, one tail query and one head get per shard,
 * shared by the reads that wait for them at the same time. So on the primary every consistency level
 * sees every write that was acknowledged before the read began (I4), and `lagMs` is 0 because
 * nothing is left out, not because nobody looked (I10).
 */
import { LRUCache } from 'lru-cache';
import { must } from '#base/assert.ts';
import { StoreError } from '#base/errors.ts';
import type { RecordPosition } from '#base/position.ts';
import type { Collection, ConsistencyLevel } from '#catalog/collection.ts';
import { expiredBeforeMs } from '#catalog/ttl.ts';
import type { Predicate } from '#filter/predicate.ts';
import { ManifestCache } from '#manifest/head.ts';
import type { Clock } from '#ports/clock.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import type { Key } from '#schema/column.ts';
import { type Field, type Metric, vectorFields } from '#schema/field.ts';
import { SectionCache } from '#segment/cache.ts';
import { graphSupport } from '#segment/graph.ts';
import { shardName } from '#wal/shard.ts';
import type { Scope } from './allowed.ts';
import { type Coverage, coverageOf, type ShardSnapshot, snapshotOf } from './coverage.ts';
import { withoutExpired } from './expiry.ts';
import { type Explain, explainOf } from './explain.ts';
import { fetchRows } from './fetch.ts';
import { wantedPositions } from './freshness.ts';
import { GraphLoads, graphEntry } from './graphs.ts';
import { createMeter, type Fetched, type Meter } from './meter.ts';
import { distanceOf, type Output, type OutputRow } from './output.ts';
import { widthOf } from './plan.ts';
import { type RangeEnds, rangeOf } from './range.ts';
import { searchSources } from './search.ts';
import { countRows, selectKeys, selectRows, selectVersions, type Version } from './select.ts';
import { ShardReads } from './shard.ts';
import { positionOf, type ShardView } from './view.ts';

export type ReaderOptions = Readonly<{
  objects: ObjectStore;
  table: Table;
  clock: Clock;
  telemetry: Telemetry;
  manifests?: ManifestCache | undefined;
  /** Where graphs pass through on their way into memory; an existing directory. */
  scratchDir: string;
  /** Decoded sections kept in memory. */
  cacheBytes: number;
  /** Graphs kept in memory; default {@link GRAPH_BYTES}. */
  graphBytes?: number | undefined;
  /** Whether somebody builds graphs for these collections; default: where the graph library is here. */
  graphsAreBuilt?: boolean | undefined;
}>;

/** What every read may say. */
export type ReadRequest = Readonly<{
  /** Ids of partitions; undefined: all. */
  partitions?: readonly number[] | undefined;
  /** On the primary all levels are the same, the strongest (I4). */
  consistencyLevel?: ConsistencyLevel | undefined;
  /** Tokens of write replies: the read covers them or is refused. */
  tokens?: readonly string[] | undefined;
  /** Always met on the primary, whose reads lag by nothing. */
  maxStalenessMs?: number | undefined;
  /** Milliseconds since 1970 after which the read may give up. */
  deadlineMs: number;
}>;

export type SearchRequest = ReadRequest &
  Readonly<{
    field: Field;
    metric: Metric;
    vectors: readonly Float32Array[];
    filter?: Predicate | undefined;
    limit: number;
    offset: number;
    output: Output;
    ef?: number | undefined;
    /** 1 to 10 instead of `ef`: `EF_BY_LEVEL`. */
    level?: number | undefined;
    /** Of a range search, checked against the metric. */
    range?: RangeEnds | undefined;
    /** -1 or undefined: as it is; 0 to 6 decimals. */
    roundDecimal?: number | undefined;
    explain?: boolean | undefined;
  }>;

export type QueryRequest = ReadRequest &
  Readonly<{
    filter?: Predicate | undefined;
    limit: number;
    offset: number;
    output: Output;
  }>;

export type LookupRequest = ReadRequest & Readonly<{ output: Output }>;
export type CountRequest = ReadRequest & Readonly<{ filter?: Predicate | undefined }>;

export type AsOf = Readonly<{
  epoch: number;
  lagMs: number;
  /** The newest position that the answer takes into account, by shard. */
  positions: Readonly<Record<string, RecordPosition>>;
}>;

export type QueryReply = Readonly<{ rows: readonly OutputRow[]; asOf: AsOf }>;
export type CountReply = Readonly<{ count: number; asOf: AsOf }>;
export type SearchReply = Readonly<{
  /** Per query vector its rows, nearest first, each with `distance`. */
  results: readonly (readonly OutputRow[])[];
  asOf: AsOf;
  explain?: Explain;
}>;

/** Graphs in memory: two million rows of 256 dimensions, or 650,000 of 768. */
const GRAPH_BYTES = 2 * 1024 * 1024 * 1024;
/** Shards kept open: the tail of each may take some MiB, its dead rows a bit per row. */
const SHARDS_MAX = 512;
/** Rows in one reply, over all query vectors: 1,048,576 rows of a key and a distance are 40 MB. */
export const RESULT_ROWS_MAX = 1024 * 1024;
/** The shortest sleep that lets other requests in. */
const PAUSE_MS = 1;

export class Reader {
  readonly #clock: Clock;
  readonly #graphsAreBuilt: boolean | undefined;
  readonly #meter: Meter;
  readonly #cache: SectionCache;
  readonly #graphs: GraphLoads;
  readonly #shards: LRUCache<string, ShardReads>;
  readonly #open: (collection: Collection, shard: number) => ShardReads;

  constructor(options: ReaderOptions) {
    const { table, clock, cacheBytes } = options;
    this.#clock = clock;
    this.#graphsAreBuilt = options.graphsAreBuilt;
    this.#meter = createMeter(options.objects);
    const { objects } = this.#meter;
    const manifests = options.manifests ?? new ManifestCache();
    const cache = new SectionCache({
      sectionBytesMax: cacheBytes,
      graphBytesMax: options.graphBytes ?? GRAPH_BYTES,
    });
    this.#cache = cache;
    // Past the meter: no read waits for a graph, so none pays for it.
    this.#graphs = new GraphLoads({ ...options, cache });
    this.#shards = new LRUCache({ max: SHARDS_MAX });
    this.#open = ({ collectionId }, shard) =>
      new ShardReads({ objects, table, clock, manifests, cache }, { collectionId, shard });
  }

  /**
   * The nearest rows to each vector.
   *
   * @throws StoreError `INVALID_ARGUMENT` (dimension, token, range), `TOO_LARGE`, `TOO_STALE`,
   *   `NOT_READY`, `TIMEOUT`, `COLLECTION_NOT_FOUND`, `DATA_CORRUPT`
   */
  async search(collection: Collection, request: SearchRequest): Promise<SearchReply> {
    checkSearch(request);
    if (request.explain !== true) {
      const { results, asOf } = await this.#search(collection, request, undefined);
      return { results, asOf };
    }
    let explain: ((fetched: Fetched) => Explain) | undefined;
    const { value, fetched } = await this.#meter.measure(() =>
      this.#search(collection, request, (later) => {
        explain = later;
      }),
    );
    return explain === undefined ? value : { ...value, explain: explain(fetched) };
  }

  async #search(
    collection: Collection,
    request: SearchRequest,
    onExplain: ((later: (fetched: Fetched) => Explain) => void) | undefined,
  ): Promise<SearchReply> {
    const views = await this.#views(collection, request);
    const placed = views.flatMap((view) =>
      view.sources.map((source) => ({ shard: view.shard.shard, source })),
    );
    const sources = placed.map(({ source }) => source);
    const { field, metric } = request;
    const { hits, reports } = await searchSources(sources, {
      ...scopeOf(collection, request),
      field,
      metric,
      vectors: request.vectors,
      limit: request.limit,
      offset: request.offset,
      ef: widthOf(request),
      range: request.range === undefined ? undefined : rangeOf(metric, request.range),
      graphOf: ({ segment }) => {
        const entry = segment && graphEntry(segment.entry, field, metric);
        return entry && this.#graphs.ask(entry);
      },
      pause: () => this.#pause(request.deadlineMs),
    });
    onExplain?.((fetched) =>
      explainOf(
        placed.map(({ shard }, index) => ({ shard, report: reports[index] })),
        fetched,
      ),
    );
    const picks = hits.flat().map(({ source, row, score }) => ({
      source: must(sources[source], 'a hit names a source that was searched').source,
      row,
      distance: distanceOf(score, request.roundDecimal),
    }));
    const rows = await fetchRows(collection.schema, request.output, picks);
    let next = 0;
    const results = hits.map((perQuery) => perQuery.map(() => must(rows[next++], 'a row per hit')));
    return { results, asOf: asOf(views) };
  }

  /** Rows by filter (undefined: all) in the order of their keys. */
  async queryRows(collection: Collection, request: QueryRequest): Promise<QueryReply> {
    const views = await this.#views(collection, request);
    const scope = scopeOf(collection, request);
    const selected = await selectRows(sourcesOf(views), scope, request);
    const rows = await fetchRows(collection.schema, request.output, selected);
    return { rows, asOf: asOf(views) };
  }

  /** How many rows a filter (undefined: all) selects, exactly. */
  async count(collection: Collection, request: CountRequest): Promise<CountReply> {
    const views = await this.#views(collection, request);
    const count = await countRows(sourcesOf(views), scopeOf(collection, request));
    return { count, asOf: asOf(views) };
  }

  /** The rows of these keys as far as they exist, in the order of their keys, each once. */
  async lookup(
    collection: Collection,
    keys: readonly Key[],
    request: LookupRequest,
  ): Promise<QueryReply> {
    const views = await this.#views(collection, request);
    const selected = await selectKeys(sourcesOf(views), keys, partitionsOf(request));
    const rows = await fetchRows(collection.schema, request.output, selected);
    return { rows, asOf: asOf(views) };
  }

  /** What a delete by filter is about: every selected row with the position of the version read. */
  async resolve(
    collection: Collection,
    filter: Predicate,
    request: ReadRequest,
  ): Promise<readonly Version[]> {
    const views = await this.#views(collection, request);
    return selectVersions(sourcesOf(views), scopeOf(collection, { ...request, filter }));
  }

  /** Numbers for `indexes/describe` and `get_stats`. */
  async coverage(collection: Collection, deadlineMs: number): Promise<Coverage> {
    const views = await this.#views(collection, { deadlineMs });
    const metrics = new Map(
      collection.indexes.flatMap(({ fieldId, metric, indexType }) =>
        metric === undefined || indexType === 'FLAT' ? [] : [[fieldId, metric] as const],
      ),
    );
    const built = this.#graphsAreBuilt ?? (await graphSupport()).available;
    return coverageOf(collection.schema, metrics, views, this.#cache, built);
  }

  /** What each shard consists of. */
  async snapshotView(
    collection: Collection,
    deadlineMs: number,
  ): Promise<readonly ShardSnapshot[]> {
    const views = await this.#views(collection, { deadlineMs });
    return views.map((view) => snapshotOf(view, this.#cache));
  }

  /** Resolves when no graph is being loaded. */
  settle(): Promise<void> {
    return this.#graphs.settle();
  }

  async close(): Promise<void> {
    await this.#graphs.close();
    this.#shards.clear();
  }

  async #views(collection: Collection, request: ReadRequest): Promise<readonly ShardView[]> {
    const wanted = wantedPositions(collection, request.tokens ?? []);
    const { deadlineMs } = request;
    const views = await Promise.all(
      Array.from({ length: collection.shards }, (_, shard) =>
        this.#shard(collection, shard).fresh(collection.schema, {
          positions: wanted.get(shard) ?? [],
          deadlineMs,
        }),
      ),
    );
    for (const field of vectorFields(collection.schema)) this.#preload(views, field);
    const beforeMs = expiredBeforeMs(collection, this.#clock.nowMs());
    return beforeMs === undefined
      ? views
      : await Promise.all(views.map((view) => young(view, beforeMs)));
  }

  /** Lets other requests in, and ends a search that nobody waits for any more. */
  async #pause(deadlineMs: number): Promise<void> {
    await this.#clock.sleep(PAUSE_MS);
    if (this.#clock.nowMs() > deadlineMs) {
      throw new StoreError('TIMEOUT', 'the search did not finish before its deadline');
    }
  }

  #shard(collection: Collection, shard: number): ShardReads {
    const name = shardName({ collectionId: collection.collectionId, shard });
    const known = this.#shards.get(name);
    if (known !== undefined) return known;
    const opened = this.#open(collection, shard);
    this.#shards.set(name, opened);
    return opened;
  }

  /** Any read of a collection brings its graphs, so that the first search finds them. */
  #preload(views: readonly ShardView[], field: Field): void {
    for (const { segments } of views) {
      for (const { segment } of segments) {
        const entry = segment && graphEntry(segment.entry, field, undefined);
        if (entry !== undefined) this.#graphs.want(entry);
      }
    }
  }
}

/** The view without the rows that have expired. */
async function young(view: ShardView, beforeMs: number): Promise<ShardView> {
  const sources = await Promise.all(view.sources.map((source) => withoutExpired(source, beforeMs)));
  return { ...view, sources };
}

const sourcesOf = (views: readonly ShardView[]) => views.flatMap(({ sources }) => sources);

const partitionsOf = ({ partitions }: ReadRequest): ReadonlySet<number> | undefined =>
  partitions === undefined ? undefined : new Set(partitions);

const scopeOf = ({ schema }: Collection, request: CountRequest): Scope => ({
  schema,
  filter: request.filter,
  partitions: partitionsOf(request),
});

const asOf = (views: readonly ShardView[]): AsOf => ({
  epoch: Math.max(...views.map(({ manifest }) => manifest.epoch)),
  lagMs: 0,
  positions: Object.fromEntries(views.map((view) => [view.shard.shard, positionOf(view)])),
});

function checkSearch({ field, vectors, limit, offset }: SearchRequest): void {
  const wrong = vectors.find(({ length }) => length !== field.dim);
  if (wrong !== undefined) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      `vector dimension mismatch: field ${field.name} has ${field.dim}, the query vector ${wrong.length}`,
    );
  }
  const rows = vectors.length * (limit + offset);
  if (rows > RESULT_ROWS_MAX) {
    throw new StoreError(
      'TOO_LARGE',
      `${vectors.length} vectors with limit + offset ${limit + offset} ask for ${rows} rows; at most ${RESULT_ROWS_MAX}`,
    );
  }
}
