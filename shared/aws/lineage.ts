/**
 * Which stream shards a stream has, and who descends from whom. A split closes one and opens two, a
 * merge closes two and opens one; a partition's entries go on in the child that covers its hash, so
 * a parent is read to its end before its children.
 */
import { ListShardsCommand, type Shard } from '@aws-sdk/client-kinesis';
import { assert, must } from '#base/assert.ts';
import { StoreError } from '#base/errors.ts';
import type { Sequence, StreamShard } from '#ports/log.ts';
import type { Stream } from './stream.ts';

/** `first`: no entry of the stream shard has a smaller sequence. */
export type ListedShard = StreamShard & Readonly<{ first: Sequence }>;

export type Lineage = Readonly<{
  /** Asks Kinesis. Parents before children, otherwise by name. */
  list: () => Promise<readonly ListedShard[]>;
  /** From memory where the name is known. @throws StoreError `INVALID_ARGUMENT` if there is none */
  find: (name: string) => Promise<ListedShard>;
}>;

/**
 * A page has 1,000 stream shards unless asked otherwise; an account may have 20,000 open ones at most
 * by default, and closed ones stay until their last entry is forgotten.
 */
const LIST_PAGES_MAX = 100;

export function openLineage(stream: Stream): Lineage {
  let known: ReadonlyMap<string, ListedShard> = new Map();

  const list = async (): Promise<readonly ListedShard[]> => {
    const listed = orderByLineage(await listAll(stream));
    known = new Map(listed.map((shard) => [shard.name, shard]));
    return listed;
  };

  return {
    list,
    async find(name) {
      if (!known.has(name)) await list();
      const shard = known.get(name);
      if (shard !== undefined) return shard;
      throw new StoreError('INVALID_ARGUMENT', `the log has no stream shard ${name}`);
    },
  };
}

/**
 * Goes on behind the last name rather than with the token of a page: a token is good for 300 seconds
 * and for one listing, a name for ever.
 */
async function listAll({ client, address, ask }: Stream): Promise<readonly Shard[]> {
  const shards: Shard[] = [];
  for (let pages = 1; ; pages++) {
    const last = shards.at(-1)?.ShardId;
    const from = last === undefined ? {} : { ExclusiveStartShardId: last };
    const page = await ask('ListShards', 'all stream shards', () =>
      client.send(new ListShardsCommand({ ...address, ...from })),
    );
    shards.push(...(page.Shards ?? []));
    if (page.NextToken === undefined || page.Shards?.length === 0) return shards;
    assert(pages < LIST_PAGES_MAX, `a listing of stream shards ends within ${pages} pages`);
  }
}

/**
 * Parents before children, otherwise by name, so that two listings of the same stream shards are
 * equal. A parent that Kinesis has forgotten, with all its entries, is nobody's parent any more.
 */
export function orderByLineage(shards: readonly Shard[]): readonly ListedShard[] {
  const names = new Set(shards.map((shard) => shard.ShardId));
  const listed = shards.map((shard) => listedShard(shard, names));
  const byName = new Map(listed.map((shard) => [shard.name, shard]));
  const ordered: ListedShard[] = [];
  const seen = new Set<string>();
  const place = (shard: ListedShard): void => {
    if (seen.has(shard.name)) return;
    seen.add(shard.name);
    for (const parent of shard.parents) place(must(byName.get(parent), 'a parent is listed'));
    ordered.push(shard);
  };
  for (const shard of listed.sort((a, b) => (a.name < b.name ? -1 : 1))) place(shard);
  return ordered;
}

function listedShard(shard: Shard, names: ReadonlySet<string | undefined>): ListedShard {
  const { ShardId: name, SequenceNumberRange: range } = shard;
  if (name === undefined || range?.StartingSequenceNumber === undefined) {
    throw new StoreError(
      'DATA_CORRUPT',
      `a listing names stream shard ${name} without a beginning`,
    );
  }
  const parents = [shard.ParentShardId, shard.AdjacentParentShardId]
    .filter((parent) => parent !== undefined)
    .filter((parent) => names.has(parent));
  return {
    name,
    parents,
    closed: range.EndingSequenceNumber !== undefined,
    first: range.StartingSequenceNumber,
  };
}
