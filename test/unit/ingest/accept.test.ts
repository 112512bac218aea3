import { expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { acceptDelete, acceptRows } from '#ingest/accept.ts';
import { deleteByFilter } from '#ingest/delete.ts';
import { shardOf } from '#schema/hash.ts';
import { decodeToken } from '#wal/token.ts';
import {
  applyAll,
  liveRows,
  liveValues,
  manifestOf,
  openWorld,
  passTime,
  row,
  start,
  verifySums,
} from './world.ts';

const insert = (...rows: readonly ReturnType<typeof row>[]) =>
  ({ kind: 'insert', rows, partitionId: 1 }) as const;

test('an acknowledged write is visible before it is applied, and once after', async () => {
  const world = await openWorld();
  const ports = start(world);
  const reply = await acceptRows(ports, world.collection, insert(row(1, 10), row(2, 20)));
  expect(reply.ids).toEqual([1n, 2n]);
  expect(reply.count).toBe(2);
  expect(await liveValues(world)).toEqual([
    ['1', 10],
    ['2', 20],
  ]);
  expect((await manifestOf(world)).segments).toHaveLength(0);

  const consumed = await applyAll(ports);
  expect(consumed.failed).toEqual([]);
  expect(await liveValues(world)).toEqual([
    ['1', 10],
    ['2', 20],
  ]);
  const manifest = await manifestOf(world);
  expect(manifest.segments).toHaveLength(1);
  expect(manifest.rowsApplied).toBe(2);
  expect([...decodeToken(reply.token).positions]).toEqual([[0, manifest.applied]]);
  expect(await world.disk.table.query('c7-0', { prefix: 'tail/' })).toEqual([]);
  await verifySums(world);
});

test('of equal keys in one request the last wins, and a later write replaces an earlier one', async () => {
  const world = await openWorld();
  const ports = start(world);
  const reply = await acceptRows(
    ports,
    world.collection,
    insert(row(1, 10), row(1, 11), row(2, 20)),
  );
  expect(reply).toMatchObject({ ids: [1n, 1n, 2n], count: 3 });
  await acceptRows(ports, world.collection, { ...insert(row(2, 21)), kind: 'upsert' });
  expect(await liveValues(world)).toEqual([
    ['1', 11],
    ['2', 21],
  ]);
  await applyAll(ports);
  await acceptRows(ports, world.collection, insert(row(1, 12)));
  expect(await liveValues(world)).toEqual([
    ['1', 12],
    ['2', 21],
  ]);
  await applyAll(ports);
  expect(await liveValues(world)).toEqual([
    ['1', 12],
    ['2', 21],
  ]);
  await verifySums(world);
});

test('rows are spread over the shards by key, and the token names each shard written', async () => {
  const world = await openWorld({ shards: 4 });
  const ports = start(world);
  const rows = Array.from({ length: 40 }, (_, index) => row(index, index));
  const { token } = await acceptRows(ports, world.collection, insert(...rows));
  expect([...decodeToken(token).positions.keys()]).toEqual([0, 1, 2, 3]);
  await applyAll(ports);
  expect(await liveValues(world)).toHaveLength(40);
  for (const [index] of world.shards.entries()) {
    const mine = rows.filter(({ id }) => shardOf(BigInt(Number(id)), 4) === index);
    expect((await manifestOf(world, index)).rowsApplied).toBe(mine.length);
  }
  await verifySums(world);
});

test('a payload above 8 KiB becomes an object', async () => {
  const world = await openWorld();
  const ports = start(world);
  const rows = Array.from({ length: 600 }, (_, index) => row(index, index));
  await acceptRows(ports, world.collection, insert(...rows));
  expect(await world.disk.objects.list('collections/7/0/payload/')).toHaveLength(1);
  expect(await liveValues(world)).toHaveLength(600);
  await applyAll(ports);
  expect(await liveValues(world)).toHaveLength(600);
});

test('a delete by key kills every older version and none that is written later', async () => {
  const world = await openWorld();
  const ports = start(world);
  await acceptRows(ports, world.collection, insert(row(1, 10), row(2, 20)));
  await applyAll(ports);
  const { count } = await acceptDelete(ports, world.collection, {
    victims: [{ key: 1n }, { key: 1n }, { key: 9n }],
  });
  expect(count).toBe(2);
  expect(await liveValues(world)).toEqual([['2', 20]]);
  await acceptRows(ports, world.collection, insert(row(1, 11)));
  expect(await liveValues(world)).toEqual([
    ['1', 11],
    ['2', 20],
  ]);
  await applyAll(ports);
  expect(await liveValues(world)).toEqual([
    ['1', 11],
    ['2', 20],
  ]);
  await verifySums(world);
});

test('a delete by filter kills the versions it read: one written meanwhile survives', async () => {
  const world = await openWorld();
  const ports = start(world);
  await acceptRows(ports, world.collection, insert(row(1, 10), row(2, 20), row(3, 30)));
  const resolve = async () => {
    const found = [...(await liveRows(world))]
      .filter(([, { value }]) => Number(value) < 30)
      .map(([key, { position }]) => ({ key, position }));
    // Between the read and the delete somebody writes key 2.
    await acceptRows(ports, world.collection, insert(row(2, 21)));
    return found;
  };
  const { count } = await deleteByFilter(ports, resolve, world.collection, {
    filter: 'value < 30',
  });
  expect(count).toBe(2);
  expect(await liveValues(world)).toEqual([
    ['2', 21],
    ['3', 30],
  ]);
  await applyAll(ports);
  expect(await liveValues(world)).toEqual([
    ['2', 21],
    ['3', 30],
  ]);
  await verifySums(world);
});

test('a filter that names keys is not resolved by a read', async () => {
  const world = await openWorld();
  const ports = start(world);
  await acceptRows(ports, world.collection, insert(row(1, 10), row(2, 20)));
  const never = () => Promise.reject(new Error('resolved'));
  const filter = 'id in [1, 5]';
  expect(await deleteByFilter(ports, never, world.collection, { filter })).toMatchObject({
    count: 2,
  });
  expect(await liveValues(world)).toEqual([['2', 20]]);
});

test('a bad row changes nothing and is named', async () => {
  const world = await openWorld();
  const ports = start(world);
  const bad = { id: 2, value: 1, vector: [1, 2, 3] };
  await expect(
    acceptRows(ports, world.collection, insert(row(1, 1), bad as never)),
  ).rejects.toThrow(/row 1.*vector/);
  expect((await applyAll(ports)).entries).toBe(0);
  expect(await liveValues(world)).toEqual([]);
});

test('generated keys are unique over processes, ascending and of 18 digits', async () => {
  const world = await openWorld({ autoId: true });
  const [one, two] = [start(world), start(world)];
  const rows = Array.from({ length: 50 }, (_, value) => ({ value, vector: [value, 1, 0, -1] }));
  const replies = await Promise.all(
    [one, two, one, two].map((ports) =>
      acceptRows(ports, world.collection, insert(...(rows as never[]))),
    ),
  );
  const ids = replies.flatMap((reply) => reply.ids);
  expect(new Set(ids).size).toBe(200);
  for (const id of ids) expect(String(id)).toMatch(/^[0-9]{18}$/);
  await applyAll(one);
  expect((await liveRows(world)).size).toBe(200);
});

test('an upsert with generated keys replaces the row it names under a new key', async () => {
  const world = await openWorld({ autoId: true, shards: 3 });
  const ports = start(world);
  const { ids } = await acceptRows(
    ports,
    world.collection,
    insert(
      { value: 1, vector: [1, 1, 0, -1] } as never,
      { value: 2, vector: [2, 1, 0, -1] } as never,
    ),
  );
  const upsert = {
    ...insert(row(ids[0] as bigint, 5), row(ids[0] as bigint, 6)),
    kind: 'upsert',
  } as const;
  const reply = await acceptRows(ports, world.collection, upsert);
  expect(reply.ids[0]).toBe(reply.ids[1]);
  expect(reply.ids[0]).not.toBe(ids[0]);
  await applyAll(ports);
  const live = await liveRows(world);
  expect(live.size).toBe(2);
  expect(live.get(reply.ids[0] as bigint)?.value).toBe(6n);
  expect(live.get(ids[1] as bigint)?.value).toBe(2n);
  await verifySums(world);
});

test('a write of another schema version is sent back to be checked again', async () => {
  const world = await openWorld();
  const { collection } = world;
  const stale = { ...collection, schema: { ...collection.schema, version: 2 } };
  const refused = await acceptRows(start(world), stale, insert(row(1, 1))).catch((e: unknown) => e);
  expect(isStoreError(refused, 'NOT_READY')).toBe(true);
});

test('a shard of another region refuses writes and names the primary', async () => {
  const { encodeTopology, TOPOLOGY_KEY } = await import('#catalog/topology.ts');
  const { readGate } = await import('#wal/gate.ts');
  const { encodeGate } = await import('#wal/gate-codec.ts');
  const world = await openWorld();
  const shard = { collectionId: 7, shard: 0 };
  const { gate } = await readGate(world.disk.table, shard);
  await world.disk.table.put(
    { partition: 'c7-0', sort: 'gate' },
    encodeGate({ ...gate, lease: true }),
  );
  const expiresAtMs = world.clock.nowMs() + 60_000;
  const members = [
    { region: 'east', address: 'https://east' },
    { region: 'west', address: 'https://west' },
  ];
  const lease = { primary: 'east', expiresAtMs, mode: 'steady' } as const;
  await world.disk.global.put(TOPOLOGY_KEY, encodeTopology({ epoch: 1, lease, members }));
  const standby = { ...start(world), region: 'west' };
  const refused = await acceptRows(standby, world.collection, insert(row(1, 1))).catch(
    (e: unknown) => e,
  );
  expect(isStoreError(refused, 'NOT_PRIMARY') && refused.details).toEqual({
    primary: 'https://east',
  });
  const primary = { ...start(world), region: 'east' };
  expect(await acceptRows(primary, world.collection, insert(row(1, 1)))).toMatchObject({
    count: 1,
  });
  // Half a second before the lease is over the skew makes it unsafe.
  await world.clock.advance(56_000);
  const late = await passTime(
    world.clock,
    acceptRows(primary, world.collection, insert(row(2, 2))).catch((e: unknown) => e),
  );
  expect(isStoreError(late, 'NOT_READY')).toBe(true);
  await applyAll(primary);
  expect(await liveValues(world)).toEqual([['1', 1]]);
});
