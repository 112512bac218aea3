/**
 * `sterna load`: rows of a JSON-lines file into a collection, in batches, with a progress bar.
 *
 * Each batch carries a `RequestId`, so that a batch whose answer was lost is sent again without
 * doubling a row.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { SingleBar } from 'cli-progress';
import { Command } from 'commander';
import pLimit from 'p-limit';
import { type Client, RefusedError } from '#api/client.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import { type JsonObject, parseJson } from '#base/json.ts';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import { retry } from '#ports/retry.ts';
import { wholeNumber } from './arguments.ts';
import { type ConnectionOptions, connect, speaking, withConnection } from './connection.ts';

type Options = ConnectionOptions &
  Readonly<{ batch: number; clients: number; create?: boolean; insert?: boolean; metric: string }>;

/** A batch is sent early at this size, well below the server's 64 MB. */
const BATCH_CHARACTERS_MAX = 16 * 1024 * 1024;
/** Up to 0.5, 1, 2, 4, 8 and 16 s: longer than it takes a busy server to catch up. */
const RETRIES = {
  codes: ['OVERLOADED', 'UNCERTAIN'],
  attemptsMax: 7,
  firstDelayMs: 500,
  delayMaxMs: 16_000,
} as const;
const WORLD = { clock: openClock(), entropy: systemEntropy };

type Batch = Readonly<{ rows: readonly JsonObject[]; firstLine: number; lastLine: number }>;

export function loadCommand(): Command {
  const command = new Command('load')
    .description('load a JSON-lines file (one row per line) into a collection')
    .argument('<file>')
    .argument('<collection>')
    .option('--batch <n>', 'rows per request', wholeNumber(1, 10_000), 1000)
    .option('--clients <n>', 'requests in flight', wholeNumber(1, 64), 4)
    .option('--create', 'create the collection after the first row, if it is not there')
    .option('--metric <name>', 'COSINE, L2 or IP, with --create', 'COSINE')
    .option('--insert', 'insert instead of upsert');
  return withConnection(command).action((file: string, collection: string, options: Options) =>
    speaking(() => load(file, collection, options)),
  );
}

async function load(file: string, collection: string, options: Options): Promise<void> {
  const client = connect(options);
  const stats = await stat(file).catch(() => undefined);
  if (stats === undefined || stats.isDirectory()) {
    throw new StoreError('INVALID_ARGUMENT', `cannot read ${file}`);
  }
  const { size } = stats;
  const bar = new SingleBar({
    format: 'loading [{bar}] {percentage}% | {rows} rows | {rate} rows/s | {duration_formatted}',
    noTTYOutput: true,
    notTTYSchedule: 5000,
  });
  const run = createHash('sha256').update(randomUUID()).digest('hex').slice(0, 16);
  const verb = options.insert === true ? 'insert' : 'upsert';
  const limit = pLimit(options.clients);
  const started = performance.now();
  const inFlight = new Set<Promise<void>>();
  let rows = 0;
  let failure: unknown;
  const facts = () => ({ rows, rate: Math.round((rows / (performance.now() - started)) * 1000) });

  bar.start(size, 0, facts());
  try {
    let ready = false;
    for await (const batch of batchesOf(file, options.batch, (bytes) =>
      bar.update(bytes, facts()),
    )) {
      if (failure !== undefined) break;
      if (!ready && options.create === true)
        await createFor(client, collection, batch, options.metric);
      ready = true;
      const work = limit(async () => {
        await send(client, `/v2/vectordb/entities/${verb}`, collection, batch, run);
        rows += batch.rows.length;
      })
        .catch((error: unknown) => {
          failure ??= error;
        })
        .finally(() => inFlight.delete(work));
      inFlight.add(work);
      if (inFlight.size >= options.clients * 2) await Promise.race(inFlight);
    }
    await Promise.all(inFlight);
    if (failure === undefined) bar.update(size, facts());
  } finally {
    bar.stop();
  }
  if (failure !== undefined) throw failure;
  console.log(`${rows} rows into ${collection}: ${facts().rate} rows/s`);
}

async function* batchesOf(
  file: string,
  rowsMax: number,
  progress: (bytes: number) => void,
): AsyncGenerator<Batch> {
  const stream = createReadStream(file);
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
  let rows: JsonObject[] = [];
  let characters = 0;
  let firstLine = 1;
  let lastLine = 0;
  for await (const line of lines) {
    lastLine++;
    if (line.trim() === '') continue;
    rows.push(parseLine(line, lastLine));
    characters += line.length;
    if (rows.length >= rowsMax || characters >= BATCH_CHARACTERS_MAX) {
      yield { rows, firstLine, lastLine };
      progress(stream.bytesRead);
      rows = [];
      characters = 0;
      firstLine = lastLine + 1;
    }
  }
  if (rows.length > 0) yield { rows, firstLine, lastLine };
}

function parseLine(line: string, number: number): JsonObject {
  try {
    const row = parseJson(line);
    if (typeof row === 'object' && row !== null && !Array.isArray(row)) {
      // Neither null nor an array: an object.
      return row as JsonObject;
    }
  } catch (error) {
    const reason = isStoreError(error) ? error.message : String(error);
    throw new StoreError('INVALID_ARGUMENT', `line ${number}: ${reason}`);
  }
  throw new StoreError('INVALID_ARGUMENT', `line ${number}: expected a JSON object`);
}

async function send(
  client: Client,
  path: string,
  collectionName: string,
  { rows, firstLine, lastLine }: Batch,
  run: string,
): Promise<void> {
  const body = { collectionName, data: rows };
  try {
    await retry(WORLD, RETRIES, async () => {
      await client.call(path, body, `load-${run}-${firstLine}`).catch(throwRetryable);
    });
  } catch (error) {
    console.error(`\nlines ${firstLine} to ${lastLine} were not acknowledged`);
    throw isStoreError(error) && error.cause instanceof RefusedError ? error.cause : error;
  }
}

/** What the server says may work later becomes what `retry` knows; anything else is passed on. */
function throwRetryable(error: unknown): never {
  if (error instanceof RefusedError && error.retry === 'later') {
    throw new StoreError('OVERLOADED', error.message, { cause: error });
  }
  throw error;
}

/** The quick form of create, with what the first row shows. */
async function createFor(
  client: Client,
  name: string,
  batch: Batch,
  metric: string,
): Promise<void> {
  const { data } = await client.call('/v2/vectordb/collections/has', { collectionName: name });
  if (typeof data === 'object' && data !== null && 'has' in data && data.has === true) return;
  const [first = {}] = batch.rows;
  const vector = Object.entries(first).find(
    ([, value]) =>
      Array.isArray(value) && value.length > 1 && value.every((item) => typeof item === 'number'),
  );
  if (vector === undefined || !('id' in first)) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      '--create needs rows with an "id" and an array of numbers',
    );
  }
  await client.call('/v2/vectordb/collections/create', {
    collectionName: name,
    dimension: (vector[1] as readonly unknown[]).length, // `find` chose an array
    metricType: metric,
    vectorFieldName: vector[0],
    idType: typeof first['id'] === 'string' ? 'VarChar' : 'Int64',
    ...(typeof first['id'] === 'string' ? { params: { max_length: '512' } } : {}),
  });
}
