import { Command } from 'commander';
import { names, wholeNumber } from './arguments.ts';
import { type ConnectionOptions, connect, speaking, withConnection } from './connection.ts';
import { printRows } from './table.ts';

type Options = ConnectionOptions &
  Readonly<{
    filter: string;
    limit: number;
    offset: number;
    output?: readonly string[];
    count?: boolean;
    json?: boolean;
  }>;

export function queryCommand(): Command {
  const command = new Command('query')
    .description('the rows for which an expression is true')
    .argument('<collection>')
    .option('--filter <expression>', "e.g. \"price < 10 and tag in ['a', 'b']\"", '')
    .option('--limit <n>', 'how many', wholeNumber(1, 16_384), 10)
    .option('--offset <n>', 'skip so many', wholeNumber(0, 16_384), 0)
    .option('--output <names>', 'fields to show, separated by commas', names)
    .option('--count', 'count them instead')
    .option('--json', 'the reply as JSON');
  return withConnection(command).action((collection: string, options: Options) =>
    speaking(() => query(collection, options)),
  );
}

async function query(collection: string, options: Options): Promise<void> {
  const reply = await connect(options).call('/v2/vectordb/entities/query', {
    collectionName: collection,
    filter: options.filter,
    ...(options.count === true
      ? { outputFields: ['count(*)'] }
      : {
          limit: options.limit,
          offset: options.offset,
          ...(options.output === undefined ? {} : { outputFields: options.output }),
        }),
  });
  printRows(reply, options.json === true);
}
