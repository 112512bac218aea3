/**
 * What the schedule of every minute starts: parked shards are tried again, then every shard in turn is
 * compacted, until the time is up.
 *
 * Parked shards come first, since somebody waits for them, and for a bounded time. Then a run merges in
 * all shards, and builds graphs in the time that is left, which is enough for the largest: so neither a
 * shard that is written to without pause nor a backlog of merges keeps graphs from being built. Each run
 * begins with another shard, by chance, because nothing remembers where the last one stopped; so none
 * waits for ever behind another. Runs may overlap: a lease per shard keeps them apart, and
 * compare-and-set makes it correct.
 */
import { StoreError } from '#base/errors.ts';
import type { Collection } from '#catalog/collection.ts';
import { replayDue } from '#ingest/parked-replay.ts';
import { type MergePorts, mergeShard } from '#maintain/compact.ts';
import { DeadRows } from '#maintain/dead-rows.ts';
import { indexShard } from '#maintain/graphs.ts';
import type { CompactPolicy } from '#maintain/pick.ts';
import { buildGraphFile, type GraphPayload } from '#segment/graph-worker.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import type { AwsBase } from './aws-base.ts';
import { compactPolicy, GRAPHS_MS } from './builds.ts';
import { reportFailure } from './failure.ts';

/** What Lambda tells of the time that is left. */
export type TimerContext = Readonly<{ getRemainingTimeInMillis(): number }>;
export type TimerHandler<Report = TimerReport> = (
  event: unknown,
  context: TimerContext,
) => Promise<Report>;
export type TimerReport = Readonly<{
  /** Parked shards that go on. */
  replays: number;
  merges: number;
  graphs: number;
  failures: number;
  /** Every shard was looked at, and nothing was left for want of time. */
  complete: boolean;
}>;

/** A merge is not begun with less time than this: one of a full segment takes about half of it. */
const MERGE_MS = 120_000;
/**
 * What replaying parked shards may take of a run. Another minute's run goes on, beside this one: an hour
 * of a writer's records, 36,000 of 150 bytes, is replayed in a few minutes.
 */
const REPLAY_MS = 120_000;
/** ... and of one that is shorter than 15 minutes. */
const REPLAY_SHARE = REPLAY_MS / 900_000;
/** Of a run that is shorter than 15 minutes, the share that graphs have: as of the whole. */
const GRAPHS_SHARE = 0.7;
/** Merges for one shard in one run: the next shard must not wait for ever. */
const MERGES_PER_SHARD = 8;
/** Graphs for one shard in one run, as small as they may be. */
const GRAPHS_PER_SHARD = 64;
/**
 * No shard is begun with less time than this, and a build that turns out slower than it was thought is
 * given up: there is time to say so.
 */
const GIVE_UP_MS = 20_000;
/** The shortest sleep that lets timers run, such as the lease's, while a build holds the thread. */
const PAUSE_MS = 1;

/** What a run asks of an engine. */
export type TimerEngine = Readonly<{
  ports: AwsBase['ports'];
  catalog: Pick<AwsBase['catalog'], 'allCollections' | 'getCollection'>;
  config: Pick<AwsBase['config'], 'memoryMb'>;
  scratchDir: string;
  flush(): void;
}>;

type Work = Readonly<{ collection: Collection; shard: ShardId; policy: CompactPolicy }>;
type Run = { -readonly [Name in keyof TimerReport]: TimerReport[Name] };

/** Tries parked shards again, merges, and builds graphs. */
export function compactTimer(engine: () => Promise<TimerEngine>): TimerHandler {
  const deadRows = new DeadRows();
  return async (_, context) => {
    const opened = await engine();
    const { ports } = opened;
    const leftMs = (): number => context.getRemainingTimeInMillis();
    const graphsMs = Math.min(GRAPHS_MS, leftMs() * GRAPHS_SHARE);
    const run: Run = { replays: 0, merges: 0, graphs: 0, failures: 0, complete: true };
    try {
      await replayParked(opened, run, leftMs());
      const work = await shardsOf(opened, leftMs);
      await inTurn(opened, work, run, leftMs, ({ collection, shard, policy }) =>
        mergeSome({ ...ports, deadRows }, run, {
          merge: (some) => mergeShard(some, collection, shard, policy),
          mayBegin: () => leftMs() >= Math.max(graphsMs, MERGE_MS),
        }),
      );
      await inTurn(opened, work, run, leftMs, (each) => buildGraphs(opened, run, each, leftMs));
      return { ...run };
    } finally {
      opened.flush();
    }
  };
}

/** What fails here fails for itself: a table that cannot list its parked shards merges all the same. */
async function replayParked(
  { ports, catalog }: TimerEngine,
  run: Run,
  leftMs: number,
): Promise<void> {
  const stopMs = ports.clock.nowMs() + Math.min(REPLAY_MS, leftMs * REPLAY_SHARE);
  try {
    const { replayed, failures } = await replayDue({ ...ports, collections: catalog, stopMs });
    run.replays += replayed;
    run.failures += failures;
  } catch (error) {
    reportFailure(ports.telemetry, run, 'replay', 'parked', error);
  }
}

/** All shards of open collections, beginning anywhere. */
async function shardsOf(
  { catalog, ports, config }: TimerEngine,
  leftMs: () => number,
): Promise<readonly Work[]> {
  const open = (await catalog.allCollections()).filter(({ state }) => state === 'open');
  const machine = { arch: process.arch, memoryMb: config.memoryMb };
  const work = open.flatMap((collection) =>
    Array.from({ length: collection.shards }, (_, shard) => ({
      collection,
      shard: { collectionId: collection.collectionId, shard },
      policy: compactPolicy(collection, machine, leftMs),
    })),
  );
  const start = Math.floor(ports.entropy.random() * work.length);
  return [...work.slice(start), ...work.slice(0, start)];
}

/** A shard that fails is reported and hinders no other; the next run tries it again. */
async function inTurn(
  { ports: { telemetry } }: TimerEngine,
  work: readonly Work[],
  run: Run,
  leftMs: () => number,
  step: (each: Work) => Promise<void>,
): Promise<void> {
  for (const each of work) {
    // Thousands of shards take their time even where there is nothing to do.
    if (leftMs() < GIVE_UP_MS) {
      run.complete = false;
      return;
    }
    try {
      await step(each);
    } catch (error) {
      reportFailure(telemetry, run, 'compact', shardName(each.shard), error);
    }
  }
}

type Merging = Readonly<{
  merge: (ports: MergePorts) => Promise<unknown>;
  mayBegin: () => boolean;
}>;

async function mergeSome(ports: MergePorts, run: Run, { merge, mayBegin }: Merging): Promise<void> {
  for (let count = 0; count < MERGES_PER_SHARD; count++) {
    if (!mayBegin()) {
      run.complete = false;
      break;
    }
    if ((await merge(ports)) === undefined) break;
    run.merges += 1;
  }
}

async function buildGraphs(
  { ports, scratchDir }: TimerEngine,
  run: Run,
  { collection, shard, policy }: Work,
  leftMs: () => number,
): Promise<void> {
  const pause = async (): Promise<void> => {
    await ports.clock.sleep(PAUSE_MS);
    if (leftMs() >= GIVE_UP_MS) return;
    const message = `${shardName(shard)}: a graph takes longer than was thought and is given up`;
    throw new StoreError('TIMEOUT', message);
  };
  const graphPorts = {
    ...ports,
    scratchDir,
    runGraph: (payload: GraphPayload) => buildGraphFile(payload, pause),
  };
  const mayBuild: typeof policy.mayBuild = (rows, want) => {
    const may = policy.mayBuild?.(rows, want) ?? true;
    // Left for a run that begins with this shard, or for ever: `docs/aws.md` says when.
    if (!may) run.complete = false;
    return may;
  };
  for (let count = 0; count < GRAPHS_PER_SHARD; count++) {
    const step = await indexShard(graphPorts, collection, shard, { ...policy, mayBuild });
    if (step === undefined) return;
    run.graphs += 1;
  }
}
