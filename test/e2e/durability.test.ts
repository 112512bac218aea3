/**
 * An acknowledgement waits for the disk (I1), which a killed process cannot show: what it wrote is in
 * the system's memory all the same. So a real server is traced, call by call, and each write's way to
 * the disk is compared with its reply's way to the client.
 *
 * Servers whose ports are hasty run under the same eyes, so that a test that sees nothing would fail.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  answered,
  countFlushes,
  findHasty,
  readFlushes,
  type Trace,
  type TracedWrite,
} from '../support/e2e-flushes.ts';
import { HASTES, type Haste } from '../support/e2e-hasty-ports.ts';
import { CLI, killLeftovers, type ServerProcess, serve } from '../support/e2e-process.ts';
import { parseTrace, tracing, whyNoTrace } from '../support/e2e-trace.ts';

const SERVER = new URL('../support/e2e-server.ts', import.meta.url).pathname;
const COLLECTION = 'traced';
/** Rows of this many characters make payloads beyond the 8 KiB that ride inline. */
const LARGE = 20_000;
const SINGLE_WRITES = 24;
const CLIENTS = 8;
const WRITES_PER_CLIENT = 25;

/** Tracing may be forbidden on a developer's machine, never where CI is set. */
const obstacle = whyNoTrace();
const skipped = obstacle !== undefined && process.env['CI'] === undefined;
if (skipped) {
  console.error(`\n  NOT TESTED: whether acknowledgements wait for the disk. ${obstacle}\n`);
}
const traced = test.skipIf(skipped);

let dir = '';
let markers = 0;

beforeAll(async () => {
  if (!skipped) expect(obstacle, 'with CI set, tracing is required').toBeUndefined();
  dir = await mkdtemp(join(tmpdir(), 'sterna-trace-'));
});
afterEach(killLeftovers);
afterAll(() => rm(dir, { recursive: true, force: true }));

type Verb = 'insert' | 'upsert' | 'delete';

/** One write of one row whose key is its marker, which also stands in a header. */
async function write(server: ServerProcess, verb: Verb, text = ''): Promise<TracedWrite> {
  const marker = `mark-${String(++markers).padStart(5, '0')}`;
  const row = { id: marker, vector: [1, 2, 3, 4], text };
  const body = verb === 'delete' ? { filter: `id in ["${marker}"]` } : { data: [row] };
  await server.must(
    `vectordb/entities/${verb}`,
    { collectionName: COLLECTION, ...body },
    { 'x-write': marker },
  );
  return { marker, inObject: text.length >= LARGE };
}

async function createCollection(server: ServerProcess): Promise<void> {
  await server.must('vectordb/collections/create', {
    collectionName: COLLECTION,
    dimension: 4,
    idType: 'VarChar',
    params: { max_length: '32' },
  });
}

async function singleWrites(server: ServerProcess): Promise<readonly TracedWrite[]> {
  const writes: TracedWrite[] = [];
  const verbs = ['insert', 'upsert', 'delete'] as const;
  for (let count = 0; count < SINGLE_WRITES; count++) {
    const verb = verbs[count % 3] ?? 'insert';
    writes.push(await write(server, verb, count % 4 === 3 ? 'x'.repeat(LARGE) : ''));
  }
  return writes.map((one, count) =>
    // A delete has no text, however large.
    verbs[count % 3] === 'delete' ? { ...one, inObject: false } : one,
  );
}

/** What the server did, once it has ended and with it the tracer. */
async function traceOf(server: ServerProcess, file: string): Promise<Trace> {
  expect(await server.stop()).toMatchObject({ code: 0 });
  return readFlushes(parseTrace(await readFile(file, 'latin1')));
}

const flushesBetween = (trace: Trace, writes: readonly TracedWrite[]): number => {
  const spans = writes.map(({ marker }) => answered(trace, marker));
  return countFlushes(
    trace,
    Math.min(...spans.map(({ from }) => from)),
    Math.max(...spans.map(({ to }) => to)),
  );
};

traced(
  'every acknowledgement waits for payload, log and table, and writers share flushes',
  async () => {
    const file = join(dir, 'trace');
    const server = await serve([CLI, 'serve', '--port', '0', '--data', join(dir, 'data')], {
      under: tracing(file),
    });
    await createCollection(server);
    const single = await singleWrites(server);
    const together = await Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        const own: TracedWrite[] = [];
        for (let count = 0; count < WRITES_PER_CLIENT; count++)
          own.push(await write(server, 'insert'));
        return own;
      }),
    );
    const trace = await traceOf(server, file);
    const shared = together.flat();

    expect(findHasty(trace, [...single, ...shared])).toEqual([]);
    expect(single.filter(({ inObject }) => inObject).length).toBeGreaterThan(2);

    const alone = flushesBetween(trace, single) / single.length;
    const perWrite = flushesBetween(trace, shared) / shared.length;
    console.log(
      `durability: ${single.length + shared.length} acknowledgements waited for the disk; database flushes per write: ` +
        `${alone.toFixed(2)} by one client, ${perWrite.toFixed(2)} by ${CLIENTS}`,
    );
    // One for the record and one for the tail row, and what apply adds.
    expect(alone).toBeGreaterThanOrEqual(2);
    expect(perWrite).toBeLessThan(1.5);
  },
);

const EXPECTED: Readonly<Record<Haste, readonly string[]>> = {
  'unflushed database': ['append flush', 'order', 'tail flush'],
  'unflushed payload': ['payload flush'],
  'payload later': ['payload flush'],
  'tail row later': ['tail flush'],
};

traced.for(HASTES)('the trace shows it where a server is hasty: %s', async (haste) => {
  const name = haste.replaceAll(' ', '-');
  const file = join(dir, `trace-${name}`);
  const server = await serve([SERVER, join(dir, name), 'usual', haste], {
    under: tracing(file),
  });
  await createCollection(server);
  const writes = await singleWrites(server);
  const trace = await traceOf(server, file);
  const findings = findHasty(trace, writes);
  expect([...new Set(findings.map(({ missing }) => missing))].sort()).toEqual(EXPECTED[haste]);
  // Not one slips through.
  const wronged = haste.includes('payload') ? writes.filter(({ inObject }) => inObject) : writes;
  expect(new Set(findings.map(({ marker }) => marker))).toEqual(
    new Set(wronged.map(({ marker }) => marker)),
  );
});
