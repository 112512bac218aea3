/** One secret of Secrets Manager, read when it is asked for. */
import { StoreError } from '#base/errors.ts';
import { type AwsSettings, commonConfig } from './clients.ts';
import { toStoreError } from './errors.ts';

/**
 * The text of a secret, as CloudFormation's `GenerateSecretString` makes it without a template. It is
 * neither kept nor logged here, and no message names it.
 *
 * The client is loaded only now: a deployment asks for its secret once in its life, so no function should
 * set it up when it starts.
 *
 * @param secretId name or ARN
 * @throws StoreError `PLATFORM_REFUSED` where there is no such secret, or no permission to read it or
 *   to use its key, or where it holds no text; `OVERLOADED`, `UNCERTAIN`
 */
export async function readSecret(settings: AwsSettings, secretId: string): Promise<string> {
  const { GetSecretValueCommand, SecretsManagerClient } = await import(
    '@aws-sdk/client-secrets-manager'
  );
  const client = new SecretsManagerClient(commonConfig(settings, 'secretsmanager'));
  try {
    const { SecretString: text } = await client.send(
      new GetSecretValueCommand({ SecretId: secretId }),
    );
    if (text !== undefined && text !== '') return text;
    throw new StoreError('PLATFORM_REFUSED', `secret ${secretId} holds no text`);
  } catch (error) {
    throw toStoreError(error, {
      service: 'secretsmanager',
      action: 'GetSecretValue',
      resource: `secret ${secretId}`,
      idempotent: true,
    });
  } finally {
    client.destroy();
  }
}
