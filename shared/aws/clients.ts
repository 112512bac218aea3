/**
 * The only place that builds a client of an AWS service: endpoints, credentials, sockets, timeouts
 * and hidden retries are decided here, and nothing is read from the environment.
 */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { KinesisClient } from '@aws-sdk/client-kinesis';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { S3Client } from '@aws-sdk/client-s3';
import { BoundedHandler } from './bounded-handler.ts';
import { ownAttempts } from './retries.ts';

export type AwsName = 's3' | 'kinesis' | 'dynamodb' | 'lambda' | 'secretsmanager';

/**
 * `credentials`: default is the SDK's own chain (the role of a function, a profile of a user).
 * `endpoints`: URL per service instead of AWS's own, for emulators and private endpoints.
 * `waits`: other waits than {@link WAITS}, per service.
 */
export type AwsSettings = Readonly<{
  region: string;
  credentials?: AwsCredentials;
  endpoints?: Readonly<Partial<Record<AwsName, string>>>;
  waits?: Readonly<Partial<Record<AwsName, Partial<Waits>>>>;
}>;

export type AwsCredentials = Readonly<{
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}>;

/**
 * `connectMs`: until a socket is connected. `idleMs`: without a byte in either direction, also in
 * the midst of a body. `answerMs`: from sending until the answer begins. `attempts`: calls in all
 * that one `send` may become, with the SDK's pauses in between.
 */
export type Waits = Readonly<{
  connectMs: number;
  idleMs: number;
  answerMs: number;
  attempts: number;
}>;

/**
 * S3 and Secrets Manager are retried by the SDK: each call that we make may be repeated without harm.
 * A repeated PutRecord is a second record, and a repeated conditional write fails on its own first
 * effect, so both are asked once and their callers decide. An Invoke may take Lambda's 15 minutes.
 *
 * DynamoDB answers in 0.01 s, across regions in 0.2 s; a read is asked five times at most
 * (`table.ts`), 15 s in all, which leaves as much of the 30 s that a request may take.
 * S3 answers in 0.1 s, rarely in 10 s; three attempts of 10 s stay within a function's 60 s.
 * Secrets Manager is asked once in the life of a deployment, by a request that waits: 9 s at most.
 */
export const WAITS = {
  s3: { connectMs: 2_000, idleMs: 10_000, answerMs: 60_000, attempts: 3 },
  kinesis: { connectMs: 2_000, idleMs: 10_000, answerMs: 10_000, attempts: 1 },
  dynamodb: { connectMs: 2_000, idleMs: 3_000, answerMs: 3_000, attempts: 1 },
  lambda: { connectMs: 2_000, idleMs: 905_000, answerMs: 905_000, attempts: 1 },
  secretsmanager: { connectMs: 2_000, idleMs: 3_000, answerMs: 3_000, attempts: 3 },
} as const satisfies Record<AwsName, Waits>;

/** A query may have 32 reads in flight, and a put 4 parts; the next request waits for a socket. */
const SOCKETS_MAX = 64;

/** At 40 ms a PUT, 64 sockets work off 10,000 waiting requests in 6 s. */
const WAITING_MAX = 10_000;

/**
 * A socket that nobody uses is closed after this time, before a service does it (Node's servers after
 * 5 s), which the next request would meet as a reset. A function that thaws lets these timers run
 * before it sends anything (`runtime/aws`).
 */
export const UNUSED_SOCKET_MS = 4_000;

/** What all clients have in common. Spread it into the configuration of a service's client. */
export function commonConfig(settings: AwsSettings, service: AwsName) {
  const waits: Waits = { ...WAITS[service], ...settings.waits?.[service] };
  const endpoint = settings.endpoints?.[service];
  const sockets = { keepAlive: true, maxSockets: SOCKETS_MAX, timeout: UNUSED_SOCKET_MS };
  return {
    region: settings.region,
    ...(settings.credentials === undefined ? {} : { credentials: { ...settings.credentials } }),
    ...(endpoint === undefined ? {} : { endpoint }),
    // AWS_ENDPOINT_URL and its kin are not heard: endpoints come from the settings alone.
    ignoreConfiguredEndpointUrls: true,
    maxAttempts: waits.attempts,
    retryStrategy: ownAttempts(waits.attempts),
    // HTTP/1.1 for all: Kinesis's default handler speaks HTTP/2, which plain-HTTP endpoints do not.
    requestHandler: new BoundedHandler(
      { connectionTimeout: waits.connectMs, httpAgent: sockets, httpsAgent: sockets },
      { socketsMax: SOCKETS_MAX, waitingMax: WAITING_MAX },
      waits,
    ),
  };
}

/** Buckets stand in the path where an endpoint is given: emulators have no name per bucket. */
export const s3Client = (settings: AwsSettings): S3Client =>
  new S3Client({
    ...commonConfig(settings, 's3'),
    forcePathStyle: settings.endpoints?.s3 !== undefined,
    // Asking first would open a new connection for every body of 2 MB and more.
    expectContinueHeader: false,
  });

export const dynamoClient = (settings: AwsSettings): DynamoDBClient =>
  new DynamoDBClient(commonConfig(settings, 'dynamodb'));

export const kinesisClient = (settings: AwsSettings): KinesisClient =>
  new KinesisClient(commonConfig(settings, 'kinesis'));

export const lambdaClient = (settings: AwsSettings): LambdaClient =>
  new LambdaClient(commonConfig(settings, 'lambda'));
