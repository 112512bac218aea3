/**
 * What AWS refuses us: an operator finds it in the log by its code, with AWS's own words; a caller, who may
 * have shown no password, gets our sentence without the account. docs/aws.md and docs/operations/alarms.md
 * tell operators to search for it.
 */
import { expect, test } from 'vitest';
import * as z from 'zod';
import { toStoreError } from '#aws/errors.ts';
import { readSecret } from '#aws/secrets.ts';
import { http } from '#runtime/http.ts';
import { readRoute } from '#service/route.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { RecordingTelemetry } from '#sim/silent-telemetry.ts';
import { EMULATOR_CREDENTIALS } from '../../support/emulators/s3.ts';
import { startSecrets } from '../../support/emulators/secrets.ts';

const LIST = '/v2/vectordb/collections/list';
const ROLE = 'arn:aws:sts::123456789012:assumed-role/sterna-prod-read';

test('a missing permission is in the log with its code and words, and not in the reply', async () => {
  const telemetry = new RecordingTelemetry();
  const denied = Object.assign(new Error(`User: ${ROLE} is not authorized to perform GetItem`), {
    name: 'AccessDeniedException',
    $metadata: { httpStatusCode: 400, attempts: 1 },
  });
  const refuse = async () => {
    throw toStoreError(denied, {
      service: 'dynamodb',
      action: 'GetItem',
      resource: 'table global',
      idempotent: true,
    });
  };
  const handler = http(
    { [`POST ${LIST}`]: readRoute(z.object({}), refuse) },
    { authenticate: async () => 'root', clock: new ManualClock(), telemetry },
  );
  const { body } = await handler(
    {
      rawPath: LIST,
      body: '{}',
      isBase64Encoded: false,
      requestContext: { requestId: 'r-1', http: { method: 'POST' } },
      headers: {},
    },
    {},
  );
  expect(body).toContain('DynamoDB refused GetItem of table global');
  expect(body).not.toContain('123456789012');
  const logged = telemetry.events.filter(({ name }) => name === 'request-failed');
  expect(logged).toHaveLength(1);
  expect(logged[0]?.facts).toMatchObject({ code: 'PLATFORM_REFUSED', requestId: 'r-1' });
  expect(logged[0]?.facts['cause']).toContain(ROLE);
});

test("a secret is read without the end of its file's line, and named without its ARN's account", async () => {
  const secrets = await startSecrets({ root: 'from a file\n' });
  try {
    const settings = {
      region: 'us-east-1',
      credentials: EMULATOR_CREDENTIALS,
      endpoints: { secretsmanager: secrets.endpoint },
    };
    expect(await readSecret(settings, 'root')).toBe('from a file');
    const arn = 'arn:aws:secretsmanager:us-east-1:123456789012:secret:sterna-prod-root-AbCdEf';
    const failed: unknown = await readSecret(settings, arn).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 'PLATFORM_REFUSED' });
    expect(String(failed)).toContain('secret sterna-prod-root-AbCdEf');
    expect(String(failed)).not.toContain('123456789012');
  } finally {
    await secrets.close();
  }
});
