import { describe, expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { acceptRows } from '#ingest/accept.ts';
import { Admission, TAIL_CAPS, type TailCaps } from '#ingest/admission.ts';
import {
  applyAll,
  liveValues,
  openWorld,
  type Process,
  row,
  STREAM,
  start,
  type World,
} from './world.ts';

const capped = (world: World, caps: Partial<TailCaps>): Process => ({
  ...start(world),
  admission: new Admission({ ...TAIL_CAPS, ...caps }),
});

const insert = (ports: Process, world: World, ...keys: readonly number[]) =>
  acceptRows(ports, world.collection, {
    kind: 'insert',
    rows: keys.map((key) => row(key, key)),
    partitionId: 1,
  }).then(
    () => 'ok',
    (error: unknown) => (isStoreError(error) ? error.code : String(error)),
  );

describe.each<[string, Partial<TailCaps>]>([
  ['records', { entries: 3 }],
  ['rows', { rows: 6 }],
  ['bytes', { bytes: 600 }],
])('a cap on %s', (_, caps) => {
  test('refuses before anything is logged, counts what it let through, and opens after apply', async () => {
    const world = await openWorld();
    const ports = capped(world, caps);
    const answers: string[] = [];
    for (let key = 0; key < 8; key += 2) answers.push(await insert(ports, world, key, key + 1));
    expect(answers).toEqual(['ok', 'ok', 'ok', 'OVERLOADED']);
    expect(await world.disk.log.read(STREAM, { limit: 10 })).toHaveLength(3);
    // Another process sees the same tail.
    expect(await insert(capped(world, caps), world, 9)).toBe('OVERLOADED');
    await applyAll(ports);
    await world.clock.advance(300);
    expect(await insert(ports, world, 6, 7)).toBe('ok');
    expect(await liveValues(world)).toHaveLength(8);
  });
});

test('an old record that is not applied refuses writes until it is', async () => {
  const world = await openWorld();
  const ports = capped(world, { ageMs: 5_000 });
  expect(await insert(ports, world, 1)).toBe('ok');
  await world.clock.advance(5_001);
  expect(await insert(ports, world, 2)).toBe('OVERLOADED');
  await applyAll(ports);
  await world.clock.advance(300);
  expect(await insert(ports, world, 2)).toBe('ok');
});

test('applied records that nobody has swept yet do not count', async () => {
  const world = await openWorld();
  const ports = capped(world, { entries: 3, ageMs: 5_000 });
  const rows = await insert(ports, world, 1);
  expect(rows).toBe('ok');
  const kept = await world.disk.table.query('c7-0', { prefix: 'tail/' });
  await applyAll(ports);
  for (const { partition, sort, value } of kept)
    await world.disk.table.put({ partition, sort }, value);
  await world.clock.advance(60_000);
  expect(await insert(ports, world, 2)).toBe('ok');
});

test('a long tail is reckoned from a sample of its oldest records', async () => {
  const world = await openWorld();
  const writer = start(world);
  for (let key = 0; key < 300; key++) {
    await insert(writer, world, key);
    await world.clock.advance(10);
  }
  // 300 records within 3 s: a sample of 64 is a fifth of it.
  expect(await insert(capped(world, { entries: 200 }), world, 1000)).toBe('OVERLOADED');
  expect(await insert(capped(world, { entries: 400 }), world, 1000)).toBe('ok');
});
