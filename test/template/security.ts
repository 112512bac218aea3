/** What no rule about one resource can say: who shares what with whom, and who may do what. */
import {
  callOf,
  isRecord,
  type Json,
  type JsonRecord,
  listOf,
  type Resource,
  resourcesOf,
  type Template,
  targetOf,
} from './template.ts';

const DATA = new Set([
  'AWS::DynamoDB::GlobalTable',
  'AWS::DynamoDB::Table',
  'AWS::Kinesis::Stream',
  'AWS::S3::Bucket',
  'AWS::SecretsManager::Secret',
]);

/** What is wrong in a decided template, each with its resource. Empty for a good one. */
export const checkSecurity = (template: Template): readonly string[] =>
  [roles, statements, resourcePolicies, transport, logs, secrets, sources, data].flatMap((rule) =>
    rule(template),
  );

const functionsOf = (template: Template) => resourcesOf(template, 'AWS::Lambda::Function');

/** One role for each function, made here, for Lambda alone. */
function roles(template: Template): readonly string[] {
  const owners = new Map<string, string>();
  const findings: string[] = [];
  for (const [id, { Properties }] of functionsOf(template)) {
    const role = targetOf(Properties?.['Role']);
    if (role === undefined || template.Resources[role]?.Type !== 'AWS::IAM::Role') {
      findings.push(`${id}: its role is not one of this template`);
      continue;
    }
    const owner = owners.get(role);
    if (owner !== undefined) findings.push(`${id}: shares ${role} with ${owner}`);
    owners.set(role, id);
  }
  for (const [id, { Properties = {} }] of resourcesOf(template, 'AWS::IAM::Role')) {
    if (!owners.has(id)) findings.push(`${id}: is the role of no function`);
    if ('ManagedPolicyArns' in Properties) findings.push(`${id}: has policies written elsewhere`);
    const trust = statementsOf(Properties['AssumeRolePolicyDocument']);
    const services = trust.flatMap(({ Principal }) =>
      isRecord(Principal) ? listOf(Principal['Service']) : [Principal ?? null],
    );
    if (services.join() !== 'lambda.amazonaws.com')
      findings.push(`${id}: trusts ${services.join()}`);
  }
  return findings;
}

/** Actions and resources by name. A part of a resource behind our own name may be open: `bucket/*`. */
function statements(template: Template): readonly string[] {
  return resourcesOf(template, 'AWS::IAM::Role').flatMap(([id, { Properties }]) =>
    listOf(Properties?.['Policies']).flatMap((policy) =>
      statementsOf(isRecord(policy) ? policy['PolicyDocument'] : undefined).flatMap((statement) => [
        ...listOf(statement['Action'])
          .filter((action) => /[*?]/.test(String(action)))
          .map((action) => `${id}: allows the open action ${String(action)}`),
        ...listOf(statement['Resource'])
          .filter(isOpen)
          .map((resource) => `${id}: allows the open resource ${JSON.stringify(resource)}`),
        ...('NotAction' in statement || 'NotResource' in statement
          ? [`${id}: allows all but something`]
          : []),
      ]),
    ),
  );
}

function isOpen(resource: Json): boolean {
  const [call, argument] = callOf(resource) ?? [];
  const text = call === 'Fn::Sub' ? String(listOf(argument)[0]) : resource;
  if (typeof text !== 'string') return false;
  const [named = ''] = text.split('*');
  // Our own resource, or the log group of one function, stands before the asterisk.
  return text.includes('*') && !/^\$\{\w+\.Arn\}\/$|:log-group:\/aws\/lambda\/[\w-]+:$/.test(named);
}

/** Nobody outside is let in. */
function resourcePolicies(template: Template): readonly string[] {
  return Object.entries(template.Resources)
    .filter(([, { Type }]) => /^AWS::(S3::Bucket|SQS::Queue|SNS::Topic)Policy$/.test(Type))
    .flatMap(([id, { Properties }]) =>
      statementsOf(Properties?.['PolicyDocument'])
        .filter(({ Effect, Principal }) => Effect === 'Allow' && isEverybody(Principal))
        .map(() => `${id}: allows everybody`),
    );
}

const isEverybody = (principal: Json | undefined): boolean =>
  principal === '*' || (isRecord(principal) && listOf(principal['AWS']).includes('*'));

/** Buckets and queues are reached by TLS alone. */
function transport(template: Template): readonly string[] {
  const guarded = Object.values(template.Resources).flatMap(({ Properties }) =>
    statementsOf(Properties?.['PolicyDocument']).some(deniesPlainHttp)
      ? [...listOf(Properties?.['Bucket']), ...listOf(Properties?.['Queues'])].map(targetOf)
      : [],
  );
  return Object.entries(template.Resources)
    .filter(([, { Type }]) => Type === 'AWS::S3::Bucket' || Type === 'AWS::SQS::Queue')
    .filter(([id]) => !guarded.includes(id))
    .map(([id]) => `${id}: can be reached without TLS`);
}

const deniesPlainHttp = ({ Effect, Principal, Action, Condition }: JsonRecord): boolean =>
  Effect === 'Deny' &&
  isEverybody(Principal) &&
  /^(s3|sqs):\*$/.test(listOf(Action).join()) &&
  JSON.stringify(Condition).replaceAll('"', '') === '{Bool:{aws:SecureTransport:false}}';

/** Each function's log group is ours: one that Lambda makes by itself never ends. */
function logs(template: Template): readonly string[] {
  const names = resourcesOf(template, 'AWS::Logs::LogGroup').map(
    ([, { Properties }]) => Properties?.['LogGroupName'],
  );
  return functionsOf(template)
    .filter(
      ([, { Properties }]) =>
        !names.includes(`/aws/lambda/${String(Properties?.['FunctionName'])}`),
    )
    .map(([id]) => `${id}: has no log group of its own`);
}

/** The first password is known by its secret's name, and only where requests come in. */
function secrets(template: Template): readonly string[] {
  const routed = new Set(
    resourcesOf(template, 'AWS::ApiGatewayV2::Integration').map(([, { Properties }]) =>
      targetOf(Properties?.['IntegrationUri']),
    ),
  );
  const findings = functionsOf(template).flatMap(([id, { Properties }]) => {
    const role = template.Resources[targetOf(Properties?.['Role']) ?? ''];
    const reads = JSON.stringify(role ?? {}).includes('secretsmanager:');
    const knows = 'STERNA_ROOT_SECRET' in variablesOf(Properties);
    if (reads !== knows) return [`${id}: its role and its environment disagree about the secret`];
    return reads && !routed.has(id) ? [`${id}: has no route and reads the root password`] : [];
  });
  const told = Object.entries(template.Outputs ?? {})
    .filter(([, { Value }]) => JSON.stringify(Value).includes('{{resolve:'))
    .map(([name]) => `Outputs.${name}: tells a secret`);
  const resolved = Object.entries(template.Resources)
    .filter(([, resource]) => JSON.stringify(resource).includes('{{resolve:'))
    .map(([id]) => `${id}: holds a secret that is resolved into it`);
  return [...findings, ...told, ...resolved];
}

const variablesOf = (properties: JsonRecord | undefined): JsonRecord => {
  const environment = properties?.['Environment'];
  const variables = isRecord(environment) ? environment['Variables'] : undefined;
  return isRecord(variables) ? variables : {};
};

/** Whoever is to be told of failures may be: the role of the function sends them. */
function sources(template: Template): readonly string[] {
  return ['AWS::Lambda::EventSourceMapping', 'AWS::Lambda::EventInvokeConfig']
    .flatMap((type) => resourcesOf(template, type))
    .flatMap(([id, { Properties }]) => {
      const of = template.Resources[targetOf(Properties?.['FunctionName']) ?? ''];
      const role = template.Resources[targetOf(of?.Properties?.['Role']) ?? ''];
      const queue = /"OnFailure":\{"Destination":\{"Fn::GetAtt":\["(\w+)"/.exec(
        JSON.stringify(Properties),
      )?.[1];
      const sends = statementsIn(role).some(
        ({ Action, Resource: resource }) =>
          listOf(Action).includes('sqs:SendMessage') &&
          listOf(resource).map(targetOf).includes(queue),
      );
      return sends ? [] : [`${id}: its function may not send to ${queue ?? 'any queue'}`];
    });
}

/**
 * What holds data outlives its stack and its replacement; a type that no rule of `rules/` knows would
 * go unwatched. The deployment bucket holds zips that the next deploy makes again.
 *
 * A first deploy that fails takes with it what it made, and what is protected against deletion would
 * make its rollback fail as well.
 */
function data(template: Template): readonly string[] {
  const known =
    /^AWS::(ApiGatewayV2|CloudWatch|Events|IAM|Lambda|Logs|SNS|SQS)::|^AWS::S3::BucketPolicy$/;
  return Object.entries(template.Resources).flatMap(([id, resource]) => {
    const { Type, DeletionPolicy, UpdateReplacePolicy } = resource;
    if (known.test(Type) || id === 'ServerlessDeploymentBucket') return [];
    if (!DATA.has(Type)) return [`${id}: no rule knows whether ${Type} holds data`];
    const isProtected = /"DeletionProtectionEnabled":true/.test(JSON.stringify(resource));
    const stays = ['Retain', 'RetainExceptOnCreate'].includes(DeletionPolicy ?? '');
    const expected = isProtected ? 'Retain' : 'RetainExceptOnCreate';
    const what = isProtected ? 'could not be rolled back' : 'is left behind by a rollback';
    return [
      ...(stays ? [] : [`${id}: goes with its stack`]),
      ...(stays && DeletionPolicy !== expected ? [`${id}: ${what}`] : []),
      ...(UpdateReplacePolicy === 'Retain' ? [] : [`${id}: goes when it is replaced`]),
    ];
  });
}

const statementsIn = (role: Resource | undefined): readonly JsonRecord[] =>
  listOf(role?.Properties?.['Policies']).flatMap((policy) =>
    statementsOf(isRecord(policy) ? policy['PolicyDocument'] : undefined),
  );

export const statementsOf = (document: Json | undefined): readonly JsonRecord[] =>
  isRecord(document) ? listOf(document['Statement']).filter(isRecord) : [];
