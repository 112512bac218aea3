/**
 * What collect and scrub cost: calls and bytes for a million rows, beside the bytes of the data.
 *
 * Rows are loaded over HTTP and a tenth of them replaced, then the background work is asked for step
 * by step, in this process, on the same directory. Collect keeps what was retired for a quarter of an
 * hour, so the clock that the engine sees is set forward instead of waiting.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { HeldCuts } from '../shared/maintain/held.ts';
import { type ShardScrub, scrubShard } from '../shared/maintain/scrub.ts';
import { collectAll } from '../shared/runtime/collect-all.ts';
import type { EnginePorts } from '../shared/runtime/engine.ts';
import { type Sterna, startSterna } from '../shared/runtime/start.ts';
import { between, countPorts, noCounts } from './support/counting.ts';
import { clusteredVectors, rowOf } from './support/dataset.ts';
import { type ResultRow, report, spread } from './support/report.ts';
import { type Call, openConnection, untilIndexed } from './support/server.ts';
import { directoryBytes } from './support/watch.ts';

const { values: given } = parseArgs({
  options: {
    rows: { type: 'string', default: '100000' },
    dim: { type: 'string', default: '128' },
    passes: { type: 'string', default: '5' },
  },
});
const ROWS = Number(given.rows);
const DIM = Number(given.dim);
const PASSES = Number(given.passes);
const NAME = 'kept';
const BATCH = 1000;
const MB = 1e6;
/** Longer than anything is kept for that nobody names any more. */
const LATER_MS = 20 * 60_000;

const counts = noCounts();
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
let aheadMs = 0;
/** When the clock was set forward, by the clock of the machine. */
let jumpedMs = Number.POSITIVE_INFINITY;

/** The engine's clock and the log's, both set forward together. */
const withLaterClock = (ports: EnginePorts): EnginePorts => ({
  ...ports,
  clock: {
    nowMs: () => ports.clock.nowMs() + aheadMs,
    sleep: (ms, signal) => ports.clock.sleep(ms, signal),
  },
  log: {
    append: (partition, data, options) => ports.log.append(partition, data, options),
    read: async (streamShard, options) =>
      (await ports.log.read(streamShard, options)).map((entry) =>
        entry.arrivalMs < jumpedMs ? entry : { ...entry, arrivalMs: entry.arrivalMs + LATER_MS },
      ),
    streamShards: () => ports.log.streamShards(),
    wait: (streamShard, after, timeoutMs) => ports.log.wait(streamShard, after, timeoutMs),
    checkpoint: (consumer, streamShard) => ports.log.checkpoint(consumer, streamShard),
    saveCheckpoint: (consumer, streamShard, sequence) =>
      ports.log.saveCheckpoint(consumer, streamShard, sequence),
    trim: (streamShard, through) => ports.log.trim(streamShard, through),
  },
});

async function open(dir: string): Promise<Sterna> {
  return await startSterna({
    port: 0,
    dir,
    logLevel: 'warn',
    pace: { collectEveryMs: Number.POSITIVE_INFINITY, scrubEveryMs: Number.POSITIVE_INFINITY },
    wrap: (ports) => countPorts(withLaterClock(ports), counts),
  });
}

async function write(call: Call, verb: 'insert' | 'upsert', from: number, rows: number) {
  const vectors = clusteredVectors(rows, DIM, 13 + from);
  for (let first = 0; first < rows; first += BATCH) {
    const data = Array.from({ length: Math.min(BATCH, rows - first) }, (_, index) => ({
      id: from + first + index,
      vector: Array.from(rowOf(vectors, DIM, first + index)),
    }));
    await call(`/entities/${verb}`, JSON.stringify({ collectionName: NAME, data }));
  }
}

/** Waits until nothing is written for longer than a shard has to be idle before it is merged again. */
async function untilCalm(): Promise<void> {
  let last = '';
  for (let calm = 0; calm < 40; calm++) {
    await sleep(1000);
    const now = JSON.stringify(counts.written['level 1 and above'] ?? 0);
    if (now !== last) calm = 0;
    last = now;
  }
}

type Step = Readonly<{
  ms: number;
  calls: Record<string, number>;
  read: Record<string, number>;
  deleted: number;
}>;

async function step(work: () => Promise<unknown>): Promise<Step> {
  const before = { calls: { ...counts.calls }, read: { ...counts.read } };
  const started = performance.now();
  await work();
  const calls = between(before.calls, counts.calls);
  return {
    ms: performance.now() - started,
    calls,
    read: between(before.read, counts.read),
    deleted: calls['objects.deleted'] ?? 0,
  };
}

const add = (a: Record<string, number>, b: Record<string, number>): Record<string, number> => {
  const sum = { ...a };
  for (const [name, count] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
};

/** Rounds until one deletes nothing, as one step. */
async function collectEverything(sterna: Sterna): Promise<Step & Readonly<{ rounds: number }>> {
  let all: Step = { ms: 0, calls: {}, read: {}, deleted: 0 };
  for (let rounds = 1; ; rounds++) {
    const one = await step(() => collectAll(sterna.engine));
    all = {
      ms: all.ms + one.ms,
      calls: add(all.calls, one.calls),
      read: add(all.read, one.read),
      deleted: all.deleted + one.deleted,
    };
    if (one.deleted === 0) return { ...all, rounds };
  }
}

async function scrubOnce(sterna: Sterna): Promise<ShardScrub> {
  const { ports, catalog } = sterna.engine;
  const [collection] = await catalog.allCollections();
  if (collection === undefined) throw new Error('there is a collection');
  const shard = { collectionId: collection.collectionId, shard: 0 };
  const held = new HeldCuts({ ...ports, collections: catalog });
  const untilMs = Number.MAX_SAFE_INTEGER;
  const found = await scrubShard({ ...ports, held }, collection, shard, {
    bytesMax: Number.MAX_SAFE_INTEGER,
    untilMs,
  });
  if (!found.complete || found.damaged.length + found.missing.length > 0) {
    throw new Error(`scrub: ${JSON.stringify(found)}`);
  }
  return found;
}

const sumOf = (parts: Readonly<Record<string, number>>): number =>
  Object.values(parts).reduce((sum, part) => sum + part, 0);

async function main(): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'sterna-bench-'));
  const sterna = await open(dir);
  try {
    const call = openConnection(sterna.url);
    await call('/collections/create', JSON.stringify({ collectionName: NAME, dimension: DIM }));
    await write(call, 'insert', 0, ROWS);
    await write(call, 'upsert', 0, ROWS / 10);
    await untilIndexed(call, NAME, 'vector');
    await untilCalm();
    await untilIndexed(call, NAME, 'vector');
    console.log('loaded, merged and indexed');
    jumpedMs = Date.now();
    aheadMs += LATER_MS;
    // Payloads, and what apply has to remember, are kept by the shard's log time: it takes a later write
    // until they are retired, and as long again until they are collected.
    await write(call, 'upsert', 0, 1);
    await untilCalm();
    aheadMs += LATER_MS;
    const before = (await directoryBytes(dir)).kinds;
    const collected = await collectEverything(sterna);
    const idle = await collectEverything(sterna);
    const after = (await directoryBytes(dir)).kinds;
    const scrubs: (Step & Readonly<{ found: ShardScrub }>)[] = [];
    for (let pass = 0; pass < PASSES; pass++) {
      let found: ShardScrub | undefined;
      const one = await step(async () => {
        found = await scrubOnce(sterna);
      });
      if (found !== undefined) scrubs.push({ ...one, found });
    }
    conclude(before, after, collected, idle, scrubs);
  } finally {
    await sterna.close();
    await rm(dir, { recursive: true, force: true });
  }
}

const reads = ['objects.get', 'objects.head'];
const lists = ['objects.list', 'objects.put'];
const tableCalls = ['table.get', 'table.query', 'global.get', 'global.query'];
const tableWrites = ['table.put', 'table.delete', 'global.put', 'global.delete'];

function conclude(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
  collected: Step & Readonly<{ rounds: number }>,
  idle: Step,
  scrubs: readonly (Step & Readonly<{ found: ShardScrub }>)[],
): void {
  const millions = ROWS / 1e6;
  const rowOfStep = (what: string, one: Step): ResultRow => {
    const count = (names: readonly string[]) =>
      names.reduce((sum, name) => sum + (one.calls[name] ?? 0), 0);
    return {
      what,
      'gets and heads': String(count(reads)),
      'lists and puts': String(count(lists)),
      'MB read': (sumOf(one.read) / MB).toFixed(1),
      'rows read': String(count(tableCalls)),
      'rows written': String(count(tableWrites)),
      'calls to delete': String(one.calls['objects.delete'] ?? 0),
      'objects deleted': String(one.deleted),
      ms: one.ms.toFixed(0),
    };
  };
  const [first] = scrubs;
  if (first === undefined) return;
  const perMillion = (count: number): string => Math.round(count / millions).toLocaleString('en');
  const data = ['level 0', 'level 1 and above', 'graph', 'manifest', 'payload'].map(
    (kind): [string, number] => [kind, after[kind] ?? 0],
  );
  const dataBytes = data.reduce((sum, [, bytes]) => sum + bytes, 0);
  const gone = sumOf(before) - sumOf(after);
  const wall = spread(scrubs.map(({ ms, found }) => found.bytes / MB / (ms / 1000)));
  report(
    'maintenance',
    [
      rowOfStep(`collect, ${collected.rounds} rounds, the last of which finds nothing`, collected),
      rowOfStep('collect where nothing changed', idle),
      rowOfStep('scrub, one pass', first),
    ],
    [
      `${ROWS} x ${DIM} in batches of ${BATCH}, a tenth replaced, one shard, merged and indexed: ${data.map(([kind, bytes]) => `${kind} ${(bytes / MB).toFixed(1)}`).join(', ')} MB; vectors and keys alone are ${((ROWS * (DIM * 4 + 8)) / MB).toFixed(1)} MB.`,
      `Collect takes ${sumOf(collected.calls) - collected.deleted} calls of all ports for all that ${ROWS + ROWS / 10} rows written left behind, ${collected.deleted} objects of ${(gone / MB).toFixed(1)} MB; by a million rows written that is ${perMillion(collected.deleted / 1.1)} objects of ${(gone / 1.1 / millions / 1e9).toFixed(2)} GB. A listing and a call to delete take 1,000 objects, all else is the same whatever was written. It reads no object but manifests and cuts.`,
      `For a million rows scrub takes ${perMillion(first.found.requests)} requests to the object store and reads ${(first.found.bytes / millions / 1e9).toFixed(2)} GB, ${(first.found.bytes / dataBytes).toFixed(3)} of the bytes that are there: ${Object.entries(
        first.read,
      )
        .map(([kind, bytes]) => `${kind} ${(bytes / MB).toFixed(1)}`)
        .join(', ')} MB. ${first.found.rows} row versions, ${first.found.objects} objects.`,
      `Scrub reads and proves ${wall} MB a second over ${scrubs.length} passes, on one thread that also hashes every row.`,
      'With 768 dimensions it is 916 requests and 3.3 GB for a million rows (test/unit/maintain/scrub-cost.test.ts holds it there). Calls include what the loops of an idle server did meanwhile, a head every second.',
    ],
  );
}

await main();
