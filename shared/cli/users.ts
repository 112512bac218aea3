import { Command } from 'commander';
import { StoreError } from '#base/errors.ts';
import { ROOT_USER } from '#catalog/access.ts';
import { readClientConfig } from '#runtime/config.ts';
import { connect, speaking, withAddress } from './connection.ts';
import { askSecret, secretsFromInput } from './secret.ts';

type Options = Readonly<{ url?: string; passwordsStdin?: boolean }>;

export function usersCommand(): Command {
  return new Command('users')
    .description('who may speak to the server')
    .addCommand(updatePasswordCommand());
}

function updatePasswordCommand(): Command {
  const command = new Command('update-password')
    .description('replace the password of a user; asks for the current and the new one')
    .argument('[user]', 'whose', ROOT_USER)
    .option(
      '--passwords-stdin',
      'read the current and the new password from standard input, a line each',
    );
  return withAddress(command).action((user: string, options: Options) =>
    speaking(() => updatePassword(user, options)),
  );
}

/** Whoever knows the current password may change it, so nobody else's credentials are needed. */
async function updatePassword(user: string, options: Options): Promise<void> {
  const { url } = readClientConfig({ url: options.url });
  const [password = '', newPassword = ''] =
    options.passwordsStdin === true
      ? await secretsFromInput(['current password', 'new password'])
      : await asked(user);
  const client = connect({ url, user: `${user}:${password}` });
  await client.call('/v2/vectordb/users/update_password', {
    userName: user,
    password,
    newPassword,
  });
  console.log(
    `The password of ${user} is changed. Every process refuses the old one within 10 seconds.`,
  );
}

async function asked(user: string): Promise<readonly string[]> {
  const password = await askSecret(`Current password of ${user}: `);
  const newPassword = await askSecret('New password (6 to 72 bytes): ');
  if ((await askSecret('The new one again: ')) === newPassword) return [password, newPassword];
  const message = 'the new password was not the same both times; nothing was changed';
  throw new StoreError('INVALID_ARGUMENT', message);
}
