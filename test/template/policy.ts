/**
 * What the roles of a template allow, asked as IAM would be asked: an action, a resource and what a
 * request says of itself. Only what our policies use; another effect, operator or key is an error.
 */
import { type Identity, Resolver } from '../support/lambda/intrinsics.ts';
import { statementsOf } from './security.ts';
import { decide, type Json, type JsonRecord, listOf, type Template, targetOf } from './template.ts';

/** `leadingKeys`: the partitions that a request to a table names. */
export type Call = Readonly<{
  action: string;
  resource: string;
  leadingKeys?: readonly string[];
}>;

/** One action on one resource that a role allows. */
export type Grant = Readonly<{ action: string; resource: string; allows: (call: Call) => boolean }>;

const ACCOUNT = '123456789012';

/** By the key of each function in serverless.yml. */
export function grantsOf(
  template: Template,
  region: string,
): ReadonlyMap<string, readonly Grant[]> {
  const decided = decide(template, region);
  const resolver = new Resolver(
    // Decided, a template has neither conditions nor what they would leave out.
    { Resources: decided.Resources },
    {
      pseudo: {
        'AWS::AccountId': ACCOUNT,
        'AWS::Partition': 'aws',
        'AWS::Region': region,
        'AWS::URLSuffix': 'amazonaws.com',
      },
      identityOf: (id) => identityOf(decided, region, id),
    },
  );
  const grants = new Map<string, readonly Grant[]>();
  for (const [id, { Type, Properties }] of Object.entries(decided.Resources)) {
    if (Type !== 'AWS::Lambda::Function') continue;
    const role = decided.Resources[targetOf(Properties?.['Role']) ?? ''];
    const policies = listOf(role?.Properties?.['Policies']);
    const statements = policies.flatMap((policy) =>
      // A policy is an object with a document.
      statementsOf((policy as JsonRecord)['PolicyDocument']),
    );
    const key = id.replace(/LambdaFunction$/, '').toLowerCase();
    grants.set(
      key,
      statements.flatMap((statement) => grantsIn(statement, resolver)),
    );
  }
  return grants;
}

function grantsIn(statement: JsonRecord, resolver: Resolver): readonly Grant[] {
  if (statement['Effect'] !== 'Allow') throw new Error('a role only allows');
  const condition = conditionOf(statement['Condition'], resolver);
  return listOf(statement['Resource']).flatMap((given) => {
    const resource = resolver.text(given);
    const matches = globOf(resource);
    return listOf(statement['Action']).map((action) => ({
      action: String(action),
      resource,
      allows: (call: Call) =>
        call.action === action && matches.test(call.resource) && condition(call),
    }));
  });
}

/** Keys of a customer are not asked for by a request of ours; their condition is of no call here. */
function conditionOf(condition: Json | undefined, resolver: Resolver): (call: Call) => boolean {
  if (condition === undefined) return () => true;
  const resolved = JSON.stringify(resolver.value(condition));
  const match = /^\{"ForAllValues:StringLike":\{"dynamodb:LeadingKeys":(\[[^\]]*\])\}\}$/.exec(
    resolved,
  );
  if (match === null) throw new Error(`condition ${resolved} is not known here`);
  // A list of texts, by the pattern.
  const patterns = (JSON.parse(match[1] ?? '[]') as string[]).map(globOf);
  return ({ leadingKeys = [] }) =>
    leadingKeys.length > 0 &&
    leadingKeys.every((key) => patterns.some((pattern) => pattern.test(key)));
}

const globOf = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern
      .split('*')
      .map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*')}$`,
  );

/** Names and ARNs as the services make them from the names that the template gives. */
function identityOf({ Resources }: Template, region: string, id: string): Identity {
  const { Type = '', Properties = {} } = Resources[id] ?? {};
  const arn = (service: string, rest: string) => `arn:aws:${service}:${region}:${ACCOUNT}:${rest}`;
  const named = (name: Json | undefined, ref: string): Identity => {
    const text = typeof name === 'string' ? name : id;
    return { ref: text, attributes: { Arn: ref.replace('NAME', text) } };
  };
  switch (Type) {
    case 'AWS::S3::Bucket':
      // Its name holds account and region, which only CloudFormation knows.
      return named(undefined, 'arn:aws:s3:::NAME');
    case 'AWS::Kinesis::Stream':
      return named(Properties['Name'], arn('kinesis', 'stream/NAME'));
    case 'AWS::DynamoDB::Table':
      return named(Properties['TableName'], arn('dynamodb', 'table/NAME'));
    case 'AWS::SQS::Queue':
      return named(undefined, arn('sqs', 'NAME'));
    case 'AWS::SecretsManager::Secret':
      return { ref: arn('secretsmanager', `secret:${id}-AbCdEf`), attributes: {} };
    default:
      throw new Error(`${id}: ${Type} has no name here`);
  }
}
