import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { CreateBucketCommand, type S3Client } from '@aws-sdk/client-s3';
import { type AwsSettings, s3Client } from '#aws/clients.ts';

export type S3Emulator = Readonly<{
  endpoint: string;
  settings: AwsSettings;
  client: S3Client;
  /** A bucket that nobody else uses. */
  newBucket: () => Promise<string>;
  close: () => Promise<void>;
}>;

/** The credentials of s3rver's only account. */
export const EMULATOR_CREDENTIALS = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' } as const;

export const emulatorSettings = (
  endpoint: string,
  waits: NonNullable<AwsSettings['waits']> = {},
): AwsSettings => ({
  region: 'us-east-1',
  credentials: EMULATOR_CREDENTIALS,
  endpoints: { s3: endpoint },
  waits,
});

/** s3rver in a process of its own, see `s3-server.ts`. */
export async function startS3(): Promise<S3Emulator> {
  // s3rver makes the tokens of its listings with DES, which OpenSSL 3 has in its legacy provider.
  const file = fileURLToPath(new URL('./s3-server.ts', import.meta.url));
  const child = spawn(process.execPath, ['--openssl-legacy-provider', '--no-warnings', file], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  const line = createInterface(child.stdout)[Symbol.asyncIterator]().next();
  const first = await Promise.race([line, exit.then(() => undefined)]);
  if (first === undefined || first.done) throw new Error('the S3 emulator ended at once');
  const endpoint = `http://127.0.0.1:${first.value}`;
  const settings = emulatorSettings(endpoint);
  const client = s3Client(settings);
  let buckets = 0;
  return {
    endpoint,
    settings,
    client,
    newBucket: async () => {
      buckets += 1;
      const name = `sterna-${buckets}`;
      await client.send(new CreateBucketCommand({ Bucket: name }));
      return name;
    },
    close: async () => {
      client.destroy();
      child.stdin.end();
      await exit;
    },
  };
}
