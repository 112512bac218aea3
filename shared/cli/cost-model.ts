/**
 * A month on AWS, line by line: quantities from the metered counts, times and sizes, dollars from the
 * one table of prices. Pure: a workload in, lines out.
 */
import { StoreError } from '#base/errors.ts';
import { allowancesOf, Bill, GB, type Line, lineOf, type Saving } from './cost-bill.ts';
import {
  ACCESS_LOG_BYTES,
  ACTS,
  addRequests,
  applyOf,
  INVOCATION_LOG_BYTES,
  insertOf,
  LARGE_MANIFEST,
  METRICS_LOG_BYTES,
  REQUEST_ID,
  type Requests,
  SEARCH_REPLY_BYTES,
  TEXT_BYTES_PER_COMPONENT,
} from './cost-counts.ts';
import {
  type Architecture,
  DEPLOYMENT,
  graphBytes,
  indexMs,
  insertMs,
  loadSeconds,
  MEASURED,
  memoryFor,
  PIECE_BYTES,
  SCRUB_HOURS,
  SCRUB_PIECE_BYTES,
  START_MS,
  scrubMs,
  searchMs,
  segmentsOf,
  storedBytes,
  stretchedMs,
  type Waits,
  waitingMs,
} from './cost-time.ts';

export type Workload = Readonly<{
  /** In all collections together. */
  rows: number;
  dim: number;
  writesPerMonth: number;
  rowsPerWrite: number;
  queriesPerMonth: number;
  regions: number;
  collections: number;
  /** Of each collection. */
  shards: number;
  /** Undefined: the stream is on demand. */
  streamShards: number | undefined;
  retentionHours: number;
  /** Of the function that reads; undefined: the template's, or more where the graphs need it. */
  memoryMb: number | undefined;
  architecture: Architecture;
  waits: Waits;
  /** Environments of the function that reads which start empty in a month. */
  freshEnvironments: number;
  /** Whether clients send a `RequestId` with each write. */
  requestIds: boolean;
  alarms: boolean;
  dashboard: boolean;
}>;

export type Month = Readonly<{
  lines: readonly Line[];
  /** A key of the customer's own, which is a choice. */
  apart: readonly Line[];
  total: number;
  /** What the permanent allowances of an account would take off, by price. */
  allowances: readonly Saving[];
  afterAllowances: number;
  facts: Readonly<{
    segmentsPerSearch: number;
    searchEngineMs: number;
    searchMs: number;
    memoryMb: number;
    memoryNeededMb: number;
    workers: number;
    /** Of a query: its requests, time, reads, log and reply. */
    dollarsPerMillionQueries: number;
    /** What querying costs besides, however often: metrics, credentials, environments that start empty. */
    dollarsOfQuerying: number;
  }>;
}>;

const HOURS = 730;
const MINUTES = HOURS * 60;
const SECONDS = MINUTES * 60;
/** An HTTP API counts a request once for each 512 KB of it. */
const HTTP_UNIT_BYTES = 512 * 1024;
const BODY_BYTES_MAX = 6 * 1024 * 1024;
/** Credentials are believed for so long (`catalog/access`). */
const BELIEVED_SECONDS = 10;
/** Rows of tables for each shard: head, gate and a few of the tail. */
const SHARD_TABLE_BYTES = 16 * 1024;
/** Kinesis asks KMS for a data key about every five minutes for each role that uses the stream. */
const KMS_MINUTES = 5;
/** Assumed: as long Lambda keeps an environment that is used each minute. */
const ENVIRONMENT_HOURS = 2;
const STREAM_ROLES = 2;
/** Custom metrics of a door that answers (`http_request_duration_ms`), and of apply and compact together. */
const METRICS_OF_DOOR = 1;
const METRICS_OF_APPLY = 2;

/** @throws StoreError `TOO_LARGE` for a write that Lambda does not take */
export function costOf(workload: Workload): Month {
  const bill = new Bill(workload.architecture);
  const read = readerOf(workload);
  for (let region = 1; region <= workload.regions; region++) {
    const where = workload.regions === 1 ? '' : ` (region ${region})`;
    chargeStanding(bill, workload, where);
    chargeIdle(bill, workload, where);
    chargeStorage(bill, workload, where);
  }
  chargeWrites(bill, workload);
  const written = bill.total;
  chargeQueries(bill, workload, read);
  const queried = bill.total;
  chargeReadiness(bill, workload, read);
  const lines = bill.lines;
  const allowances = allowancesOf(lines);
  const free = allowances.reduce((sum, { dollars }) => sum + dollars, 0);
  const total = bill.total;
  return {
    lines,
    apart: [lineOf('KMS', 'a key of your own, if you want one', workload.regions, 'kmsKey')],
    total,
    allowances,
    afterAllowances: total - free,
    facts: {
      ...read,
      dollarsPerMillionQueries:
        workload.queriesPerMonth === 0 ? 0 : ((queried - written) / workload.queriesPerMonth) * 1e6,
      dollarsOfQuerying: total - queried,
    },
  };
}

function chargeStanding(bill: Bill, workload: Workload, where: string): void {
  const { streamShards, retentionHours, alarms, dashboard } = workload;
  if (streamShards === undefined) {
    bill.add('Kinesis', `stream on demand${where}`, HOURS, 'streamHour');
  } else {
    bill.add('Kinesis', `stream shards${where}`, streamShards * HOURS, 'shardHour');
    const kept = retentionHours > DEPLOYMENT.retentionHours ? streamShards * HOURS : 0;
    bill.add('Kinesis', `records kept ${retentionHours} h${where}`, kept, 'retentionHour');
  }
  const dataKeys = (MINUTES / KMS_MINUTES) * STREAM_ROLES;
  bill.add('KMS', `data keys of the stream${where}`, dataKeys, 'kmsRequest');
  bill.add('Secrets Manager', `first password of root${where}`, 1, 'secret');
  const metrics = alarms ? DEPLOYMENT.alarmMetrics : 0;
  bill.add('CloudWatch', `${DEPLOYMENT.alarms} alarms${where}`, metrics, 'alarm');
  bill.add('CloudWatch', `dashboard${where}`, dashboard ? 1 : 0, 'dashboard');
}

const shardsOf = ({ collections, shards }: Workload): number => collections * shards;

/** The runs of the schedules, also where there is nothing to do. */
function chargeIdle(bill: Bill, workload: Workload, where: string): void {
  const purpose = `looking for work${where}`;
  const charge = (name: keyof typeof DEPLOYMENT.runs, run: Requests, shard: Requests): void => {
    const runs = HOURS * DEPLOYMENT.runs[name];
    const each = addRequests(run, shard, shardsOf(workload));
    const scratchMb = name === 'compact' ? DEPLOYMENT.scratchMb.compact : 0;
    const memoryMb = DEPLOYMENT.memoryMb[name];
    bill.invoke(purpose, runs, waitingMs(each, workload.waits), memoryMb, scratchMb);
    const starts = name === 'compact' ? HOURS / ENVIRONMENT_HOURS : runs;
    bill.spend(purpose, starts, START_MS, memoryMb, scratchMb);
    bill.ask(purpose, runs, each);
    bill.log(purpose, runs, INVOCATION_LOG_BYTES);
  };
  charge('compact', ACTS.compactRun, ACTS.compactShard);
  charge('collect', ACTS.collectRun, ACTS.collectShard);
  charge('scrub', ACTS.scrubRun, ACTS.scrubShard);
  // Once a day each shard is looked around all the same.
  bill.ask(purpose, (HOURS / 24) * shardsOf(workload), ACTS.collectLook);
}

function chargeStorage(bill: Bill, workload: Workload, where: string): void {
  const { rows, dim } = workload;
  bill.add('S3', `segments and graphs${where}`, storedBytes(rows, dim) / GB, 's3Storage');
  const tables = (shardsOf(workload) * SHARD_TABLE_BYTES) / GB;
  bill.add('DynamoDB', `tables${where}`, tables, 'tableStorage');
  bill.add('DynamoDB', `point-in-time recovery${where}`, tables, 'tableRecovery');
  const passes = HOURS / SCRUB_HOURS;
  const bytes = storedBytes(rows, dim);
  bill.add('S3', `proving it${where}`, (passes * bytes) / SCRUB_PIECE_BYTES, 's3Read');
  bill.spend(`proving it${where}`, passes, scrubMs(bytes), DEPLOYMENT.memoryMb.scrub, 0);
}

function chargeWrites(bill: Bill, workload: Workload): void {
  const { writesPerMonth, rowsPerWrite, dim, waits, regions } = workload;
  if (writesPerMonth === 0) return;
  const bodyBytes = rowsPerWrite * dim * TEXT_BYTES_PER_COMPONENT;
  if (bodyBytes > BODY_BYTES_MAX) {
    const most = Math.floor(BODY_BYTES_MAX / (dim * TEXT_BYTES_PER_COMPONENT));
    throw new StoreError(
      'TOO_LARGE',
      `a write of ${rowsPerWrite} rows of ${dim} dimensions is about ${Math.ceil(bodyBytes / 1e6)} MB of JSON; a function takes 6 MB, so at most ${most} rows`,
    );
  }
  const { records, write } = recordsOf(workload);
  bill.add(
    'HTTP API',
    'writes',
    writesPerMonth * Math.ceil(bodyBytes / HTTP_UNIT_BYTES),
    'httpRequest',
  );
  const identified = workload.requestIds ? 1 : 0;
  const steps = addRequests(write, REQUEST_ID, identified);
  const engineMs = stretchedMs(insertMs(rowsPerWrite, dim), DEPLOYMENT.memoryMb.write);
  const writeMs = engineMs + waitingMs(steps, waits);
  bill.invoke('writes', writesPerMonth, writeMs, DEPLOYMENT.memoryMb.write);
  bill.ask('writes', writesPerMonth, steps);
  const price = regions === 1 ? 'tableWrite' : 'replicatedWrite';
  bill.add('DynamoDB', 'RequestIds', writesPerMonth * steps.globalWriteUnits * regions, price);
  chargeStream(bill, workload, records, write);
  bill.log('writes', writesPerMonth, REQUEST_LOG_BYTES);
  bill.add('CloudWatch', 'writes: metrics', METRICS_OF_DOOR + METRICS_OF_APPLY, 'metric');
  chargeApply(bill, workload, records);
  chargeMerging(bill, workload, records);
  if (regions > 1) {
    const copied = (writesPerMonth * rowsPerWrite * dim * 4 * (regions - 1)) / GB;
    bill.add('Data transfer', 'payloads to the other regions', copied, 'transferBetween');
    bill.add('S3', 'payloads in the other regions', records * (regions - 1), 's3Write');
  }
}

function chargeApply(bill: Bill, workload: Workload, records: number): void {
  const { writesPerMonth, rowsPerWrite, dim, waits } = workload;
  const batches = batchesOf(workload, records);
  const perRecord = (writesPerMonth * rowsPerWrite) / records;
  const each = addRequests(applyOf(Math.max(1, Math.round(perRecord)), dim), LARGE_MANIFEST);
  const calls = Math.min(records, callsOf(workload));
  bill.invoke('apply', calls, waitingMs(each, waits), DEPLOYMENT.memoryMb.apply);
  bill.ask('apply', batches, each);
  bill.log('apply', calls, INVOCATION_LOG_BYTES + METRICS_LOG_BYTES);
}

/** Within the runs of the schedule, which are charged as they are. */
function chargeMerging(bill: Bill, workload: Workload, records: number): void {
  const { writesPerMonth, rowsPerWrite, dim, waits, architecture } = workload;
  const batches = batchesOf(workload, records);
  const rows = writesPerMonth * rowsPerWrite;
  const { runs } = DEPLOYMENT;
  const merges = Math.min(batches, shardsOf(workload) * HOURS * runs.compact);
  const looks = Math.min(batches, shardsOf(workload) * HOURS * runs.collect);
  bill.ask('collecting', looks, ACTS.collectLook);
  bill.ask('merging', merges, ACTS.merge);
  const mergeMs = waitingMs(ACTS.merge, waits) + indexMs(rows / merges, dim, architecture);
  bill.spend(
    'merging and graphs',
    merges,
    mergeMs,
    DEPLOYMENT.memoryMb.compact,
    DEPLOYMENT.scratchMb.compact,
  );
}

const REQUEST_LOG_BYTES = METRICS_LOG_BYTES + INVOCATION_LOG_BYTES + ACCESS_LOG_BYTES;

/** Records that a month's writes become, and what one write asks for over all shards it touches. */
function recordsOf({ writesPerMonth, rowsPerWrite, shards, dim }: Workload): Readonly<{
  records: number;
  write: Requests;
}> {
  // Rows go to shards by their keys' hashes: the expected number of shards that k rows touch.
  const parts = shards * (1 - (1 - 1 / shards) ** rowsPerWrite);
  const part = insertOf(Math.max(1, Math.round(rowsPerWrite / parts)), dim);
  const { globalReadUnits, tableSteps, objectSteps, logSteps } = part;
  const all = addRequests(part, part, parts - 1);
  // The catalog is asked once, and the parts wait side by side.
  return {
    records: writesPerMonth * parts,
    write: { ...all, globalReadUnits, tableSteps, objectSteps, logSteps },
  };
}

function chargeStream(bill: Bill, workload: Workload, records: number, write: Requests): void {
  const { writesPerMonth, streamShards } = workload;
  if (streamShards !== undefined) {
    const units = writesPerMonth * write.streamUnits;
    bill.add('Kinesis', 'writes: payload units', units, 'payloadUnit');
    return;
  }
  const gigabytes = (writesPerMonth * write.streamKb) / 1e6;
  bill.add('Kinesis', 'writes: data in', gigabytes, 'streamIn');
  bill.add('Kinesis', `apply: data out of ${Math.round(records)} records`, gigabytes, 'streamOut');
}

/** Batches of the event source in a month that never rests. */
const callsOf = ({ streamShards = 1 }: Workload): number =>
  (streamShards * SECONDS) / DEPLOYMENT.batchSeconds;

/** Level-0 segments: at most one a second and shard. */
const batchesOf = (workload: Workload, records: number): number =>
  Math.min(records, (shardsOf(workload) * SECONDS) / DEPLOYMENT.batchSeconds);

type ReadFacts = Omit<Month['facts'], 'dollarsPerMillionQueries' | 'dollarsOfQuerying'>;

function readerOf(workload: Workload): ReadFacts {
  const { rows, dim, collections, shards, architecture, memoryMb, waits } = workload;
  const inCollection = rows / collections;
  const segments = segmentsOf(inCollection / shards, shards);
  const needed = memoryFor(graphBytes(rows, dim));
  const { workers } = needed;
  const memory = memoryMb ?? Math.max(DEPLOYMENT.memoryMb.read, needed.memoryMb);
  const engineMs = stretchedMs(
    searchMs(inCollection / workers, dim, Math.ceil(segments / workers), architecture),
    memory,
  );
  return {
    segmentsPerSearch: segments,
    searchEngineMs: engineMs,
    searchMs: engineMs + waitingMs(ACTS.search, waits),
    memoryMb: memory,
    memoryNeededMb: needed.memoryMb,
    workers,
  };
}

function chargeQueries(bill: Bill, workload: Workload, read: ReadFacts): void {
  const { queriesPerMonth: queries, shards } = workload;
  if (queries === 0) return;
  const { scratchMb } = DEPLOYMENT;
  bill.add('HTTP API', 'queries', queries, 'httpRequest');
  bill.invoke('queries', queries * read.workers, read.searchMs, read.memoryMb, scratchMb.read);
  bill.ask('queries', queries, { ...ACTS.search, readUnits: ACTS.search.readUnits * shards });
  bill.log('queries', queries, REQUEST_LOG_BYTES);
  bill.add('Data transfer', 'replies', (queries * SEARCH_REPLY_BYTES) / GB, 'transferOut');
}

/** What is paid to answer at once, however many queries there are. */
function chargeReadiness(bill: Bill, workload: Workload, read: ReadFacts): void {
  const { queriesPerMonth: queries, rows, dim, freshEnvironments } = workload;
  if (queries === 0) return;
  const { records } = recordsOf(workload);
  const news = Math.min(queries, batchesOf(workload, records));
  const extra = ACTS.searchAfterApply.s3Reads - ACTS.search.s3Reads;
  bill.add('S3', 'queries: what apply made', news * extra, 's3Read');
  const looks = Math.min(queries, SECONDS / BELIEVED_SECONDS);
  bill.ask('credentials', looks, ACTS.verifyPassword);
  bill.add('CloudWatch', 'queries: metrics', METRICS_OF_DOOR, 'metric');
  const bytes = graphBytes(rows, dim);
  const coldMs = loadSeconds(bytes / read.workers) * 1000 + MEASURED.passwordVerified;
  const fresh = Math.min(queries, freshEnvironments);
  const scratchMb = DEPLOYMENT.scratchMb.read;
  bill.invoke('fresh environments', fresh * read.workers, coldMs, read.memoryMb, scratchMb);
  bill.add('S3', 'fresh environments: GET', fresh * Math.ceil(bytes / PIECE_BYTES), 's3Read');
}
