/**
 * The head row: the one place that says which manifest a shard has.
 *
 * A small manifest rides in the row, a larger one is an object that the row names with its size and
 * checksum. The row's version is the handle of the compare-and-set in `commit.ts`.
 */
import { LRUCache } from 'lru-cache';
import { toHex } from '#base/bytes.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import { ORIGIN } from '#base/position.ts';
import { emptySum, formatSum } from '#base/setsum.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Row, RowKey, Table } from '#ports/table.ts';
import { frameChecksum, openFrame, readFrame, sealFrame } from '#wal/frame.ts';
import type { ShardState } from '#wal/record.ts';
import { productKey, type ShardId, shardName } from '#wal/shard.ts';
import { decodeManifest, encodeManifest } from './codec.ts';
import type { Manifest } from './format.ts';

export type HeadPorts = Readonly<{
  objects: ObjectStore;
  table: Table;
  manifests?: ManifestCache | undefined;
}>;

export type Head = Readonly<{
  manifest: Manifest;
  /** Version of the head row, for the compare-and-set. */
  rowVersion: number;
  /** The manifest's object, where it is one. */
  objectKey: string | undefined;
}>;

/** What a head row holds. */
export type HeadValue =
  | Readonly<{ at: 'inline'; bytes: Uint8Array }>
  | Readonly<{ at: 'object'; key: string; sizeBytes: number; crc32: number }>;

/** One read unit of DynamoDB is 4 KiB of item: 256 bytes are left for the keys, version and frame. */
export const HEAD_INLINE_BYTES_MAX = 4096 - 256;

const FORMAT = { magic: 'SHED', version: 1 };
const INLINE = 0;
const OBJECT = 1;
/** 64 random bits: two racing commits on one head version never meet. */
const KEY_ENTROPY_BYTES = 8;
/** A manifest object vanishes only after the head moved on; each attempt sees a newer head. */
const READ_ATTEMPTS_MAX = 8;

/**
 * Decoded manifests, by object key or by the row that holds them. Bounded by encoded bytes: a
 * decoded manifest takes some five times as much memory.
 */
export class ManifestCache {
  readonly #entries: LRUCache<string, Readonly<{ manifest: Manifest; sizeBytes: number }>>;

  /** @param maxBytes encoded; default 16 MiB, about a thousand shards of a hundred segments each */
  constructor(maxBytes = 16 * 1024 * 1024) {
    this.#entries = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ sizeBytes }) => sizeBytes,
    });
  }

  get(name: string): Manifest | undefined {
    return this.#entries.get(name)?.manifest;
  }

  set(name: string, manifest: Manifest, sizeBytes: number): void {
    this.#entries.set(name, { manifest, sizeBytes });
  }
}

export const headKey = (shard: ShardId): RowKey => ({ partition: shardName(shard), sort: 'head' });

/**
 * The shard's manifest, by one consistent read of the row and at most one of the object.
 *
 * Collect may delete a manifest object as soon as the head has moved on, so one that is missing
 * only means that our row is old: it is read again.
 *
 * @throws StoreError `COLLECTION_NOT_FOUND` where the shard has no head; `DATA_CORRUPT` and
 *   `OBJECT_NOT_FOUND` naming the object
 */
export async function readManifest(ports: HeadPorts, shard: ShardId): Promise<Head> {
  let missing: unknown;
  let rowVersion = -1;
  for (let attempt = 1; attempt <= READ_ATTEMPTS_MAX; attempt++) {
    const row = await ports.table.get(headKey(shard));
    if (row === undefined) {
      throw new StoreError('COLLECTION_NOT_FOUND', `shard ${shardName(shard)} has no manifest`);
    }
    // The same row again still names the missing object: that is damage, not a race.
    if (missing !== undefined && row.version === rowVersion) throw missing;
    rowVersion = row.version;
    try {
      return await loadHead(ports, shard, row);
    } catch (error) {
      if (!isStoreError(error, 'OBJECT_NOT_FOUND')) throw error;
      missing = error;
    }
  }
  throw missing;
}

/**
 * The first head of a shard. False where there is one already; it stays as it is.
 *
 * @throws StoreError `UNCERTAIN`; calling again is safe
 */
export async function createHead(
  ports: Readonly<{ objects: ObjectStore; table: Table; entropy: Entropy }>,
  shard: ShardId,
  manifest: Manifest,
): Promise<boolean> {
  const value = await storeManifest(ports, manifest, manifest.version);
  return (await ports.table.put(headKey(shard), encodeHead(value), 'absent')) !== undefined;
}

/**
 * What a head row has to hold to name `manifest`; a large one is durable as an object before this
 * returns. A crash before the row moves leaves an object that no row names, for collect.
 *
 * @param headVersion the head's version at this moment, which goes into the object's key
 */
export async function storeManifest(
  { objects, entropy }: Readonly<{ objects: ObjectStore; entropy: Entropy }>,
  manifest: Manifest,
  headVersion: number,
): Promise<HeadValue> {
  const bytes = encodeManifest(manifest);
  if (bytes.length <= HEAD_INLINE_BYTES_MAX) return { at: 'inline', bytes };
  const suffix = toHex(entropy.bytes(KEY_ENTROPY_BYTES));
  const key = productKey(manifest, 'manifest', headVersion, suffix);
  await objects.put(key, bytes);
  return { at: 'object', key, sizeBytes: bytes.length, crc32: frameChecksum(bytes) };
}

/** The manifest of a shard before its first record. */
export const initialManifest = (
  shard: ShardId,
  start: Readonly<{
    generation: number;
    epoch: number;
    fenceNumber: number;
    schemaVersion: number;
    state?: ShardState;
  }>,
): Manifest => {
  const nothing = formatSum(emptySum());
  return {
    collectionId: shard.collectionId,
    shard: shard.shard,
    version: 0,
    state: 'open',
    ...start,
    applied: ORIGIN,
    logTimeMs: 0,
    sums: { in: nothing, held: nothing, out: nothing },
    rowsApplied: 0,
    segments: [],
    idWindow: [],
    retired: [],
    collectedBelow: 0,
  };
};

export function encodeHead(value: HeadValue): Uint8Array {
  const writer = openFrame(FORMAT);
  if (value.at === 'inline') writer.u8(INLINE).bytes(value.bytes);
  else writer.u8(OBJECT).string(value.key).varint(value.sizeBytes).u32(value.crc32);
  return sealFrame(writer);
}

/** @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW` */
export function decodeHead(bytes: Uint8Array, what: string): HeadValue {
  const { reader } = readFrame(bytes, FORMAT, what);
  const place = reader.u8();
  if (place !== INLINE && place !== OBJECT) reader.fail(`unknown manifest place ${place}`);
  const value: HeadValue =
    place === INLINE
      ? { at: 'inline', bytes: reader.bytes() }
      : { at: 'object', key: reader.string(), sizeBytes: reader.varint(), crc32: reader.u32() };
  reader.end();
  return value;
}

/** Keeps a manifest that was just read or committed as version `rowVersion` of its head row. */
export function rememberManifest(
  manifests: ManifestCache | undefined,
  value: HeadValue,
  rowVersion: number,
  manifest: Manifest,
): void {
  const sizeBytes = value.at === 'inline' ? value.bytes.length : value.sizeBytes;
  manifests?.set(cacheName(manifest, value, rowVersion), manifest, sizeBytes);
}

/**
 * An object's key is unique. A manifest in its row goes by the row's version and its checksum, since
 * a row that was dropped and created again starts over with its versions.
 */
const cacheName = (shard: ShardId, value: HeadValue, rowVersion: number): string =>
  value.at === 'object'
    ? value.key
    : `${shardName(shard)} ${rowVersion} ${frameChecksum(value.bytes)}`;

async function loadHead(ports: HeadPorts, shard: ShardId, row: Row): Promise<Head> {
  const value = decodeHead(row.value, `head of ${shardName(shard)}`);
  const objectKey = value.at === 'object' ? value.key : undefined;
  const rowVersion = row.version;
  const known = ports.manifests?.get(cacheName(shard, value, rowVersion));
  if (known !== undefined) return { manifest: known, rowVersion, objectKey };
  const manifest = await loadManifest(ports.objects, shard, value);
  rememberManifest(ports.manifests, value, rowVersion, manifest);
  return { manifest, rowVersion, objectKey };
}

async function loadManifest(
  objects: ObjectStore,
  shard: ShardId,
  value: HeadValue,
): Promise<Manifest> {
  const what =
    value.at === 'object' ? `manifest ${value.key}` : `manifest in the head of ${shardName(shard)}`;
  const bytes = value.at === 'object' ? await objects.get(value.key) : value.bytes;
  if (value.at === 'object') verifyObject(bytes, value, what);
  const manifest = decodeManifest(bytes, what);
  if (manifest.collectionId !== shard.collectionId || manifest.shard !== shard.shard) {
    throw new StoreError('DATA_CORRUPT', `${what}: belongs to shard ${shardName(manifest)}`);
  }
  return manifest;
}

/** Whether the bytes agree with their own checksum is for the decoder to say. */
function verifyObject(
  bytes: Uint8Array,
  { sizeBytes, crc32 }: Extract<HeadValue, { at: 'object' }>,
  what: string,
): void {
  if (bytes.length !== sizeBytes) {
    throw new StoreError(
      'DATA_CORRUPT',
      `${what}: ${bytes.length} bytes, its head row says ${sizeBytes}`,
    );
  }
  if (frameChecksum(bytes) !== crc32) {
    throw new StoreError('DATA_CORRUPT', `${what}: not the checksum that its head row says`);
  }
}
