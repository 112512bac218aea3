/**
 * A deployment on this machine: what `serverless package` wrote, as the services would run it. Buckets,
 * streams, tables and secrets of the template in the emulators, functions as processes, API Gateway in
 * front of them, the event source mapping behind the stream, and the schedules.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateTableCommand, waitUntilTableExists } from '@aws-sdk/client-dynamodb';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import {
  type AwsSettings,
  dynamoClient as openDynamoClient,
  kinesisClient as openKinesisClient,
} from '#aws/clients.ts';
import { startDynamo } from '../emulators/dynamo.ts';
import { createStream, startKinesis } from '../emulators/kinesis.ts';
import { EMULATOR_CREDENTIALS, startS3 } from '../emulators/s3.ts';
import { startSecrets } from '../emulators/secrets.ts';
import { type EventSource, startEventSource } from './event-source.ts';
import type { FaultPlan } from './faults.ts';
import { startFront } from './front.ts';
import { LambdaFunction } from './function.ts';
import { type Schedule, startSchedule } from './schedules.ts';
import { ACCOUNT, type Deployment, type MadeResource, REGION, readDeployment } from './template.ts';
import { type CallWatch, startWatch } from './watch.ts';
import { unzip } from './zip.ts';

export type StackOptions = Readonly<{
  /** The folder that `serverless package --package` filled. */
  packageDir: string;
  /** A fault for each invocation, or none. */
  plan?: FaultPlan;
  /** Shards of the streams; default the template's. */
  shards?: number;
  /** Environments of each function at a time where the template reserves none; default 8. */
  concurrencyMax?: number;
  /** Added to every function's variables. */
  variables?: Readonly<Record<string, string>>;
  /** Milliseconds between the runs of every schedule; default: on demand alone. */
  scheduleEveryMs?: number;
  /** Between two looks at a stream shard; default 100. */
  pollMs?: number;
  /** Instead of the mapping's batching window. */
  windowMs?: number;
  /** Root's password; default `Milvus`, which is what clients in tests send. */
  rootPassword?: string;
  /** Other time limits than the template's, by function key. */
  timeoutMs?: Readonly<Record<string, number>>;
}>;

export type Stack = Readonly<{
  /** The HTTP API. */
  url: string;
  deployment: Deployment;
  /** By their keys in serverless.yml. */
  functions: Readonly<Record<string, LambdaFunction>>;
  eventSource: EventSource;
  /** By the rule's name, its logical id, or the key of its function. */
  schedule: (name: string) => Schedule;
  /** For clients of a test's own, straight to the emulators. */
  settings: AwsSettings;
  /** Every call of every function to the emulators. */
  watch: CallWatch;
  /** Name of the resource in the emulators, by logical id. */
  nameOf: (logicalId: string) => string;
  /** What all functions printed, for a test that failed. */
  log: () => string;
  close: () => Promise<void>;
}>;

const ROOT_PASSWORD = 'Milvus';
/** Each environment is a process; two cores and a few GB serve this many of each of five functions. */
const CONCURRENCY_MAX = 8;

export async function startStack(options: StackOptions): Promise<Stack> {
  const closers: Closers = [];
  const close = async (): Promise<void> => {
    // What feeds the functions first, then the functions, then what they talk to.
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    return { ...(await start(options, closers)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What they return is waited for. */
type Closers = (() => unknown)[];

async function start(options: StackOptions, closers: Closers): Promise<Omit<Stack, 'close'>> {
  const deployment = await readDeployment(options.packageDir);
  const emulators = await startEmulators(deployment, options, closers);
  const functions = await makeFunctions(deployment, options, emulators.watch, closers);
  const functionOf = (key: string): LambdaFunction => {
    const found = functions[key];
    if (found === undefined) throw new Error(`no function ${key}`);
    return found;
  };
  const { routes } = deployment;
  const front = await startFront(
    routes.map(({ routeKey, target, timeoutMs }) => ({
      routeKey,
      target: functionOf(target),
      timeoutMs,
    })),
  );
  closers.push(front.close);
  const eventSource = startSource(deployment, functionOf, emulators.settings, closers, options);
  const schedules = startSchedules(deployment, functionOf, options.scheduleEveryMs, closers);
  return {
    url: front.url,
    deployment,
    functions,
    eventSource,
    schedule: (name) => {
      const found = schedules.find(({ names }) => names.includes(name));
      if (found === undefined) throw new Error(`no schedule ${name}`);
      return found.schedule;
    },
    settings: emulators.settings,
    watch: emulators.watch,
    nameOf: (logicalId) => {
      const found = deployment.made.find((each) => each.logicalId === logicalId);
      if (found === undefined) throw new Error(`the template makes no ${logicalId}`);
      return found.identity.ref;
    },
    log: () =>
      Object.entries(functions)
        .map(([key, { log }]) => `== ${key}\n${log}`)
        .join('\n'),
  };
}

async function startEmulators(
  { made }: Deployment,
  { rootPassword = ROOT_PASSWORD, shards }: StackOptions,
  closers: Closers,
): Promise<Readonly<{ settings: AwsSettings; watch: CallWatch }>> {
  const ofType = (...types: string[]) => made.filter(({ type }) => types.includes(type));
  const s3 = await startS3();
  closers.push(s3.close);
  const kinesis = await startKinesis();
  closers.push(kinesis.close);
  const dynamo = await startDynamo();
  closers.push(dynamo.close);
  const secrets = await startSecrets(
    // The only secret that the template makes is root's password.
    Object.fromEntries(
      ofType('AWS::SecretsManager::Secret').map((each) => [secretName(each), rootPassword]),
    ),
  );
  closers.push(secrets.close);
  const targets = {
    s3: s3.endpoint,
    kinesis: kinesis.endpoint,
    dynamodb: dynamo.endpoint,
    secretsmanager: secrets.endpoint,
  };
  const watch = await startWatch(targets);
  closers.push(watch.close);
  const settings = { region: REGION, credentials: EMULATOR_CREDENTIALS, endpoints: targets };
  for (const { identity } of ofType('AWS::S3::Bucket')) {
    await s3.client.send(new CreateBucketCommand({ Bucket: identity.ref }));
  }
  const kinesisClient = openKinesisClient(settings);
  for (const { identity, properties } of ofType('AWS::Kinesis::Stream')) {
    await createStream(
      kinesisClient,
      identity.ref,
      shards ?? Number(properties['ShardCount'] ?? 1),
    );
  }
  kinesisClient.destroy();
  for (const table of ofType('AWS::DynamoDB::Table', 'AWS::DynamoDB::GlobalTable')) {
    await makeTable(settings, table);
  }
  return { settings, watch };
}

/** The ARN without what AWS adds to it. */
const secretName = ({ identity }: MadeResource): string =>
  (identity.ref.split(':').at(-1) ?? '').replace(/-AbCdEf$/, '');

/** With the keys that the template gives it. */
async function makeTable(
  settings: AwsSettings,
  { identity, properties }: MadeResource,
): Promise<void> {
  const client = openDynamoClient(settings);
  // CloudFormation's property has the shape of the API's parameter.
  const { KeySchema, AttributeDefinitions } = properties as Pick<
    ConstructorParameters<typeof CreateTableCommand>[0],
    'KeySchema' | 'AttributeDefinitions'
  >;
  await client.send(
    new CreateTableCommand({
      TableName: identity.ref,
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema,
      AttributeDefinitions,
    }),
  );
  await waitUntilTableExists(
    { client, minDelay: 1, maxDelay: 2, maxWaitTime: 120 },
    { TableName: identity.ref },
  );
  client.destroy();
}

async function makeFunctions(
  deployment: Deployment,
  options: StackOptions,
  watch: CallWatch,
  closers: Closers,
): Promise<Record<string, LambdaFunction>> {
  const dir = await mkdtemp(join(tmpdir(), 'sterna-stack-'));
  closers.push(() => rm(dir, { recursive: true, force: true }));
  const functions: Record<string, LambdaFunction> = {};
  for (const template of deployment.functions) {
    const codeDir = join(dir, 'code', template.key);
    await unzip(template.zip, codeDir);
    const made = new LambdaFunction({
      name: template.name,
      codeDir,
      handler: template.handler,
      memoryMb: template.memoryMb,
      timeoutMs: options.timeoutMs?.[template.key] ?? template.timeoutMs,
      variables: { ...template.variables, ...options.variables },
      scratchRoot: join(dir, 'tmp'),
      concurrencyMax: template.concurrencyMax ?? options.concurrencyMax ?? CONCURRENCY_MAX,
      region: REGION,
      credentials: EMULATOR_CREDENTIALS,
      watch,
      ...(options.plan === undefined ? {} : { plan: options.plan }),
    });
    closers.push(() => made.close());
    functions[template.key] = made;
  }
  return functions;
}

function startSource(
  { eventSources, made }: Deployment,
  functionOf: (key: string) => LambdaFunction,
  settings: AwsSettings,
  closers: Closers,
  { pollMs, windowMs }: StackOptions,
): EventSource {
  const [source, ...others] = eventSources;
  if (source === undefined || others.length > 0) {
    throw new Error(`${eventSources.length} event source mappings, expected one`);
  }
  const stream = made.find(({ logicalId }) => logicalId === source.stream);
  if (stream === undefined) throw new Error(`the template makes no ${source.stream}`);
  const client = openKinesisClient(settings);
  closers.push(() => client.destroy());
  const eventSource = startEventSource({
    client,
    streamName: stream.identity.ref,
    names: {
      region: REGION,
      streamArn: stream.identity.attributes['Arn'] ?? '',
      roleArn: `arn:aws:iam::${ACCOUNT}:role/${source.target}`,
    },
    target: functionOf(source.target),
    mapping: source.properties,
    ...(pollMs === undefined ? {} : { pollMs }),
    ...(windowMs === undefined ? {} : { windowMs }),
  });
  closers.push(() => eventSource.close());
  return eventSource;
}

function startSchedules(
  { schedules }: Deployment,
  functionOf: (key: string) => LambdaFunction,
  everyMs: number = Number.POSITIVE_INFINITY,
  closers: Closers,
) {
  return schedules.map(({ name, expression, target, input }) => {
    if (input !== undefined) throw new Error(`${name}: an input of its own is not known here`);
    const schedule = startSchedule({ name, expression, target: functionOf(target), everyMs });
    closers.push(() => schedule.close());
    return { names: [name, target], schedule };
  });
}
