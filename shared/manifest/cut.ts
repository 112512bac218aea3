/**
 * A cut: the content of a whole collection at one log time, as one immutable object (ADR 0013).
 *
 * It holds what a new collection needs to begin from there: the definition of the source, and one
 * manifest per shard. Normative text: docs/formats/cut.md.
 */
import { StoreError } from '#base/errors.ts';
import { openFrame, readFrame, sealFrame } from '#wal/frame.ts';
import { decodeManifest, encodeManifest } from './codec.ts';
import type { Manifest } from './format.ts';
import { contentKeys } from './history.ts';

export type Cut = Readonly<{
  /** The source as the catalog's bytes. */
  definition: Uint8Array;
  logTimeMs: number;
  /** By shard, from 0 up: neither id windows nor retired objects. */
  manifests: readonly Manifest[];
}>;

const FORMAT = { magic: 'SCUT', version: 1 };
/** A collection has at most 16 shards; room for a format of more. */
const SHARDS_MAX = 1024;

/** Everything below it belongs to one pin: the cut, and the objects that were made for it. */
export const cutPrefix = (collectionId: number, pinId: string): string =>
  `snapshots/${collectionId}/${pinId}/`;

export const cutKey = (collectionId: number, pinId: string): string =>
  `${cutPrefix(collectionId, pinId)}cut`;

/** The rows that were written behind a shard's base manifest and belong to the cut. */
export const cutSegmentKey = (collectionId: number, pinId: string, shard: number): string =>
  `${cutPrefix(collectionId, pinId)}${shard}-segment`;

/** Whose pin an object below `snapshots/` belongs to; undefined for what is no such object. */
export const pinOfKey = (key: string): string | undefined =>
  /^snapshots\/[0-9]{1,16}\/([0-9a-f]{16})\//.exec(key)?.[1];

export function encodeCut({ definition, logTimeMs, manifests }: Cut): Uint8Array {
  const writer = openFrame(FORMAT, 4096).bytes(definition).varint(logTimeMs);
  writer.varint(manifests.length);
  for (const manifest of manifests) writer.bytes(encodeManifest(manifest));
  return sealFrame(writer);
}

/** @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW` */
export function decodeCut(bytes: Uint8Array, what: string): Cut {
  const { reader } = readFrame(bytes, FORMAT, what);
  const definition = new Uint8Array(reader.bytes());
  const logTimeMs = reader.varint();
  const count = reader.varint();
  if (count < 1 || count > SHARDS_MAX) reader.fail(`${count} shards`);
  const manifests = Array.from({ length: count }, (_, shard) => {
    const manifest = decodeManifest(reader.bytes(), `${what}, shard ${shard}`);
    if (manifest.shard === shard) return manifest;
    throw new StoreError('DATA_CORRUPT', `${what}: shard ${manifest.shard} in place ${shard}`);
  });
  reader.end();
  return { definition, logTimeMs, manifests };
}

/** Keys of all objects that a cut needs, its own object apart. */
export function cutContentKeys({ manifests }: Cut): Set<string> {
  const keys = new Set<string>();
  for (const manifest of manifests) for (const key of contentKeys(manifest)) keys.add(key);
  return keys;
}
