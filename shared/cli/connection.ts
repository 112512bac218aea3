/** How every verb that talks to a server reaches it, and how it says no. */
import type { Command } from 'commander';
import { type Client, openClient, RefusedError } from '#api/client.ts';
import { isStoreError } from '#base/errors.ts';
import { CLIENT_OPTIONS, readClientConfig } from '#runtime/config.ts';

/** What is left out is the environment's or the default of `runtime/config.ts`. */
export type ConnectionOptions = Readonly<{ url?: string; user?: string }>;

const { url, user } = CLIENT_OPTIONS;

/** Adds `--url` to a verb. */
export const withAddress = (command: Command): Command =>
  command.option('--url <url>', `address of the server (${url.env}), else ${url.default}`);

/** Adds `--url` and `--user` to a verb. */
export const withConnection = (command: Command): Command =>
  withAddress(command).option(
    '--user <user:password>',
    `credentials, better in ${user.env} than on a command line, else ${user.default}`,
  );

export function connect(options: ConnectionOptions): Client {
  const { url, user } = readClientConfig({ url: options.url, user: options.user });
  return openClient({ url, token: user });
}

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
