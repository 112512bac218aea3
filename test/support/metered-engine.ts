/**
 * One deployment on memory ports, its functions called through their own doors (`awsHttp`, `applyStream`,
 * the timers), each environment with counting ports of its own: so a test can say what an act costs,
 * cold or warm.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openAccess } from '#catalog/access.ts';
import type { LogEntry } from '#ports/log.ts';
import { type AwsEngine, awsHttp } from '#runtime/aws.ts';
import { collectTimer } from '#runtime/collect-timer.ts';
import { readAwsConfig } from '#runtime/config.ts';
import { openCore } from '#runtime/engine.ts';
import { readMemory } from '#runtime/memory.ts';
import { scrubTimer } from '#runtime/scrub-timer.ts';
import { applyStream } from '#runtime/stream.ts';
import { compactTimer } from '#runtime/timer.ts';
import { adminRoutes } from '#service/admin.ts';
import { readRoutes } from '#service/read.ts';
import { writeRoutes } from '#service/write.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryLog } from '#sim/memory-log.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { RecordingTelemetry } from '#sim/silent-telemetry.ts';
import {
  countingLog,
  countingObjects,
  countingTable,
  emptyTally,
  type Meter,
  stepsOf,
  type Tally,
} from './counting-ports.ts';

const PASSWORD = 'Milvus';
const MEMORY_MB = 4096;
/** Lambda's longest, so that no act is cut short. */
const INVOCATION_MS = 900_000;
/** Sleeps of the engine that pass while an act is metered: those that let other requests in. */
const PAUSE_MS_MAX = 10;
/** Turns of the event loop after which nothing is left to do but to wait for a port. */
const SETTLE_TURNS = 4;
/** Far more calls of ports than any act here waits for, and milliseconds than it computes. */
const WAITS_MAX = 20_000;

export type Deployment = Readonly<{
  clock: ManualClock;
  /** A fresh environment, in which any of the functions may be called. */
  environment(): Environment;
  close(): Promise<void>;
}>;

export type Environment = Readonly<{
  telemetry: RecordingTelemetry;
  /** A request as API Gateway hands it to the function of its route; the reply's text. */
  ask(verb: string, body: object, headers?: Readonly<Record<string, string>>): Promise<string>;
  /** Hands everything in the log since the last call to the function, as one batch. */
  apply(): Promise<void>;
  /** One run of a schedule. */
  run(name: Scheduled): Promise<void>;
  /** What `act` costs, and the longest chain of calls that waited for one another. */
  metered(act: () => Promise<unknown>): Promise<Tally>;
}>;

export type Scheduled = 'compact' | 'collect' | 'scrub';

type World = Readonly<{
  objects: MemoryObjectStore;
  log: MemoryLog;
  table: MemoryTable;
  global: MemoryTable;
  clock: ManualClock;
  entropy: SeededEntropy;
  scratchDir: string;
  /** What the event source has handed over. */
  delivered: { after: string | undefined };
}>;

export async function openDeployment(): Promise<Deployment> {
  const clock = new ManualClock();
  const world: World = {
    objects: new MemoryObjectStore(clock),
    log: new MemoryLog({ clock, entropy: new SeededEntropy('metered log') }),
    table: new MemoryTable(),
    global: new MemoryTable(),
    clock,
    entropy: new SeededEntropy('metered'),
    scratchDir: await mkdtemp(join(tmpdir(), 'sterna-metered-')),
    delivered: { after: undefined },
  };
  // The deployment's first request, which makes the user root, is no part of any act.
  await openAccess(world, PASSWORD);
  return {
    clock,
    environment: () => openEnvironment(world),
    close: () => rm(world.scratchDir, { recursive: true, force: true }),
  };
}

function openEnvironment(world: World): Environment {
  const { log, clock, delivered } = world;
  const meter: Meter = { tally: emptyTally(), clock: new ManualClock(0) };
  const telemetry = new RecordingTelemetry();
  const opened = openEngine(world, meter, telemetry);
  const engine = async () => opened;
  const http = awsHttp(
    (parts) => ({
      ...writeRoutes(parts),
      ...readRoutes(parts),
      ...adminRoutes(parts),
    }),
    engine,
  );
  const stream = applyStream(engine);
  const timers = {
    compact: compactTimer(engine),
    collect: collectTimer(engine),
    scrub: scrubTimer(engine),
  };
  const context = { getRemainingTimeInMillis: () => INVOCATION_MS };
  return {
    telemetry,
    async ask(verb, body, headers = {}) {
      const { body: reply } = await http(eventOf(verb, body, headers), context);
      if (!/^\{"code":0\b/.test(reply)) throw new Error(`${verb}: ${reply.slice(0, 300)}`);
      return reply;
    },
    async apply() {
      const entries = await readAll(log, delivered.after);
      delivered.after = entries.at(-1)?.sequence ?? delivered.after;
      const { batchItemFailures } = await stream({ Records: entries.map(recordOf) }, context);
      if (batchItemFailures.length > 0) throw new Error('a batch was not applied');
    },
    async run(name) {
      const { failures } = await timers[name]({}, context);
      if (failures > 0) throw new Error(JSON.stringify(telemetry.events.at(-1)));
    },
    async metered(act) {
      const before = { ...meter.tally };
      const startMs = meter.clock.nowMs();
      await passing(act, clock, meter.clock);
      const spent = { ...meter.tally };
      // The keys of a tally.
      for (const name of Object.keys(before) as (keyof Tally)[]) spent[name] -= before[name];
      return { ...spent, ...stepsOf(meter.clock.nowMs() - startMs) };
    },
  };
}

function openEngine(world: World, meter: Meter, telemetry: RecordingTelemetry): AwsEngine {
  const { clock, entropy, scratchDir } = world;
  const config = readAwsConfig({
    AWS_REGION: 'us-east-1',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: `${MEMORY_MB}`,
    STERNA_BUCKET: 'objects',
    STERNA_STREAM: 'wal',
    STERNA_REGIONAL_TABLE: 'regional',
    STERNA_GLOBAL_TABLE: 'global',
    STERNA_SCRATCH: scratchDir,
  });
  const core = openCore(
    {
      objects: countingObjects(world.objects, meter),
      log: countingLog(world.log, meter),
      table: countingTable(world.table, meter),
      global: countingTable(world.global, meter, true),
      clock,
      entropy,
      telemetry,
    },
    { scratchDir, graphsAreBuilt: true, ...readMemory(MEMORY_MB) },
  );
  return { ...core, config, settings: { region: config.region }, scratchDir, flush() {} };
}

const eventOf = (verb: string, body: object, headers: Readonly<Record<string, string>>) => ({
  rawPath: `/v2/vectordb/${verb}`,
  headers: { authorization: `Bearer root:${PASSWORD}`, ...headers },
  requestContext: { requestId: 'metered', http: { method: 'POST' } },
  body: JSON.stringify(body),
  isBase64Encoded: false,
});

async function readAll(log: MemoryLog, after: string | undefined): Promise<readonly LogEntry[]> {
  const [stream] = await log.streamShards();
  const from = after === undefined ? {} : { after };
  return log.read(stream?.name ?? '', { ...from, limit: 10_000 });
}

const recordOf = ({ sequence, partition, data, arrivalMs }: LogEntry) => ({
  kinesis: {
    sequenceNumber: sequence,
    partitionKey: partition,
    data: Buffer.from(data).toString('base64'),
    approximateArrivalTimestamp: arrivalMs / 1000,
  },
});

/** Lets the meter's clock go on whenever everybody waits for a port. */
async function passing(
  act: () => Promise<unknown>,
  clock: ManualClock,
  waits: ManualClock,
): Promise<void> {
  let over = false;
  const work = act().finally(() => {
    over = true;
  });
  for (let wait = 0; wait < WAITS_MAX && !over; wait++) {
    for (let turn = 0; turn < SETTLE_TURNS; turn++) await new Promise((go) => setImmediate(go));
    const nextMs = waits.nextWakeMs();
    const pauseMs = (clock.nextWakeMs() ?? Number.POSITIVE_INFINITY) - clock.nowMs();
    if (nextMs !== undefined) await waits.advance(nextMs - waits.nowMs());
    else if (pauseMs <= PAUSE_MS_MAX) await clock.advance(pauseMs);
    // Real work of another thread: a password's hash, a graph's file.
    else if (!over) await new Promise((go) => setTimeout(go, 1));
  }
  if (!over) throw new Error('an act did not end: it waits for something that is no port');
  await work;
}
