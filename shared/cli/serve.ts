import { Command } from 'commander';
import { isStoreError } from '#base/errors.ts';
import { startSterna } from '#runtime/start.ts';
import { wholeNumber } from './arguments.ts';

type Options = Readonly<{ host: string; port: number; data: string }>;

export function serveCommand(): Command {
  return new Command('serve')
    .description('start a server on this machine')
    .option('--port <n>', 'TCP port; 0 picks a free one', wholeNumber(0, 65_535), 19_530)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--data <dir>', 'where the data lies; made when it is not there', './data')
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
  console.log(`Sterna is ready on ${server.url}, data in ${data}, searching by ${graphs}.`);
  console.log(
    `Try: curl -s ${server.url}/v2/vectordb/collections/list -H 'Authorization: Bearer root:Milvus' -d '{}'`,
  );
  await untilSignal();
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
