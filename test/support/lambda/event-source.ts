/**
 * The event source mapping between a Kinesis stream and a function, by the rules of the Lambda
 * Developer Guide ("Using Lambda to process records from Amazon Kinesis Data Streams" and the pages
 * below it):
 *
 * - It begins at the oldest record (TRIM_HORIZON), polls each stream shard and reads parents to their
 *   end, and delivers all of them, before their children.
 * - A batch has up to `BatchSize` records or 6 MB of payload, or what came within the window.
 * - Several batches of a stream shard are in flight with a parallelisation factor above one, in order
 *   per partition key (`stream-shard.ts` says where the checkpoint stands then).
 * - At least once: an error, a timeout, an environment that ended and a throttled call deliver the
 *   whole batch again; a partial answer delivers again from the lowest record that it names.
 * - Nothing is given up. Settings that would discard records (retries, age) or split a batch are
 *   refused here, since the template must not have them.
 *
 * What AWS leaves open is decided as harshly as the rules allow: the same batch may go to two
 * environments at once, or again long after it succeeded, and a poller that crashes forgets its
 * newest checkpoints. The time between polls (a second on AWS) is a parameter.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type KinesisClient, ListShardsCommand } from '@aws-sdk/client-kinesis';
import { orderByLineage } from '#aws/lineage.ts';
import type { Sequence, StreamShard } from '#ports/log.ts';
import { type Batch, type EventNames, eventOf, remainderOf } from './batches.ts';
import type { LambdaFunction } from './function.ts';
import { StreamShardRun } from './stream-shard.ts';

/** The properties of an `AWS::Lambda::EventSourceMapping` that matter here. */
export type MappingProperties = Readonly<Record<string, unknown>>;

export type EventSourceOptions = Readonly<{
  client: KinesisClient;
  streamName: string;
  names: EventNames;
  target: Pick<LambdaFunction, 'invoke'>;
  mapping: MappingProperties;
  /** Default 100 ms. */
  pollMs?: number;
  /** Instead of the mapping's batching window, which is of whole seconds. */
  windowMs?: number | undefined;
  /** A batch that failed waits 50 ms, doubled each time up to this; default 1 s. */
  retryMsMax?: number;
}>;

/** What happened so far. */
export type EventSourceCounts = {
  /** Deliveries of the source's own accord, first ones and repeated ones. */
  deliveries: number;
  /** Deliveries of which all or a part is to be delivered again. */
  failures: number;
  partial: number;
  /** Batches given to two environments at once, and batches given again after they were done. */
  twice: number;
  again: number;
  crashes: number;
};

export type EventSource = Readonly<{
  counts: Readonly<EventSourceCounts>;
  /** No new deliveries, as for a mapping that is disabled; what is in flight goes on. */
  pause(): void;
  resume(): void;
  /** The next `count` deliveries go to two environments at once; the outcome of one is asked for. */
  duplicateNext(count?: number): void;
  /** Delivers one of the newest batches that succeeded again, now. False where there is none yet. */
  redeliver(): boolean;
  /**
   * The poller ends and another begins, `back` checkpoints before the newest (0 by default). What was
   * in flight goes on beside the new deliveries.
   */
  crash(back?: number): void;
  /**
   * Resolves when everything that is in the stream now was delivered with success, and all that was
   * delivered twice has ended. @throws where that takes longer than `timeoutMs` (default 60 s)
   */
  idle(timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
}>;

const POLL_MS = 100;
const RETRY_MS_MAX = 1_000;
const IDLE_MS_MAX = 60_000;
/** Checkpoints kept for a crash to go back to, and batches kept to be delivered again. */
const KEPT_MAX = 64;

type Checkpoints = ReadonlyMap<string, Sequence>;

/** @throws where the mapping has settings that lose records, or that nobody here follows */
export function startEventSource(options: EventSourceOptions): EventSource {
  const { client, streamName, names, target, pollMs = POLL_MS } = options;
  const read = readMapping(options.mapping);
  const mapping = { ...read, windowMs: options.windowMs ?? read.windowMs };
  const counts = { deliveries: 0, failures: 0, partial: 0, twice: 0, again: 0, crashes: 0 };
  const runs = new Map<string, StreamShardRun>();
  const history: Checkpoints[] = [new Map()];
  const delivered: Batch[] = [];
  const strays = new Set<Promise<unknown>>();
  let listed: readonly StreamShard[] = [];
  let listedMs = Number.NEGATIVE_INFINITY;
  let toDuplicate = 0;
  let isPaused = false;
  let isClosed = false;
  let lastError: unknown;

  const stray = (batch: Batch): void => {
    const work = target.invoke(eventOf(batch)).finally(() => strays.delete(work));
    strays.add(work);
  };

  const deliver = async (batch: Batch): Promise<Batch> => {
    counts.deliveries += 1;
    if (toDuplicate > 0) {
      toDuplicate -= 1;
      counts.twice += 1;
      stray(batch);
    }
    const outcome = await target.invoke(eventOf(batch));
    const again = remainderOf(batch, outcome, mapping.reportsFailures);
    if (again.length > 0) counts.failures += 1;
    if (again.length > 0 && again.length < batch.length) counts.partial += 1;
    if (again.length === 0) keepLast(delivered, batch);
    return again;
  };

  const start = (name: string): void => {
    const checkpoint = history.at(-1)?.get(name);
    runs.set(
      name,
      new StreamShardRun(
        {
          client,
          streamName,
          names,
          bounds: mapping,
          parallelization: mapping.parallelization,
          pollMs,
          retryMsMax: options.retryMsMax ?? RETRY_MS_MAX,
          deliver,
          isPaused: () => isPaused,
          moved: (shard, sequence) =>
            keepLast(history, new Map([...(history.at(-1) ?? []), [shard, sequence]])),
        },
        name,
        checkpoint,
      ),
    );
  };

  /** Stream shards whose parents are drained, or gone with all that they held. */
  const supervise = async (): Promise<void> => {
    while (!isClosed) {
      const begunMs = performance.now();
      try {
        const { Shards = [] } = await client.send(
          new ListShardsCommand({ StreamName: streamName }),
        );
        listed = orderByLineage(Shards);
        listedMs = begunMs;
        lastError = undefined;
      } catch (error) {
        lastError = error;
      }
      if (isClosed) return;
      for (const { name, parents } of listed) {
        const isDue = parents.every((parent) => runs.get(parent)?.isDrained === true);
        if (isDue && !runs.has(name)) start(name);
      }
      await delay(pollMs);
    }
  };
  const supervising = supervise();

  const isIdle = (sinceMs: number, targets: Map<string, Sequence | undefined>): boolean => {
    if (listedMs < sinceMs) return false;
    return listed.every(({ name }) => {
      const run = runs.get(name);
      if (run === undefined) return false;
      if (run.isDrained) return true;
      if (run.caughtUpMs < sinceMs) return false;
      if (!targets.has(name)) targets.set(name, run.taken);
      return run.isThrough(targets.get(name));
    });
  };

  return {
    counts,
    pause: () => {
      isPaused = true;
    },
    resume: () => {
      isPaused = false;
    },
    duplicateNext: (count = 1) => {
      toDuplicate += count;
    },
    redeliver: () => {
      const batch = delivered[Math.floor(Math.random() * delivered.length)];
      if (batch === undefined) return false;
      counts.again += 1;
      stray(batch);
      return true;
    },
    crash: (back = 0) => {
      counts.crashes += 1;
      const known = history[Math.max(0, history.length - 1 - back)] ?? new Map();
      for (const run of runs.values()) run.stop();
      runs.clear();
      keepLast(history, known);
      listedMs = Number.NEGATIVE_INFINITY;
    },
    async idle(timeoutMs = IDLE_MS_MAX) {
      const sinceMs = performance.now();
      const targets = new Map<string, Sequence | undefined>();
      while (!isIdle(sinceMs, targets) || strays.size > 0) {
        if (performance.now() > sinceMs + timeoutMs) {
          const lag = [...runs.values()].map(
            ({ name, taken, checkpoint, isDrained, lastError: why }) =>
              `${name} read ${taken}, done ${checkpoint}${isDrained ? ', drained' : ''} ${why ?? ''}`,
          );
          throw new Error(
            `not idle after ${timeoutMs} ms: ${lag.join('; ')}; ${strays.size} duplicates ${lastError ?? ''}`,
          );
        }
        await delay(10);
      }
    },
    async close() {
      isClosed = true;
      const ending = [...runs.values()];
      for (const run of ending) run.stop();
      await supervising;
      await Promise.all(ending.map((run) => run.stopped()));
    },
  };
}

function keepLast<T>(list: T[], item: T): void {
  list.push(item);
  if (list.length > KEPT_MAX) list.shift();
}

type Mapping = Readonly<{
  batchSize: number;
  windowMs: number;
  parallelization: number;
  reportsFailures: boolean;
}>;

/** Defaults are those of the API reference, "CreateEventSourceMapping". */
function readMapping(properties: MappingProperties): Mapping {
  const number = (name: string, preset: number): number => Number(properties[name] ?? preset);
  const refuse = (name: string, why: string): never => {
    throw new Error(`${name}: ${JSON.stringify(properties[name])} ${why}`);
  };
  for (const name of ['MaximumRetryAttempts', 'MaximumRecordAgeInSeconds']) {
    if (number(name, -1) !== -1) refuse(name, 'gives records up');
  }
  if (String(properties['BisectBatchOnFunctionError'] ?? false) === 'true') {
    refuse('BisectBatchOnFunctionError', 'delivers half a batch');
  }
  for (const name of ['FilterCriteria', 'TumblingWindowInSeconds']) {
    if (properties[name] !== undefined) refuse(name, 'is not followed here');
  }
  if (properties['StartingPosition'] !== 'TRIM_HORIZON') {
    refuse('StartingPosition', 'leaves out what is in the stream already');
  }
  const parallelization = number('ParallelizationFactor', 1);
  if (!(parallelization >= 1 && parallelization <= 10)) {
    refuse('ParallelizationFactor', 'is none of 1 to 10');
  }
  const batchSize = number('BatchSize', 100);
  if (!(batchSize >= 1 && batchSize <= 10_000)) refuse('BatchSize', 'is none of 1 to 10,000');
  const types = properties['FunctionResponseTypes'];
  return {
    batchSize,
    windowMs: number('MaximumBatchingWindowInSeconds', 0) * 1000,
    parallelization,
    reportsFailures: Array.isArray(types) && types.includes('ReportBatchItemFailures'),
  };
}
