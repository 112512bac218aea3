/** Options are data: each has a variable, a default that it accepts itself, and a sentence. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  AWS_OPTIONS,
  CLIENT_OPTIONS,
  kebab,
  OPTIONS,
  readAwsConfig,
  readClientConfig,
  readConfig,
} from '#runtime/config.ts';

const entries = Object.entries(OPTIONS);

test.each(entries)('%s is described and accepts its own default', (name, option) => {
  expect(option.env).toMatch(/^STERNA_[A-Z_]+$/);
  expect(option.description).toMatch(/^[A-Z].*\.$/);
  const config = readConfig({}, { [option.env]: String(option.default) });
  expect(Object.entries(config)).toContainEqual([name, option.default]);
});

test.each(entries)('%s stands in docs/config.md with its default', (_, option) => {
  const page = readFileSync(new URL('../../../docs/config.md', import.meta.url), 'utf8');
  expect(page).toContain(`| \`${option.env}\` | \`${option.default}\` |`);
});

test.each(Object.values(CLIENT_OPTIONS))('$env stands in docs/config.md', (option) => {
  const page = readFileSync(new URL('../../../docs/config.md', import.meta.url), 'utf8');
  expect(page).toContain(`| \`${option.env}\` | \`${option.default}\` |`);
});

test('a verb that talks to a server takes address and credentials from the environment', () => {
  expect(readClientConfig({}, {})).toEqual({ url: 'http://127.0.0.1:19530', user: 'root:Milvus' });
  const told = { STERNA_URL: 'https://db.example', STERNA_USER: 'ann: se cret' };
  expect(readClientConfig({}, told)).toEqual({ url: 'https://db.example', user: 'ann: se cret' });
  expect(readClientConfig({ user: 'root:x' }, told).user).toBe('root:x');
});

test('no two options share a variable', () => {
  expect(new Set(entries.map(([, { env }]) => env)).size).toBe(entries.length);
});

test('a command line overrides the environment, the environment the default', () => {
  expect(readConfig({}, {}).port).toBe(19_530);
  expect(readConfig({}, { STERNA_PORT: '7' }).port).toBe(7);
  expect(readConfig({ port: '8' }, { STERNA_PORT: '7' }).port).toBe(8);
  expect(readConfig({ port: undefined }, { STERNA_PORT: '' }).port).toBe(19_530);
});

describe('a bad value is refused by the name that it came under', () => {
  test.each([
    { overrides: { port: 'x' }, environment: {}, says: '--port: expected a whole number' },
    { overrides: { port: 70_000 }, environment: {}, says: 'from 0 to 65535' },
    { overrides: {}, environment: { STERNA_PORT: '-1' }, says: 'STERNA_PORT' },
    { overrides: {}, environment: { STERNA_LOG_LEVEL: 'loud' }, says: 'debug, info, warn, error' },
    { overrides: { rootPassword: ' ' }, environment: {}, says: '--root-password' },
    { overrides: { data: '' }, environment: {}, says: '--data' },
  ])('$says', ({ overrides, environment, says }) => {
    expect(() => readConfig(overrides, environment)).toThrow(says);
  });
});

test('names on a command line are kebab-case', () => {
  expect(kebab('shutdownGraceMs')).toBe('shutdown-grace-ms');
});

describe('what a function is told', () => {
  const special: Readonly<Record<string, string>> = {
    STERNA_LOG_LEVEL: 'warn',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '3008',
  };
  const told = Object.fromEntries(
    Object.values(AWS_OPTIONS).map(({ env }) => [env, special[env] ?? env]),
  );

  test.each(Object.values(AWS_OPTIONS))('$env stands in docs/config.md', ({ env }) => {
    const page = readFileSync(new URL('../../../docs/config.md', import.meta.url), 'utf8');
    expect(page).toContain(`| \`${env}\` |`);
  });

  test('is read by name, and what is missing is named', () => {
    expect(readAwsConfig(told)).toMatchObject({
      bucket: 'STERNA_BUCKET',
      logLevel: 'warn',
      memoryMb: 3008,
      rootSecret: 'STERNA_ROOT_SECRET',
    });
    expect(() => readAwsConfig({ ...told, STERNA_STREAM: '' })).toThrow(/STERNA_STREAM: expected/);
    const { STERNA_SCRATCH, ...rest } = told;
    expect(STERNA_SCRATCH).toBeDefined();
    expect(readAwsConfig(rest).scratchDir).toBe('/tmp/sterna');
  });

  test('a function without an HTTP door has no secret, and none has a password', () => {
    const { STERNA_ROOT_SECRET, ...rest } = told;
    expect(STERNA_ROOT_SECRET).toBeDefined();
    expect(readAwsConfig(rest).rootSecret).toBe('-');
    expect(Object.values(AWS_OPTIONS).map(({ env }) => env)).not.toContain('STERNA_ROOT_PASSWORD');
  });
});
