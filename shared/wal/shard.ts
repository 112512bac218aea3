/** Names of a shard's things in the log, the table and the object store. */

/** One ordered stream of a collection's rows. */
export type ShardId = Readonly<{ collectionId: number; shard: number }>;

/** The partition key in the log, and the partition of the shard's rows in the regional table. */
export const shardName = ({ collectionId, shard }: ShardId): string => `c${collectionId}-${shard}`;

/** @returns undefined where the text is no shard name. */
export function parseShardName(name: string): ShardId | undefined {
  const match = /^c([1-9][0-9]{0,15})-(0|[1-9][0-9]?)$/.exec(name);
  if (match === null) return undefined;
  return { collectionId: Number(match[1]), shard: Number(match[2]) };
}

/** Kinds of objects that belong to a shard. */
export type ObjectKind = 'payload' | 'segment' | 'graph' | 'manifest';

const digits = (value: number, width: number): string => String(value).padStart(width, '0');

/** All objects of a collection lie below this prefix; those of its snapshots do not. */
export const collectionPrefix = (collectionId: number): string => `collections/${collectionId}/`;

/** All objects of one kind of a shard lie below this prefix. */
export const objectPrefix = ({ collectionId, shard }: ShardId, kind: ObjectKind): string =>
  `${collectionPrefix(collectionId)}${shard}/${kind}/`;

/** A payload's key carries its mint time, by which collect knows its age. */
export const payloadKey = (shard: ShardId, mintMs: number, suffix: string): string =>
  `${objectPrefix(shard, 'payload')}${digits(mintMs, 14)}-${suffix}`;

/** When a payload's key was minted, or undefined where the text is no payload's key. */
export function payloadMintMs(key: string): number | undefined {
  const match = /\/payload\/([0-9]{14})-[^/]+$/.exec(key);
  return match === null ? undefined : Number(match[1]);
}

/**
 * The key of what apply and compact produce carries the head version at which it was minted, so
 * that collect can raise `collectedBelow` above everything older (DESIGN 4.6).
 */
export const productKey = (
  shard: ShardId,
  kind: 'segment' | 'graph' | 'manifest',
  headVersion: number,
  suffix: string,
): string => `${objectPrefix(shard, kind)}${digits(headVersion, 12)}-${suffix}`;

/** What {@link productKey} was told, or undefined where the text is no product's key. */
export function parseProductKey(
  key: string,
): Readonly<{ shard: ShardId; kind: string; headVersion: number }> | undefined {
  const match =
    /^collections\/([0-9]{1,16})\/([0-9]{1,10})\/(segment|graph|manifest)\/([0-9]{12,16})-/.exec(
      key,
    );
  if (match === null) return undefined;
  const [, collectionId, shard, kind = '', headVersion] = match;
  return {
    shard: { collectionId: Number(collectionId), shard: Number(shard) },
    kind,
    headVersion: Number(headVersion),
  };
}
