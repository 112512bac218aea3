/**
 * What a deployed function carries: only what its role needs, at the size that it had when somebody last
 * looked. The table in docs/aws.md is printed by `node test/support/bundle.ts`.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import {
  ADDON,
  BUNDLE_OPTIONS,
  type Bundle,
  bundleFunction,
  FUNCTIONS,
  type FunctionName,
} from './support/bundle.ts';

/** Of the SDK's own family: whatever its clients bring. */
const SDK = /^(@aws-sdk|@smithy|@aws)\//;
const CLIENTS = ['client-dynamodb', 'client-kinesis', 'client-s3'];
/** The chapters and packages of every function, of those with an HTTP door, and of single ones. */
const EVERY = [
  ...'base ports schema filter wal segment manifest catalog query ingest aws local runtime'
    .split(' ')
    .map((chapter) => `shared/${chapter}`),
  ...['@aws-lambda-powertools/commons', '@aws-lambda-powertools/logger'],
  ...['@aws-lambda-powertools/metrics', 'lru-cache', 'p-limit', 'yocto-queue', 'zod'],
  // DynamoDB's client brings them.
  ...['mnemonist', 'obliterator'],
];
const DOOR = [...EVERY, 'shared/api', 'shared/service', '@middy/core'];

type Expected = Readonly<{
  parts: readonly string[];
  clients: readonly string[];
  externals: readonly string[];
  /** 15 % above what it was. */
  kibMax: number;
}>;

const EXPECTED: Readonly<Record<FunctionName, Expected>> = {
  // Reading for a delete by filter, and describing, know where the library would be; see below.
  write: { parts: DOOR, clients: ['secrets'], externals: [ADDON], kibMax: 1650 },
  read: { parts: DOOR, clients: ['secrets'], externals: [ADDON], kibMax: 1620 },
  // Taking a snapshot re-encodes what was written while it was taken, as a merge does.
  admin: {
    parts: [...DOOR, 'shared/backup', 'shared/maintain'],
    clients: ['secrets'],
    externals: [ADDON],
    kibMax: 1750,
  },
  apply: { parts: EVERY, clients: [], externals: [], kibMax: 1370 },
  compact: {
    parts: [...EVERY, 'shared/maintain'],
    clients: [],
    externals: [ADDON],
    kibMax: 1440,
  },
  // Finishing a drop that broke off is the control plane's.
  collect: {
    parts: [...EVERY, 'shared/maintain', 'shared/service'],
    clients: [],
    externals: [],
    kibMax: 1340,
  },
  scrub: { parts: [...EVERY, 'shared/maintain'], clients: [], externals: [], kibMax: 1390 },
};

const bundles = new Map<FunctionName, Bundle>();
const folder = mkdtempSync(join(tmpdir(), 'sterna-bundles-'));
beforeAll(async () => {
  for (const name of FUNCTIONS) bundles.set(name, await bundleFunction(name));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function bundleOf(name: FunctionName): Bundle {
  const bundle = bundles.get(name);
  if (bundle === undefined) throw new Error(`no bundle of ${name}`);
  return bundle;
}

describe.each(FUNCTIONS)('%s', (name) => {
  const { parts, clients, externals, kibMax } = EXPECTED[name];

  test('carries its own chapters and packages, and no others', () => {
    const found = [...bundleOf(name).parts.keys()];
    const own = new Set([...parts, `functions/${name}.ts`]);
    expect(found.filter((part) => !SDK.test(part) && !own.has(part))).toEqual([]);
    const all = [...CLIENTS, ...clients.map((client) => `client-${client}-manager`)];
    const sdkClients = found.filter((part) => part.startsWith('@aws-sdk/client-'));
    expect(sdkClients.sort()).toEqual(all.map((client) => `@aws-sdk/${client}`).sort());
  });

  test('leaves nothing outside but the graph library', () => {
    expect(bundleOf(name).externals).toEqual(externals);
  });

  test(`is no larger than ${kibMax} KiB`, () => {
    const kib = bundleOf(name).code.length / 1024;
    expect(kib).toBeLessThan(kibMax);
    // Far below, the limit would let anything back in.
    expect(kib).toBeGreaterThan(kibMax / 1.4);
  });

  test('starts without the graph library, without a configuration, and is a handler', () => {
    const path = join(folder, `${name}.cjs`);
    writeFileSync(path, bundleOf(name).code);
    const script = `process.stdout.write(typeof require(${JSON.stringify(path)}).handler)`;
    const said = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8', env: {} });
    expect(said).toBe('function');
  });
});

test('serverless.yml bundles in the same way', () => {
  const file = readFileSync(new URL('../serverless.yml', import.meta.url), 'utf8');
  // CloudFormation's tags say nothing about bundling.
  const { custom } = parse(file, { logLevel: 'silent' }) as {
    custom: { esbuild: Readonly<Record<string, unknown>> };
  };
  const { external, ...options } = BUNDLE_OPTIONS;
  expect(custom.esbuild).toEqual({ ...options, exclude: external });
});
