/** One secret of Secrets Manager, read when it is asked for. */
import { StoreError } from '#base/errors.ts';
import { type AwsSettings, commonConfig } from './clients.ts';
import { toStoreError } from './errors.ts';

/**
 * The text of a secret, as CloudFormation's `GenerateSecretString` makes it without a template. It is
 * neither kept nor logged here, and no message holds it. A message names the secret without its ARN's
 * account: whoever asks for the root of a deployment has not shown a password yet.
 *
 * The client is loaded only now: a deployment asks for its secret once in its life, so no function should
 * set it up when it starts.
 *
 * The end of a line behind it is not part of it: `put-secret-value` of a file brings one along, and no
 * header can carry it.
 *
 * @param secretId name or ARN
 * @throws StoreError `PLATFORM_REFUSED` where there is no such secret, or no permission to read it or
 *   to use its key, or where it holds no text; `OVERLOADED`, `UNCERTAIN`
 */
export async function readSecret(settings: AwsSettings, secretId: string): Promise<string> {
  const { GetSecretValueCommand, SecretsManagerClient } = await import(
    '@aws-sdk/client-secrets-manager'
  );
  const resource = `secret ${secretId.replace(/^arn:.*:/, '')}`;
  const client = new SecretsManagerClient(commonConfig(settings, 'secretsmanager'));
  try {
    const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: secretId }));
    const text = (SecretString ?? '').replace(/\r?\n$/, '');
    if (text !== '') return text;
    throw new StoreError('PLATFORM_REFUSED', `${resource} holds no text`);
  } catch (error) {
    throw toStoreError(error, {
      service: 'secretsmanager',
      action: 'GetSecretValue',
      resource,
      idempotent: true,
    });
  } finally {
    client.destroy();
  }
}
