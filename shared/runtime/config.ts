/**
 * Configuration: the sole reader of the environment.
 *
 * Options are data, so that `--help`, docs/config.md and the reader agree. A command line overrides
 * the environment, the environment the default.
 */
import { StoreError } from '#base/errors.ts';

type Option = Readonly<{
  type: 'text' | 'secret' | 'integer' | 'boolean' | 'choice';
  /** The environment variable. */
  env: string;
  /** Absent where a value must be given. */
  default?: string | number | boolean;
  description: string;
  /** Integers only. */
  min?: number;
  max?: number;
  /** Choices only. */
  choices?: readonly string[];
}>;

export const OPTIONS = {
  data: {
    type: 'text',
    env: 'STERNA_DATA',
    default: './data',
    description: 'The data directory. One server at a time; created when absent.',
  },
  host: {
    type: 'text',
    env: 'STERNA_HOST',
    default: '127.0.0.1',
    description:
      'The address to listen on. Anything but loopback exposes the server: set a password.',
  },
  port: {
    type: 'integer',
    env: 'STERNA_PORT',
    default: 19_530,
    min: 0,
    max: 65_535,
    description: 'The port to listen on; 0 takes a free one.',
  },
  rootPassword: {
    type: 'secret',
    env: 'STERNA_ROOT_PASSWORD',
    default: 'Milvus',
    description:
      'Password of the user root in a new data directory. A directory that has a root keeps its own.',
  },
  logLevel: {
    type: 'choice',
    env: 'STERNA_LOG_LEVEL',
    default: 'info',
    choices: ['debug', 'info', 'warn', 'error'],
    description: 'The least level of events that are logged, as JSON lines on standard error.',
  },
  bodyBytesMax: {
    type: 'integer',
    env: 'STERNA_BODY_BYTES_MAX',
    default: 64 * 1024 * 1024,
    min: 1024,
    max: 256 * 1024 * 1024,
    description: 'Largest request body in bytes, after decompression; more is refused with 1102.',
  },
  requestTimeoutMs: {
    type: 'integer',
    env: 'STERNA_REQUEST_TIMEOUT_MS',
    default: 30_000,
    min: 100,
    max: 900_000,
    description: 'How long a request may take where its header Request-Timeout says nothing.',
  },
  shutdownGraceMs: {
    type: 'integer',
    env: 'STERNA_SHUTDOWN_GRACE_MS',
    default: 10_000,
    min: 0,
    max: 600_000,
    description: 'How long a shutdown waits for requests in flight before it cuts them off.',
  },
} as const satisfies Record<string, Option>;

/** What the verbs that talk to a server are told. */
export const CLIENT_OPTIONS = {
  url: {
    type: 'text',
    env: 'STERNA_URL',
    default: 'http://127.0.0.1:19530',
    description: 'The address of the server.',
  },
  user: {
    type: 'secret',
    env: 'STERNA_USER',
    default: 'root:Milvus',
    description:
      'Credentials as user:password. Command lines are seen by everybody on the machine: prefer the variable.',
  },
} as const satisfies Record<string, Option>;

/** What `serverless.yml` tells every function. */
export const AWS_OPTIONS = {
  region: { type: 'text', env: 'AWS_REGION', description: 'The region; Lambda sets it.' },
  bucket: { type: 'text', env: 'STERNA_BUCKET', description: 'The bucket of the objects.' },
  stream: { type: 'text', env: 'STERNA_STREAM', description: 'The Kinesis stream of the WAL.' },
  regionalTable: {
    type: 'text',
    env: 'STERNA_REGIONAL_TABLE',
    description: 'The DynamoDB table of heads, gates and tails.',
  },
  globalTable: {
    type: 'text',
    env: 'STERNA_GLOBAL_TABLE',
    description: 'The DynamoDB table of catalog, users and topology.',
  },
  rootSecret: {
    type: 'text',
    env: 'STERNA_ROOT_SECRET',
    default: '-',
    description:
      'ARN of the Secrets Manager secret with the password of the user root; read where there is no such user yet.',
  },
  memoryMb: {
    type: 'integer',
    env: 'AWS_LAMBDA_FUNCTION_MEMORY_SIZE',
    default: 1024,
    min: 128,
    max: 10_240,
    description:
      "The function's memory in MB, from which caches and segments are sized; Lambda sets it.",
  },
  logLevel: OPTIONS.logLevel,
  role: {
    type: 'text',
    env: 'STERNA_ROLE',
    default: 'sterna',
    description: 'Which function this is: `service` in its log and of its metrics.',
  },
  namespace: {
    type: 'text',
    env: 'STERNA_NAMESPACE',
    default: 'Sterna',
    description: "CloudWatch's name for the metrics of this deployment.",
  },
  scratchDir: {
    type: 'text',
    env: 'STERNA_SCRATCH',
    default: '/tmp/sterna',
    description: 'Where graphs pass through on their way into memory.',
  },
  endpoint: {
    type: 'text',
    env: 'STERNA_AWS_ENDPOINTS',
    default: '-',
    description:
      "Other addresses than AWS's own, as s3=URL,kinesis=URL,dynamodb=URL,secretsmanager=URL.",
  },
} as const satisfies Record<string, Option>;

type Value<O extends Option> = O extends { type: 'integer' }
  ? number
  : O extends { type: 'boolean' }
    ? boolean
    : O extends { type: 'choice'; choices: readonly (infer C)[] }
      ? C
      : string;

type ValuesOf<T extends Readonly<Record<string, Option>>> = Readonly<{
  [N in keyof T]: Value<T[N]>;
}>;
/** Values from a command line, as text or already typed; undefined members are left out. */
type OverridesOf<T> = Readonly<Partial<Record<keyof T, string | number | boolean | undefined>>>;
type Environment = Readonly<Record<string, string | undefined>>;

export type Config = ValuesOf<typeof OPTIONS>;
export type Overrides = OverridesOf<typeof OPTIONS>;
export type AwsConfig = ValuesOf<typeof AWS_OPTIONS>;

/**
 * @throws StoreError `INVALID_ARGUMENT` that names the option or the variable and what it expects
 */
export const readConfig = (
  overrides: Overrides = {},
  environment: Environment = process.env,
): Config => readOptions(OPTIONS, overrides, environment);

/** @throws StoreError `INVALID_ARGUMENT` that names the option or the variable and what it expects */
export const readClientConfig = (
  overrides: OverridesOf<typeof CLIENT_OPTIONS> = {},
  environment: Environment = process.env,
): ValuesOf<typeof CLIENT_OPTIONS> => readOptions(CLIENT_OPTIONS, overrides, environment);

/** @throws StoreError `INVALID_ARGUMENT` that names the variable that is missing or wrong */
export const readAwsConfig = (environment: Environment = process.env): AwsConfig =>
  readOptions(AWS_OPTIONS, {}, environment);

function readOptions<T extends Readonly<Record<string, Option>>>(
  options: T,
  overrides: OverridesOf<T>,
  environment: Environment,
): ValuesOf<T> {
  const values = Object.entries(options).map(([name, option]) => {
    // Object.entries widens the keys of a constant.
    const given = overrides[name as keyof T];
    if (given !== undefined) return [name, readValue(option, `--${kebab(name)}`, given)];
    const variable = environment[option.env];
    if (variable !== undefined && variable !== '') {
      return [name, readValue(option, option.env, variable)];
    }
    if (option.default === undefined) refuse(option.env, 'a value', '');
    return [name, option.default];
  });
  // Each value was read by its option's type.
  return Object.fromEntries(values) as ValuesOf<T>;
}

/** `requestTimeoutMs` as it is written on a command line: `request-timeout-ms`. */
export const kebab = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function readValue(option: Option, name: string, given: string | number | boolean) {
  const text = String(given).trim();
  switch (option.type) {
    case 'integer':
      return readInteger(option, name, text);
    case 'boolean':
      if (text === 'true' || text === 'false') return text === 'true';
      return refuse(name, 'true or false', text);
    case 'choice':
      return option.choices?.includes(text)
        ? text
        : refuse(name, `one of ${option.choices?.join(', ')}`, text);
    case 'secret':
      return text === '' ? refuse(name, 'a text that is not empty', '') : String(given);
    default:
      return text === '' ? refuse(name, 'a text that is not empty', '') : text;
  }
}

function readInteger({ min = 0, max = 0 }: Option, name: string, text: string): number {
  const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  return refuse(name, `a whole number from ${min} to ${max}`, text);
}

function refuse(name: string, expected: string, found: string): never {
  const message = `${name}: expected ${expected}, found ${JSON.stringify(found.slice(0, 100))}`;
  throw new StoreError('INVALID_ARGUMENT', message);
}
