/** How every verb that talks to a server reaches it, and how it says no. */
import type { Command } from 'commander';
import { type Client, openClient, RefusedError } from '#api/client.ts';
import { isStoreError } from '#base/errors.ts';

export type ConnectionOptions = Readonly<{ url: string; user: string }>;

/** Adds `--url` and `--user` to a verb. */
export function withConnection(command: Command): Command {
  return command
    .option('--url <url>', 'address of the server', 'http://127.0.0.1:19530')
    .option('--user <user:password>', 'credentials, or an API key', 'root:Milvus');
}

export const connect = ({ url, user }: ConnectionOptions): Client =>
  openClient({ url, token: user });

/** Runs a verb; a refusal becomes one line on standard error and exit code 1. */
export async function speaking(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    process.exitCode = 1;
    if (error instanceof RefusedError) {
      const advice = error.retry === 'later' ? ' (try again later)' : '';
      const effect = error.effect === 'unknown' ? ' The write may have taken effect.' : '';
      console.error(`error ${error.code}: ${error.message}${advice}${effect}`);
    } else if (isStoreError(error)) {
      console.error(`error: ${error.message}`);
      if (error.code === 'UNCERTAIN') console.error('Start one with: npm start');
    } else {
      throw error;
    }
  }
}
