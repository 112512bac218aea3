/** Names of the objects that apply and compact make. */
import { toHex } from '#base/bytes.ts';
import type { Entropy } from '#ports/entropy.ts';
import { productKey, type ShardId } from '#wal/shard.ts';

/** 64 random bits: two workers that mint at one head version never meet. */
const KEY_ENTROPY_BYTES = 8;

/** A data object's key; the level is for people and tools that list objects. */
export const segmentKey = (
  entropy: Entropy,
  shard: ShardId,
  headVersion: number,
  level: number,
): string => productKey(shard, 'segment', headVersion, `${level}-${suffixOf(entropy)}`);

export const graphKey = (entropy: Entropy, shard: ShardId, headVersion: number): string =>
  productKey(shard, 'graph', headVersion, suffixOf(entropy));

const suffixOf = (entropy: Entropy): string => toHex(entropy.bytes(KEY_ENTROPY_BYTES));
