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

  // A function that thaws: what it signed before it froze is too old, and nothing was done.
  it.each<[AwsCall['service'], string, number, string]>([
    ['s3', 'RequestTimeTooSkewed', 403, 'The difference between the times is too large.'],
    ['s3', 'ExpiredToken', 400, 'The provided token has expired.'],
    ['s3', 'TokenRefreshRequired', 400, 'The provided token must be refreshed.'],
    ['kinesis', 'ExpiredTokenException', 400, 'The security token is expired'],
    ['dynamodb', 'RequestExpired', 400, 'Request has expired.'],
    ['dynamodb', 'RequestInTheFuture', 400, 'Request is in the future.'],
    ['dynamodb', 'InvalidSignatureException', 400, 'Signature expired: a is now earlier than b'],
    ['kinesis', 'InvalidSignatureException', 400, 'Signature not yet current: a is later than b'],
    ['secretsmanager', 'SignatureDoesNotMatch', 403, 'Signature expired: a is now earlier than b'],
  ])(
    '%s says %s: nothing was done, and the next call is signed anew',
    (service, name, status, text) => {
      const error = Object.assign(sdkError(name, status), { message: text });
      const found = toStoreError(error, { ...call, service });
      expect(found).toMatchObject({
        code: 'OVERLOADED',
        advice: { retry: 'later', effect: 'none' },
      });
      // After several attempts of an append an earlier one may have done it.
      const repeated = Object.assign(sdkError(name, status, 3), { message: text });
      expect(toStoreError(repeated, { ...call, service }).code).toBe('UNCERTAIN');
      expect(toStoreError(repeated, { ...call, service, idempotent: true }).code).toBe(
        'OVERLOADED',
      );
    },
  );

  it.each(['InvalidSignatureException', 'SignatureDoesNotMatch'])(
    '%s for a wrong key stays a refusal',
    (name) => {
      const message = 'The request signature we calculated does not match the one you provided.';
      const error = Object.assign(sdkError(name, 403), { message });
      expect(toStoreError(error, call)).toMatchObject({ code: 'PLATFORM_REFUSED' });
      expect(toStoreError(error, call).message).toContain('the secret access key is wrong');
    },
  );

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
    const s3 = { ...call, service: 's3', resource: 'object k' } as const;
    expect(toStoreError(missing, s3)).toMatchObject({
      code: 'OBJECT_NOT_FOUND',
      message: 'there is no object k',
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
