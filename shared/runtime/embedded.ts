/**
 * The engine in one process: the embedded platform, the caches that live as long as it does, and the
 * background work that on AWS the event source and the schedules start.
 *
 * *Apply* follows the log: as soon as there is something it gathers for a moment, so that a batch
 * becomes one segment rather than many, and folds it; *replay* tries parked shards again. *Merge*,
 * *index*, *collect* and *scrub* look after every shard in turn, each in a loop of its own, so that
 * merging never waits for a graph. All are safe to kill at any point: each ends in a compare-and-set,
 * and what it left behind is an object that no manifest names.
 */
import type { Collection } from '#catalog/collection.ts';
import type { Catalog } from '#catalog/collections.ts';
import { type ConsumePorts, consumeOnce } from '#ingest/consume.ts';
import { replayDue } from '#ingest/parked-replay.ts';
import { systemEntropy } from '#local/entropy.ts';
import { workerInvoker } from '#local/invoker.ts';
import { openLocal } from '#local/open-directory.ts';
import { emptyScratch } from '#local/scratch-folder.ts';
import { type CompactPorts, mergeShard } from '#maintain/compact.ts';
import { DeadRows } from '#maintain/dead-rows.ts';
import { indexShard } from '#maintain/graphs.ts';
import { HeldCuts } from '#maintain/held.ts';
import { COMPACT_POLICY, type CompactPolicy } from '#maintain/pick.ts';
import { scrubRound } from '#maintain/scrub-round.ts';
import type { Sequence } from '#ports/log.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import { type GraphSupport, graphSupport } from '#segment/graph.ts';
import type { GraphFile, GraphPayload } from '#segment/graph-worker.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import { collectAll } from './collect-all.ts';
import { type EngineBase, type EngineCore, type EnginePorts, openCore } from './engine.ts';
import { reportFailure } from './failure.ts';
import { type Loop, startLoop } from './loop.ts';

/** How eager the background work is. */
export type Pace = CompactPolicy &
  Readonly<{
    /** How long apply gathers records before it folds them. */
    applyLingerMs: number;
    /** How often merging and indexing look at every shard; infinity switches both off. */
    compactEveryMs: number;
    /** How often parked shards are looked at; each says itself when it is tried again. */
    replayEveryMs: number;
    /** How often what is surely needed no more is deleted, and the log trimmed. */
    collectEveryMs: number;
    /** How often a part of what is stored is read and proved. */
    scrubEveryMs: number;
  }>;

/**
 * A second of gathering makes one level-0 segment a second at most: 660 archive references in the id
 * window (11 minutes), 33 KB of manifest, and one retired object a second. Reads see the tail meanwhile.
 * Merging and indexing look every second, which costs one head read per shard.
 */
export const PACE: Pace = {
  ...COMPACT_POLICY,
  applyLingerMs: 1000,
  compactEveryMs: 1000,
  replayEveryMs: 10_000,
  collectEveryMs: 60_000,
  scrubEveryMs: 60 * 60_000,
};

export type EngineOptions = Readonly<{
  dir: string;
  telemetry: Telemetry;
  pace?: Partial<Pace> | undefined;
  cacheBytes?: number | undefined;
  /** Puts something between the engine and its ports: tests do. */
  wrap?: ((ports: EnginePorts) => EnginePorts) | undefined;
}>;

export type Engine = EngineCore &
  Readonly<{
    graphs: GraphSupport;
    /** Stops the background work, then releases the directory. */
    close(): Promise<void>;
  }>;

const CONSUMER = 'apply';
/** The log is looked at this often even where nothing wakes us. */
const WAIT_MS = 1000;
const BUILD_GRAPH = 'build-graph';
/**
 * Of each round of scrub, beside which requests are answered: 2 GiB an hour are 336 GiB in the week in
 * which everything is read once, and a few seconds of hashing.
 */
const SCRUB_BYTES = 2 * 1024 ** 3;
const SCRUB_MS = 10 * 60_000;

/** @throws StoreError `DIRECTORY_UNUSABLE`, `FORMAT_TOO_NEW` */
export async function openEmbedded(options: EngineOptions): Promise<Engine> {
  const local = await openLocal(options.dir);
  const scratchDir = await emptyScratch(local.directory).catch(async (error: unknown) => {
    await local.close();
    throw error;
  });
  const bare: EnginePorts = {
    objects: local.objects,
    log: local.log,
    table: local.regionalTable,
    global: local.globalTable,
    clock: local.clock,
    entropy: systemEntropy,
    telemetry: options.telemetry,
  };
  const wrapped = options.wrap?.(bare) ?? bare;
  const core = openCore(wrapped, { scratchDir, cacheBytes: options.cacheBytes });
  const { ports, catalog, reader } = core;
  const graphs = await graphSupport();
  const workers = workerInvoker({
    [BUILD_GRAPH]: new URL('../segment/graph-worker.ts', import.meta.url),
  });
  const pace = { ...PACE, ...options.pace };
  const loops = [
    ...(await applyLoops({ ...ports, collections: catalog }, pace)),
    ...roundLoops(core, pace),
    ...compactLoops(
      {
        ...ports,
        scratchDir,
        deadRows: new DeadRows(),
        // The worker runs graph-worker's only function, which returns a GraphFile.
        runGraph: (payload) =>
          workers.invoke(BUILD_GRAPH, payload, buffersOf(payload)) as Promise<GraphFile>,
      },
      catalog,
      pace,
    ),
  ];
  return {
    ...core,
    graphs,
    async close() {
      await Promise.all(loops.map((loop) => loop.stop()));
      await workers.close();
      await reader.close();
      await local.close();
    },
  };
}

async function applyLoops(ports: ConsumePorts, pace: Pace): Promise<readonly Loop[]> {
  const streamShards = await ports.log.streamShards();
  return streamShards.map(({ name }) => {
    let last: Sequence | undefined;
    const step = async (): Promise<number> => {
      const { checkpoint, failed, more } = await consumeOnce(ports, name, CONSUMER);
      last = checkpoint;
      // What failed was reported where it failed and is tried again with the next batch. Other shards of
      // the stream must not wait for it, so there is no backing off here.
      return more && failed.length === 0 ? 0 : WAIT_MS;
    };
    return startLoop(ports, `apply ${name}`, step, async (waitMs) => {
      await ports.log.wait(name, last, waitMs);
      await ports.clock.sleep(pace.applyLingerMs);
    });
  });
}

/** The vectors move to the worker: hundreds of MiB that need not be there twice. */
const buffersOf = ({ vectors }: GraphPayload): readonly ArrayBuffer[] =>
  vectors.buffer instanceof ArrayBuffer ? [vectors.buffer] : [];

/** What a loop does to one shard; true where it should be asked again at once. */
type ShardWork = (collection: Collection, shard: ShardId) => Promise<boolean>;

/** What looks at everything in one round, each beside the others. */
function roundLoops({ ports, catalog }: EngineBase, pace: Pace): readonly Loop[] {
  const trimmed = trimmer(ports);
  // A server that starts has better to do than to read what it did not read for a week.
  let isFirst = true;
  return [
    ...everyRound(ports, 'replay', pace.replayEveryMs, async () => {
      await replayDue({ ...ports, collections: catalog });
    }),
    ...everyRound(ports, 'collect', pace.collectEveryMs, async () => {
      await collectAll({ ports, catalog });
    }),
    ...everyRound(ports, 'trim', pace.collectEveryMs, trimmed),
    ...everyRound(ports, 'scrub', pace.scrubEveryMs, async () => {
      if (!isFirst) await scrubSome({ ports, catalog });
      isFirst = false;
    }),
  ];
}

const everyRound = (
  ports: Pick<EnginePorts, 'clock' | 'telemetry'>,
  name: string,
  everyMs: number,
  round: () => Promise<void>,
): readonly Loop[] =>
  Number.isFinite(everyMs) ? [startLoop(ports, name, () => round().then(() => everyMs))] : [];

async function scrubSome({ ports, catalog }: EngineBase): Promise<void> {
  const held = new HeldCuts({ ...ports, collections: catalog });
  const untilMs = ports.clock.nowMs() + SCRUB_MS;
  await scrubRound({ ...ports, held }, catalog, { bytesMax: SCRUB_BYTES, untilMs });
}

function compactLoops(ports: CompactPorts, catalog: Catalog, pace: Pace): readonly Loop[] {
  const everyShard = (name: string, everyMs: number, work: ShardWork): readonly Loop[] =>
    Number.isFinite(everyMs)
      ? [startLoop(ports, name, () => visitShards(ports, catalog, name, everyMs, work))]
      : [];
  return [
    ...everyShard('merge', pace.compactEveryMs, async (collection, shard) => {
      return (await mergeShard(ports, collection, shard, pace)) !== undefined;
    }),
    ...everyShard('index', pace.compactEveryMs, async (collection, shard) => {
      return (await indexShard(ports, collection, shard, pace)) !== undefined;
    }),
  ];
}

/** One round over all shards. A shard that fails is reported and hinders no other. */
async function visitShards(
  { telemetry }: Pick<EnginePorts, 'telemetry'>,
  catalog: Catalog,
  name: string,
  everyMs: number,
  work: ShardWork,
): Promise<number> {
  let again = false;
  const run = { failures: 0 };
  const open = (await catalog.allCollections()).filter(({ state }) => state === 'open');
  for (const collection of open) {
    for (let shard = 0; shard < collection.shards; shard++) {
      const id = { collectionId: collection.collectionId, shard };
      try {
        again = (await work(collection, id)) || again;
      } catch (error) {
        reportFailure(telemetry, run, name, shardName(id), error);
        telemetry.count('maintenance_failures_total', 1, { loop: name });
      }
    }
  }
  return again ? 0 : everyMs;
}

/** Applied entries stay for this many rounds of the trim loop: someone may want to look at them. */
const TRIM_ROUNDS = 15;

/** Forgets the log's entries that were applied {@link TRIM_ROUNDS} rounds ago. */
function trimmer({ log }: Pick<EnginePorts, 'log'>): () => Promise<void> {
  const seen = new Map<string, (Sequence | undefined)[]>();
  return async () => {
    for (const { name } of await log.streamShards()) {
      const rounds = seen.get(name) ?? [];
      seen.set(name, rounds);
      rounds.push(await log.checkpoint(CONSUMER, name));
      const through = rounds.length > TRIM_ROUNDS ? rounds.shift() : undefined;
      if (through !== undefined) await log.trim(name, through);
    }
  };
}
