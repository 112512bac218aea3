/**
 * Where the SDK's errors end. What leaves this folder is a {@link StoreError} that says whether the
 * call may have had an effect; the SDK's error stays its `cause`, because AWS's own texts name
 * accounts and roles, which are for the log and not for a reply.
 */
import { StoreError } from '#base/errors.ts';
import type { AwsName } from './clients.ts';

/**
 * `action`: AWS's name of the call, as in an IAM policy (`PutObject`). `resource`: what it was about,
 * as words of a sentence (`object a/b in bucket c`). `idempotent`: the call changes nothing, or to
 * repeat it changes nothing more.
 */
export type AwsCall = Readonly<{
  service: AwsName;
  action: string;
  resource: string;
  idempotent: boolean;
}>;

/** What an SDK error says about itself; each part may be missing. */
export type AwsFailure = Readonly<{
  name: string;
  status: number | undefined;
  requestId: string | undefined;
  /** Calls made by the SDK before it gave up. */
  attempts: number;
}>;

const OBJECT_MISSING = new Set(['NoSuchKey', 'NotFound']);

/**
 * Refused at the door because of too many calls, or because another region writes the same item of
 * a strongly consistent global table at this moment. Nothing was done.
 */
const THROTTLED = new Set([
  'KMSThrottlingException',
  'LimitExceededException',
  'ProvisionedThroughputExceededException',
  'ReplicatedWriteConflictException',
  'RequestLimitExceeded',
  'RequestThrottled',
  'RequestThrottledException',
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'TooManyRequestsException',
]);

/** 4xx by status, and yet worth another try: bytes were lost or late on the way, or a name is new. */
const PASSING = new Set([
  'BadDigest',
  'IncompleteBody',
  'NoSuchUpload',
  'OperationAborted',
  'RequestTimeout',
  'RequestTimeoutException',
  'ResourceInUseException',
  'XAmzContentChecksumMismatch',
]);

/**
 * The request, or the credentials that signed it, had grown too old when it arrived: a function that
 * was frozen between signing and sending, or one that holds credentials of before. Refused before
 * anything else is looked at, so nothing was done, and the next request is signed anew.
 */
const STALE: Readonly<Record<string, string>> = {
  ExpiredToken: 'the credentials have expired',
  ExpiredTokenException: 'the credentials have expired',
  RequestExpired: 'the request was signed too long ago',
  RequestInTheFuture: 'the request was signed by a clock that is ahead',
  RequestTimeTooSkewed: 'the request was signed too long ago, or by a clock that is wrong',
  TokenRefreshRequired: 'the credentials have to be renewed',
};

/** Names that stand for a wrong key as well as for a late request; the text alone tells which. */
const SIGNATURE_REFUSED = new Set(['InvalidSignatureException', 'SignatureDoesNotMatch']);
const SIGNATURE_STALE = /^Signature (expired|not yet current)/;

/** What an operator should look at. */
const HINTS: Readonly<Record<string, string>> = {
  AccessDenied: 'the role lacks a permission, or a policy denies it',
  AccessDeniedException: 'the role lacks a permission, or a policy denies it',
  CredentialsProviderError: 'there are no credentials',
  InvalidAccessKeyId: 'the credentials are unknown',
  InvalidSignatureException: 'the secret access key is wrong',
  KMSAccessDeniedException: 'the role may not use the encryption key',
  KMSDisabledException: 'the encryption key is disabled',
  NoSuchBucket: 'there is no such bucket',
  PermanentRedirect: 'the bucket is in another region',
  ResourceNotFoundException: 'there is no such resource in this account and region',
  SignatureDoesNotMatch: 'the secret access key is wrong',
  UnrecognizedClientException: 'the credentials are unknown',
};

const SERVICES: Readonly<Record<AwsName, string>> = {
  s3: 'S3',
  kinesis: 'Kinesis',
  dynamodb: 'DynamoDB',
  lambda: 'Lambda',
  secretsmanager: 'Secrets Manager',
};

/**
 * - `OBJECT_NOT_FOUND`: the object is missing
 * - `OVERLOADED`: throttled, or signed too long ago; nothing was done
 * - `PLATFORM_REFUSED`: refused for a reason that stays: permission, missing bucket, unknown credentials
 * - `UNCERTAIN`: no answer, or one that leaves open what happened
 * - `INTERNAL`: no failure of AWS, but of the code that called it
 */
export function toStoreError(error: unknown, call: AwsCall): StoreError {
  if (error instanceof StoreError) return error;
  const failure = failureOf(error);
  const options = { cause: error };
  if (call.service === 's3' && OBJECT_MISSING.has(failure.name)) {
    return new StoreError('OBJECT_NOT_FOUND', `there is no ${call.resource}`, options);
  }
  const service = SERVICES[call.service];
  const doing = `${call.action} of ${call.resource}`;
  const said = describe(failure);
  if (isBug(error, failure)) {
    return new StoreError('INTERNAL', `${doing} failed before it was sent: ${said}`, options);
  }
  // Of several attempts an earlier one may have done it, whatever the last was told.
  const isLastWord = call.idempotent || failure.attempts <= 1;
  if (isLastWord && isThrottle(failure)) {
    const message = `${service} takes no more calls now; ${doing} was not done: ${said}`;
    return new StoreError('OVERLOADED', message, options);
  }
  if (isLastWord && isStale(error, failure)) {
    const message = `${service} found ${doing} signed too late; it was not done: ${said}`;
    return new StoreError('OVERLOADED', message, options);
  }
  if (isLastWord && isRefusal(failure)) {
    return new StoreError('PLATFORM_REFUSED', `${service} refused ${doing}: ${said}`, options);
  }
  const message = `${service} did not confirm ${doing}: ${said}`;
  return new StoreError('UNCERTAIN', message, options);
}

/** What an SDK error, or one of a socket below it, says. */
export function failureOf(error: unknown): AwsFailure {
  if (typeof error !== 'object' || error === null) {
    return { name: String(error), status: undefined, requestId: undefined, attempts: 1 };
  }
  const metadata = objectIn(error, '$metadata');
  const name = textIn(error, 'name') ?? 'Error';
  // A socket's error has the telling word in `code`; the SDK renames some to TimeoutError.
  const code = textIn(error, 'code');
  return {
    name: name === 'Error' || name === 'TimeoutError' ? (code ?? name) : name,
    status: numberIn(metadata, 'httpStatusCode'),
    requestId: textIn(metadata, 'requestId'),
    attempts: numberIn(metadata, 'attempts') ?? 1,
  };
}

const isThrottle = ({ name, status }: AwsFailure): boolean => THROTTLED.has(name) || status === 429;

const isStale = (error: unknown, { name }: AwsFailure): boolean =>
  name in STALE ||
  (SIGNATURE_REFUSED.has(name) &&
    error instanceof Error &&
    SIGNATURE_STALE.test(error.message.trim()));

const isRefusal = ({ name, status }: AwsFailure): boolean =>
  name in HINTS || (status !== undefined && status >= 300 && status < 500 && !PASSING.has(name));

/** The SDK throws plain TypeErrors where an argument is missing, before anything is sent. */
const isBug = (error: unknown, { status }: AwsFailure): boolean =>
  status === undefined && (error instanceof TypeError || error instanceof RangeError);

function describe({ name, status, requestId }: AwsFailure): string {
  const facts = [
    ...(status === undefined ? [] : [`status ${status}`]),
    ...(requestId === undefined ? [] : [`request ${requestId}`]),
  ];
  const hint = HINTS[name] ?? STALE[name];
  const word = facts.length === 0 ? name : `${name} (${facts.join(', ')})`;
  return hint === undefined ? word : `${word}: ${hint}`;
}

const valueIn = (from: object | undefined, key: string): unknown =>
  from === undefined ? undefined : Reflect.get(from, key);

function textIn(from: object | undefined, key: string): string | undefined {
  const value = valueIn(from, key);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function numberIn(from: object | undefined, key: string): number | undefined {
  const value = valueIn(from, key);
  return typeof value === 'number' ? value : undefined;
}

function objectIn(from: object, key: string): object | undefined {
  const value = valueIn(from, key);
  return typeof value === 'object' && value !== null ? value : undefined;
}
