/** Records that cannot be applied, and the operator who looks after shards that are parked by them. */
import { utf8 } from '#base/bytes.ts';
import { settleAside } from '#ingest/aside.ts';
import { listedShards, readParked } from '#wal/parked.ts';
import { parseShardName } from '#wal/shard.ts';
import type { Client } from '../client.ts';
import type { World } from '../services.ts';
import type { Actor, Stage } from './actor.ts';
import { invoke } from './background.ts';

/** Payloads that nobody finds, of those that are objects, in a history that has poison at all. */
const HIDDEN_SHARE = 0.06;
const FOR_EVER_MS = 365 * 24 * 3_600_000;

/** Puts what is no record into the log: a bug of some version, or bytes that were damaged on their way. */
export const poisoner: Actor = {
  kind: 'poisoner',
  isClient: false,
  async act(stage, client) {
    const { schedule, weather, world, isOver } = stage;
    world.hidesPayload = () => {
      const [hides, forEver, ms] = [
        client.chance(HIDDEN_SHARE),
        client.chance(0.4),
        client.below(90_000),
      ];
      if (!hides || !weather.strike('payload-hidden')) return undefined;
      return forEver ? FOR_EVER_MS : ms;
    };
    while (!isOver()) {
      await schedule.sleep(20_000 + client.below(400_000));
      const shards = [...world.records.heads].map(([name]) => name);
      const name = shards[client.below(shards.length)];
      const garbage = utf8(`no record ${client.below(1_000_000)}`);
      if (name === undefined || isOver() || !weather.strike('garbage')) continue;
      try {
        await world.services.log.append(name, garbage);
      } catch {
        // The stream shard is busy: then there is none of it.
      }
    }
  },
};

/** Looks after parked shards: replays them, and sets aside what stays in the way. */
export const warden: Actor = {
  kind: 'warden',
  isClient: false,
  async act(stage, client) {
    while (!stage.isOver()) {
      await stage.schedule.sleep(stage.pace() * (8_000 + client.below(40_000)));
      await tend(client);
    }
  },
};

type Listed = Readonly<{
  collectionName: string;
  shard: number;
  parked?: Readonly<{ sequence?: string }>;
}>;

export async function tend(client: Client): Promise<void> {
  const answer = await client.ask('/v2/clusters/parked/list', {});
  if (answer.is !== 'reply') return;
  // What `parked/list` answers with.
  for (const { collectionName, shard, parked } of answer.reply.data as unknown as Listed[]) {
    if (parked === undefined) continue;
    await client.ask('/v2/clusters/parked/replay', { collectionName, shard });
    const { sequence } = parked;
    // Now and then what would have passed by itself is set aside as well: operators are impatient.
    if (sequence === undefined || client.chance(0.3)) continue;
    await client.ask('/v2/clusters/parked/set_aside', { collectionName, shard, sequence });
  }
}

/** Finds out what became of records whose operator died, as the next one would. */
export async function decideAsides(
  stage: Pick<Stage, 'schedule' | 'fleet' | 'world'>,
): Promise<void> {
  for (const [name, asides] of stage.world.records.asides) {
    const shard = parseShardName(name);
    if (shard === undefined || ![...asides.values()].includes('copied')) continue;
    const process = stage.fleet.pick('apply');
    const { ports, catalog } = process.engine;
    await invoke(stage, process, () => settleAside({ ...ports, collections: catalog }, shard));
  }
}

/** Whether nothing is parked any more in a collection that is there. */
export async function isNothingParked({ table, records }: World): Promise<boolean> {
  for (const shard of await listedShards(table)) {
    const collection = records.collections.get(shard.collectionId);
    if (collection?.state !== 'open') continue;
    if ((await readParked(table, shard)).parked?.isParked === true) return false;
  }
  return true;
}
