/** Who works while clients do: appliers, compactors, collectors, the killer, and the cloud itself. */
import { isStoreError } from '#base/errors.ts';
import type { Collection } from '#catalog/collection.ts';
import { applyEntries, consumeOnce } from '#ingest/consume.ts';
import { replayDue } from '#ingest/parked-replay.ts';
import { type CollectRound, collectRound } from '#maintain/collect-round.ts';
import { mergeShard } from '#maintain/compact.ts';
import { COMPACT_POLICY, type CompactPolicy } from '#maintain/pick.ts';
import type { Delivery } from '#sim/event-source.ts';
import type { ShardId } from '#wal/shard.ts';
import type { Process } from '../fleet.ts';
import type { World } from '../services.ts';
import type { Actor, Stage } from './actor.ts';

/** A function that takes longer is taken for dead, and goes on. */
const FUNCTION_MS_MAX = 60_000;
/** Between rounds. */
const MERGE_EVERY_MS = 1_500;
const COLLECT_EVERY_MS = 2_000;
const CONSUME_EVERY_MS = 600;
const REPLAY_EVERY_MS = 15_000;
const CONSUMER = 'apply';

/** Small enough that a history sees merges of every kind. */
export const POLICY: CompactPolicy = {
  ...COMPACT_POLICY,
  levelZeroSegments: 3,
  levelZeroAgeMs: 4_000,
  idleMs: 8_000,
};

/** Codes with which background work may end and be done again. */
const PASSING = new Set(['UNCERTAIN', 'OVERLOADED', 'NOT_READY', 'MANIFEST_CONTENDED', 'TIMEOUT']);
/** DESIGN 4.6: whoever works on an older manifest than this may miss objects. */
const WORK_MS_MAX = 15 * 60_000;

/**
 * Runs work in an environment and waits for it as its caller would: until it ends, the environment
 * dies, or the time for a function is up.
 */
export function invoke<T>(
  stage: Pick<Stage, 'schedule'>,
  { environment }: Process,
  work: () => Promise<T>,
): Promise<
  | Readonly<{ is: 'ended'; value: T }>
  | Readonly<{ is: 'failed'; error: unknown }>
  | Readonly<{ is: 'lost' }>
> {
  return new Promise((resolve) => {
    const lost = (): void => resolve({ is: 'lost' });
    const limit = stage.schedule.after(FUNCTION_MS_MAX, lost);
    const alive = environment.onDeath(() => stage.schedule.after(100, lost));
    const over = (): void => {
      limit.act = undefined;
      alive();
    };
    environment.run(work).then(
      (value) => {
        over();
        resolve({ is: 'ended', value });
      },
      (error: unknown) => {
        over();
        resolve({ is: 'failed', error });
      },
    );
  });
}

/** What background work may not end with, whatever goes wrong around it. */
export function judgeFailure(
  world: World,
  work: string,
  error: unknown,
  tookMs: number,
  isLeaving: boolean,
): void {
  const code = isStoreError(error) ? error.code : 'no code';
  if (PASSING.has(code)) return;
  if (isLeaving && (code === 'COLLECTION_NOT_FOUND' || code === 'OBJECT_NOT_FOUND')) return;
  if (code === 'OBJECT_NOT_FOUND' && tookMs > WORK_MS_MAX) return;
  const invariant = code === 'OBJECT_NOT_FOUND' ? 'I6' : 'I2';
  const text = error instanceof Error ? error.message : String(error);
  world.violate(invariant, `${work} failed with ${code}: ${text}`);
}

/** Applies a batch of the event source in some environment. */
export const deliverTo =
  (stage: Pick<Stage, 'schedule' | 'fleet' | 'world'>): Delivery =>
  async (entries) => {
    const process = stage.fleet.pick('apply');
    const { engine } = process;
    const startMs = stage.schedule.nowMs();
    const outcome = await invoke(stage, process, () =>
      applyEntries({ ...engine.ports, collections: engine.catalog }, entries),
    );
    if (outcome.is === 'failed') judgeFailure(stage.world, 'apply', outcome.error, 0, false);
    if (outcome.is !== 'ended') return 'no-answer';
    const tookMs = stage.schedule.nowMs() - startMs;
    for (const { shard, error } of outcome.value.failed) {
      judgeFailure(stage.world, `apply of ${shard}`, error, tookMs, false);
    }
    return { through: outcome.value.through };
  };

/** Follows the log by its checkpoints, as one process on a laptop does. */
export const consumer: Actor = {
  kind: 'applier',
  isClient: false,
  async act(stage) {
    while (!stage.isOver()) {
      const process = stage.fleet.pick('apply');
      const { engine } = process;
      for (const { name } of await stage.world.log.streamShards()) {
        const outcome = await invoke(stage, process, () =>
          consumeOnce({ ...engine.ports, collections: engine.catalog }, name, CONSUMER),
        );
        if (outcome.is === 'failed') judgeFailure(stage.world, 'apply', outcome.error, 0, false);
        if (outcome.is !== 'ended') break;
        for (const { shard, error } of outcome.value.failed) {
          judgeFailure(stage.world, `apply of ${shard}`, error, 0, false);
        }
      }
      await stage.schedule.sleep(stage.pace() * CONSUME_EVERY_MS);
    }
  },
};

type ShardWork = (process: Process, collection: Collection, shard: ShardId) => Promise<boolean>;

const merge: ShardWork = async ({ engine, deadRows }, collection, shard) =>
  (await mergeShard({ ...engine.ports, deadRows }, collection, shard, POLICY)) !== undefined;

/** A piece of work on every shard of every collection that is open; true where more is to be done. */
export async function everyShard(
  stage: Pick<Stage, 'schedule' | 'fleet' | 'world'>,
  name: string,
  work: ShardWork,
): Promise<boolean> {
  const { fleet, schedule, world } = stage;
  const process = fleet.pick('maintain');
  const listed = await invoke(stage, process, () => process.engine.catalog.allCollections());
  if (listed.is === 'failed') judgeFailure(world, name, listed.error, 0, false);
  if (listed.is !== 'ended') return true;
  let again = false;
  for (const collection of listed.value.filter(({ state }) => state === 'open')) {
    for (let shard = 0; shard < collection.shards; shard++) {
      const id = { collectionId: collection.collectionId, shard };
      const startMs = schedule.nowMs();
      const outcome = await invoke(stage, process, () => work(process, collection, id));
      if (outcome.is === 'ended') again = outcome.value || again;
      if (outcome.is === 'failed') {
        judgeFailure(world, name, outcome.error, schedule.nowMs() - startMs, true);
      }
      // What takes too long goes on beside whoever begins anew.
      if (outcome.is === 'lost') return true;
    }
  }
  return again;
}

export const mergeAll = (stage: Pick<Stage, 'schedule' | 'fleet' | 'world'>): Promise<boolean> =>
  everyShard(stage, 'merge', merge);

/** Everything that is due, in one round. Undefined where it is not known how it ended. */
export async function collectAll(
  stage: Pick<Stage, 'schedule' | 'fleet' | 'world'>,
): Promise<CollectRound | undefined> {
  const process = stage.fleet.pick('maintain');
  const { ports, catalog } = process.engine;
  const outcome = await invoke(stage, process, () => collectRound(ports, catalog));
  if (outcome.is === 'failed') judgeFailure(stage.world, 'collect', outcome.error, 0, false);
  return outcome.is === 'ended' ? outcome.value : undefined;
}

const compactor: Actor = {
  kind: 'compactor',
  isClient: false,
  async act(stage, client) {
    while (!stage.isOver()) {
      await mergeAll(stage);
      await stage.schedule.sleep(stage.pace() * MERGE_EVERY_MS * (0.5 + client.random.random()));
    }
  },
};

const collector: Actor = {
  kind: 'collector',
  isClient: false,
  async act(stage, client) {
    // From every two seconds to every minute: often enough to come between a read and its objects.
    const everyMs = COLLECT_EVERY_MS * 30 ** client.random.random();
    while (!stage.isOver()) {
      await collectAll(stage);
      await stage.schedule.sleep(stage.pace() * everyMs * (0.2 + client.random.random()));
    }
  },
};

/** Kills, freezes for seconds or minutes, and sets clocks. */
const killer: Actor = {
  kind: 'killer',
  isClient: false,
  async act({ fleet, weather, isOver, schedule, pace }, client) {
    const everyMs = 2_000 + client.below(10_000);
    while (!isOver()) {
      await schedule.sleep(pace() * everyMs * (0.2 + 1.6 * client.random.random()));
      const victim = fleet.running[client.below(fleet.running.length)];
      const draw = client.random.random();
      const long = client.chance(0.15);
      const ms = long ? 20_000 + client.below(1_200_000) : 100 + client.below(15_000);
      if (victim === undefined || isOver()) continue;
      if (draw < 0.4) {
        if (weather.strike('kill')) fleet.kill(victim);
      } else if (draw < 0.85) {
        if (weather.strike('freeze')) victim.environment.freeze(ms);
      } else if (weather.strike('clock-set')) victim.environment.setSkew(fleet.drawSkewMs());
    }
  },
};

/** Replays what is parked and due, as its schedule does. */
const replayer: Actor = {
  kind: 'replayer',
  isClient: false,
  async act(stage, client) {
    while (!stage.isOver()) {
      await stage.schedule.sleep(REPLAY_EVERY_MS * (0.5 + client.random.random()));
      await replayParked(stage);
    }
  },
};

export async function replayParked(
  stage: Pick<Stage, 'schedule' | 'fleet' | 'world'>,
): Promise<void> {
  const process = stage.fleet.pick('apply');
  const { ports, catalog } = process.engine;
  const outcome = await invoke(stage, process, () => replayDue({ ...ports, collections: catalog }));
  if (outcome.is === 'failed') judgeFailure(stage.world, 'replay', outcome.error, 0, false);
}

/** Splits and merges stream shards, and throttles one of them now and then. */
const cloud: Actor = {
  kind: 'cloud',
  isClient: false,
  async act({ world, weather, isOver, schedule }, client) {
    while (!isOver()) {
      await schedule.sleep(2_000 + client.below(60_000));
      const draw = client.random.random();
      const open = world.log.openStreamShards();
      const at = client.below(open.length);
      const one = open[at];
      const next = open[at + 1];
      const ms = 200 + client.below(5_000);
      if (one === undefined || isOver()) continue;
      if (draw < 0.5) {
        if (weather.strike('throttle')) world.log.throttle(one, ms);
      } else if (next !== undefined && draw < 0.75) {
        if (weather.strike('shards-merge')) world.log.merge(one, next);
      } else if (open.length < STREAM_SHARDS_MAX && weather.strike('shard-splits')) {
        world.log.split(one);
      }
    }
  },
};

const STREAM_SHARDS_MAX = 4;

export const BACKGROUND: readonly (readonly [Actor, number])[] = [
  [compactor, 2],
  [collector, 2],
  [killer, 1],
  [replayer, 1],
];
/** Only where the log is one that reshards. */
export const CLOUD: Actor = cloud;
