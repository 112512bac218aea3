/** A drop that was killed between its steps is finished by whoever comes next. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseBody } from '#api/body.ts';
import { CreateCollectionRequest } from '#api/collections.ts';
import type { Collection } from '#catalog/collection.ts';
import { acceptRows } from '#ingest/accept.ts';
import { type Engine, openEmbedded } from '#runtime/embedded.ts';
import { newCollection } from '#service/definition.ts';
import { dropCollection, finishDrops } from '#service/drop.ts';
import { silentTelemetry } from '#sim/silent-telemetry.ts';
import { readGate } from '#wal/gate.ts';

let dir: string;
let engine: Engine;

/** Nobody but the tests finishes a drop. */
const pace = { collectEveryMs: Number.POSITIVE_INFINITY };
const open = () => openEmbedded({ dir, telemetry: silentTelemetry, pace });

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sterna-drop-'));
  engine = await open();
});
afterEach(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

const wanted = newCollection(
  parseBody(
    CreateCollectionRequest,
    '{"collectionName":"c","dimension":4,"params":{"shardsNum":3}}',
  ),
  'default',
);

async function create(): Promise<Collection> {
  const { collection } = await engine.catalog.createCollection(wanted);
  return collection;
}

const gateStates = ({ collectionId, shards }: Collection) =>
  Promise.all(
    Array.from({ length: shards }, async (_, shard) => {
      const { gate } = await readGate(engine.ports.table, { collectionId, shard });
      return gate.state;
    }),
  );

test('a drop fences every shard before it frees the name', async () => {
  const collection = await create();
  await dropCollection(engine, collection);
  expect(await gateStates(collection)).toEqual(['dropped', 'dropped', 'dropped']);
  expect((await engine.catalog.getCollection(collection.collectionId))?.state).toBe('dropped');
  expect(await engine.catalog.findNamed('default', 'c')).toBeUndefined();
});

test('dropping again changes nothing, at once or later', async () => {
  const collection = await create();
  await Promise.all([dropCollection(engine, collection), dropCollection(engine, collection)]);
  await dropCollection(engine, collection);
  const next = await create();
  await dropCollection(engine, collection);
  expect((await engine.catalog.findCollection('default', 'c')).collectionId).toBe(
    next.collectionId,
  );
});

describe('killed after the mark', () => {
  test('it is finished at the next start', async () => {
    const collection = await create();
    await engine.catalog.markDropping(collection.collectionId);
    await engine.close();
    engine = await open();
    expect(await finishDrops(engine)).toBe(1);
    expect(await gateStates(collection)).toEqual(['dropped', 'dropped', 'dropped']);
    expect(await engine.catalog.findNamed('default', 'c')).toBeUndefined();
    expect(await finishDrops(engine)).toBe(0);
  });

  test('it is finished by the next drop, also where some shards are fenced already', async () => {
    const collection = await create();
    await dropCollection(engine, collection);
    const other = await create();
    await engine.catalog.markDropping(other.collectionId);
    const named = await engine.catalog.findNamed('default', 'c');
    expect(named?.state).toBe('dropping');
    await dropCollection(engine, other);
    expect((await engine.catalog.createCollection(wanted)).outcome).toBe('created');
  });
});

test('a collection whose rows cannot be applied can be dropped, and holds up nobody then', async () => {
  const { ports } = engine;
  const collection = await create();
  const rows = Array.from({ length: 2_000 }, (_, id) => ({ id, vector: [id, 1, 2, 3] }));
  const given = { kind: 'insert', rows, partitionId: 1 } as const;
  await acceptRows(ports, collection, given);
  const payloads = await ports.objects.list(`collections/${collection.collectionId}/`);
  await ports.objects.delete(payloads.map(({ key }) => key));
  await dropCollection(engine, collection);
  expect((await engine.catalog.getCollection(collection.collectionId))?.state).toBe('dropped');

  const next = await create();
  await acceptRows(ports, next, given);
  const parts = await engine.reader.snapshotView(next, Number.MAX_SAFE_INTEGER);
  expect(parts.reduce((sum, part) => sum + part.rows, 0)).toBe(2_000);
}, 30_000);
