import { describe, expect, test } from 'vitest';
import { isStoreError, StoreError } from '#base/errors.ts';
import { recordPosition } from '#base/position.ts';
import { acceptDelete, acceptRows } from '#ingest/accept.ts';
import { applyBatch } from '#ingest/apply.ts';
import { consumeOnce } from '#ingest/consume.ts';
import { fenceShard } from '#ingest/fence.ts';
import { mergeShard } from '#maintain/compact.ts';
import { COMPACT_POLICY } from '#maintain/pick.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import { readArchive } from '#segment/archive.ts';
import { RecordingTelemetry } from '#sim/silent-telemetry.ts';
import { decodeFenceBody } from '#wal/fence.ts';
import { readGate } from '#wal/gate.ts';
import { readParked } from '#wal/parked.ts';
import type { WalRecord } from '#wal/record.ts';
import { encodeRecord } from '#wal/record-codec.ts';
import { shardName } from '#wal/shard.ts';
import {
  applyAll,
  liveValues,
  manifestOf,
  openWorld,
  type Process,
  passTime,
  row,
  STREAM,
  start,
  verifySums,
  type World,
} from './world.ts';

const SHARD = { collectionId: 7, shard: 0 };

const insert = (ports: Process, world: World, ...keys: readonly number[]) =>
  acceptRows(ports, world.collection, {
    kind: 'insert',
    rows: keys.map((key) => row(key, key)),
    partitionId: 1,
  });

const bound = (objects: ObjectStore): ObjectStore => ({
  put: objects.put.bind(objects),
  get: objects.get.bind(objects),
  head: objects.head.bind(objects),
  list: objects.list.bind(objects),
  delete: objects.delete.bind(objects),
  copy: objects.copy.bind(objects),
});

/** Fences while somebody applies. */
async function fence(world: World, request: Parameters<typeof fenceShard>[2]) {
  const applier = start(world);
  const fencing = fenceShard(start(world), SHARD, request);
  const applying = world.clock.sleep(100).then(() => applyAll(applier));
  const gate = await passTime(world.clock, fencing);
  await passTime(world.clock, applying);
  return gate;
}

test('the archive has an entry for every record, void and duplicate ones too', async () => {
  const world = await openWorld();
  const ports = start(world);
  await insert(ports, world, 1, 2);
  const [first] = await world.disk.log.read(STREAM, { limit: 10 });
  if (first === undefined) return;
  await world.disk.log.append('c7-0', first.data);
  await fence(world, { action: 'join', epoch: 2 });
  await world.disk.log.append('c7-0', first.data);
  await applyAll(ports);
  const { idWindow, applied, logTimeMs } = await manifestOf(world);
  const entries = (await Promise.all(idWindow.map((ref) => readArchive(world.disk, ref)))).flat();
  expect(entries.map(({ kind, verdict }) => `${kind} ${verdict}`)).toEqual([
    'write effective',
    'write duplicate',
    'fence effective',
    'write void',
  ]);
  expect(entries.map(({ previous }) => previous)).toEqual([
    '',
    ...entries.slice(0, 3).map(({ position }) => position),
  ]);
  expect(entries[3]).toMatchObject({ position: applied, logTimeMs, epoch: 1, rows: 2 });
  expect(decodeFenceBody(entries[2]?.body ?? new Uint8Array(), 'the fence')).toMatchObject({
    action: 'join',
  });
  expect((await manifestOf(world)).rowsApplied).toBe(2);
});

test('a batch larger than the bounds becomes several manifest versions of one content', async () => {
  const world = await openWorld();
  const ports = start(world);
  for (let key = 0; key < 10; key++) await insert(ports, world, key, 100 + key);
  const entries = await world.disk.log.read(STREAM, { limit: 100 });
  const bounds = { rows: 5, bytes: 1_000_000 };
  const applied = await applyBatch(ports, SHARD, world.collection.schema, entries, bounds);
  expect(applied).toMatchObject({ records: 10, rows: 20 });
  expect((await manifestOf(world)).segments.map(({ rows }) => rows)).toEqual([4, 4, 4, 4, 4]);
  expect(await liveValues(world)).toHaveLength(20);
  expect(await applyBatch(ports, SHARD, world.collection.schema, entries, bounds)).toMatchObject({
    records: 0,
  });
});

test('a truncation empties what lies before it and nothing behind it', async () => {
  const world = await openWorld();
  const ports = start(world);
  await insert(ports, world, 1, 2);
  await applyAll(ports);
  await mergeShard(ports, world.collection, SHARD, { ...COMPACT_POLICY, levelZeroSegments: 1 });
  await insert(ports, world, 3);
  await fence(world, { action: 'truncate' });
  await insert(ports, world, 4);
  await applyAll(ports);
  expect(await liveValues(world)).toEqual([['4', 4]]);
  const { segments, rowsApplied } = await manifestOf(world);
  expect(segments).toHaveLength(1);
  expect(rowsApplied).toBe(4);
  await verifySums(world);
});

test('a dropped shard takes nothing any more', async () => {
  const world = await openWorld();
  const ports = start(world);
  await insert(ports, world, 1);
  const gate = await fence(world, { action: 'drop', state: 'dropped' });
  expect(gate).toMatchObject({ state: 'dropped', number: 2 });
  expect(await manifestOf(world)).toMatchObject({ state: 'dropped', fenceNumber: 2 });
  const refused = await insert(ports, world, 2).catch((error: unknown) => error);
  expect(isStoreError(refused, 'COLLECTION_NOT_FOUND')).toBe(true);
  // Fencing it again has nothing to do.
  expect(await fence(world, { action: 'drop', state: 'dropped' })).toMatchObject({ number: 2 });
});

test('a seal refuses writes until the unseal', async () => {
  const world = await openWorld();
  const ports = start(world);
  await fence(world, { action: 'seal', state: 'sealed' });
  const refused = await insert(ports, world, 1).catch((error: unknown) => error);
  expect(isStoreError(refused, 'NOT_READY')).toBe(true);
  await fence(world, { action: 'unseal', state: 'open' });
  await insert(ports, world, 2);
  expect(await liveValues(world)).toEqual([['2', 2]]);
});

describe('a fence whose worker died', () => {
  test('before it appended is appended by the writer who waits', async () => {
    const world = await openWorld();
    const { raiseGate } = await import('#wal/gate.ts');
    await raiseGate(world.disk.table, SHARD, () => ({ action: 'join', recordId: 'b'.repeat(32) }));
    const applier = start(world);
    const writing = insert(start(world), world, 1);
    const applying = world.clock.sleep(3_000).then(() => applyAll(applier));
    await passTime(world.clock, writing);
    await passTime(world.clock, applying);
    expect((await readGate(world.disk.table, SHARD)).gate).toMatchObject({ number: 2 });
    expect(await liveValues(world)).toEqual([['1', 1]]);
  });

  test('after it was applied is settled by the writer who waits', async () => {
    const world = await openWorld();
    const { raiseGate, fenceRecord } = await import('#wal/gate.ts');
    const { gate } = await raiseGate(world.disk.table, SHARD, () => ({
      action: 'join',
      recordId: 'b'.repeat(32),
    }));
    const record = fenceRecord(gate, SHARD, 9_999_999_999_999);
    if (record === undefined) return;
    await world.disk.log.append('c7-0', encodeRecord(record));
    // An applier that dies between its commit and the gate.
    const { table } = world.disk;
    const dying = {
      ...start(world),
      table: {
        get: table.get.bind(table),
        query: table.query.bind(table),
        delete: table.delete.bind(table),
        put: (...parameters: Parameters<typeof table.put>) =>
          parameters[0].sort === 'gate'
            ? Promise.reject(new StoreError('PLATFORM_REFUSED', 'killed'))
            : table.put(...parameters),
      },
    };
    const [failed] = (await consumeOnce(dying, STREAM, 'apply')).failed;
    expect(String(failed?.error)).toContain('killed');
    await passTime(world.clock, insert(start(world), world, 1));
    expect((await readGate(table, SHARD)).gate.underWay).toBeUndefined();
    expect(await liveValues(world)).toEqual([['1', 1]]);
  });

  test('repeating the call with the same id goes on where it stood', async () => {
    const world = await openWorld();
    const request = { action: 'join', recordId: 'c'.repeat(32) } as const;
    await fence(world, request);
    expect(await fence(world, request)).toMatchObject({ number: 2 });
    expect(await fence(world, { action: 'join' })).toMatchObject({ number: 3 });
  });

  test('without anyone who applies is reported as under way', async () => {
    const world = await openWorld();
    const fencing = fenceShard(start(world), SHARD, { action: 'join' });
    const refused = await passTime(world.clock, fencing).catch((error: unknown) => error);
    expect(isStoreError(refused, 'NOT_READY')).toBe(true);
    await applyAll(start(world));
    expect(await manifestOf(world)).toMatchObject({ fenceNumber: 2 });
  });
});

describe('consuming', () => {
  test('a shard that fails for a while holds the checkpoint and hinders no other', async () => {
    const telemetry = new RecordingTelemetry();
    const world = await openWorld({ shards: 2, telemetry });
    const { objects } = world.disk;
    let isAway = true;
    const get: ObjectStore['get'] = async (key, range) => {
      if (!isAway || !key.startsWith('collections/7/1/payload/')) return objects.get(key, range);
      throw new StoreError('UNCERTAIN', 'no answer');
    };
    const ports = start(world, { ...world.disk, objects: { ...bound(objects), get } });
    const rows = Array.from({ length: 1200 }, (_, index) => row(index, index));
    await insert(ports, world, 1);
    await acceptRows(ports, world.collection, { kind: 'insert', rows, partitionId: 1 });

    const consumed = await consumeOnce(ports, STREAM, 'apply');
    expect(consumed.failed.map(({ shard }) => shard)).toEqual(['c7-1']);
    expect(consumed.parked).toBe(0);
    expect((await manifestOf(world, 0)).rowsApplied).toBeGreaterThan(500);
    expect(await manifestOf(world, 1)).toMatchObject({ rowsApplied: 0 });
    expect(telemetry.events.map(({ name }) => name)).toContain('apply-failed');
    const entries = await world.disk.log.read(STREAM, { limit: 100 });
    const held = entries.findIndex(({ partition }) => partition === 'c7-1');
    expect(consumed.checkpoint).toBe(entries[held - 1]?.sequence);

    isAway = false;
    expect((await consumeOnce(ports, STREAM, 'apply')).failed).toEqual([]);
    expect(await liveValues(world)).toHaveLength(1200);
    await verifySums(world);
  });

  test('what belongs to no collection is counted and skipped', async () => {
    const world = await openWorld();
    const ports = start(world);
    await insert(ports, world, 1);
    await world.disk.log.append('heartbeat', new Uint8Array([1]));
    await world.disk.log.append('c99-0', new Uint8Array([1]));
    const gone = {
      ...ports,
      collections: {
        getCollection: async (id: number) => (id === 7 ? world.collection : undefined),
      },
    };
    expect(await consumeOnce(gone, STREAM, 'apply')).toMatchObject({
      entries: 3,
      rows: 1,
      skipped: 2,
      failed: [],
    });
    expect(await consumeOnce(gone, STREAM, 'apply')).toMatchObject({ entries: 0, more: false });
  });

  test('an entry of another shard under this name is refused', async () => {
    const world = await openWorld({ shards: 2 });
    const ports = start(world);
    await insert(ports, world, 1);
    const [entry] = await world.disk.log.read(STREAM, { limit: 1 });
    if (entry === undefined) return;
    const other = world.shards.find((shard) => shardName(shard) !== entry.partition);
    if (other === undefined) return;
    const moved = { ...entry, partition: shardName(other) };
    const refused = await applyBatch(ports, other, world.collection.schema, [moved]).catch(
      (e: unknown) => e,
    );
    expect(isStoreError(refused, 'DATA_CORRUPT')).toBe(true);
  });
});

test('forwarded records keep their positions, and a gap parks the shard behind what came before', async () => {
  const world = await openWorld();
  const ports = start(world);
  await insert(ports, world, 1);
  await insert(ports, world, 2);
  const entries = await world.disk.log.read(STREAM, { limit: 10 });
  const { decodeRecord } = await import('#wal/record-codec.ts');
  const standby = await openWorld({ seed: 'standby' });
  const at = (sequence: string) => recordPosition(1, 1, sequence);
  const forward = async (index: number, sequence: string, previous: string) => {
    const record: WalRecord = decodeRecord(entries[index]?.data ?? new Uint8Array());
    const origin = {
      position: at(sequence),
      previous,
      logTimeMs: 5,
      verdict: 'effective',
    } as const;
    await standby.disk.log.append('c7-0', encodeRecord({ ...record, origin }));
  };
  await forward(0, '500', '');
  await forward(1, '700', at('600'));
  expect(await consumeOnce(start(standby), STREAM, 'apply')).toMatchObject({ parked: 1 });
  const { parked } = await readParked(standby.disk.table, SHARD);
  expect(parked).toMatchObject({ isParked: true, code: 'LOG_GAP' });
  expect(await manifestOf(standby)).toMatchObject({ applied: at('500'), logTimeMs: 5 });
  expect(await liveValues(standby)).toEqual([['1', 1]]);
});

test('a delete and the rows before it may share a batch', async () => {
  const world = await openWorld();
  const ports = start(world);
  await insert(ports, world, 1, 2);
  await acceptDelete(ports, world.collection, { victims: [{ key: 1n }] });
  await insert(ports, world, 3);
  await applyAll(ports);
  const [segment] = (await manifestOf(world)).segments;
  expect(segment).toMatchObject({ level: 0, rows: 3, tombstones: 1 });
  expect(await liveValues(world)).toEqual([
    ['2', 2],
    ['3', 3],
  ]);
  await verifySums(world);
});
