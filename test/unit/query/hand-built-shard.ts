/**
 * A shard put together by hand on memory ports: tail rows as accept writes them, segments and heads
 * as apply and compact do, so that reads are tested against what they find and nothing else.
 */
import { tmpdir } from 'node:os';
import { must } from '#base/assert.ts';
import { canonicalJson, type JsonObject } from '#base/json.ts';
import { type RecordPosition, type RowPosition, recordPosition } from '#base/position.ts';
import type { Collection } from '#catalog/collection.ts';
import { encodeManifest } from '#manifest/codec.ts';
import type { Manifest } from '#manifest/format.ts';
import { encodeHead, headKey, initialManifest } from '#manifest/head.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import { Reader } from '#query/reader.ts';
import { ColumnBuilder } from '#schema/build.ts';
import type { RowBatch } from '#schema/column.ts';
import { type CollectionSchema, DYNAMIC_FIELD, type Field, type FieldType } from '#schema/field.ts';
import { concatBatches, gatherBatch, keyColumn } from '#schema/gather.ts';
import { buildGraph } from '#segment/build.ts';
import type { AuxiliaryEntry, SegmentEntry } from '#segment/entry.ts';
import { killsBetween } from '#segment/kills.ts';
import { memorySource } from '#segment/memory.ts';
import type { StampedBatch, StampedTombstones } from '#segment/source.ts';
import { buildStamps, concatStamps, gatherStamps } from '#segment/stamps.ts';
import { concatTombstones, noTombstones } from '#segment/tombstones.ts';
import { encodeSegment } from '#segment/writer.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { silentTelemetry } from '#sim/silent-telemetry.ts';
import { frameChecksum } from '#wal/frame.ts';
import { createGate, type Gate } from '#wal/gate.ts';
import { encodePayload } from '#wal/payload.ts';
import { productKey, type ShardId } from '#wal/shard.ts';
import { putTail, type TailEntry } from '#wal/tail.ts';

const field = (id: number, name: string, type: FieldType, rest: Partial<Field> = {}): Field => ({
  id,
  name,
  type,
  description: '',
  primaryKey: false,
  autoId: false,
  nullable: false,
  dynamic: false,
  ...rest,
});

export const DIM = 2;
export const ID = field(100, 'id', 'Int64', { primaryKey: true });
export const VALUE = field(101, 'value', 'Int64', { nullable: true });
export const VECTOR = field(102, 'vector', 'FloatVector', { dim: DIM });
export const META = field(103, DYNAMIC_FIELD, 'JSON', { dynamic: true });
export const SCHEMA: CollectionSchema = { version: 1, fields: [ID, VALUE, VECTOR, META] };

export type TestRow = Readonly<{
  id: bigint;
  value?: bigint;
  vector: readonly number[];
  meta?: JsonObject;
  partition?: number;
}>;

/** A tombstone: unbounded, or with the newest position that it kills. */
export type TestDelete = Readonly<{ id: bigint; bound?: RowPosition }>;

export function collectionOf(shards = 1, schema = SCHEMA): Collection {
  return {
    collectionId: 7,
    dbName: 'default',
    collectionName: 'things',
    description: '',
    schema,
    shards,
    consistencyLevel: 'Bounded',
    loaded: true,
    indexes: [
      {
        indexName: 'vector',
        fieldId: VECTOR.id,
        fieldName: 'vector',
        metric: 'L2',
        indexType: 'AUTOINDEX',
        params: {},
      },
    ],
    properties: {},
    partitions: [{ partitionId: 1, partitionName: '_default' }],
    nextFieldId: 110,
    nextPartitionId: 3,
    createdMs: 0,
    state: 'open',
  };
}

export function batchOf(rows: readonly TestRow[], schema = SCHEMA): RowBatch {
  const builders = new Map(
    schema.fields.map((each) => [each.id, new ColumnBuilder(each, rows.length)]),
  );
  const builder = (each: Field): ColumnBuilder => must(builders.get(each.id), each.name);
  rows.forEach((row, at) => {
    builder(ID).set(at, row.id);
    if (row.value !== undefined) builder(VALUE).set(at, row.value);
    builder(VECTOR).vector(at).set(row.vector);
    if (row.meta !== undefined) builder(META).set(at, canonicalJson(row.meta));
  });
  return {
    count: rows.length,
    columns: new Map([...builders].map(([id, each]) => [id, each.finish()])),
    partitions: Uint32Array.from(rows, ({ partition }) => partition ?? 1),
  };
}

type Content = Readonly<{ rows: StampedBatch; tombstones: StampedTombstones }>;

/** The ports under a shard, which a test may wrap before the reader sees them. */
export type ShardPorts = Readonly<{ table: Table; objects: ObjectStore; clock: ManualClock }>;

export const memoryPorts = (): ShardPorts => {
  const clock = new ManualClock();
  return { table: new MemoryTable(), objects: new MemoryObjectStore(clock), clock };
};

export const readerOf = (ports: ShardPorts, scratchDir = '/nonexistent'): Reader =>
  new Reader({ ...ports, telemetry: silentTelemetry, scratchDir, cacheBytes: 64 * 1024 * 1024 });

export const GATE: Gate = {
  number: 1,
  epoch: 1,
  generation: 1,
  lease: false,
  schemaVersion: 1,
  shardMapVersion: 1,
  state: 'open',
  past: [],
};

export class HandBuiltShard {
  readonly id: ShardId;
  readonly #ports: ShardPorts;
  readonly #schema: CollectionSchema;
  #manifest: Manifest;
  #sequence = 0;
  #pending: { entry: TailEntry; content: Content }[] = [];
  readonly #contents = new Map<string, Content>();

  private constructor(ports: ShardPorts, id: ShardId, schema: CollectionSchema) {
    this.#ports = ports;
    this.id = id;
    this.#schema = schema;
    const start = { generation: 1, epoch: 1, fenceNumber: 1, schemaVersion: 1 };
    this.#manifest = initialManifest(id, start);
  }

  static async create(
    ports: ShardPorts,
    shard = 0,
    schema: CollectionSchema = SCHEMA,
  ): Promise<HandBuiltShard> {
    const built = new HandBuiltShard(ports, { collectionId: 7, shard }, schema);
    await createGate(ports.table, built.id, GATE);
    await built.#swapHead({});
    return built;
  }

  get manifest(): Manifest {
    return this.#manifest;
  }
  get pending(): number {
    return this.#pending.length;
  }

  /** What a writer does up to its ack. Returns the record's position. */
  async write(
    rows: readonly TestRow[],
    deletes: readonly TestDelete[] = [],
    { fenceNumber = 1, asObject = false } = {},
  ): Promise<RecordPosition> {
    const position = recordPosition(1, 1, String(++this.#sequence));
    const batch = batchOf(rows, this.#schema);
    const keys = keyColumn(batchOf(deletes.map(({ id }) => ({ id, vector: [0, 0] }))), ID);
    const bounds = deletes.map(({ bound }) => bound);
    const bytes = encodePayload({ schemaVersion: 1, rows: batch, tombstones: { keys, bounds } });
    const { payloadRef } = await this.#store(bytes, asObject);
    const entry: TailEntry = {
      position,
      fenceNumber,
      recordId: this.#sequence.toString(16).padStart(32, '0'),
      schemaVersion: 1,
      arrivalMs: 1000,
      rows: rows.length,
      tombstones: deletes.length,
      payload: payloadRef,
    };
    const run = { record: position, logTimeMs: 1000 };
    this.#pending.push({
      entry,
      content: {
        rows: { batch, stamps: buildStamps([{ ...run, count: rows.length }]) },
        tombstones: {
          count: deletes.length,
          keys,
          bounds,
          stamps: buildStamps([{ ...run, count: deletes.length, firstOrdinal: rows.length }]),
        },
      },
    });
    await putTail(this.#ports.table, this.id, entry);
    return position;
  }

  async #store(bytes: Uint8Array, asObject: boolean) {
    if (!asObject) return { payloadRef: { at: 'inline', bytes } as const };
    const key = `collections/7/0/payload/${this.#sequence}`;
    await this.#ports.objects.put(key, bytes);
    const payloadRef = {
      at: 'object',
      key,
      sizeBytes: bytes.length,
      crc32: frameChecksum(bytes),
    } as const;
    return { payloadRef };
  }

  /** Folds the oldest `count` records of the tail into a level-0 segment; their tail rows stay. */
  async apply(count = this.#pending.length): Promise<void> {
    const folded = this.#pending.splice(0, count);
    const last = folded.at(-1);
    if (last === undefined) return;
    const segment = await this.#putSegment(0, joinContents(folded.map(({ content }) => content)));
    const rows = folded.reduce((sum, { entry }) => sum + entry.rows, 0);
    await this.#swapHead({
      applied: last.entry.position,
      rowsApplied: this.#manifest.rowsApplied + rows,
      segments: [...this.#manifest.segments, segment],
    });
  }

  /**
   * Replaces the segments of these numbers by one of the next level. Rows that something in them
   * kills are left out where `drops` says so; tombstones are all kept.
   */
  async compact(
    numbers: readonly number[],
    { drops = true, graph = false }: { drops?: boolean; graph?: boolean } = {},
  ): Promise<void> {
    const merged = numbers.flatMap((at) => this.#manifest.segments[at] ?? []);
    if (merged.length === 0) return;
    const all = joinContents(merged.map(({ key }) => must(this.#contents.get(key), key)));
    const content = drops ? await withoutDead(all) : all;
    const level = Math.max(...merged.map((entry) => entry.level)) + 1;
    const segment = await this.#putSegment(level, content, graph);
    const kept = this.#manifest.segments.filter((entry) => !merged.includes(entry));
    await this.#swapHead({ segments: [segment, ...kept] });
  }

  /** Another manifest with these changes. */
  async #swapHead(changes: Partial<Manifest>): Promise<void> {
    this.#manifest = { ...this.#manifest, ...changes, version: this.#manifest.version + 1 };
    const bytes = encodeManifest(this.#manifest);
    await this.#ports.table.put(headKey(this.id), encodeHead({ at: 'inline', bytes }));
  }

  /** What applying a fence does to the manifest. */
  async applyFence(fenceNumber: number): Promise<void> {
    const applied = recordPosition(1, 1, String(++this.#sequence));
    await this.#swapHead({ applied, fenceNumber });
  }

  async #putSegment(level: number, content: Content, graph = false): Promise<SegmentEntry> {
    const name = `${this.#manifest.version}-${level}-${this.#contents.size}`;
    const key = productKey(this.id, 'segment', this.#manifest.version, name);
    const { bytes, entry } = encodeSegment({ schema: this.#schema, level, ...content });
    await this.#ports.objects.put(key, bytes);
    this.#contents.set(key, content);
    const auxiliary = graph ? [await this.#putGraph(name, content)] : [];
    return { ...entry, key, auxiliary };
  }

  async #putGraph(name: string, { rows: { batch } }: Content): Promise<AuxiliaryEntry> {
    const column = batch.columns.get(VECTOR.id);
    if (column?.type !== 'FloatVector') throw new Error('vectors');
    const key = productKey(this.id, 'graph', this.#manifest.version, name);
    const { bytes, entry } = await buildGraph({
      metric: 'L2',
      dim: column.dim,
      vectors: column.values,
      scratchDir: tmpdir(),
    });
    await this.#ports.objects.put(key, bytes);
    return { ...entry, key, fieldId: VECTOR.id };
  }
}

const joinContents = (contents: readonly Content[]): Content => ({
  rows: {
    batch: concatBatches(contents.map(({ rows }) => rows.batch)),
    stamps: concatStamps(contents.map(({ rows }) => rows.stamps)),
  },
  tombstones:
    contents.length === 0
      ? noTombstones('Int64')
      : concatTombstones(contents.map(({ tombstones }) => tombstones)),
});

/** Without the rows that the content itself kills, found the slow way. */
async function withoutDead({ rows, tombstones }: Content): Promise<Content> {
  const source = memorySource('all', rows, tombstones, ID);
  const dead = new Set(await killsBetween(source, source));
  const kept = Uint32Array.from(
    Array.from({ length: rows.batch.count }, (_, row) => row).filter((row) => !dead.has(row)),
  );
  return {
    rows: { batch: gatherBatch(rows.batch, kept), stamps: gatherStamps(rows.stamps, kept) },
    tombstones,
  };
}
