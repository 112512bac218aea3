import { Command } from 'commander';
import { isStoreError } from '#base/errors.ts';
import { startSterna } from '#runtime/start.ts';
import { wholeNumber } from './arguments.ts';

/** What is left out is the environment's or the default of `runtime/config.ts`. */
type Options = Readonly<{ host?: string; port?: number; data?: string }>;

export function serveCommand(): Command {
  return new Command('serve')
    .description('start a server on this machine')
    .option('--port <n>', 'TCP port, 19530 by default; 0 picks a free one', wholeNumber(0, 65_535))
    .option('--host <address>', 'address to listen on, 127.0.0.1 by default')
    .option('--data <dir>', 'where the data lies, ./data by default; made when it is not there')
    .action(serve);
}

async function serve({ host, port, data }: Options): Promise<void> {
  const server = await startSterna({ host, port, dir: data }).catch((error: unknown) => {
    if (!isStoreError(error)) throw error;
    console.error(`error: ${error.message}`);
    return undefined;
  });
  if (server === undefined) {
    process.exitCode = 1;
    return;
  }
  const graphs = server.graphs.available
    ? 'HNSW graphs'
    : `exact scan only, since graphs are not available (${server.graphs.reason})`;
  // Listened for before the ready line: whoever waits for it may ask for the end at once.
  const signal = untilSignal();
  console.log(`Sterna is ready on ${server.url}, data in ${server.dir}, searching by ${graphs}.`);
  console.log(
    `Try: curl -s ${server.url}/v2/vectordb/collections/list -H 'Authorization: Bearer root:Milvus' -d '{}'`,
  );
  await signal;
  console.log('Stopping: finishing what is in flight.');
  await server.close();
}

/** The first SIGINT or SIGTERM asks; a second SIGINT finds no handler and ends the process. */
function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      process.off('SIGINT', done);
      process.off('SIGTERM', done);
      resolve();
    };
    process.on('SIGINT', done);
    process.on('SIGTERM', done);
  });
}
