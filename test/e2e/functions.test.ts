/**
 * The handlers of functions/ in one process, against the emulators over real HTTP: the same engine on
 * S3, Kinesis and DynamoDB. A small pump does what the event source does: it delivers what the stream
 * holds, in order, each batch twice, and goes on from the first failure that the handler names.
 */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AwsSettings, dynamoClient, kinesisClient } from '#aws/clients.ts';
import { openKinesisLog } from '#aws/log.ts';
import { openDynamoTable } from '#aws/table.ts';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import type { HttpEvent, HttpHandler } from '#runtime/http.ts';
import type { KinesisEvent, StreamHandler } from '#runtime/stream.ts';
import type { TimerHandler } from '#runtime/timer.ts';
import { createTable, startDynamo } from '../support/emulators/dynamo.ts';
import { createStream, startKinesis } from '../support/emulators/kinesis.ts';
import { EMULATOR_CREDENTIALS, startS3 } from '../support/emulators/s3.ts';
import { type SecretsEmulator, startSecrets } from '../support/emulators/secrets.ts';

type Doors = Readonly<{ write: HttpHandler; read: HttpHandler; admin: HttpHandler }>;
// biome-ignore lint/suspicious/noExplicitAny: assertions look into replies of many shapes
type Envelope = { code: number; data?: any; [field: string]: any };

/** As CloudFormation generates it: any printable characters. */
const PASSWORD = 'a:b"c d$e%f/1234567890';

const closing: (() => Promise<unknown>)[] = [];
const scratchDir = await mkdtemp(join(tmpdir(), 'sterna-functions-'));
closing.push(() => rm(scratchDir, { recursive: true, force: true }));
let doors: Doors;
let apply: StreamHandler;
let compact: TimerHandler;
let secrets: SecretsEmulator;
let pumping = true;
let pump: Promise<void>;

beforeAll(async () => {
  const [s3, kinesis, dynamo] = await Promise.all([startS3(), startKinesis(), startDynamo()]);
  secrets = await startSecrets({ root: PASSWORD });
  closing.push(s3.close, kinesis.close, dynamo.close, secrets.close);
  const settings: AwsSettings = {
    region: 'us-east-1',
    credentials: EMULATOR_CREDENTIALS,
    endpoints: { s3: s3.endpoint, kinesis: kinesis.endpoint, dynamodb: dynamo.endpoint },
  };
  await createStream(kinesisClient(settings), 'wal', 2);
  for (const name of ['regional', 'global']) await createTable(dynamoClient(settings), name);
  Object.assign(process.env, {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: EMULATOR_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: EMULATOR_CREDENTIALS.secretAccessKey,
    STERNA_BUCKET: await s3.newBucket(),
    STERNA_STREAM: 'wal',
    STERNA_REGIONAL_TABLE: 'regional',
    STERNA_GLOBAL_TABLE: 'global',
    STERNA_ROOT_SECRET: secrets.arns['root'],
    STERNA_LOG_LEVEL: 'error',
    STERNA_SCRATCH: scratchDir,
    STERNA_AWS_ENDPOINTS: `s3=${s3.endpoint},kinesis=${kinesis.endpoint},dynamodb=${dynamo.endpoint},secretsmanager=${secrets.endpoint}`,
  });
  // As a run leaves it that was stopped in the midst of a build.
  await writeFile(join(scratchDir, 'graph'), 'half');
  // Loaded only now, as a function's modules are after its environment is there.
  const [write, read, admin, applying, compacting] = await Promise.all([
    import('../../functions/write.ts'),
    import('../../functions/read.ts'),
    import('../../functions/admin.ts'),
    import('../../functions/apply.ts'),
    import('../../functions/compact.ts'),
  ]);
  doors = { write: write.handler, read: read.handler, admin: admin.handler };
  apply = applying.handler;
  compact = compacting.handler;
  pump = runPump(settings);
}, 120_000);

afterAll(async () => {
  pumping = false;
  await pump;
  for (const close of closing) await close();
});

async function runPump(settings: AwsSettings): Promise<void> {
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
  while (pumping) {
    for (const { name } of await log.streamShards()) {
      const from = after.get(name);
      const entries = await log.read(name, {
        ...(from === undefined ? {} : { after: from }),
        limit: 100,
      });
      if (entries.length === 0) continue;
      const event: KinesisEvent = {
        Records: entries.map(({ sequence, partition, data, arrivalMs }) => ({
          kinesis: {
            sequenceNumber: sequence,
            partitionKey: partition,
            data: Buffer.from(data).toString('base64'),
            approximateArrivalTimestamp: arrivalMs / 1000,
          },
        })),
      };
      await apply(event);
      const { batchItemFailures } = await apply(event);
      const failed = batchItemFailures[0]?.itemIdentifier;
      const done =
        failed === undefined
          ? entries.length
          : entries.findIndex(({ sequence }) => sequence === failed);
      const last = entries[done - 1];
      if (last !== undefined) after.set(name, last.sequence);
    }
    await world.clock.sleep(250);
  }
}

async function call(door: keyof Doors, verb: string, body: object): Promise<Envelope> {
  const event: HttpEvent = {
    rawPath: `/v2/vectordb/${verb}`,
    headers: { authorization: `Bearer root:${PASSWORD}`, 'content-type': 'application/json' },
    requestContext: { requestId: 'e2e', http: { method: 'POST' } },
    body: Buffer.from(JSON.stringify(body)).toString('base64'),
    isBase64Encoded: true,
  };
  const result = await doors[door](event, {});
  expect(result.statusCode).toBe(200);
  const reply = JSON.parse(result.body) as Envelope;
  if (reply.code !== 0) throw new Error(`${verb}: ${result.body}`);
  return reply;
}

const collectionName = 'birds';
const rows = (first: number, count: number) =>
  Array.from({ length: count }, (_, index) => ({
    id: first + index,
    vector: [Math.sin(first + index), Math.cos(first + index), (first + index) / 1000, 1],
    tag: (first + index) % 2 === 0 ? 'even' : 'odd',
  }));
const count = async (): Promise<number> =>
  (await call('read', 'entities/query', { collectionName, outputFields: ['count(*)'] })).data[0][
    'count(*)'
  ];

test('write, read, apply, compact and drop through the handlers', async () => {
  await call('admin', 'collections/create', { collectionName, dimension: 4, metricType: 'L2' });

  expect(await readdir(scratchDir)).toEqual([]);

  // Visible through the tail before anything is applied, inline and as an object.
  const first = await call('write', 'entities/insert', { collectionName, data: rows(0, 10) });
  expect(first.data.insertCount).toBe(10);
  await call('write', 'entities/upsert', { collectionName, data: rows(0, 600) });
  expect(await count()).toBe(600);

  const near = await call('read', 'entities/search', {
    collectionName,
    data: [rows(42, 1)[0]?.vector],
    limit: 3,
    filter: 'tag == "even"',
    outputFields: ['tag'],
    token: first['token'],
  });
  expect(near.data[0]).toMatchObject({ id: 42, distance: 0, tag: 'even' });

  const gone = await call('write', 'entities/delete', { collectionName, filter: 'tag == "odd"' });
  expect(gone.data.deleteCount).toBe(300);
  expect(await count()).toBe(300);

  // Applied and compacted it is the same, and nothing is left in the tail.
  await call('admin', 'collections/flush', { collectionName });
  const report = await compact({}, { getRemainingTimeInMillis: () => 900_000 });
  expect(report).toMatchObject({ failures: 0, complete: true });
  expect(await count()).toBe(300);
  const [inspected] = (await inspect()).data;
  expect(inspected.shards[0]).toMatchObject({
    tailRows: 0,
    sumHeld: expect.stringMatching(/^[0-9a-f]{64}$/),
  });

  // The password was asked for where there was no root yet, by whichever door came first.
  expect(secrets.calls()).toBe(1);

  await call('admin', 'collections/drop', { collectionName });
  expect((await call('admin', 'collections/has', { collectionName })).data).toEqual({ has: false });
}, 120_000);

async function inspect(): Promise<Envelope> {
  const result = await doors.admin(
    {
      rawPath: '/v2/clusters/inspect',
      headers: { authorization: `Bearer root:${PASSWORD}` },
      requestContext: { requestId: 'e2e', http: { method: 'POST' } },
      body: JSON.stringify({ collectionName }),
      isBase64Encoded: false,
    },
    {},
  );
  return JSON.parse(result.body) as Envelope;
}
