/**
 * What `serverless package` wrote: the CloudFormation template of the deployment and the functions'
 * zips beside it, read as the services would that it configures.
 */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Identity, Resolver, type ResourceJson, type TemplateJson } from './intrinsics.ts';

export const REGION = 'us-east-1';
export const ACCOUNT = '000000000000';

export type FunctionTemplate = Readonly<{
  logicalId: string;
  /** The key in serverless.yml. */
  key: string;
  name: string;
  handler: string;
  runtime: string;
  architecture: string;
  memoryMb: number;
  timeoutMs: number;
  /** Undefined where nothing is reserved. */
  concurrencyMax: number | undefined;
  variables: Readonly<Record<string, string>>;
  /** The zip beside the template. */
  zip: string;
}>;

export type RouteTemplate = Readonly<{
  /** `POST /v2/vectordb/entities/insert` or `$default` */
  routeKey: string;
  /** Key of the function. */
  target: string;
  timeoutMs: number;
}>;

export type ScheduleTemplate = Readonly<{
  /** The rule's name, or its logical id where it has none. */
  name: string;
  expression: string;
  target: string;
  /** What the function is sent; undefined for the service's own event. */
  input: unknown;
}>;

/** `properties` are the resource's, worked out. */
export type MadeResource = Readonly<{
  logicalId: string;
  type: string;
  identity: Identity;
  properties: Readonly<Record<string, unknown>>;
}>;

export type EventSourceTemplate = Readonly<{
  /** The stream's logical id. */
  stream: string;
  target: string;
  properties: Readonly<Record<string, unknown>>;
}>;

export type Deployment = Readonly<{
  functions: readonly FunctionTemplate[];
  routes: readonly RouteTemplate[];
  eventSources: readonly EventSourceTemplate[];
  schedules: readonly ScheduleTemplate[];
  /** Buckets, streams, tables, secrets and queues that the template makes. */
  made: readonly MadeResource[];
}>;

const FILE = 'cloudformation-template-update-stack.json';
const STACK = 'sterna';
const PSEUDO = {
  'AWS::Region': REGION,
  'AWS::AccountId': ACCOUNT,
  'AWS::Partition': 'aws',
  'AWS::URLSuffix': 'amazonaws.com',
  'AWS::StackName': STACK,
  'AWS::StackId': `arn:aws:cloudformation:${REGION}:${ACCOUNT}:stack/${STACK}/1`,
} as const;
const MADE = new Set([
  'AWS::S3::Bucket',
  'AWS::Kinesis::Stream',
  'AWS::DynamoDB::Table',
  'AWS::DynamoDB::GlobalTable',
  'AWS::SecretsManager::Secret',
  'AWS::SQS::Queue',
]);
/** Lambda's own defaults ("CreateFunction"). */
const MEMORY_MB = 128;
const TIMEOUT_S = 3;
/** API Gateway's for HTTP APIs ("Quotas for configuring and running an HTTP API"). */
const INTEGRATION_MS_MAX = 30_000;

/** @param packageDir the folder that `serverless package --package` filled */
export async function readDeployment(packageDir: string): Promise<Deployment> {
  // CloudFormation's own format.
  const template = JSON.parse(await readFile(join(packageDir, FILE), 'utf8')) as TemplateJson;
  return deploymentOf(template, packageDir);
}

export function deploymentOf(template: TemplateJson, packageDir: string): Deployment {
  const identities = new Map<string, Identity>();
  const resolver: Resolver = new Resolver(template, {
    pseudo: PSEUDO,
    identityOf: (id) => {
      const known = identities.get(id);
      if (known !== undefined) return known;
      const resource = template.Resources[id];
      if (resource === undefined) throw new Error(`the template makes no ${id}`);
      const identity = identityOf(id, resource, resolver);
      identities.set(id, identity);
      return identity;
    },
  });
  const ofType = (...types: string[]) =>
    Object.entries(template.Resources)
      .filter(([id, { Type }]) => types.includes(Type) && resolver.exists(id))
      .map(([id, resource]) => ({ id, ...propertiesOf(resource, resolver), resource }));

  const functions = ofType('AWS::Lambda::Function').map(({ id, properties }) =>
    functionOf(id, properties, packageDir),
  );
  const keyOfArn = new Map(
    functions.map(({ logicalId, key }) => [
      resolver.text({ 'Fn::GetAtt': [logicalId, 'Arn'] }),
      key,
    ]),
  );
  const targetOf = (arn: unknown): string => {
    const key = keyOfArn.get(String(arn));
    if (key === undefined) throw new Error(`${JSON.stringify(arn)} is no function of the template`);
    return key;
  };
  const integrations = new Map(
    ofType('AWS::ApiGatewayV2::Integration').map(({ id, properties }) => [id, properties]),
  );
  const streams = new Map(
    ofType('AWS::Kinesis::Stream').map(({ id }) => [
      resolver.text({ 'Fn::GetAtt': [id, 'Arn'] }),
      id,
    ]),
  );
  return {
    functions,
    routes: ofType('AWS::ApiGatewayV2::Route').map(({ properties }) =>
      routeOf(properties, integrations, targetOf),
    ),
    eventSources: ofType('AWS::Lambda::EventSourceMapping').map(({ id, properties }) => {
      const stream = streams.get(String(properties['EventSourceArn']));
      if (stream === undefined) throw new Error(`${id}: no stream of the template`);
      return { stream, target: targetOf(properties['FunctionName']), properties };
    }),
    schedules: [
      ...ofType('AWS::Events::Rule').flatMap(({ id, properties }) =>
        scheduleOf(id, properties, targetOf),
      ),
      ...ofType('AWS::Scheduler::Schedule').flatMap(({ id, properties }) =>
        scheduleOf(id, { ...properties, Targets: [properties['Target']] }, targetOf),
      ),
    ],
    made: Object.entries(template.Resources)
      .filter(([id, { Type }]) => MADE.has(Type) && resolver.exists(id))
      .map(([id, resource]) => ({
        logicalId: id,
        type: resource.Type,
        identity: { ...identityOf(id, resource, resolver) },
        ...propertiesOf(resource, resolver),
      })),
  };
}

type Properties = Readonly<Record<string, unknown>>;

/** What matters here and may refer to what does not (roles, policies, log groups) is left unresolved. */
function propertiesOf(
  { Properties = {} }: ResourceJson,
  resolver: Resolver,
): Readonly<{ properties: Properties }> {
  const entries = Object.entries(Properties)
    .filter(([name]) => !UNREAD.has(name))
    .map(([name, value]) => [name, resolver.value(value)] as const);
  return { properties: Object.fromEntries(entries.filter(([, value]) => value !== undefined)) };
}
const UNREAD = new Set(['Role', 'RoleArn', 'DeadLetterConfig', 'KmsKeyArn', 'Layers', 'Tags']);

/** Names are those of the template; a resource without one gets its logical id, as a name can be. */
function identityOf(id: string, resource: ResourceJson, resolver: Resolver): Identity {
  const named = (property: string): string => {
    const given = resource.Properties?.[property];
    return given === undefined ? `${STACK}-${id}`.toLowerCase() : resolver.text(given);
  };
  const arn = (service: string, rest: string): string =>
    `arn:aws:${service}:${REGION}:${ACCOUNT}:${rest}`;
  switch (resource.Type) {
    case 'AWS::S3::Bucket': {
      const name = named('BucketName');
      return { ref: name, attributes: { Arn: `arn:aws:s3:::${name}` } };
    }
    case 'AWS::Kinesis::Stream': {
      const name = named('Name');
      return { ref: name, attributes: { Arn: arn('kinesis', `stream/${name}`) } };
    }
    case 'AWS::DynamoDB::Table':
    case 'AWS::DynamoDB::GlobalTable': {
      const name = named('TableName');
      return { ref: name, attributes: { Arn: arn('dynamodb', `table/${name}`) } };
    }
    case 'AWS::SecretsManager::Secret': {
      const secret = arn('secretsmanager', `secret:${named('Name')}-AbCdEf`);
      return { ref: secret, attributes: { Id: secret } };
    }
    case 'AWS::SQS::Queue': {
      const name = named('QueueName');
      const url = `https://sqs.${REGION}.amazonaws.com/${ACCOUNT}/${name}`;
      return { ref: url, attributes: { Arn: arn('sqs', name), QueueName: name } };
    }
    case 'AWS::Lambda::Function': {
      const name = named('FunctionName');
      return { ref: name, attributes: { Arn: arn('lambda', `function:${name}`) } };
    }
    default:
      return { ref: id, attributes: { Arn: arn('cloudformation', id) } };
  }
}

function functionOf(id: string, properties: Properties, packageDir: string): FunctionTemplate {
  // The shapes of the resource type's properties.
  const code = properties['Code'] as Readonly<{ S3Key: string }>;
  const environment = (properties['Environment'] ?? {}) as Readonly<{ Variables?: Properties }>;
  const [architecture = 'x86_64'] = (properties['Architectures'] ?? []) as readonly string[];
  const reserved = properties['ReservedConcurrentExecutions'];
  const zip = basename(code.S3Key);
  return {
    logicalId: id,
    key: zip.replace(/\.zip$/, ''),
    name: String(properties['FunctionName']),
    handler: String(properties['Handler']),
    runtime: String(properties['Runtime']),
    architecture,
    memoryMb: Number(properties['MemorySize'] ?? MEMORY_MB),
    timeoutMs: Number(properties['Timeout'] ?? TIMEOUT_S) * 1000,
    concurrencyMax: reserved === undefined ? undefined : Number(reserved),
    variables: Object.fromEntries(
      Object.entries(environment.Variables ?? {}).map(([name, value]) => [name, String(value)]),
    ),
    zip: join(packageDir, zip),
  };
}

function routeOf(
  properties: Properties,
  integrations: ReadonlyMap<string, Properties>,
  targetOf: (arn: unknown) => string,
): RouteTemplate {
  const routeKey = String(properties['RouteKey']);
  const id = String(properties['Target']).replace(/^integrations\//, '');
  const integration = integrations.get(id);
  if (integration === undefined) throw new Error(`${routeKey}: no integration ${id}`);
  const format = String(integration['PayloadFormatVersion']);
  if (format !== '2.0') throw new Error(`${routeKey}: payload format ${format}`);
  if (/[{]/.test(routeKey)) throw new Error(`${routeKey}: paths with variables are not known here`);
  const timeoutMs = Number(integration['TimeoutInMillis'] ?? INTEGRATION_MS_MAX);
  return { routeKey, target: targetOf(integration['IntegrationUri']), timeoutMs };
}

function scheduleOf(
  id: string,
  properties: Properties,
  targetOf: (arn: unknown) => string,
): readonly ScheduleTemplate[] {
  const expression = properties['ScheduleExpression'];
  // A rule may also wait for events, which nobody here sends.
  if (expression === undefined || properties['State'] === 'DISABLED') return [];
  const targets = properties['Targets'] as readonly Readonly<{ Arn: string; Input?: string }>[];
  return targets.map(({ Arn, Input }) => ({
    name: String(properties['Name'] ?? id),
    expression: String(expression),
    target: targetOf(Arn),
    input: Input === undefined ? undefined : JSON.parse(Input),
  }));
}
