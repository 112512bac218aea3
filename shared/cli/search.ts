import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { StoreError } from '#base/errors.ts';
import { type Json, parseJson } from '#base/json.ts';
import { json, names, wholeNumber } from './arguments.ts';
import { type ConnectionOptions, connect, speaking, withConnection } from './connection.ts';
import { printRows } from './table.ts';

type Options = ConnectionOptions &
  Readonly<{
    vector?: Json;
    vectorFile?: string;
    field?: string;
    filter?: string;
    limit: number;
    output?: readonly string[];
    ef?: number;
    explain?: boolean;
    json?: boolean;
  }>;

export function searchCommand(): Command {
  const command = new Command('search')
    .description('the rows nearest to a vector')
    .argument('<collection>')
    .option('--vector <json>', 'the query vector, e.g. "[0.1, 0.2]"', json)
    .option('--vector-file <file>', 'a file that holds it as JSON')
    .option('--field <name>', 'the vector field, where there are several')
    .option('--filter <expression>', 'only rows for which it is true')
    .option('--limit <n>', 'how many', wholeNumber(1, 16_384), 10)
    .option('--output <names>', 'fields to show, separated by commas', names)
    .option('--ef <n>', 'search effort of the graph', wholeNumber(1, 32_768))
    .option('--explain', 'say how each segment was searched')
    .option('--json', 'the reply as JSON');
  return withConnection(command).action((collection: string, options: Options) =>
    speaking(() => search(collection, options)),
  );
}

async function search(collection: string, options: Options): Promise<void> {
  const vector =
    options.vectorFile === undefined ? options.vector : await readVector(options.vectorFile);
  if (vector === undefined) {
    throw new StoreError('INVALID_ARGUMENT', 'give --vector or --vector-file');
  }
  const reply = await connect(options).call('/v2/vectordb/entities/search', {
    collectionName: collection,
    data: [vector],
    limit: options.limit,
    ...(options.field === undefined ? {} : { annsField: options.field }),
    ...(options.filter === undefined ? {} : { filter: options.filter }),
    ...(options.output === undefined ? {} : { outputFields: options.output }),
    ...(options.ef === undefined ? {} : { searchParams: { params: { ef: options.ef } } }),
    ...(options.explain === true ? { explain: true } : {}),
  });
  printRows(reply, options.json === true);
}

async function readVector(file: string): Promise<Json> {
  const text = await readFile(file, 'utf8').catch(() => {
    throw new StoreError('INVALID_ARGUMENT', `cannot read ${file}`);
  });
  return parseJson(text);
}
