/**
 * The rounds that schedules start, and the loops of the embedded server that do the same: drops that
 * broke off, what is needed no more, what is damaged, and shards that stand still.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseBody } from '#api/body.ts';
import { CreateCollectionRequest } from '#api/collections.ts';
import { StoreError } from '#base/errors.ts';
import type { Collection } from '#catalog/collection.ts';
import { acceptRows } from '#ingest/accept.ts';
import { beginScrub } from '#maintain/scrub.ts';
import { readManifest } from '#manifest/head.ts';
import { collectTimer } from '#runtime/collect-timer.ts';
import { type Engine, openEmbedded, type Pace } from '#runtime/embedded.ts';
import { scrubTimer } from '#runtime/scrub-timer.ts';
import { compactTimer } from '#runtime/timer.ts';
import { newCollection } from '#service/definition.ts';
import { dropCollection } from '#service/drop.ts';
import { RecordingTelemetry } from '#sim/silent-telemetry.ts';
import { readParked, swapParked } from '#wal/parked.ts';
import type { ShardId } from '#wal/shard.ts';

const NEVER = Number.POSITIVE_INFINITY;
const QUIET: Partial<Pace> = {
  applyLingerMs: 5,
  compactEveryMs: NEVER,
  replayEveryMs: NEVER,
  collectEveryMs: NEVER,
  scrubEveryMs: NEVER,
};
const LONG = { getRemainingTimeInMillis: () => 900_000 };
const SHORT = { getRemainingTimeInMillis: () => 10_000 };

let dir: string;
let engine: Engine;
let telemetry: RecordingTelemetry;
/** While it is set no payload can be found. */
let arePayloadsLost = false;

async function open(pace: Partial<Pace> = {}): Promise<void> {
  telemetry = new RecordingTelemetry();
  engine = await openEmbedded({
    dir,
    telemetry,
    pace: { ...QUIET, ...pace },
    wrap: (ports) => {
      const { objects } = ports;
      const get: typeof objects.get = async (key, range) => {
        if (arePayloadsLost && key.includes('/payload/')) {
          throw new StoreError('OBJECT_NOT_FOUND', `there is no object ${key}`);
        }
        return await objects.get(key, range);
      };
      const { put, head, list, delete: remove, copy } = objects;
      const bound = { put, head, list, delete: remove, copy };
      const rest = Object.fromEntries(
        Object.entries(bound).map(([name, act]) => [name, act.bind(objects)]),
      );
      // The same functions under the same names.
      return { ...ports, objects: { ...(rest as typeof bound), get } };
    },
  });
}

beforeEach(async () => {
  arePayloadsLost = false;
  dir = await mkdtemp(join(tmpdir(), 'sterna-rounds-'));
});
afterEach(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

const opened = async () => ({
  ...engine,
  config: { memoryMb: 3008 },
  scratchDir: dir,
  flush() {},
});

async function create(): Promise<Collection> {
  const request = parseBody(CreateCollectionRequest, '{"collectionName":"c","dimension":4}');
  const { collection } = await engine.catalog.createCollection(newCollection(request, 'default'));
  return collection;
}

const shardOf = ({ collectionId }: Collection): ShardId => ({ collectionId, shard: 0 });

/** So many that their payload is an object of its own. */
async function insert(collection: Collection): Promise<void> {
  const rows = Array.from({ length: 500 }, (_, id) => ({ id, vector: [id, 1, 0, -1] }));
  await acceptRows(engine.ports, collection, { kind: 'insert', rows, partitionId: 1 });
}

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const found = await look();
    if (found !== undefined) return found;
    await engine.ports.clock.sleep(20);
  }
  throw new Error('it did not come to pass');
}

const applied = (collection: Collection) =>
  until(async () => {
    const { manifest } = await readManifest(engine.ports, shardOf(collection));
    return manifest.segments[0];
  });

const stateOf = async ({ collectionId }: Collection) =>
  (await engine.catalog.getCollection(collectionId))?.state;

const parked = (collection: Collection) =>
  until(async () => {
    const row = await readParked(engine.ports.table, shardOf(collection));
    return row.parked?.isParked === true ? { ...row, parked: row.parked } : undefined;
  });

/** As if the pause before the next try were over. */
async function replayNow(collection: Collection): Promise<void> {
  const row = await parked(collection);
  const next = { ...row.parked, nextReplayMs: 0 };
  expect(await swapParked(engine.ports.table, shardOf(collection), row, next)).toBe(true);
}

const named = (name: string) => telemetry.events.filter((event) => event.name === name);

describe('collect', () => {
  test('finishes a drop that broke off, and leaves nothing of it for ever', async () => {
    await open();
    const collection = await create();
    await engine.catalog.markDropping(collection.collectionId);
    const report = await collectTimer(opened)({}, LONG);
    expect(report).toMatchObject({ drops: 1, failures: 0, complete: true });
    expect(await stateOf(collection)).toBe('dropped');
    expect(await collectTimer(opened)({}, LONG)).toMatchObject({ drops: 0, failures: 0 });
  });

  test('a drop that cannot be finished is reported, and hinders no other work', async () => {
    await open();
    const collection = await create();
    await engine.catalog.markDropping(collection.collectionId);
    const broken = async () => {
      const { ports, ...rest } = await opened();
      const append = async (): Promise<never> => {
        throw new StoreError('OVERLOADED', 'planted');
      };
      const { log } = ports;
      const other: typeof log = {
        append,
        streamShards: () => log.streamShards(),
        read: (...read) => log.read(...read),
        wait: (...wait) => log.wait(...wait),
        checkpoint: (...of) => log.checkpoint(...of),
        saveCheckpoint: (...save) => log.saveCheckpoint(...save),
        trim: (...trim) => log.trim(...trim),
      };
      return { ...rest, ports: { ...ports, log: other } };
    };
    const report = await collectTimer(broken)({}, LONG);
    expect(report).toMatchObject({ drops: 0, failures: 1, shards: 1, complete: true });
    expect(named('maintenance-failed')[0]?.facts).toMatchObject({ loop: 'drop' });
    expect(await stateOf(collection)).toBe('dropping');
  });

  test('begins nothing that it has no time for, and says so', async () => {
    await open();
    await create();
    const report = await collectTimer(opened)({}, SHORT);
    expect(report).toMatchObject({ shards: 0, failures: 0, complete: false });
  });

  test('is a loop of the embedded server, from its start', async () => {
    await open();
    const collection = await create();
    await engine.catalog.markDropping(collection.collectionId);
    await engine.close();
    await open({ collectEveryMs: 50 });
    await until(async () => ((await stateOf(collection)) === 'dropped' ? true : undefined));
  });
});

describe('scrub', () => {
  test('reads what is due, names what is damaged, and rests for a week', async () => {
    await open();
    const collection = await create();
    await insert(collection);
    const { key } = await applied(collection);
    expect(await scrubTimer(opened)({}, LONG)).toMatchObject({ shards: 1, findings: 0 });
    await engine.ports.objects.delete([key]);
    expect(await scrubTimer(opened)({}, LONG)).toMatchObject({ shards: 0, findings: 0 });
    await beginScrub(engine.ports, shardOf(collection));
    expect(await scrubTimer(opened)({}, LONG)).toMatchObject({ shards: 1, findings: 1 });
    expect(named('scrub-damaged')[0]?.facts).toMatchObject({ kind: 'missing', object: key });
  });

  test('is a loop of the embedded server', async () => {
    await open({ scrubEveryMs: 50 });
    const collection = await create();
    await insert(collection);
    const { key } = await applied(collection);
    await engine.ports.objects.delete([key]);
    await beginScrub(engine.ports, shardOf(collection));
    await until(async () => named('scrub-damaged')[0]);
  });
});

describe('a shard that stands still', () => {
  async function standStill(): Promise<Collection> {
    const collection = await create();
    arePayloadsLost = true;
    await insert(collection);
    await parked(collection);
    return collection;
  }

  test('is tried again by the schedule of compact before anything else', async () => {
    await open();
    const collection = await standStill();
    await replayNow(collection);
    const before = await compactTimer(opened)({}, LONG);
    expect(before).toMatchObject({ replays: 0, failures: 0, complete: true });
    expect(named('shards-parked')).toHaveLength(1);
    arePayloadsLost = false;
    await replayNow(collection);
    expect(await compactTimer(opened)({}, LONG)).toMatchObject({ replays: 1, failures: 0 });
    expect((await applied(collection)).rows).toBe(500);
  });

  test('is tried again by a loop of the embedded server', async () => {
    await open({ replayEveryMs: 20 });
    const collection = await standStill();
    arePayloadsLost = false;
    await replayNow(collection);
    expect((await applied(collection)).rows).toBe(500);
  });

  test('can be dropped', async () => {
    await open();
    const collection = await standStill();
    await dropCollection(engine, collection);
    expect(await stateOf(collection)).toBe('dropped');
  });
});
