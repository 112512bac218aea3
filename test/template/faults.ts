/** Faults that a good template is given, one at a time, and what the checks must say of each. */
import { isRecord, type Json, type Template } from './template.ts';

/** Sets or, without a value, removes what a path below a resource's `Properties` names. */
export function plant(template: Template, id: string, path: string, value: Json | undefined): void {
  const resource = template.Resources[id];
  const isWhole = path.startsWith('/');
  const names = path.replace(/^\//, '').split('/');
  const last = names.pop() ?? '';
  // A resource is a record; its type here only has no index.
  let at = (isWhole ? resource : resource?.Properties) as Json | undefined;
  for (const name of names) {
    at = Array.isArray(at) ? at[Number(name)] : isRecord(at) ? at[name] : undefined;
  }
  if (!isRecord(at)) throw new Error(`${id} has no ${path}`);
  if (value === undefined) delete at[last];
  else at[last] = value;
}

const POLICY = 'Policies/0/PolicyDocument/Statement/0';

/** What is planted, where (a path below `Properties` unless it begins with a slash), and what is said. */
export const FAULTS: readonly (readonly [string, string, string, Json | undefined, string])[] = [
  [
    'a misspelt property',
    'WalStream',
    'ShardCout',
    '1',
    'WalStream: there is no property ShardCout',
  ],
  [
    'a misspelt inner property',
    'ObjectsBucket',
    'PublicAccessBlockConfiguration/BlockPublicAcl',
    true,
    'ObjectsBucket.PublicAccessBlockConfiguration: there is no property BlockPublicAcl',
  ],
  [
    'a wrong type',
    'ApplyLambdaFunction',
    'MemorySize',
    'much',
    'ApplyLambdaFunction.MemorySize: "much" is no integer',
  ],
  [
    'a wrong value',
    'WalStream',
    'StreamModeDetails/StreamMode',
    'SOMEHOW',
    'WalStream.StreamModeDetails.StreamMode: "SOMEHOW" is no one of ON_DEMAND, PROVISIONED',
  ],
  [
    'a list that is none',
    'ReadLambdaFunction',
    'Architectures',
    'x86_64',
    'ReadLambdaFunction.Architectures: "x86_64" is no list',
  ],
  [
    'a missing property',
    'RegionalTable',
    'KeySchema',
    undefined,
    'RegionalTable: property KeySchema is missing',
  ],
  [
    'a missing key of the global table',
    'GlobalTable',
    'KeySchema',
    undefined,
    'GlobalTable: property KeySchema is missing',
  ],
  [
    'a type that does not exist',
    'WalStream',
    '/Type',
    'AWS::Kinesis::Streams',
    'WalStream: there is no resource type AWS::Kinesis::Streams',
  ],
  [
    'a Ref to nothing',
    'ReadLambdaFunction',
    'Environment/Variables/STERNA_BUCKET',
    { Ref: 'ObjectBucket' },
    'ReadLambdaFunction.Environment.Variables.STERNA_BUCKET: refers to ObjectBucket, which is not there',
  ],
  [
    'an attribute that is none',
    'ApplyEventSourceMappingKinesisWalStream',
    'EventSourceArn',
    { 'Fn::GetAtt': ['WalStream', 'StreamArn'] },
    'ApplyEventSourceMappingKinesisWalStream.EventSourceArn: WalStream has no attribute StreamArn',
  ],
  [
    'a dependency on nothing',
    'ReadLambdaFunction',
    '/DependsOn',
    ['ReaderRole'],
    'ReadLambdaFunction: depends on ReaderRole, which is not there',
  ],
  [
    'a condition that is not there',
    'AlarmTopic',
    '/Condition',
    'Alarm',
    'AlarmTopic: condition Alarm is not there',
  ],
  [
    'a Ref to what is not made',
    'ApplyParked',
    'AlarmDescription',
    { Ref: 'Dashboard' },
    'ApplyParked.AlarmDescription: refers to Dashboard, which is not there',
  ],
  [
    'a circle',
    'WalStream',
    '/DependsOn',
    ['ApplyRole'],
    'WalStream, ApplyRole: wait for each other',
  ],
  [
    'an open action',
    'ReadRole',
    `${POLICY}/Action`,
    's3:*',
    'ReadRole: allows the open action s3:*',
  ],
  [
    'an open resource',
    'ReadRole',
    `${POLICY}/Resource`,
    '*',
    'ReadRole: allows the open resource "*"',
  ],
  [
    'every bucket of the account',
    'ReadRole',
    `${POLICY}/Resource`,
    'arn:aws:s3:::*',
    'ReadRole: allows the open resource "arn:aws:s3:::*"',
  ],
  [
    'a shared role',
    'ReadLambdaFunction',
    'Role',
    { 'Fn::GetAtt': ['WriteRole', 'Arn'] },
    'ReadLambdaFunction: shares WriteRole with WriteLambdaFunction',
  ],
  [
    'a role that others may take',
    'ReadRole',
    'AssumeRolePolicyDocument/Statement/0/Principal',
    '*',
    'ReadRole: trusts *',
  ],
  [
    'a policy written elsewhere',
    'ReadRole',
    'ManagedPolicyArns',
    ['arn:aws:iam::aws:policy/AdministratorAccess'],
    'ReadRole: has policies written elsewhere',
  ],
  [
    'data that goes with its stack',
    'WalStream',
    '/DeletionPolicy',
    undefined,
    'WalStream: goes with its stack',
  ],
  [
    'data that a failed first deploy leaves behind',
    'ObjectsBucket',
    '/DeletionPolicy',
    'Retain',
    'ObjectsBucket: is left behind by a rollback',
  ],
  [
    'a rollback that what is protected would stop',
    'GlobalTable',
    '/DeletionPolicy',
    'RetainExceptOnCreate',
    'GlobalTable: could not be rolled back',
  ],
  [
    'data that goes when it is replaced',
    'RegionalTable',
    '/UpdateReplacePolicy',
    'Delete',
    'RegionalTable: goes when it is replaced',
  ],
  [
    'a public bucket',
    'ObjectsBucket',
    'PublicAccessBlockConfiguration/RestrictPublicBuckets',
    false,
    'ObjectsBucket: a bucket is restricted to its account',
  ],
  [
    'a bucket with an ACL',
    'ObjectsBucket',
    'AccessControl',
    'PublicRead',
    'ObjectsBucket: a bucket has no ACL',
  ],
  [
    'a bucket that does not encrypt',
    'ObjectsBucket',
    'BucketEncryption',
    undefined,
    'ObjectsBucket: a bucket encrypts what it holds',
  ],
  [
    'a stream that does not encrypt',
    'WalStream',
    'StreamEncryption',
    undefined,
    'WalStream: a stream is encrypted',
  ],
  [
    'a queue that does not encrypt',
    'ApplyFailures',
    'SqsManagedSseEnabled',
    false,
    'ApplyFailures: a queue is encrypted',
  ],
  [
    'a bucket that is reached without TLS',
    'ObjectsBucketPolicy',
    'PolicyDocument/Statement/0/Condition/Bool',
    { 'aws:SecureTransport': true },
    'ObjectsBucket: can be reached without TLS',
  ],
  [
    'a bucket that lets everybody in',
    'ObjectsBucketPolicy',
    'PolicyDocument/Statement/0/Effect',
    'Allow',
    'ObjectsBucketPolicy: allows everybody',
  ],
  [
    'no point-in-time recovery',
    'RegionalTable',
    'PointInTimeRecoverySpecification',
    undefined,
    'RegionalTable: a table has point-in-time recovery',
  ],
  [
    'no recovery of a replica',
    'GlobalTable',
    'Replicas/0/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled',
    false,
    'GlobalTable: a replica has point-in-time recovery',
  ],
  [
    'no deletion protection',
    'RegionalTable',
    'DeletionProtectionEnabled',
    false,
    'RegionalTable: a table is protected against deletion',
  ],
  [
    'batches that are halved',
    'ApplyEventSourceMappingKinesisWalStream',
    'BisectBatchOnFunctionError',
    true,
    'ApplyEventSourceMappingKinesisWalStream: the event source halves no batch',
  ],
  [
    'retries that end',
    'ApplyEventSourceMappingKinesisWalStream',
    'MaximumRetryAttempts',
    10,
    'ApplyEventSourceMappingKinesisWalStream: the event source retries for ever',
  ],
  [
    'records that are dropped for their age',
    'ApplyEventSourceMappingKinesisWalStream',
    'MaximumRecordAgeInSeconds',
    3600,
    'ApplyEventSourceMappingKinesisWalStream: the event source drops no record for its age',
  ],
  [
    'a source that begins at the end',
    'ApplyEventSourceMappingKinesisWalStream',
    'StartingPosition',
    'LATEST',
    'ApplyEventSourceMappingKinesisWalStream: the event source begins at the beginning',
  ],
  [
    'failures that are told nobody',
    'ApplyEventSourceMappingKinesisWalStream',
    'DestinationConfig',
    undefined,
    'ApplyEventSourceMappingKinesisWalStream: what the event source gives up is told',
  ],
  [
    'a queue that the role may not send to',
    'CompactLambdaEvConf',
    'DestinationConfig/OnFailure/Destination',
    { 'Fn::GetAtt': ['ApplyFailures', 'Arn'] },
    'CompactLambdaEvConf: its function may not send to ApplyFailures',
  ],
  [
    'a password in an environment',
    'AdminLambdaFunction',
    'Environment/Variables/STERNA_ROOT_PASSWORD',
    'Milvus',
    'AdminLambdaFunction: no password in an environment',
  ],
  [
    'a secret resolved into a function',
    'AdminLambdaFunction',
    'Environment/Variables/STERNA_ROOT',
    '{{resolve:secretsmanager:sterna-dev-root}}',
    'AdminLambdaFunction: holds a secret that is resolved into it',
  ],
  [
    'a secret in the template',
    'RootSecret',
    'SecretString',
    'Milvus',
    'RootSecret: a secret is not written in the template',
  ],
  [
    'a secret for who has no route',
    'ApplyLambdaFunction',
    'Environment/Variables/STERNA_ROOT_SECRET',
    { Ref: 'RootSecret' },
    'ApplyLambdaFunction: its role and its environment disagree about the secret',
  ],
  [
    'a log without end',
    'ReadLogGroup',
    'RetentionInDays',
    undefined,
    'ReadLogGroup: a log has an end',
  ],
  [
    "a function with a log of Lambda's",
    'ReadLogGroup',
    'LogGroupName',
    '/aws/lambda/else',
    'ReadLambdaFunction: has no log group of its own',
  ],
  [
    'an API without bounds',
    'HttpApiStage',
    'DefaultRouteSettings',
    undefined,
    'HttpApiStage: an API has a rate',
  ],
  [
    'an API without an access log',
    'HttpApiStage',
    'AccessLogSettings',
    undefined,
    'HttpApiStage: an API keeps an access log',
  ],
  [
    'an alarm that tells nobody',
    'ApplyBehind',
    'AlarmActions',
    [],
    'ApplyBehind: an alarm tells somebody',
  ],
  [
    "a function that anybody's API may invoke",
    'ReadLambdaPermissionHttpApi',
    'SourceArn',
    undefined,
    'ReadLambdaPermissionHttpApi: only our own API or rule may invoke a function',
  ],
];
