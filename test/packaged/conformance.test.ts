/**
 * The conformance suite, as it is, against what `serverless package` wrote: API Gateway's front, the
 * functions as processes, the event source, the emulators. Each file gets a deployment of its own.
 *
 * Left out is what only the server of one process has (`test/conformance/local-*.test.ts`): /healthz
 * and /metrics, the start of `sterna serve`, and that 64 MB are read as far as needed to refuse them
 * with 1102, where API Gateway says 413 to more than 10 MB before any function runs.
 */
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe } from 'vitest';
import { startPackaged } from '../support/lambda/packaged-server.ts';
import { startServersBy } from '../support/server.ts';

startServersBy(startPackaged);

const DIRECTORY = fileURLToPath(new URL('../conformance/', import.meta.url));
const files = globSync(`${DIRECTORY}/*.test.ts`).filter(
  (file) => !basename(file).startsWith('local-'),
);

for (const file of files.sort()) {
  describe(basename(file), async () => {
    await import(pathToFileURL(file).href);
  });
}
