import { expect, test } from 'vitest';
import { Resolver, type TemplateJson } from '../../support/lambda/intrinsics.ts';
import { deploymentOf } from '../../support/lambda/template.ts';

/** A variable in a text of `Fn::Sub`. */
const hole = (name: string): string => `\${${name}}`;

const GETATT_WRITE = { 'Fn::GetAtt': ['WriteLambdaFunction', 'Arn'] };

const template: TemplateJson = {
  Conditions: {
    Yes: { 'Fn::Equals': ['a', 'a'] },
    No: { 'Fn::Not': [{ Condition: 'Yes' }] },
    Both: {
      'Fn::And': [{ Condition: 'Yes' }, { 'Fn::Or': [{ Condition: 'No' }, { Condition: 'Yes' }] }],
    },
  },
  Resources: {
    Objects: {
      Type: 'AWS::S3::Bucket',
      Properties: { BucketName: { 'Fn::Sub': `o-${hole('AWS::AccountId')}` } },
    },
    Absent: { Type: 'AWS::S3::Bucket', Condition: 'No' },
    Wal: {
      Type: 'AWS::Kinesis::Stream',
      Properties: { ShardCount: { 'Fn::If': ['No', 1, { Ref: 'AWS::NoValue' }] } },
    },
    WriteLambdaFunction: {
      Type: 'AWS::Lambda::Function',
      Properties: {
        Code: { S3Bucket: { Ref: 'Objects' }, S3Key: 'serverless/x/dev/1/write.zip' },
        FunctionName: 'x-dev-write',
        Handler: 'functions/write.handler',
        Runtime: 'nodejs24.x',
        MemorySize: 512,
        Timeout: 29,
        Architectures: ['arm64'],
        ReservedConcurrentExecutions: { 'Fn::If': ['Both', '5', { Ref: 'AWS::NoValue' }] },
        Role: { 'Fn::GetAtt': ['NotThere', 'Arn'] },
        Environment: {
          Variables: {
            BUCKET: { Ref: 'Objects' },
            STREAM: { 'Fn::Join': ['/', ['s', { 'Fn::GetAtt': 'Wal.Arn' }]] },
            GONE: { Ref: 'AWS::NoValue' },
          },
        },
      },
    },
    Integration: {
      Type: 'AWS::ApiGatewayV2::Integration',
      Properties: {
        IntegrationUri: GETATT_WRITE,
        PayloadFormatVersion: '2.0',
        TimeoutInMillis: 29_500,
      },
    },
    Route: {
      Type: 'AWS::ApiGatewayV2::Route',
      Properties: {
        RouteKey: 'POST /a',
        Target: { 'Fn::Join': ['/', ['integrations', { Ref: 'Integration' }]] },
      },
    },
    Mapping: {
      Type: 'AWS::Lambda::EventSourceMapping',
      Properties: {
        EventSourceArn: { 'Fn::GetAtt': ['Wal', 'Arn'] },
        FunctionName: GETATT_WRITE,
        BatchSize: 7,
      },
    },
    Rule: {
      Type: 'AWS::Events::Rule',
      Properties: {
        Name: 'each',
        ScheduleExpression: 'rate(1 minute)',
        Targets: [{ Arn: GETATT_WRITE, Input: '{"a":1}' }],
      },
    },
    Scheduler: {
      Type: 'AWS::Scheduler::Schedule',
      Properties: { ScheduleExpression: 'rate(2 hours)', Target: { Arn: GETATT_WRITE } },
    },
    Disabled: {
      Type: 'AWS::Events::Rule',
      Properties: {
        ScheduleExpression: 'rate(1 minute)',
        State: 'DISABLED',
        Targets: [{ Arn: GETATT_WRITE }],
      },
    },
  },
};

test('functions, routes, sources, schedules and what holds data are read as they were meant', () => {
  const streamArn = 'arn:aws:kinesis:us-east-1:000000000000:stream/sterna-wal';
  const deployment = deploymentOf(template, '/there');
  expect(deployment.functions).toEqual([
    {
      logicalId: 'WriteLambdaFunction',
      key: 'write',
      name: 'x-dev-write',
      handler: 'functions/write.handler',
      runtime: 'nodejs24.x',
      architecture: 'arm64',
      memoryMb: 512,
      timeoutMs: 29_000,
      concurrencyMax: 5,
      variables: { BUCKET: 'o-000000000000', STREAM: `s/${streamArn}` },
      zip: '/there/write.zip',
    },
  ]);
  expect(deployment.routes).toEqual([{ routeKey: 'POST /a', target: 'write', timeoutMs: 29_500 }]);
  expect(deployment.eventSources).toMatchObject([
    { stream: 'Wal', target: 'write', properties: { BatchSize: 7, EventSourceArn: streamArn } },
  ]);
  expect(deployment.schedules).toEqual([
    { name: 'each', expression: 'rate(1 minute)', target: 'write', input: { a: 1 } },
    { name: 'Scheduler', expression: 'rate(2 hours)', target: 'write', input: undefined },
  ]);
  expect(deployment.made.map(({ logicalId, properties }) => [logicalId, properties])).toEqual([
    ['Objects', { BucketName: 'o-000000000000' }],
    ['Wal', {}],
  ]);
});

const resolver = new Resolver(template, {
  pseudo: { 'AWS::Region': 'here' },
  identityOf: (id) => ({ ref: `ref-${id}`, attributes: { Arn: `arn-${id}` } }),
});

test.each([
  [
    { 'Fn::Sub': [['A', 'AWS::Region', 'Wal', 'Wal.Arn', '!kept'].map(hole).join('-'), { A: 1 }] },
    `1-here-ref-Wal-arn-Wal-${hole('kept')}`,
  ],
  [{ 'Fn::Select': ['1', { 'Fn::Split': [',', 'a,b'] }] }, 'b'],
  [{ 'Fn::If': ['Both', { x: [{ Ref: 'AWS::NoValue' }, 1] }, 2] }, { x: [1] }],
  [{ Ref: 'AWS::NoValue' }, undefined],
  [{ 'Fn::Equals': [1, '1'] }, true],
])('%j is worked out', (given, expected) => {
  expect(resolver.value(given)).toEqual(expected);
});

test.each([
  [{ Ref: 'Absent' }, 'makes no Absent'],
  [{ Ref: 'Nowhere' }, 'makes no Nowhere'],
  [{ 'Fn::GetAtt': ['Wal', 'Color'] }, 'no attribute Color'],
  [{ 'Fn::ImportValue': 'x' }, 'Fn::ImportValue is not known'],
  [{ 'Fn::If': ['Unknown', 1, 2] }, 'no condition Unknown'],
])('%j is refused', (given, words) => {
  expect(() => resolver.value(given)).toThrow(words);
});

test('routes that the front cannot serve are refused', () => {
  const { Route, ...rest } = template.Resources;
  const changed = (RouteKey: string): TemplateJson => ({
    ...template,
    Resources: {
      ...rest,
      Route: { Type: 'AWS::ApiGatewayV2::Route', Properties: { ...Route?.Properties, RouteKey } },
    },
  });
  expect(() => deploymentOf(changed('GET /a/{id}'), '/')).toThrow('paths with variables');
});
