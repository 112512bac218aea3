/**
 * Resident memory at 100,000 x 768, against an empty server and the bytes of the vectors.
 *
 * Measured after the load is indexed and 200 searches have warmed the graph; the peak is what the
 * operating system saw at the worst moment, the build included.
 */
import { clusteredVectors, rowOf } from './support/dataset.ts';
import { report } from './support/report.ts';
import { openConnection, startServer, untilIndexed } from './support/server.ts';

const ROWS = 100_000;
const DIM = 768;
const BATCH = 500;
const MIB = 2 ** 20;

async function main(): Promise<void> {
  const server = await startServer();
  try {
    const call = openConnection(server.url);
    await call('/collections/list', '{}');
    const emptyBytes = await server.residentBytes();
    await call('/collections/create', JSON.stringify({ collectionName: 'big', dimension: DIM }));
    const vectors = clusteredVectors(ROWS, DIM, 11);
    const started = performance.now();
    for (let first = 0; first < ROWS; first += BATCH) {
      const data = Array.from({ length: BATCH }, (_, index) => ({
        id: first + index,
        vector: Array.from(rowOf(vectors, DIM, first + index)),
      }));
      await call('/entities/insert', JSON.stringify({ collectionName: 'big', data }));
    }
    const loadedSeconds = (performance.now() - started) / 1000;
    await untilIndexed(call, 'big', 'vector');
    const indexedSeconds = (performance.now() - started) / 1000;
    for (let query = 0; query < 200; query++) {
      const body = {
        collectionName: 'big',
        data: [Array.from(rowOf(vectors, DIM, query * 37))],
        limit: 10,
      };
      await call('/entities/search', JSON.stringify(body));
    }
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    const fullBytes = await server.residentBytes();
    const peakBytes = await server.residentPeakBytes();
    const vectorBytes = ROWS * DIM * 4;
    const growth = (fullBytes - emptyBytes) / vectorBytes;
    report(
      'memory',
      [
        { what: 'empty server, resident', figure: `${Math.round(emptyBytes / MIB)} MiB` },
        { what: 'indexed and warm, resident', figure: `${Math.round(fullBytes / MIB)} MiB` },
        { what: 'peak, while building', figure: `${Math.round(peakBytes / MIB)} MiB` },
        { what: 'bytes of the vectors', figure: `${Math.round(vectorBytes / MIB)} MiB` },
        { what: 'acknowledged after', figure: `${loadedSeconds.toFixed(1)} s` },
        { what: 'indexed after', figure: `${indexedSeconds.toFixed(1)} s` },
      ],
      [
        `${ROWS} x ${DIM}: resident memory grew by ${growth.toFixed(2)} of the vectors' bytes (goal: at most 2.5).`,
      ],
    );
  } finally {
    await server.remove();
  }
}

await main();
