/**
 * The AWS platform in a function, opened once per environment and kept between invocations.
 *
 * Opening is lazy: an environment that is started for nothing opens nothing, and one whose opening
 * failed tries again with its next invocation.
 *
 * Between invocations an environment is frozen, for seconds or for an hour. What was under way goes on
 * with the next invocation or never, so nothing may rely on it: a late write is found out by its record
 * id, a graph that was being loaded is loaded again, and every timer and socket may be long over.
 */
import { mkdir, rm } from 'node:fs/promises';
import {
  type AwsSettings,
  dynamoClient,
  kinesisClient,
  s3Client,
  UNUSED_SOCKET_MS,
} from '#aws/clients.ts';
import { openKinesisLog } from '#aws/log.ts';
import { openS3ObjectStore } from '#aws/object-store.ts';
import { openDynamoTable } from '#aws/table.ts';
import { openPowertoolsTelemetry } from '#aws/telemetry.ts';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import type { Clock } from '#ports/clock.ts';
import { type AwsConfig, readAwsConfig } from './config.ts';
import { type EngineBase, openBase } from './engine.ts';

export type AwsBase = EngineBase &
  Readonly<{
    config: AwsConfig;
    settings: AwsSettings;
    /** Under /tmp, which lives as long as the environment. */
    scratchDir: string;
    /** Writes out the metrics of an invocation. */
    flush(): void;
  }>;

/**
 * Opens the platform with the first call and gives the same one to every later call. Call it at the
 * beginning of each invocation.
 */
export function awsBase(config: () => AwsConfig = readAwsConfig): () => Promise<AwsBase> {
  let opened: Promise<AwsBase> | undefined;
  let calledMs = Number.POSITIVE_INFINITY;
  return async () => {
    opened ??= openAws(config()).catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    const base = await opened;
    await thaw(base.ports.clock, calledMs);
    calledMs = base.ports.clock.nowMs();
    return base;
  };
}

/**
 * Lets timers that ran out while the environment was frozen run before anything is sent: among them are
 * those that close sockets which nobody used for long, and which the other side has closed by now.
 */
async function thaw(clock: Clock, calledMs: number): Promise<void> {
  if (clock.nowMs() - calledMs > UNUSED_SOCKET_MS) await clock.sleep(1);
}

/**
 * What CloudWatch gets. A metric is $0.30 a month for each combination of its dimensions: by path and
 * code a dozen verbs would cost more than the requests themselves. How many requests there were is the
 * sample count of their durations, how many records apply took the stream's own metric; paths and codes,
 * and what collect deleted, are in the log.
 */
export const PUBLISHED = {
  dimensions: ['outcome'],
  withheld: ['http_requests_total', 'apply_records_total', 'collected_objects_total'],
} as const;

async function openAws(config: AwsConfig): Promise<AwsBase> {
  const settings: AwsSettings = {
    region: config.region,
    endpoints: endpointsOf(config.endpoint),
  };
  const world = { clock: openClock(), entropy: systemEntropy };
  const dynamo = dynamoClient(settings);
  const table = openDynamoTable({ client: dynamo, tableName: config.regionalTable, ...world });
  const telemetry = openPowertoolsTelemetry({
    service: config.role,
    namespace: config.namespace,
    level: config.logLevel,
    ...PUBLISHED,
  });
  const { scratchDir } = config;
  // What a run that was stopped left there belongs to nobody: an environment has one request at a time.
  await rm(scratchDir, { recursive: true, force: true });
  await mkdir(scratchDir, { recursive: true });
  const base = openBase({
    ...world,
    objects: openS3ObjectStore({ client: s3Client(settings), bucket: config.bucket }),
    log: openKinesisLog({
      client: kinesisClient(settings),
      streamName: config.stream,
      checkpoints: table,
      ...world,
    }),
    table,
    global: openDynamoTable({ client: dynamo, tableName: config.globalTable, ...world }),
    telemetry,
  });
  return { ...base, config, settings, scratchDir, flush: () => telemetry.flush() };
}

/** `s3=URL,kinesis=URL`; `-` for none. */
function endpointsOf(text: string): NonNullable<AwsSettings['endpoints']> {
  const pairs = text.split(',').filter((pair) => pair.includes('='));
  return Object.fromEntries(pairs.map((pair) => pair.split(/=(.*)/s, 2)));
}
