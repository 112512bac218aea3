/**
 * The runbooks against what they speak of: the alarms of serverless.yml, and commands that need an account,
 * of which no more than the spelling can be tested here. The local ones are run by test/e2e/operations.test.ts.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as dynamodb from '@aws-sdk/client-dynamodb';
import * as kinesis from '@aws-sdk/client-kinesis';
import * as lambda from '@aws-sdk/client-lambda';
import * as secretsmanager from '@aws-sdk/client-secrets-manager';
import { describe, expect, test } from 'vitest';
import { type Block, runbooks } from './support/runbooks.ts';

const pages = runbooks();
const blocks = pages.flatMap(({ name, blocks: own }) => own.map((block) => ({ name, ...block })));
const awsBlocks = blocks.filter(({ kind }) => kind === 'aws');
const at = ({ name, line }: { name: string; line: number }): string => `${name}:${line}`;

/** Services whose verbs are the commands of an SDK that is installed. */
const CLIENTS: Readonly<Record<string, object>> = {
  dynamodb: { ...dynamodb, WaitCommand: 'of the command line alone' },
  ...{ kinesis, lambda, secretsmanager },
};

/** Verbs of the others: https://docs.aws.amazon.com/cli/latest/reference/SERVICE/VERB.html */
const VERBS: Readonly<Record<string, readonly string[]>> = {
  cloudformation: [
    ...['create-change-set', 'describe-stack-resource', 'describe-stacks'],
    ...['execute-change-set', 'wait'],
  ],
  cloudwatch: ['describe-alarms', 'get-metric-statistics'],
  events: ['describe-rule'],
  kms: ['enable-key-rotation', 'get-key-rotation-status'],
  logs: ['tail'],
  'service-quotas': ['list-service-quotas', 'request-service-quota-increase'],
  sqs: ['purge-queue', 'receive-message'],
  sts: ['get-caller-identity'],
};

/** Options of the AWS command line that we use: of all commands, and of those above. */
const AWS_OPTIONS = new Set(
  [
    'region query output',
    'stack-name logical-resource-id',
    'alarm-name-prefix state-value namespace metric-name statistics period start-time end-time',
    'name',
    'key-id',
    'since filter-pattern',
    'service-code quota-code desired-value',
    'queue-url visibility-timeout max-number-of-messages',
    'function-name dimensions',
    'change-set-name change-set-type template-body resources-to-import',
    'no-deletion-protection-enabled force-delete-without-recovery',
    'secret-id secret-string',
    'table-name key contributor-insights-action',
  ].flatMap((line) => line.split(' ')),
);

const pascal = (verb: string): string =>
  verb.replace(/(^|-)(\w)/g, (_, __, letter: string) => letter.toUpperCase());

test('every block of commands says whether it is local', () => {
  expect(blocks.filter(({ kind }) => kind !== 'aws' && kind !== 'local').map(at)).toEqual([]);
  expect(awsBlocks.length).toBeGreaterThan(10);
});

test.each(blocks.map((block) => [at(block), block] as const))('%s is shell', (_, { text }) => {
  const { status, stderr } = spawnSync('bash', ['-n', '-c', text], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

describe('the AWS command line', () => {
  const calls = (block: Block) =>
    [...block.text.matchAll(/\baws ([a-z-]+) ([a-z-]+)/g)].map(([, service = '', verb = '']) => ({
      service,
      verb,
    }));

  test.each(awsBlocks.map((block) => [at(block), block] as const))('%s', (_, block) => {
    for (const { service, verb } of calls(block)) {
      const client = CLIENTS[service];
      if (client !== undefined) expect(Object.keys(client)).toContain(`${pascal(verb)}Command`);
      else expect(VERBS[service] ?? []).toContain(verb);
    }
    const lines = block.text.split('\n').filter((line) => /\baws /.test(line));
    for (const line of lines) {
      const options = [...line.matchAll(/ --([a-z-]+)/g)].map((match) => match[1] ?? '');
      expect(options.filter((option) => !AWS_OPTIONS.has(option))).toEqual([]);
    }
  });
});

test('serverless knows the commands and options that are named', () => {
  // What `serverless` itself checks a command line against: a Map from command to its options.
  const schema = createRequire(import.meta.url)(
    'serverless/lib/cli/commands-schema/aws-service.js',
  ) as ReadonlyMap<string, Readonly<{ options: object }>>;
  const named = awsBlocks
    .flatMap(({ text }) => text.split('\n'))
    .filter((line) => /^(npx serverless|npm run) /.test(line));
  expect(named.length).toBeGreaterThan(3);
  for (const line of named) {
    const command = /^(?:npx serverless|npm run) (\w+)/.exec(line)?.[1] ?? '';
    const options = [...line.matchAll(/ --([a-z]+)/g)].map((match) => match[1] ?? '');
    expect(Object.keys(schema.get(command)?.options ?? {}), line).toEqual(
      expect.arrayContaining(options),
    );
  }
});

test('parameters that are named exist in serverless.yml', () => {
  const yml = readFileSync('serverless.yml', 'utf8');
  const named = awsBlocks.flatMap(({ text }) =>
    [...text.matchAll(/--param="(\w+)=/g)].map((match) => match[1] ?? ''),
  );
  expect(named.length).toBeGreaterThan(1);
  for (const name of named) expect(yml).toMatch(new RegExp(`^ {4}${name}: `, 'm'));
});

test('every alarm of serverless.yml has its section, and no section is of another', () => {
  const yml = readFileSync('serverless.yml', 'utf8');
  const alarms = [...yml.matchAll(/AlarmName: sterna-\$\{sls:stage\}-(\S+)/g)].map(
    (match) => match[1] ?? '',
  );
  const text = pages.find(({ name }) => name === 'alarms.md')?.text ?? '';
  const sections = [...text.matchAll(/^## ([a-z0-9-]+)$/gm)].map((match) => match[1] ?? '');
  expect(alarms.length).toBeGreaterThan(8);
  expect([...sections].sort()).toEqual([...alarms].sort());
});

test('tables, functions, rules, resources and outputs that are named exist in serverless.yml', () => {
  const yml = readFileSync('serverless.yml', 'utf8');
  const text = awsBlocks.map((block) => block.text).join('\n');
  const names = (pattern: RegExp): readonly string[] => {
    const found = [...text.matchAll(pattern)].map((match) => match[1] ?? '');
    expect(found.length).toBeGreaterThan(0);
    return found;
  };
  expect(yml).toContain(`stackName: sterna-\${sls:stage}\n`);
  for (const name of names(/(?:--table-name|--name) sterna-prod-([a-z-]+)/g)) {
    expect(yml).toContain(`sterna-\${sls:stage}-${name}`);
  }
  for (const name of names(/logs tail \/aws\/lambda\/sterna-prod-([a-z-]+)/g)) {
    expect(yml).toMatch(new RegExp(`^ {2}${name}:$`, 'm'));
  }
  for (const name of names(/--logical-resource-id (\w+)/g)) {
    expect(yml).toMatch(new RegExp(`^ {4}${name}:$`, 'm'));
  }
  // The framework adds the address of the HTTP API by itself.
  for (const name of names(/OutputKey=='(\w+)'/g).filter((name) => name !== 'HttpApiUrl')) {
    expect(yml).toMatch(new RegExp(`^ {4}${name}:$`, 'm'));
  }
});

test('every link leads somewhere', () => {
  for (const { name, text } of pages) {
    for (const [, target = ''] of text.matchAll(/\]\(([^)]+)\)/g)) {
      const [file = '', heading] = target.split('#');
      const path = file === '' ? join('docs/operations', name) : join('docs/operations', file);
      expect(existsSync(path), `${name}: ${target}`).toBe(true);
      if (heading === undefined) continue;
      const headings = [...readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm)].map((match) =>
        (match[1] ?? '')
          .toLowerCase()
          .replace(/[^\w -]/g, '')
          .replace(/ /g, '-'),
      );
      expect(headings, `${name}: ${target}`).toContain(heading);
    }
    for (const [, path = ''] of text.matchAll(/`((?:docs|test)\/[\w./-]+)`/g)) {
      const exists = existsSync(path) || existsSync(dirname(path));
      expect(exists, `${name}: ${path}`).toBe(true);
    }
  }
});
