/** Which shard a primary key belongs to. Stable for ever: stored rows lie where this put them. */
import { assert } from '#base/assert.ts';
import { ByteWriter } from '#base/bytes.ts';
import { writeKey } from './canonical.ts';
import type { Key } from './column.ts';

const scratch = new ByteWriter(64);

/**
 * A key's hash, 32 bits unsigned: FNV-1a over the canonical bytes of the key, then the finaliser of
 * MurmurHash3, since FNV leaves the upper bits of short inputs poor. Normative text and test
 * vectors: docs/formats/canonical-row.md.
 */
export function hashKey(key: Key): number {
  writeKey(scratch.clear(), key);
  let hash = 0x811c9dc5;
  for (const byte of scratch.view()) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * The shard of a key, 0 to `shards` - 1: the hash range cut into equal parts, so that doubling the
 * shards splits each of them in two.
 */
export function shardOf(key: Key, shards: number): number {
  assert(Number.isInteger(shards) && shards >= 1, `${shards} shards`);
  return shards === 1 ? 0 : Math.floor((hashKey(key) * shards) / 2 ** 32);
}
