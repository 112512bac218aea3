/** The command line: one file per verb. */
import { Command } from 'commander';
import { VERSION } from '#runtime/version.ts';
import { costCommand } from './cost.ts';
import { inspectCommand } from './inspect.ts';
import { loadCommand } from './load.ts';
import { parkedCommand } from './parked.ts';
import { queryCommand } from './query.ts';
import { scrubCommand } from './scrub.ts';
import { searchCommand } from './search.ts';
import { serveCommand } from './serve.ts';
import { usersCommand } from './users.ts';

export async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('sterna')
    .description('Sterna, a vector database: serve it here, load it, ask it, look inside.')
    .version(VERSION)
    .showHelpAfterError()
    .addCommand(serveCommand())
    .addCommand(loadCommand())
    .addCommand(searchCommand())
    .addCommand(queryCommand())
    .addCommand(inspectCommand())
    .addCommand(scrubCommand())
    .addCommand(parkedCommand())
    .addCommand(costCommand())
    .addCommand(usersCommand());
  await program.parseAsync([...argv]);
}
