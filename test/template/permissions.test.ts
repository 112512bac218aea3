/**
 * The functions of functions/, each with its own wire to the emulators, against the roles of the
 * template: whatever a function calls its role allows, and whatever a role allows is called, or has a
 * reason. What IAM itself makes of the policies is unproven without an account (docs/aws.md).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AwsSettings, dynamoClient, kinesisClient, s3Client } from '#aws/clients.ts';
import { openKinesisLog } from '#aws/log.ts';
import { openS3ObjectStore } from '#aws/object-store.ts';
import { openDynamoTable } from '#aws/table.ts';
import type { Collection } from '#catalog/collection.ts';
import { CollectionRows } from '#catalog/collections-rows.ts';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import type { HttpHandler } from '#runtime/http.ts';
import type { StreamHandler } from '#runtime/stream.ts';
import type { TimerHandler } from '#runtime/timer.ts';
import { readParked, swapParked } from '#wal/parked.ts';
import { objectPrefix, type ShardId } from '#wal/shard.ts';
import { createTable, startDynamo } from '../support/emulators/dynamo.ts';
import { createStream, startKinesis } from '../support/emulators/kinesis.ts';
import { EMULATOR_CREDENTIALS, startS3 } from '../support/emulators/s3.ts';
import { startSecrets } from '../support/emulators/secrets.ts';
import { packageStage } from './packaging.ts';
import { type Call, type Grant, grantsOf } from './policy.ts';
import { type Arns, type Recorder, startRecorder } from './recorder.ts';

const REGION = 'us-east-1';
const ARN = (service: string, rest: string) => `arn:aws:${service}:${REGION}:123456789012:${rest}`;
const ARNS: Arns = {
  table: (name) => ARN('dynamodb', `table/sterna-dev-${name}`),
  stream: ARN('kinesis', 'stream/sterna-dev-wal'),
  bucket: 'arn:aws:s3:::ObjectsBucket',
  secret: ARN('secretsmanager', 'secret:RootSecret-AbCdEf'),
};

/** Allowed, and not called below: why it is allowed all the same. */
const MISSING = 'S3 says of a missing object that it is missing only to who may list';
const GIVEN_UP = 'only after an upload of more than 16 MiB that failed';
const LOGS = 'asked for by the runtime, not by our code';
const POLLER = "asked for by Lambda's poller";
const SENDER = 'asked for by Lambda, with what failed';
const UNCALLED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  write: {
    's3:ListBucket bucket': MISSING,
    's3:AbortMultipartUpload objects': GIVEN_UP,
    'dynamodb:DeleteItem global': 'sweeps attempts that are older than 15 minutes',
    'secretsmanager:GetSecretValue secret': 'only by the first door that finds no root',
    'logs:CreateLogStream log': LOGS,
    'logs:PutLogEvents log': LOGS,
  },
  read: {
    's3:ListBucket bucket': MISSING,
    'logs:CreateLogStream log': LOGS,
    'logs:PutLogEvents log': LOGS,
  },
  admin: {
    's3:AbortMultipartUpload objects': GIVEN_UP,
    'dynamodb:DeleteItem global': 'sweeps attempts that are older than 15 minutes',
    'secretsmanager:GetSecretValue secret': 'only by the first door that finds no root',
    'logs:CreateLogStream log': LOGS,
    'logs:PutLogEvents log': LOGS,
  },
  apply: {
    's3:AbortMultipartUpload objects': GIVEN_UP,
    'kinesis:DescribeStream stream': POLLER,
    'kinesis:DescribeStreamSummary stream': POLLER,
    'kinesis:GetRecords stream': POLLER,
    'kinesis:GetShardIterator stream': POLLER,
    'kinesis:ListShards stream': POLLER,
    'sqs:SendMessage queue': SENDER,
    'logs:CreateLogStream log': LOGS,
    'logs:PutLogEvents log': LOGS,
  },
  compact: {
    's3:AbortMultipartUpload objects': GIVEN_UP,
    'sqs:SendMessage queue': SENDER,
    'logs:CreateLogStream log': LOGS,
    'logs:PutLogEvents log': LOGS,
  },
  collect: {
    's3:PutObject objects': 'only the manifest of a shard that is too large for its head row',
    'sqs:SendMessage queue': SENDER,
    'logs:CreateLogStream log': LOGS,
    'logs:PutLogEvents log': LOGS,
  },
  scrub: {
    'sqs:SendMessage queue': SENDER,
    'logs:CreateLogStream log': LOGS,
    'logs:PutLogEvents log': LOGS,
  },
};

const NAMES = ['write', 'read', 'admin', 'apply', 'compact', 'collect', 'scrub'] as const;
type Name = (typeof NAMES)[number];
type Door = 'write' | 'read' | 'admin';
type Scheduled = 'compact' | 'collect' | 'scrub';
type Handlers = Readonly<
  Record<Door, HttpHandler> & { apply: StreamHandler } & Record<
      Scheduled,
      TimerHandler<Readonly<{ failures: number }>>
    >
>;

const closing: (() => Promise<unknown>)[] = [];
const recorders = new Map<Name, readonly Recorder[]>();
let grants: ReadonlyMap<string, readonly Grant[]>;
let handlers: Handlers;
let settings: AwsSettings;
let regional: Table;
let global: Table;
let objects: ObjectStore;

beforeAll(async () => {
  const packaged = await packageStage({ stage: 'dev' });
  closing.push(packaged.remove);
  grants = grantsOf(packaged.template, REGION);
  const [s3, kinesis, dynamo, secrets] = await Promise.all([
    startS3(),
    startKinesis(),
    startDynamo(),
    startSecrets({ root: 'first-password' }),
  ]);
  closing.push(s3.close, kinesis.close, dynamo.close, secrets.close);
  const targets = {
    s3: s3.endpoint,
    kinesis: kinesis.endpoint,
    dynamodb: dynamo.endpoint,
    secretsmanager: secrets.endpoint,
  };
  settings = { region: REGION, credentials: EMULATOR_CREDENTIALS, endpoints: targets };
  await createStream(kinesisClient(settings), 'wal', 2);
  for (const name of ['regional', 'global']) await createTable(dynamoClient(settings), name);
  const world = { clock: openClock(), entropy: systemEntropy };
  const tableOf = (tableName: string) =>
    openDynamoTable({ client: dynamoClient(settings), tableName, ...world });
  regional = tableOf('regional');
  global = tableOf('global');
  const bucket = await s3.newBucket();
  objects = openS3ObjectStore({ client: s3Client(settings), bucket });
  const scratch = await mkdtemp(join(tmpdir(), 'sterna-permissions-'));
  closing.push(() => rm(scratch, { recursive: true, force: true }));
  const common = {
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: EMULATOR_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: EMULATOR_CREDENTIALS.secretAccessKey,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '3008',
    STERNA_BUCKET: bucket,
    STERNA_STREAM: 'wal',
    STERNA_REGIONAL_TABLE: 'regional',
    STERNA_GLOBAL_TABLE: 'global',
    STERNA_LOG_LEVEL: 'error',
    POWERTOOLS_METRICS_DISABLED: 'true',
  };
  handlers = await openHandlers(async (name) => {
    const own = await Promise.all(
      Object.entries(targets).map(async ([service, target]) => {
        const recorder = await startRecorder(target, ARNS);
        closing.push(recorder.close);
        return { service, recorder };
      }),
    );
    recorders.set(
      name,
      own.map(({ recorder }) => recorder),
    );
    const isDoor = name === 'write' || name === 'read' || name === 'admin';
    return {
      ...common,
      STERNA_SCRATCH: join(scratch, name),
      STERNA_ROOT_SECRET: isDoor ? (secrets.arns['root'] ?? '') : '',
      STERNA_AWS_ENDPOINTS: own
        .map(({ service, recorder }) => `${service}=${recorder.endpoint}`)
        .join(','),
    };
  });
}, 300_000);

afterAll(async () => {
  for (const close of closing.reverse()) await close();
});

/** The environment of a function is there while its engine is opened, with its first call. */
async function openHandlers(
  environmentOf: (name: Name) => Promise<Readonly<Record<string, string>>>,
): Promise<Handlers> {
  const [write, read, admin, apply, compact, collect, scrub] = await Promise.all([
    import('../../functions/write.ts'),
    import('../../functions/read.ts'),
    import('../../functions/admin.ts'),
    import('../../functions/apply.ts'),
    import('../../functions/compact.ts'),
    import('../../functions/collect.ts'),
    import('../../functions/scrub.ts'),
  ]);
  const opened: Handlers = {
    write: write.handler,
    read: read.handler,
    admin: admin.handler,
    apply: apply.handler,
    compact: compact.handler,
    collect: collect.handler,
    scrub: scrub.handler,
  };
  // Read is first: it is the one that may do least, and makes root all the same.
  for (const name of ['read', 'write', 'admin'] as const) {
    Object.assign(process.env, await environmentOf(name));
    await send(opened, name, 'collections/list', {});
  }
  Object.assign(process.env, await environmentOf('apply'));
  await opened.apply({ Records: [] });
  for (const name of ['compact', 'collect', 'scrub'] as const) {
    Object.assign(process.env, await environmentOf(name));
    await opened[name]({}, LONG);
  }
  return opened;
}

const LONG = { getRemainingTimeInMillis: () => 900_000 };

// biome-ignore lint/suspicious/noExplicitAny: assertions look into replies of many shapes
type Envelope = { code: number; data?: any };

async function send(
  of: Handlers,
  door: Door,
  verb: string,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<Envelope> {
  const rawPath = verb.startsWith('/') ? verb : `/v2/vectordb/${verb}`;
  const event = {
    rawPath,
    headers: {
      authorization: 'Bearer root:first-password',
      'content-type': 'application/json',
      ...headers,
    },
    requestContext: { requestId: 'permissions', http: { method: 'POST' } },
    body: JSON.stringify(body),
    isBase64Encoded: false,
  };
  const result = await of[door](event, {});
  return JSON.parse(result.body) as Envelope;
}

async function done(
  door: Door,
  verb: string,
  body: object,
  headers?: Readonly<Record<string, string>>,
) {
  const reply = await send(handlers, door, verb, body, headers);
  if (reply.code !== 0) throw new Error(`${verb}: ${JSON.stringify(reply)}`);
  return reply.data;
}

/** Delivers what the stream holds and was not delivered yet, as if it had arrived so long ago. */
type Pump = (ageMs?: number) => Promise<void>;

function openPump(): Pump {
  const world = { clock: openClock(), entropy: systemEntropy };
  const client = dynamoClient(settings);
  const checkpoints = openDynamoTable({ client, tableName: 'regional', ...world });
  const log = openKinesisLog({
    client: kinesisClient(settings),
    streamName: 'wal',
    checkpoints,
    ...world,
  });
  const after = new Map<string, string>();
  return async (ageMs = 0) => {
    for (const { name } of await log.streamShards()) {
      const from = after.get(name);
      const entries = await log.read(name, {
        ...(from === undefined ? {} : { after: from }),
        limit: 1_000,
      });
      if (entries.length === 0) continue;
      const Records = entries.map(({ sequence, partition, data, arrivalMs }) => ({
        kinesis: {
          sequenceNumber: sequence,
          partitionKey: partition,
          data: Buffer.from(data).toString('base64'),
          approximateArrivalTimestamp: (arrivalMs - ageMs) / 1000,
        },
      }));
      const { batchItemFailures } = await handlers.apply({ Records });
      if (batchItemFailures.length > 0) throw new Error('apply failed');
      after.set(name, entries.at(-1)?.sequence ?? '0');
    }
  };
}

/** Something that waits for apply, with apply beside it. */
async function whilePumping<T>(pump: Pump, work: Promise<T>): Promise<T> {
  let isOver = false;
  const end = work.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await pump();
    await Promise.race([end.catch(() => undefined), openClock().sleep(50)]);
  }
  return end;
}

const rows = (first: number, count: number) =>
  Array.from({ length: count }, (_, index) => ({
    id: first + index,
    vector: [Math.sin(first + index), Math.cos(first + index), index / 1000, 1],
    tag: index % 2 === 0 ? 'even' : 'odd',
  }));

/** Makes of a collection what a crash would have left: the next look-up tidies it up. */
async function leave(
  collectionId: number,
  state: Collection['state'],
  more: Partial<Collection> = {},
): Promise<void> {
  const content = new CollectionRows(global);
  const found = await content.read(collectionId);
  if (found === undefined) throw new Error(`no collection ${collectionId}`);
  expect(await content.swap({ ...found.collection, ...more, state }, found.version)).toBe(true);
}

const idOf = async (collectionName: string): Promise<number> =>
  Number((await done('admin', 'collections/describe', { collectionName })).collectionID);

async function runs(name: Scheduled): Promise<void> {
  expect(await handlers[name]({}, LONG), name).toMatchObject({ failures: 0 });
}

/** Each route once, every kind of write, and what runs in the background behind them. */
async function liveThrough(): Promise<void> {
  const pump = openPump();
  const collectionName = 'birds';
  const definition = { dimension: 4, metricType: 'L2' };
  await done('admin', 'collections/create', { collectionName, ...definition });
  await done('write', 'entities/insert', { collectionName, data: rows(0, 5) });
  await done(
    'write',
    'entities/insert',
    { collectionName, data: rows(0, 5_000) },
    { requestid: 'a' },
  );
  for (let first = 5_000; first < 5_020; first++) {
    await done('write', 'entities/upsert', { collectionName, data: rows(first, 1) });
    await pump();
  }
  // Partitions of attempts are looked through by one request in sixteen, by chance: at 200 requests
  // none does once in 400,000 runs.
  for (let attempt = 0; attempt < 200; attempt++) {
    await done(
      'write',
      'entities/upsert',
      { collectionName, data: rows(attempt, 1) },
      { requestid: `b${attempt}` },
    );
  }
  await whilePumping(pump, done('admin', 'collections/flush', { collectionName }));
  await done('write', 'entities/delete', { collectionName, filter: 'tag == "odd" and id > 4000' });
  await done('read', 'entities/query', {
    collectionName,
    filter: 'id < 10',
    outputFields: ['tag'],
  });
  await pump();
  for (let run = 0; run < 3; run++) {
    await runs('compact');
    await runs('collect');
  }
  await runs('scrub');
  await done('read', 'entities/search', { collectionName, data: [[0, 1, 0, 1]], limit: 3 });
  await done('read', 'entities/get', { collectionName, id: [42] });
  await done('admin', '/v2/clusters/inspect', { collectionName });
  await done('admin', 'collections/get_stats', { collectionName });
  await done('admin', 'collections/release', { collectionName });
  await done('admin', 'collections/load', { collectionName });
  await done('admin', 'indexes/list', { collectionName });
  await copyAndCut(pump, collectionName);
  await standStill(pump, definition);
  await collectLeft(pump, definition);
  await tidyUp(definition);
  await whilePumping(pump, done('admin', 'collections/drop', { collectionName }));
  const password = 'first-password';
  const change = { userName: 'root', password, newPassword: 'second-password' };
  await done('admin', 'users/update_password', change);
}

/** Snapshots, what is made of them, and what their pins are to compact. */
async function copyAndCut(pump: Pump, collectionName: string): Promise<void> {
  const awaited = (verb: string, body: object) => whilePumping(pump, done('admin', verb, body));
  const snapshot = { collectionName, snapshotName: 'first' };
  await awaited('snapshots/create', snapshot);
  await done('admin', 'snapshots/list', { collectionName });
  await done('admin', 'snapshots/describe', snapshot);
  const { pinId } = await done('admin', 'snapshots/pin', { ...snapshot, ttlSeconds: 60 });
  await done('admin', 'snapshots/unpin', { pinId });
  await awaited('snapshots/restore', {
    snapshotName: 'first',
    sourceCollectionName: collectionName,
    targetCollectionName: 'restored',
  });
  await done('admin', 'jobs/snapshot/list', {});
  await awaited('collections/clone', { collectionName, targetCollectionName: 'cloned' });
  const cloned = { collectionName: 'cloned' };
  await done('write', 'entities/insert', { ...cloned, data: rows(90_000, 5) });
  await pump();
  await done('read', 'entities/query', { ...cloned, filter: 'id >= 90000' });
  await runs('compact');
  await runs('scrub');
  await whilePumping(pump, done('admin', 'collections/truncate', cloned, { requestid: 'c' }));
  await done('admin', 'snapshots/drop', snapshot);
  await runs('collect');
}

/** A shard that stands still: tried again by compact, which goes on, and by hand, which sets it aside. */
async function standStill(pump: Pump, definition: object): Promise<void> {
  const collectionName = 'stuck';
  await done('admin', 'collections/create', { collectionName, ...definition });
  const shard = { collectionId: await idOf(collectionName), shard: 0 };
  const awayFrom = async (first: number): Promise<() => Promise<void>> => {
    await done('write', 'entities/insert', { collectionName, data: rows(first, 500) });
    const payload = (await objects.list(objectPrefix(shard, 'payload'), { limit: 10 })).at(-1);
    if (payload === undefined) throw new Error('no payload');
    const bytes = await objects.get(payload.key);
    await objects.delete([payload.key]);
    await done('write', 'entities/insert', { collectionName, data: rows(first + 500, 1) });
    // So old that nobody may acknowledge it any more, and one may set it aside.
    await pump(5 * 60_000);
    expect(await parkedAt(collectionName)).toMatchObject({ code: 'OBJECT_NOT_FOUND' });
    return () => objects.put(payload.key, bytes);
  };
  const putBack = await awayFrom(0);
  await replayNow(shard);
  await runs('compact');
  expect(await parkedAt(collectionName)).toMatchObject({ attempts: 1 });
  await putBack();
  await replayNow(shard);
  await runs('compact');
  expect(await parkedAt(collectionName)).toBeUndefined();
  await runs('collect');

  await awayFrom(1_000);
  const { sequence } = await parkedAt(collectionName);
  expect(await done('admin', '/v2/clusters/parked/replay', { collectionName })).toMatchObject([
    { state: 'parked' },
  ]);
  const record = { collectionName, shard: 0, sequence };
  const aside = await done('admin', '/v2/clusters/parked/set_aside', record);
  expect(aside).toMatchObject({ verdict: 'void', state: 'open' });
  const exported = { ...record, part: 'record' };
  await done('admin', '/v2/clusters/parked/export', exported);
  await done('admin', '/v2/clusters/scrub', {});
}

async function parkedAt(collectionName: string) {
  const [shown] = await done('admin', '/v2/clusters/parked/list', { collectionName });
  return shown?.parked;
}

/** As if the pause between two tries were over. */
async function replayNow(shard: ShardId): Promise<void> {
  const row = await readParked(regional, shard);
  if (row.parked === undefined) throw new Error('not parked');
  expect(await swapParked(regional, shard, row, { ...row.parked, nextReplayMs: 0 })).toBe(true);
}

/** Drops that broke off, and what is left of one that is over. */
async function collectLeft(pump: Pump, definition: object): Promise<void> {
  const collectionName = 'left';
  await done('admin', 'collections/create', { collectionName, ...definition });
  await done('write', 'entities/insert', { collectionName, data: rows(0, 500) });
  await pump();
  const collectionId = await idOf(collectionName);
  await leave(collectionId, 'dropping');
  await whilePumping(pump, runs('collect'));
  const has = await done('admin', 'collections/has', { collectionName });
  expect(has).toEqual({ has: false });
  await leave(collectionId, 'dropped', { droppedMs: 1 });
  await runs('collect');
  expect(await new CollectionRows(global).read(collectionId)).toBeUndefined();
}

/** Creations and drops that broke off, which whoever comes next ends. */
async function tidyUp(definition: object): Promise<void> {
  for (const door of ['read', 'write'] as const) {
    const collectionName = `broken_${door}`;
    await done('admin', 'collections/create', { collectionName, ...definition });
    const { collectionID } = await done('admin', 'collections/describe', { collectionName });
    const verb = door === 'read' ? 'entities/query' : 'entities/insert';
    const body = door === 'read' ? { filter: 'id > 0' } : { data: rows(0, 1) };
    await leave(Number(collectionID), 'creating');
    await done(door, verb, { collectionName, ...body });
    await leave(Number(collectionID), 'dropped');
    expect((await send(handlers, door, verb, { collectionName, ...body })).code).not.toBe(0);
  }
}

const callsOf = (name: Name): readonly Call[] =>
  (recorders.get(name) ?? []).flatMap(({ calls }) => calls());

/** `dynamodb:GetItem regional` */
function nameOf({ action, resource }: Readonly<{ action: string; resource: string }>): string {
  const kinds: readonly (readonly [RegExp, string])[] = [
    [/:s3:::\w+\/./, 'objects'],
    [/:s3:/, 'bucket'],
    [/regional$/, 'regional'],
    [/global$/, 'global'],
    [/:stream\//, 'stream'],
    [/:sqs:/, 'queue'],
    [/:secret:/, 'secret'],
    [/log-group/, 'log'],
  ];
  return `${action} ${kinds.find(([pattern]) => pattern.test(resource))?.[1] ?? resource}`;
}

test('each function may make the calls that it makes, and no others', async () => {
  await liveThrough();
  const refused: Record<string, readonly string[]> = {};
  const uncalled: Record<string, readonly string[]> = {};
  for (const name of NAMES) {
    const calls = callsOf(name);
    const own = grants.get(name) ?? [];
    expect(calls.length, name).toBeGreaterThan(3);
    const unallowed = calls.filter((call) => !own.some(({ allows }) => allows(call)));
    refused[name] = [
      ...new Set(unallowed.map((call) => `${nameOf(call)} ${call.leadingKeys ?? ''}`)),
    ];
    const idle = own.filter(({ allows }) => !calls.some(allows));
    uncalled[name] = idle.map(nameOf).sort();
  }
  expect(refused).toEqual(Object.fromEntries(NAMES.map((name) => [name, []])));
  const reasons = Object.entries(UNCALLED).map(([name, own]) => [name, Object.keys(own).sort()]);
  expect(uncalled).toEqual(Object.fromEntries(reasons));
}, 180_000);

test('the comparison would notice a call that a role does not allow', () => {
  const read = grants.get('read') ?? [];
  const may = (call: Call) => read.some(({ allows }) => allows(call));
  const table = ARNS.table('global');
  expect(may({ action: 's3:GetObject', resource: `${ARNS.bucket}/c1/a` })).toBe(true);
  expect(may({ action: 's3:PutObject', resource: `${ARNS.bucket}/c1/a` })).toBe(false);
  expect(may({ action: 's3:GetObject', resource: 'arn:aws:s3:::other/c1/a' })).toBe(false);
  expect(may({ action: 'kinesis:PutRecord', resource: ARNS.stream })).toBe(false);
  expect(may({ action: 'dynamodb:UpdateItem', resource: table, leadingKeys: ['users'] })).toBe(
    true,
  );
  expect(may({ action: 'dynamodb:UpdateItem', resource: table, leadingKeys: ['topology'] })).toBe(
    false,
  );
  expect(may({ action: 'dynamodb:DeleteItem', resource: table, leadingKeys: ['users'] })).toBe(
    false,
  );
  const regional = ARNS.table('regional');
  expect(may({ action: 'dynamodb:UpdateItem', resource: regional, leadingKeys: ['1-0'] })).toBe(
    false,
  );
});
