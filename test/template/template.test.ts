/**
 * The packaged template of several stages: valid by AWS's specification, sound by our rules; and the
 * proof that the checks bite, a good template with one fault at a time.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkTemplate } from './check.ts';
import { FAULTS, plant } from './faults.ts';
import { type Packaged, packageStage } from './packaging.ts';
import { decide, isRecord, type Json, type Template } from './template.ts';

const KEY = 'arn:aws:kms:us-east-1:123456789012:key/mrk-0123456789abcdef0123456789abcdef';
const STAGES = {
  dev: { stage: 'dev' },
  prod: { stage: 'prod' },
  // Everything that a parameter can switch on.
  full: {
    stage: 'full',
    params: {
      architecture: 'arm64',
      streamMode: 'ON_DEMAND',
      kmsKeyArn: KEY,
      alarmEmail: 'who@example.com',
      dashboard: 'on',
      readMemoryMb: '4608',
      reserveWrite: '20',
      reserveCompact: '5',
      globalPeer: 'us-east-2',
      globalWitness: 'us-west-2',
      globalHome: 'us-east-1',
    },
  },
} as const;
type Stage = keyof typeof STAGES;

const packaged = new Map<Stage, Packaged>();

beforeAll(async () => {
  for (const stage of ['dev', 'prod', 'full'] as const) {
    packaged.set(stage, await packageStage(STAGES[stage]));
  }
}, 300_000);

afterAll(() => Promise.all([...packaged.values()].map(({ remove }) => remove())));

function templateOf(stage: Stage): Template {
  const found = packaged.get(stage);
  if (found === undefined) throw new Error(`stage ${stage} was not packaged`);
  return structuredClone(found.template);
}

test.each(['dev', 'prod', 'full'] as const)('stage %s has no fault', (stage) => {
  expect(checkTemplate(templateOf(stage))).toEqual([]);
});

test('in another region than its home the stack makes no global table, and uses the one by name', () => {
  const elsewhere = decide(templateOf('full'), 'us-east-2');
  expect(elsewhere.Resources['GlobalTable']).toBeUndefined();
  expect(checkTemplate(templateOf('full'), 'us-east-2')).toEqual([
    'rule global_table_recoverable found nothing to look at',
  ]);
  expect(variablesOf(elsewhere, 'ReadLambdaFunction')).toMatchObject({
    STERNA_GLOBAL_TABLE: 'sterna-full-global',
  });
});

test('the global table is as strong as its regions allow', () => {
  const made = (stage: Stage, params: Readonly<Record<string, string>> = {}) => {
    const template = templateOf(stage);
    for (const [condition, value] of Object.entries(params)) {
      (template.Conditions ?? {})[condition] = { 'Fn::Equals': [value, 'true'] };
    }
    return decide(template, 'us-east-1').Resources['GlobalTable']?.Properties;
  };
  const alone = made('dev');
  expect(alone).not.toHaveProperty('MultiRegionConsistency');
  expect(alone).not.toHaveProperty('GlobalTableWitnesses');
  expect(alone?.['Replicas']).toHaveLength(1);

  const strong = made('full');
  expect(strong).toMatchObject({
    MultiRegionConsistency: 'STRONG',
    GlobalTableWitnesses: [{ Region: 'us-west-2' }],
    Replicas: [{ Region: { Ref: 'AWS::Region' } }, { Region: 'us-east-2' }],
  });
  expect(strong).not.toHaveProperty('StreamSpecification');

  const three = made('full', { HasWitness: 'false', HasPeer2: 'true' });
  expect(three).toMatchObject({ MultiRegionConsistency: 'STRONG' });
  expect(three).not.toHaveProperty('GlobalTableWitnesses');
  expect(three?.['Replicas']).toHaveLength(3);

  const eventual = made('full', { HasWitness: 'false' });
  expect(eventual).not.toHaveProperty('MultiRegionConsistency');
  expect(eventual).toMatchObject({ StreamSpecification: { StreamViewType: 'NEW_AND_OLD_IMAGES' } });
  expect(eventual?.['Replicas']).toHaveLength(2);
});

test('a key of the customer encrypts everything that it can, and each role may use it', () => {
  const { Resources } = decide(templateOf('full'), 'us-east-1');
  const users = ['ObjectsBucket', 'WalStream', 'RegionalTable', 'GlobalTable', 'RootSecret'];
  const roles = Object.keys(Resources).filter((id) => id.endsWith('Role'));
  expect(roles).toHaveLength(7);
  for (const id of [...users, ...roles]) expect(JSON.stringify(Resources[id]), id).toContain(KEY);
  const without = JSON.stringify(decide(templateOf('dev'), 'us-east-1'));
  expect(without).not.toContain('kms:');
});

test('parameters reach what they are for', () => {
  const dev = decide(templateOf('dev'), 'us-east-1').Resources;
  const full = decide(templateOf('full'), 'us-east-1').Resources;
  const of = (made: Template['Resources'], id: string) => made[id]?.Properties ?? {};
  const functions = Object.keys(dev).filter((id) => id.endsWith('LambdaFunction'));
  expect(functions).toHaveLength(7);
  for (const id of functions) {
    expect(of(dev, id)).toMatchObject({ Architectures: ['x86_64'] });
    expect(of(full, id)).toMatchObject({ Architectures: ['arm64'] });
    expect(of(dev, id)).not.toHaveProperty('ReservedConcurrentExecutions');
  }
  expect(of(full, 'WriteLambdaFunction')).toMatchObject({ ReservedConcurrentExecutions: '20' });
  expect(of(dev, 'ReadLambdaFunction')).toMatchObject({ MemorySize: 3008 });
  expect(of(full, 'ReadLambdaFunction')).toMatchObject({ MemorySize: 4608 });
  expect(of(full, 'ReadLambdaFunction')).not.toHaveProperty('ReservedConcurrentExecutions');
  expect(of(dev, 'WalStream')).toMatchObject({ ShardCount: 1, RetentionPeriodHours: 24 });
  expect(of(full, 'WalStream')).not.toHaveProperty('ShardCount');
  expect(dev['AlarmMail']).toBeUndefined();
  expect(of(full, 'AlarmMail')).toMatchObject({ Endpoint: 'who@example.com' });
  expect(dev['Dashboard']).toBeUndefined();
  const body = of(full, 'Dashboard')['DashboardBody'];
  const text = isRecord(body) ? body['Fn::Sub'] : undefined;
  expect(JSON.parse(String(text))).toMatchObject({ widgets: expect.any(Array) });
});

/** Names that an account, or the world, has once. */
const NAMES = /^(\w+Name|Name|Id)$/;

function namesIn(template: Template): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [id, { Type, Properties }] of Object.entries(template.Resources)) {
    for (const [property, value] of Object.entries(Properties ?? {})) {
      const name = isRecord(value) ? value['Fn::Sub'] : value;
      const isOwn = NAMES.test(property) && typeof name === 'string' && name !== '$default';
      if (isOwn && property !== 'MetricName') found.set(`${id} ${Type} ${property}`, name);
    }
  }
  return found;
}

test('two stages of one account share no name, nor do two regions where a name is of the whole account', () => {
  const dev = namesIn(decide(templateOf('dev'), 'us-east-1'));
  const prod = new Set(namesIn(decide(templateOf('prod'), 'us-east-1')).values());
  expect(dev.size).toBeGreaterThan(25);
  expect([...dev].filter(([, name]) => prod.has(name))).toEqual([]);
  // Buckets are the world's, dashboards the account's; roles have no name of ours.
  const wide = [...dev].filter(([key]) => /S3::Bucket|Dashboard|IAM::/.test(key));
  expect(wide.map(([, name]) => name)).toEqual([
    // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's
    'sterna-dev-objects-${AWS::AccountId}-${AWS::Region}',
  ]);
});

test.each(FAULTS)('$0 is found', (_, id, path, value, expected) => {
  const template = templateOf('dev');
  plant(template, id, path, value);
  expect(checkTemplate(template)).toContain(expected);
});

function variablesOf(template: Template, id: string): Json | undefined {
  const environment = template.Resources[id]?.Properties?.['Environment'];
  return isRecord(environment) ? environment['Variables'] : undefined;
}
