/** What the cost model believes of the deployment, compared with serverless.yml. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { ACCESS_LOG_BYTES } from '#cli/cost-counts.ts';
import { DEPLOYMENT } from '#cli/cost-time.ts';

/** Tags such as !Ref are of no interest here: their values are read as they stand. */
// biome-ignore lint/suspicious/noExplicitAny: a document of many shapes, looked at by assertions only
type Tree = any;

const template: Tree = parse(readFileSync('serverless.yml', 'utf8'), { logLevel: 'error' });
const { functions, params, provider, resources } = template;

test('memory and scratch space of the functions', () => {
  for (const [name, memoryMb] of Object.entries(DEPLOYMENT.memoryMb)) {
    const given = functions[name].memorySize;
    const parameter = /^\$\{param:(\w+)\}$/.exec(given)?.[1];
    expect(parameter === undefined ? given : params.default[parameter], name).toBe(memoryMb);
  }
  for (const [name, scratchMb] of Object.entries(DEPLOYMENT.scratchMb)) {
    expect(functions[name].ephemeralStorageSize, name).toBe(scratchMb);
  }
});

test('every schedule is charged, as often as it runs', () => {
  const schedules = Object.entries(functions).flatMap(([name, { events = [] }]: [string, Tree]) =>
    events.flatMap(({ schedule }: Tree) => (schedule === undefined ? [] : [[name, schedule.rate]])),
  );
  expect(schedules).toEqual([
    ['compact', ['rate(1 minute)']],
    ['collect', ['rate(15 minutes)']],
    ['scrub', ['rate(1 hour)']],
  ]);
  expect(DEPLOYMENT.runs).toEqual({ compact: 60, collect: 60 / 15, scrub: 1 });
});

test('the stream', () => {
  expect(params.default.streamMode).toBe('PROVISIONED');
  expect(Number(params.default.streamShards)).toBe(1);
  expect(Number(params.default.streamRetentionHours)).toBe(DEPLOYMENT.retentionHours);
  expect(Number(params.prod.streamRetentionHours)).toBe(DEPLOYMENT.retentionHoursProd);
  expect(params.default.dashboard).toBe('off');
  const [{ stream }] = functions.apply.events;
  expect(stream.batchWindow).toBe(DEPLOYMENT.batchSeconds);
});

test('alarms, and the metrics that they are billed by', () => {
  const alarms: readonly Tree[] = Object.values<Tree>(resources.Resources).filter(
    ({ Type }) => Type === 'AWS::CloudWatch::Alarm',
  );
  const metricsOf = ({ Properties: { Metrics } }: Tree): number =>
    Metrics === undefined ? 1 : Metrics.filter(({ MetricStat }: Tree) => MetricStat).length;
  expect(alarms).toHaveLength(DEPLOYMENT.alarms);
  expect(alarms.reduce((sum, alarm) => sum + metricsOf(alarm), 0)).toBe(DEPLOYMENT.alarmMetrics);
});

test('secrets, queues and keys', () => {
  const types = Object.values<Tree>(resources.Resources).map(({ Type }) => Type);
  expect(types.filter((type) => type === 'AWS::SecretsManager::Secret')).toHaveLength(1);
  expect(types).not.toContain('AWS::KMS::Key');
  expect(params.default.kmsKeyArn).toBe('');
});

/** What API Gateway puts in the places of the format. */
const LOGGED: Readonly<Record<string, string>> = {
  'context.requestId': 'JKJaXmPLvHcESHA=',
  'context.requestTime': '21/Nov/2026:08:00:00 +0000',
  'context.identity.sourceIp': '203.0.113.123',
  'context.routeKey': 'POST /v2/vectordb/entities/search',
  'context.status': '200',
  'context.integrationStatus': '200',
  'context.error.message': '-',
  'context.integrationErrorMessage': '-',
  'context.responseLength': '387',
  'context.responseLatency': '31',
  'context.integrationLatency': '28',
};

test('a line of the access log', () => {
  const line = provider.logs.httpApi.format.replace(
    /\$([a-zA-Z.]+)/g,
    (_: string, name: string) => LOGGED[name] ?? `unknown ${name}`,
  );
  expect(line).not.toContain('unknown');
  expect(line.length).toBe(ACCESS_LOG_BYTES);
});
