/** The emulator of Secrets Manager as the service's own client meets it. */
import {
  GetSecretValueCommand,
  ListSecretsCommand,
  ResourceNotFoundException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { expect, onTestFinished, test } from 'vitest';
import { must } from '#base/assert.ts';
import { startSecrets } from '../../support/emulators/secrets.ts';

test('a secret is found by its ARN and by its name, others are not found, and calls are counted', async () => {
  const emulator = await startSecrets({ root: 'a password' });
  const client = new SecretsManagerClient({
    region: 'us-east-1',
    endpoint: emulator.endpoint,
    credentials: { accessKeyId: 'emulated', secretAccessKey: 'emulated' },
    maxAttempts: 1,
  });
  onTestFinished(async () => {
    client.destroy();
    await emulator.close();
  });
  const get = (SecretId: string) => client.send(new GetSecretValueCommand({ SecretId }));
  const arn = must(emulator.arns['root'], 'the ARN of root');
  expect(arn).toMatch(/^arn:aws:secretsmanager:us-east-1:\d{12}:secret:root-\w{6}$/);
  for (const id of [arn, 'root']) {
    expect(await get(id)).toMatchObject({ ARN: arn, Name: 'root', SecretString: 'a password' });
  }
  expect(emulator.calls()).toBe(2);
  await expect(get('nothing')).rejects.toBeInstanceOf(ResourceNotFoundException);
  await expect(get('toString')).rejects.toBeInstanceOf(ResourceNotFoundException);
  expect(emulator.calls()).toBe(4);
  await expect(client.send(new ListSecretsCommand({}))).rejects.toThrow('GetSecretValue');
  expect(emulator.calls()).toBe(4);
});
