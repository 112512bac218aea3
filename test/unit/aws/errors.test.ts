import { describe, expect, it } from 'vitest';
import { type AwsCall, toStoreError } from '#aws/errors.ts';
import { StoreError } from '#base/errors.ts';

const call: AwsCall = {
  service: 'kinesis',
  action: 'PutRecord',
  resource: 'stream wal',
  idempotent: false,
};

/** An error in the shape of the SDK's. */
const sdkError = (name: string, status?: number, attempts = 1): Error =>
  Object.assign(new Error('account 123456789012 did something'), {
    name,
    $metadata: { httpStatusCode: status, attempts, requestId: 'r-1' },
  });

const socketError = (code: string): Error =>
  Object.assign(new Error('socket'), { name: 'TimeoutError', code });

describe('an error of the SDK', () => {
  it.each<[string, Error, StoreError['code']]>([
    ['a throttle by name', sdkError('ProvisionedThroughputExceededException', 400), 'OVERLOADED'],
    ['a throttle by status', sdkError('Unknown', 429), 'OVERLOADED'],
    ['KMS is throttled', sdkError('KMSThrottlingException', 400), 'OVERLOADED'],
    ['no permission', sdkError('AccessDeniedException', 400), 'PLATFORM_REFUSED'],
    ['no such stream', sdkError('ResourceNotFoundException', 400), 'PLATFORM_REFUSED'],
    ['expired credentials', sdkError('ExpiredTokenException', 400), 'PLATFORM_REFUSED'],
    ['no credentials', sdkError('CredentialsProviderError'), 'PLATFORM_REFUSED'],
    ['a request that is refused as such', sdkError('ValidationException', 400), 'PLATFORM_REFUSED'],
    ['a request that came in too slowly', sdkError('RequestTimeout', 400), 'UNCERTAIN'],
    ['a stream that is being changed', sdkError('ResourceInUseException', 400), 'UNCERTAIN'],
    ['a failure inside', sdkError('InternalFailure', 500), 'UNCERTAIN'],
    ['a gateway without a word', sdkError('UnknownError', 502), 'UNCERTAIN'],
    ['a reset', socketError('ECONNRESET'), 'UNCERTAIN'],
    ['an abort', Object.assign(new Error('aborted'), { name: 'AbortError' }), 'UNCERTAIN'],
    ['a missing argument', new TypeError('no StreamName'), 'INTERNAL'],
  ])('%s', (_, error, code) => {
    const found = toStoreError(error, call);
    expect(found).toMatchObject({ code, cause: error });
    expect(found.message).toContain('PutRecord of stream wal');
    // AWS's own text names accounts and roles; it stays in the cause.
    expect(found.message).not.toContain('123456789012');
  });

  it('is uncertain after several attempts of what may not be repeated', () => {
    const error = sdkError('ThrottlingException', 400, 2);
    expect(toStoreError(error, call).code).toBe('UNCERTAIN');
    expect(toStoreError(error, { ...call, idempotent: true }).code).toBe('OVERLOADED');
    const refused = sdkError('AccessDeniedException', 400, 2);
    expect(toStoreError(refused, call).code).toBe('UNCERTAIN');
  });

  it('tells what to look for: status, request, a hint', () => {
    const { message } = toStoreError(sdkError('AccessDeniedException', 400), call);
    expect(message).toBe(
      'Kinesis refused PutRecord of stream wal: AccessDeniedException (status 400, request r-1): ' +
        'the role lacks a permission, or a policy denies it',
    );
  });

  it('is a missing object only on S3', () => {
    const missing = sdkError('NoSuchKey', 404);
    const s3 = { ...call, service: 's3', resource: 'object k in s3://b/' } as const;
    expect(toStoreError(missing, s3)).toMatchObject({
      code: 'OBJECT_NOT_FOUND',
      message: 'there is no object k in s3://b/',
    });
    expect(toStoreError(missing, call).code).toBe('PLATFORM_REFUSED');
  });

  it('leaves our own errors alone, and takes anything that was thrown', () => {
    const own = new StoreError('TOO_LARGE', 'too large');
    expect(toStoreError(own, call)).toBe(own);
    for (const thrown of ['text', undefined, null, 7, {}]) {
      expect(toStoreError(thrown, call).code).toBe('UNCERTAIN');
    }
  });
});
