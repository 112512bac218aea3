/**
 * The engine in a function: the AWS platform, opened once per environment and kept between invocations.
 *
 * Opening is lazy: an environment that is started for nothing opens nothing, and one whose opening
 * failed tries again with its next invocation.
 */
import { mkdir } from 'node:fs/promises';
import { type AwsSettings, dynamoClient, kinesisClient, s3Client } from '#aws/clients.ts';
import { openKinesisLog } from '#aws/log.ts';
import { openS3ObjectStore } from '#aws/object-store.ts';
import { openDynamoTable } from '#aws/table.ts';
import { openPowertoolsTelemetry } from '#aws/telemetry.ts';
import { openAccess } from '#catalog/access.ts';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import type { EngineParts } from '#service/engine.ts';
import type { Routes } from '#service/route.ts';
import { type AwsConfig, readAwsConfig } from './config.ts';
import { type EngineCore, openCore } from './engine.ts';
import { type HttpHandler, http } from './http.ts';

export type AwsEngine = EngineCore &
  Readonly<{
    config: AwsConfig;
    /** Under /tmp, which lives as long as the environment. */
    scratchDir: string;
    /** Writes out the metrics of an invocation. */
    flush(): void;
  }>;

/** Opens the engine with the first call and gives the same one to every later call. */
export function awsEngine(config: () => AwsConfig = readAwsConfig): () => Promise<AwsEngine> {
  let opened: Promise<AwsEngine> | undefined;
  return () => {
    opened ??= openAws(config()).catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
}

async function openAws(config: AwsConfig): Promise<AwsEngine> {
  const settings: AwsSettings = {
    region: config.region,
    endpoints: endpointsOf(config.endpoint),
  };
  const world = { clock: openClock(), entropy: systemEntropy };
  const dynamo = dynamoClient(settings);
  const table = openDynamoTable({ client: dynamo, tableName: config.regionalTable, ...world });
  const telemetry = openPowertoolsTelemetry({
    service: 'sterna',
    namespace: 'Sterna',
    level: config.logLevel,
  });
  const { scratchDir } = config;
  await mkdir(scratchDir, { recursive: true });
  const core = openCore(
    {
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
    },
    { scratchDir },
  );
  return { ...core, config, scratchDir, flush: () => telemetry.flush() };
}

/** `s3=URL,kinesis=URL`; `-` for none. */
function endpointsOf(text: string): NonNullable<AwsSettings['endpoints']> {
  const pairs = text.split(',').filter((pair) => pair.includes('='));
  return Object.fromEntries(pairs.map((pair) => pair.split(/=(.*)/s, 2)));
}

/** A request of 6 MB is Lambda's limit; base64 takes a third of it. */
const BODY_BYTES_MAX = 6 * 1024 * 1024;
/** API Gateway gives up after 30 s: the answer that says so must be there before. */
const TIMEOUT_MS = 28_000;

/** A route table as the handler of a function behind an HTTP API. */
export function awsHttp(
  routesOf: (engine: EngineParts) => Routes,
  engine: () => Promise<AwsEngine> = awsEngine(),
): HttpHandler {
  let handler: HttpHandler | undefined;
  return async (event, context) => {
    const opened = await engine();
    if (handler === undefined) {
      const access = await openAccess(opened.ports, opened.config.rootPassword);
      handler = http(routesOf(opened), {
        ...opened.ports,
        authenticate: (header) => access.authenticate(header),
        bodyBytesMax: BODY_BYTES_MAX,
        timeoutMs: TIMEOUT_MS,
      });
    }
    try {
      return await handler(event, context);
    } finally {
      opened.flush();
    }
  };
}
