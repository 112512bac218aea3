/**
 * A record that cannot be applied: its shard is parked and no other, nothing acknowledged is lost (I1) or
 * hidden (I4), and what stood behind it is applied once and in order when it goes on (I2).
 */
import { describe, expect, test } from 'vitest';
import { isStoreError, StoreError } from '#base/errors.ts';
import { acceptDelete, acceptRows } from '#ingest/accept.ts';
import { consumeOnce } from '#ingest/consume.ts';
import { fenceShard } from '#ingest/fence.ts';
import { replayDue, replayShard } from '#ingest/parked-replay.ts';
import { readArchive } from '#segment/archive.ts';
import { RecordingTelemetry } from '#sim/silent-telemetry.ts';
import { readGate } from '#wal/gate.ts';
import { listedShards, readParked } from '#wal/parked.ts';
import { insert, insertPoison, type PoisonKind, SHARD } from './parked-world.ts';
import {
  applyAll,
  liveValues,
  manifestOf,
  openWorld,
  passTime,
  row,
  STREAM,
  start,
  verifySums,
  type World,
} from './world.ts';

const isParked = async ({ disk }: World): Promise<boolean> =>
  (await readParked(disk.table, SHARD)).parked?.isParked === true;

const entryRows = ({ disk }: World) => disk.table.query('c7-0', { prefix: 'park/' });

const valuesOf = (...keys: readonly number[]): [string, number][] =>
  keys.map((key): [string, number] => [String(key), key]).sort(([a], [b]) => (a < b ? -1 : 1));

async function verdicts(world: World): Promise<string[]> {
  const { idWindow } = await manifestOf(world);
  const entries = await Promise.all(idWindow.map((ref) => readArchive(world.disk, ref)));
  return entries.flat().map(({ kind, verdict }) => `${kind} ${verdict}`);
}

describe('a shard is parked', () => {
  test.each<[PoisonKind, string]>([
    ['missing', 'OBJECT_NOT_FOUND'],
    ['garbage', 'DATA_CORRUPT'],
    ['large-garbage', 'DATA_CORRUPT'],
    ['alien', 'DATA_CORRUPT'],
  ])('by a record: %s', async (kind, code) => {
    const telemetry = new RecordingTelemetry();
    const world = await openWorld({ telemetry });
    const ports = start(world);
    await insert(ports, world, 1, 2);
    const { sequence } = await insertPoison(world, 3, kind);
    await insert(ports, world, 4);
    const consumed = await applyAll(ports);
    expect(consumed).toMatchObject({ entries: 0, failed: [] });
    const first = await readParked(world.disk.table, SHARD);
    expect(first.parked).toMatchObject({ isParked: true, sequence, code, entries: 2 });
    // What stood before it is applied, what stands behind it is kept, and all of it is seen.
    expect((await manifestOf(world)).rowsApplied).toBe(2);
    expect(await liveValues(world)).toEqual(valuesOf(1, 2, 3, 4));

    await insert(ports, world, 5);
    await applyAll(ports);
    expect(await entryRows(world)).toHaveLength(3);
    expect(await liveValues(world)).toEqual(valuesOf(1, 2, 3, 4, 5));
    expect((await manifestOf(world)).rowsApplied).toBe(2);
    const events = telemetry.events.filter(({ name }) => name === 'shard-parked');
    expect(events).toEqual([
      expect.objectContaining({
        level: 'error',
        facts: expect.objectContaining({ shard: 'c7-0', sequence, code }),
      }),
    ]);
    expect(telemetry.counted('apply_failures_total')).toBe(0);
    const checkpoint = await world.disk.log.checkpoint('apply', STREAM);
    const entries = await world.disk.log.read(STREAM, { limit: 100 });
    expect(checkpoint).toBe(entries.at(-1)?.sequence);
  });

  test('alone: the other shards of its stream go on', async () => {
    const world = await openWorld({ shards: 2 });
    const ports = start(world);
    await world.disk.log.append('c7-0', new Uint8Array(12));
    const keys = Array.from({ length: 20 }, (_, key) => key);
    await insert(ports, world, ...keys);
    await applyAll(ports);
    expect(await manifestOf(world, 0)).toMatchObject({ rowsApplied: 0 });
    expect((await manifestOf(world, 1)).rowsApplied).toBeGreaterThan(0);
    expect((await readParked(world.disk.table, { collectionId: 7, shard: 1 })).parked).toBe(
      undefined,
    );
    expect(await liveValues(world)).toEqual(valuesOf(...keys));
  });

  test('by its own manifest, and goes on when that is back', async () => {
    const world = await openWorld();
    const ports = start(world);
    await insert(ports, world, 1);
    const head = { partition: 'c7-0', sort: 'head' };
    const before = await world.disk.table.get(head);
    if (before === undefined) throw new Error('no head');
    await world.disk.table.put(head, new Uint8Array(30));
    await applyAll(ports);
    expect((await readParked(world.disk.table, SHARD)).parked).toMatchObject({
      sequence: undefined,
      code: 'DATA_CORRUPT',
    });
    await world.disk.table.put(head, before.value);
    expect(await replayShard(start(world), SHARD)).toMatchObject({ parked: undefined, rows: 1 });
    expect(await liveValues(world)).toEqual(valuesOf(1));
  });

  test('by a bug, found among many records', async () => {
    const world = await openWorld();
    const ports = start(world);
    for (let key = 0; key < 40; key++) await insert(ports, world, key);
    const { sequence } = await insertPoison(world, 40);
    for (let key = 41; key < 50; key++) await insert(ports, world, key);
    const { objects } = world.disk;
    const failing = start(world, {
      ...world.disk,
      objects: {
        put: (...rest) => objects.put(...rest),
        get: (key, range) => {
          if (key.includes('-lost-')) throw new TypeError('undefined is not a function');
          return objects.get(key, range);
        },
        head: (key) => objects.head(key),
        list: (...rest) => objects.list(...rest),
        delete: (keys) => objects.delete(keys),
        copy: (...rest) => objects.copy(...rest),
      },
    });
    await applyAll(failing);
    const { parked } = await readParked(world.disk.table, SHARD);
    expect(parked).toMatchObject({ sequence, code: 'INTERNAL', entries: 10 });
    expect((await manifestOf(world)).rowsApplied).toBe(40);
    await verifySums(world);
  });

  test.each(['UNCERTAIN', 'OVERLOADED', 'PLATFORM_REFUSED'] as const)(
    'not by %s, which passes',
    async (code) => {
      const world = await openWorld();
      await insertPoison(world, 1);
      const { objects } = world.disk;
      const away = start(world, {
        ...world.disk,
        objects: {
          put: (...rest) => objects.put(...rest),
          get: async () => {
            throw new StoreError(code, 'away');
          },
          head: (key) => objects.head(key),
          list: (...rest) => objects.list(...rest),
          delete: (keys) => objects.delete(keys),
          copy: (...rest) => objects.copy(...rest),
        },
      });
      const { failed, checkpoint } = await consumeOnce(away, STREAM, 'apply');
      expect(failed.map(({ error }) => isStoreError(error, code))).toEqual([true]);
      expect(checkpoint).toBeUndefined();
      expect(await isParked(world)).toBe(false);
    },
  );
});

describe('a parked shard goes on', () => {
  test('from its rows alone, once its cause has passed, however often it is replayed', async () => {
    const telemetry = new RecordingTelemetry();
    const world = await openWorld({ telemetry });
    const ports = start(world);
    await insert(ports, world, 1);
    const { mend } = await insertPoison(world, 2);
    await insert(ports, world, 3);
    await applyAll(ports);
    await insert(ports, world, 3, 4);
    await acceptDelete(ports, world.collection, { victims: [{ key: 1n }] });
    await applyAll(ports);
    // The log forgets what its checkpoint passed.
    const checkpoint = await world.disk.log.checkpoint('apply', STREAM);
    await world.disk.log.trim(STREAM, checkpoint ?? '0');
    expect((await replayShard(ports, SHARD)).parked).toMatchObject({ attempts: 1 });

    await mend();
    expect(await replayShard(ports, SHARD)).toMatchObject({ parked: undefined, records: 4 });
    expect(await replayShard(start(world), SHARD)).toMatchObject({ parked: undefined, records: 0 });
    expect(await isParked(world)).toBe(false);
    expect(await entryRows(world)).toEqual([]);
    expect(await world.disk.table.query('c7-0', { prefix: 'tail/' })).toEqual([]);
    expect(await liveValues(world)).toEqual(valuesOf(2, 3, 4));
    expect((await manifestOf(world)).rowsApplied).toBe(5);
    await verifySums(world);
    expect(telemetry.events.map(({ name }) => name)).toContain('shard-replayed');

    await insert(ports, world, 6);
    await applyAll(ports);
    expect((await manifestOf(world)).rowsApplied).toBe(6);
  });

  test('with the verdicts that its records would have had at once', async () => {
    const world = await openWorld();
    const ports = start(world);
    const { mend } = await insertPoison(world, 1);
    await insert(ports, world, 2);
    const entries = await world.disk.log.read(STREAM, { limit: 10 });
    const last = entries.at(-1);
    if (last === undefined) throw new Error('no entry');
    await world.disk.log.append('c7-0', last.data);
    await applyAll(ports);
    // Past its deadline: void, and it stays so.
    await world.clock.advance(90_000);
    await world.disk.log.append('c7-0', last.data);
    await applyAll(ports);
    await world.clock.advance(3_600_000);
    await mend();
    await replayShard(ports, SHARD);
    expect(await verdicts(world)).toEqual([
      'write effective',
      'write effective',
      'write duplicate',
      'write void',
    ]);
    expect(await liveValues(world)).toEqual(valuesOf(1, 2));
    await verifySums(world);
  });

  test('page by page, and parks again at the next record that cannot be applied', async () => {
    const world = await openWorld();
    const ports = start(world);
    const first = await insertPoison(world, 1000);
    for (let key = 0; key < 300; key++) await insert(ports, world, key);
    const second = await insertPoison(world, 1001);
    await insert(ports, world, 1002);
    await applyAll(ports);
    await first.mend();
    expect(await replayShard(ports, SHARD)).toMatchObject({
      parked: { sequence: second.sequence },
      rows: 301,
    });
    expect(await entryRows(world)).toHaveLength(2);
    await second.mend();
    expect(await replayShard(ports, SHARD)).toMatchObject({ parked: undefined, rows: 2 });
    expect(await liveValues(world)).toHaveLength(303);
    await verifySums(world);
  });

  test('where its rows are delivered by the log once more', async () => {
    const world = await openWorld();
    const ports = start(world);
    await insert(ports, world, 1);
    const { mend } = await insertPoison(world, 2);
    await insert(ports, world, 3);
    await applyAll(ports);
    // Another consumer, which begins at the beginning.
    await applyAll(ports, 'again');
    expect(await entryRows(world)).toHaveLength(2);
    await mend();
    await applyAll(ports, 'once-more');
    await replayShard(ports, SHARD);
    await applyAll(ports, 'after');
    expect((await manifestOf(world)).rowsApplied).toBe(3);
    expect(await liveValues(world)).toEqual(valuesOf(1, 2, 3));
    await verifySums(world);
  });

  test('by itself, with growing pauses, and is counted meanwhile', async () => {
    const telemetry = new RecordingTelemetry();
    const world = await openWorld({ telemetry });
    const ports = start(world);
    const { mend } = await insertPoison(world, 1);
    await applyAll(ports);
    expect(await replayDue(ports)).toEqual({ parked: 1, replayed: 0, failures: 0 });
    const waits: number[] = [];
    for (let minute = 0; minute < 60; minute++) {
      await world.clock.advance(60_000);
      const before = (await readParked(world.disk.table, SHARD)).parked?.attempts;
      await replayDue(ports);
      const after = (await readParked(world.disk.table, SHARD)).parked?.attempts;
      if (before !== after) waits.push(minute + 1);
    }
    expect(waits).toEqual([1, 3, 7, 15, 30, 45, 60]);
    expect(telemetry.gauged('parked_shards')).toBe(1);
    await mend();
    await world.clock.advance(15 * 60_000);
    expect(await replayDue(ports)).toEqual({ parked: 0, replayed: 1, failures: 0 });
    expect(telemetry.gauged('parked_shards')).toBe(0);
    expect(await liveValues(world)).toEqual(valuesOf(1));
    expect(await listedShards(world.disk.table)).toEqual([SHARD]);
  });

  test('no further than its time allows', async () => {
    const world = await openWorld();
    const ports = start(world);
    const { mend } = await insertPoison(world, 1);
    await applyAll(ports);
    await mend();
    const stopMs = world.clock.nowMs();
    expect(await replayShard({ ...ports, stopMs }, SHARD)).toMatchObject({ isUnfinished: true });
    expect(await isParked(world)).toBe(true);
    expect(await replayShard(ports, SHARD)).toMatchObject({ isUnfinished: false, rows: 1 });
  });
});

describe('while a shard is parked', () => {
  test('a fence is refused with the cause, and nobody is shut out by it', async () => {
    const world = await openWorld();
    const ports = start(world);
    await insertPoison(world, 1, 'garbage');
    await applyAll(ports);
    const refused = await fenceShard(ports, SHARD, { action: 'truncate' }).catch((e: unknown) => e);
    expect(isStoreError(refused, 'NOT_READY')).toBe(true);
    expect(String(refused)).toContain('DATA_CORRUPT');
    expect((await readGate(world.disk.table, SHARD)).gate).toMatchObject({ number: 1 });
    await insert(ports, world, 2);
    expect(await liveValues(world)).toEqual(valuesOf(1, 2));
  });

  test('writers behind a fence that was raised before hear the cause, and add nothing', async () => {
    const world = await openWorld();
    const ports = start(world);
    const { mend } = await insertPoison(world, 1);
    const fencing = passTime(world.clock, fenceShard(ports, SHARD, { action: 'join' }), 1_000);
    const fenced = await fencing.catch((error: unknown) => error);
    expect(isStoreError(fenced, 'NOT_READY')).toBe(true);
    await applyAll(ports);
    const held = (await entryRows(world)).length;
    const refused = await passTime(world.clock, insert(ports, world, 2)).catch((e: unknown) => e);
    expect(isStoreError(refused, 'NOT_READY')).toBe(true);
    expect(String(refused)).toContain('OBJECT_NOT_FOUND');
    await applyAll(ports);
    expect(await entryRows(world)).toHaveLength(held);
    await mend();
    await replayShard(ports, SHARD);
    await insert(ports, world, 2);
    expect(await liveValues(world)).toEqual(valuesOf(1, 2));
  });

  test('a write whose fate nobody can tell yet says why', async () => {
    const world = await openWorld();
    const ports = start(world);
    await insertPoison(world, 1, 'garbage');
    await applyAll(ports);
    const identity = { user: 'u', route: 'r', requestId: 'q', bodyHash: 'h' };
    const request = { kind: 'insert', rows: [row(2, 2)], partitionId: 1, identity } as const;
    await acceptRows(ports, world.collection, request);
    const again = acceptRows(start(world), world.collection, request);
    const outcome = await passTime(world.clock, again).catch((error: unknown) => error);
    expect(isStoreError(outcome, 'WRITE_UNCERTAIN')).toBe(true);
    expect(String(outcome)).toContain('parked');
  });

  test('its collection can be dropped, also where another fence is stuck behind the record', async () => {
    const world = await openWorld();
    const ports = start(world);
    await insertPoison(world, 1);
    const fencing = passTime(world.clock, fenceShard(ports, SHARD, { action: 'join' }), 1_000);
    await fencing.catch(() => undefined);
    await applyAll(ports);
    expect(await isParked(world)).toBe(true);
    const leaving = {
      ...start(world),
      collections: {
        getCollection: async () => ({ ...world.collection, state: 'dropping' as const }),
      },
    };
    let isDone = false;
    const dropping = fenceShard(ports, SHARD, { action: 'drop', state: 'dropped' }).finally(() => {
      isDone = true;
    });
    const applying = (async () => {
      while (!isDone) {
        await applyAll(leaving);
        await world.clock.sleep(500);
      }
    })();
    expect(await passTime(world.clock, dropping)).toMatchObject({ state: 'dropped' });
    await passTime(world.clock, applying);
    // Nobody waits for what it held, and nobody is alarmed by it.
    expect(await replayDue(leaving)).toEqual({ parked: 0, replayed: 0, failures: 0 });
  });

  test('a shard whose collection is forgotten is looked after no longer', async () => {
    const world = await openWorld();
    const ports = start(world);
    await insertPoison(world, 1);
    await applyAll(ports);
    const gone = { ...ports, collections: { getCollection: async () => undefined } };
    await replayDue(gone);
    expect(await listedShards(world.disk.table)).toEqual([]);
  });
});
