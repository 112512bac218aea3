/**
 * A record that an operator sets aside: void for good, its content kept, and the answer true (I12), also
 * where it was acknowledged; it never comes back (I5), and no sum counts it (I7).
 */
import { describe, expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { setAside } from '#ingest/aside.ts';
import { fenceShard } from '#ingest/fence.ts';
import { replayShard } from '#ingest/parked-replay.ts';
import { mergeShard } from '#maintain/compact.ts';
import { COMPACT_POLICY } from '#maintain/pick.ts';
import { readArchive } from '#segment/archive.ts';
import { readParked } from '#wal/parked.ts';
import { asideKey, readAsides } from '#wal/parked-aside.ts';
import { decodePayload } from '#wal/payload.ts';
import { encodeRecord } from '#wal/record-codec.ts';
import { insert, insertPoison, type PoisonKind, SHARD } from './parked-world.ts';
import {
  applyAll,
  liveValues,
  manifestOf,
  openWorld,
  passTime,
  start,
  verifySums,
  type World,
} from './world.ts';

const OLD_MS = 120_000;

async function poisoned(kind: PoisonKind = 'missing') {
  const world = await openWorld();
  const ports = start(world);
  await insert(ports, world, 1);
  const poison = await insertPoison(world, 2, kind);
  await insert(ports, world, 3);
  await applyAll(ports);
  await world.clock.advance(OLD_MS);
  return { world, ports, poison };
}

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return isStoreError(error) ? `${error.code} ${error.message}` : String(error);
};

async function archived(world: World) {
  const { idWindow } = await manifestOf(world);
  return (await Promise.all(idWindow.map((ref) => readArchive(world.disk, ref)))).flat();
}

test.each<PoisonKind>(['missing', 'garbage', 'large-garbage', 'alien'])(
  'is void, and the rest goes on: %s',
  async (kind) => {
    const { world, ports, poison } = await poisoned(kind);
    const { sequence } = poison;
    expect(await liveValues(world)).toHaveLength(3);
    const [raw] = (await world.disk.log.read('shard-0', { limit: 10 })).filter(
      (entry) => entry.sequence === sequence,
    );
    const aside = await setAside(ports, SHARD, sequence);
    expect(aside).toMatchObject({ state: 'void', sequence, rows: 1, wasVisible: true });
    // Not shown any more, before and after the rest is applied, merged, and delivered again.
    const left = [
      ['1', 1],
      ['3', 3],
    ];
    expect(await liveValues(world)).toEqual(left);
    expect(await replayShard(ports, SHARD)).toMatchObject({ parked: undefined, rows: 1 });
    expect(await liveValues(world)).toEqual(left);
    await applyAll(start(world), 'again');
    await poison.mend();
    await applyAll(start(world), 'once-more');
    await mergeShard(ports, world.collection, SHARD, { ...COMPACT_POLICY, levelZeroSegments: 1 });
    expect(await liveValues(world)).toEqual(left);
    await verifySums(world);
    expect((await readParked(world.disk.table, SHARD)).parked?.isParked).toBe(false);
    expect((await archived(world)).map(({ verdict }) => verdict)).toEqual([
      'effective',
      'void',
      'effective',
    ]);
    // Its content is kept, byte by byte.
    const { objects } = world.disk;
    expect(await objects.get(asideKey(SHARD, sequence, 'record'))).toEqual(raw?.data);
    if (kind === 'missing') {
      expect(aside.payloadBytes).toBeUndefined();
    } else if (kind !== 'alien') {
      // What the log lost the tail row had.
      const payload = await objects.get(asideKey(SHARD, sequence, 'payload'));
      expect(decodePayload(payload, 'the payload').rows.count).toBe(1);
    }
    expect(await setAside(ports, SHARD, sequence)).toEqual(aside);
    expect(await readAsides(world.disk.table, SHARD)).toEqual([aside]);
  },
);

test('a payload that is damaged is copied as it is', async () => {
  const { world, ports, poison } = await poisoned();
  await poison.mend();
  const [info] = await world.disk.objects.list('collections/7/0/payload/');
  if (info === undefined) throw new Error('no payload');
  const damaged = (await world.disk.objects.get(info.key)).map((byte) => byte ^ 1);
  await world.disk.objects.put(info.key, damaged);
  expect((await replayShard(ports, SHARD)).parked).toMatchObject({ code: 'DATA_CORRUPT' });
  await setAside(ports, SHARD, poison.sequence);
  const kept = await world.disk.objects.get(asideKey(SHARD, poison.sequence, 'payload'));
  expect(kept).toEqual(damaged);
});

test('what nobody was told is said to be so', async () => {
  const world = await openWorld();
  const ports = start(world);
  const { sequence } = await world.disk.log.append('c7-0', new Uint8Array(20));
  await applyAll(ports);
  await world.clock.advance(OLD_MS);
  expect(await setAside(ports, SHARD, sequence)).toMatchObject({
    wasVisible: false,
    recordId: undefined,
    rows: 0,
    payloadBytes: undefined,
  });
});

describe('is refused', () => {
  test('while its writer may still acknowledge it', async () => {
    const world = await openWorld();
    const ports = start(world);
    const { sequence } = await insertPoison(world, 2);
    await applyAll(ports);
    await world.clock.advance(69_000);
    expect(await codeOf(setAside(ports, SHARD, sequence))).toContain('NOT_READY');
    expect(await liveValues(world)).toHaveLength(1);
    await world.clock.advance(1_000);
    expect(await setAside(ports, SHARD, sequence)).toMatchObject({ state: 'void' });
  });

  test('for any other record, and where the shard goes on', async () => {
    const { world, ports, poison } = await poisoned();
    const entries = await world.disk.log.read('shard-0', { limit: 10 });
    for (const { sequence } of entries) {
      if (sequence === poison.sequence) continue;
      expect(await codeOf(setAside(ports, SHARD, sequence))).toContain(poison.sequence);
    }
    await poison.mend();
    await replayShard(ports, SHARD);
    expect(await codeOf(setAside(ports, SHARD, poison.sequence))).toContain('is not parked');
    expect(await liveValues(world)).toHaveLength(3);
    expect(await readAsides(world.disk.table, SHARD)).toEqual([]);
  });

  test('where the shard fails, and no record is to blame', async () => {
    const { world, ports, poison } = await poisoned();
    const head = { partition: 'c7-0', sort: 'head' };
    await world.disk.table.put(head, new Uint8Array(30));
    await replayShard(ports, SHARD);
    expect(await codeOf(setAside(ports, SHARD, poison.sequence))).toContain('none of them');
  });

  test('for a fence', async () => {
    const world = await openWorld();
    const ports = start(world);
    const { objects } = world.disk;
    const record = {
      recordId: 'd'.repeat(32),
      ...SHARD,
      deadlineMs: Number.MAX_SAFE_INTEGER,
      epoch: 1,
      fenceNumber: 2,
      schemaVersion: 1,
      body: { kind: 'fence', action: 'join', generation: 1, state: 'open' },
    } as const;
    const { sequence } = await world.disk.log.append('c7-0', encodeRecord(record));
    // A bug in what commits it.
    const failing = start(world, {
      ...world.disk,
      objects: {
        put: async () => {
          throw new TypeError('undefined is not a function');
        },
        get: (...rest) => objects.get(...rest),
        head: (key) => objects.head(key),
        list: (...rest) => objects.list(...rest),
        delete: (keys) => objects.delete(keys),
        copy: (...rest) => objects.copy(...rest),
      },
    });
    await applyAll(failing);
    await world.clock.advance(OLD_MS);
    expect(await codeOf(setAside(ports, SHARD, sequence))).toContain('a fence');
    expect(await replayShard(ports, SHARD)).toMatchObject({ parked: undefined, records: 1 });
    expect(await manifestOf(world)).toMatchObject({ fenceNumber: 2 });
  });
});

test('where it was applied after all the answer says so, and nothing is kept', async () => {
  const { world, ports, poison } = await poisoned();
  await poison.mend();
  // Somebody who was frozen since before the shard was parked holds the same entries.
  const { objects } = world.disk;
  const racing = start(world, {
    ...world.disk,
    objects: {
      put: async (key, bytes) => {
        if (key.includes('/aside/') && key.endsWith('/payload')) await applyLate(world);
        await objects.put(key, bytes);
      },
      get: (...rest) => objects.get(...rest),
      head: (key) => objects.head(key),
      list: (...rest) => objects.list(...rest),
      delete: (keys) => objects.delete(keys),
      copy: async (from, to) => {
        await applyLate(world);
        await objects.copy(from, to);
      },
    },
  });
  expect(await codeOf(setAside(racing, SHARD, poison.sequence))).toContain('applied meanwhile');
  expect(await readAsides(world.disk.table, SHARD)).toEqual([]);
  expect(await objects.list('collections/7/0/aside/')).toEqual([]);
  await replayShard(ports, SHARD);
  expect(await liveValues(world)).toHaveLength(3);
  await verifySums(world);
});

/** A consumer that believes that nothing is parked, with all entries from the first. */
async function applyLate(world: World): Promise<void> {
  const { applyBatch } = await import('#ingest/apply.ts');
  const entries = await world.disk.log.read('shard-0', { limit: 100 });
  await applyBatch(start(world), SHARD, world.collection.schema, entries);
}

test('a fence that is appended again by those who wait takes effect behind it', async () => {
  const { world, ports, poison } = await poisoned('garbage');
  await setAside(ports, SHARD, poison.sequence);
  await replayShard(ports, SHARD);
  const fencing = fenceShard(ports, SHARD, { action: 'truncate' });
  const applying = world.clock.sleep(100).then(() => applyAll(start(world)));
  await passTime(world.clock, fencing);
  await passTime(world.clock, applying);
  expect(await liveValues(world)).toEqual([]);
  await verifySums(world);
});
