/** The collections of a history, as requests that create them. */
import { shardOf } from '#schema/hash.ts';

export type CollectionPlan = Readonly<{
  name: string;
  shards: number;
  /** Keys that its writers use; none where the server makes them. */
  keys: readonly bigint[];
  /** Whether its keys are accounts, by pairs that hold {@link PAIR_TOTAL} together. */
  isBank?: boolean;
  ttlSeconds?: number;
}>;

const DIM = 4;

/** Accounts by twos, both of a pair in one shard, so that a transfer is one record. */
function accountPairs(shards: number, count: number): readonly (readonly [bigint, bigint])[] {
  const waiting = new Map<number, bigint>();
  const pairs: (readonly [bigint, bigint])[] = [];
  for (let key = 1n; pairs.length < count; key++) {
    const shard = shardOf(key, shards);
    const other = waiting.get(shard);
    if (other === undefined) waiting.set(shard, key);
    else {
      pairs.push([other, key]);
      waiting.delete(shard);
    }
  }
  return pairs;
}

const keysUpTo = (last: number): bigint[] =>
  Array.from({ length: last }, (_, index) => BigInt(index + 1));

const BANK_SHARDS = 2;
export const PAIRS = accountPairs(BANK_SHARDS, 3);
/** What each pair holds together, always. */
export const PAIR_TOTAL = 1_000n;

export const ROWS: CollectionPlan = { name: 'rows', shards: 2, keys: keysUpTo(14) };
export const BANK: CollectionPlan = {
  name: 'bank',
  shards: BANK_SHARDS,
  keys: PAIRS.flat(),
  isBank: true,
};
export const FLEETING: CollectionPlan = { name: 'fleeting', shards: 1, keys: keysUpTo(5) };
export const GENERATED: CollectionPlan = { name: 'generated', shards: 1, keys: [] };
export const BRIEF_SECONDS = 15;
export const BRIEF: CollectionPlan = {
  ...{ name: 'brief', shards: 1, keys: keysUpTo(4) },
  ttlSeconds: BRIEF_SECONDS,
};
export const COLLECTIONS = [ROWS, BANK, FLEETING, GENERATED, BRIEF] as const;

export const creation = ({ name, shards, keys, ttlSeconds }: CollectionPlan): unknown => ({
  collectionName: name,
  schema: {
    enableDynamicField: true,
    fields: [
      { fieldName: 'id', dataType: 'Int64', isPrimary: true, autoID: keys.length === 0 },
      { fieldName: 'value', dataType: 'Int64' },
      { fieldName: 'balance', dataType: 'Int64', nullable: true },
      { fieldName: 'vector', dataType: 'FloatVector', elementTypeParams: { dim: DIM } },
    ],
  },
  indexParams: [{ fieldName: 'vector', indexName: 'vector', metricType: 'L2' }],
  params: { shardsNum: shards, ...(ttlSeconds === undefined ? {} : { ttlSeconds }) },
});

/** The vector of a row says its value once more, so that a search can be checked. */
export const vectorOf = (value: bigint): number[] => [
  Number(value % 1_000n),
  Number((value / 1_000n) % 1_000n),
  1,
  -1,
];

/** A row as JSON; integers stay exact below 2^53. `pad` makes its payload an object. */
export const rowOf = (
  key: bigint | undefined,
  value: bigint,
  more: Readonly<{ balance?: bigint; pad?: boolean }> = {},
): unknown => ({
  ...(key === undefined ? {} : { id: Number(key) }),
  value: Number(value),
  vector: vectorOf(value),
  ...(more.balance === undefined ? {} : { balance: Number(more.balance) }),
  ...(more.pad === true ? { pad: 'x'.repeat(8_500) } : {}),
});
