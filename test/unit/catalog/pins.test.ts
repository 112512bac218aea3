/** Pins: opened before anything is looked at, completed once, and never lost while somebody holds them (I6, I9). */
import { beforeEach, expect, test } from 'vitest';
import {
  changePin,
  completePin,
  dropPin,
  holdingPins,
  namedPin,
  OPEN_MS_MAX,
  openPin,
  type Pin,
  pinsOf,
  readPins,
} from '#catalog/pins.ts';
import { faultyTable } from '#sim/faults.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { countingEntropy } from '../manifest/counting-entropy.ts';

const source = { collectionId: 7, dbName: 'default', collectionName: 'birds' };
const wanted = { source, name: 'monday', description: '' };
const cut = { key: 'snapshots/7/00', logTimeMs: 5 };
let clock: ManualClock;
let table: MemoryTable;
const entropy = countingEntropy();
const ports = () => ({ table, clock, entropy });
beforeEach(() => {
  clock = new ManualClock();
  table = new MemoryTable();
});
const taken = async () => completePin(ports(), await openPin(ports(), wanted), cut);
const holding = async () => (await holdingPins(ports())).map(({ key }) => key.sort);

test('an open pin holds, has no name yet, and is complete with its cut', async () => {
  const open = await openPin(ports(), wanted);
  expect(await holding()).toEqual(['c7/n/monday']);
  expect(await namedPin(table, 7, 'monday')).toBeUndefined();
  await completePin(ports(), open, cut);
  expect((await namedPin(table, 7, 'monday'))?.pin).toMatchObject({ state: 'complete', cut });
});

test('a name is taken while its pin is complete, and free after it was dropped', async () => {
  const complete = await taken();
  await expect(openPin(ports(), wanted)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  await dropPin(table, complete);
  expect(await holding()).toEqual([]);
  expect((await taken()).version).toBeGreaterThan(3);
});

test('an abandoned pin is given up, and its maker cannot complete it any more (I6)', async () => {
  const open = await openPin(ports(), wanted);
  const slow = new ManualClock(clock.nowMs());
  await clock.advance(OPEN_MS_MAX - 1);
  expect(await holding()).toEqual(['c7/n/monday']);
  await clock.advance(1);
  await expect(completePin(ports(), open, cut)).rejects.toMatchObject({ code: 'NOT_READY' });
  expect(await holding()).toEqual([]);
  // Also where its own clock stood still.
  const frozen = completePin({ table, clock: slow }, open, cut);
  await expect(frozen).rejects.toMatchObject({ code: 'NOT_READY' });
});

test('an open pin is taken over by who asks again, and its maker cannot complete it any more (I6)', async () => {
  const first = await openPin(ports(), wanted);
  const second = await openPin(ports(), wanted);
  expect(await holding()).toEqual(['c7/n/monday']);
  const late = completePin(ports(), first, { ...cut, key: 'snapshots/7/late' });
  await expect(late).rejects.toMatchObject({ code: 'NOT_READY' });
  await dropPin(table, first);
  expect((await completePin(ports(), second, cut)).pin.cut).toEqual(cut);
});

test('of two who open a pin at the same moment one is told to try again', async () => {
  const both = await Promise.allSettled([openPin(ports(), wanted), openPin(ports(), wanted)]);
  const refused = both.filter(({ status }) => status === 'rejected');
  expect(refused).toMatchObject([{ reason: { code: 'NOT_READY' } }]);
});

test('who opened a pin of a name that was given up cannot complete its successor', async () => {
  const open = await openPin(ports(), wanted);
  const slow = new ManualClock(clock.nowMs());
  await clock.advance(OPEN_MS_MAX);
  const second = await openPin(ports(), wanted);
  const frozen = completePin({ table, clock: slow }, open, { ...cut, key: 'snapshots/7/late' });
  await expect(frozen).rejects.toMatchObject({ code: 'NOT_READY' });
  expect((await completePin(ports(), second, cut)).pin.cut).toEqual(cut);
});

test('dropping the name keeps what clones hold, under no name', async () => {
  const row = await taken();
  const add = (pin: Pin) => ({ ...pin, holders: [...pin.holders, 9] });
  const held = await changePin(table, row, (pin) =>
    pin.holders.includes(9) ? undefined : add(pin),
  );
  await dropPin(table, held ?? row);
  expect(await namedPin(table, 7, 'monday')).toBeUndefined();
  const [left] = await pinsOf(table, 7);
  expect(left?.pin).toMatchObject({ state: 'complete', holders: [9], cut });
  expect(left?.pin.name).toBeUndefined();
  expect(await holding()).toEqual([`c7/a/${row.pin.pinId}`]);
  // The last holder's leaving frees it.
  if (left) await changePin(table, left, (pin) => ({ ...pin, holders: [] }));
  expect(await holding()).toEqual([]);
});

test('dropping twice, or a pin that has a successor, changes nothing more', async () => {
  const row = await taken();
  await dropPin(table, row);
  const second = await taken();
  await dropPin(table, row);
  expect((await namedPin(table, 7, 'monday'))?.pin.pinId).toBe(second.pin.pinId);
});

test('pins without names do not collide, and each collection sees its own', async () => {
  const { name: _, ...nameless } = wanted;
  await openPin(ports(), nameless);
  await openPin(ports(), nameless);
  await openPin(ports(), { ...nameless, source: { ...source, collectionId: 70 } });
  expect(await pinsOf(table, 7)).toHaveLength(2);
  expect(await readPins(table)).toHaveLength(3);
});

test('an answer that was lost is found in the table', async () => {
  const losing = faultyTable(table, {
    clock,
    decide: ({ method }) => (method === 'put' ? 'lose-answer' : 'ok'),
  });
  const lossy = { ...ports(), table: losing };
  const row = await completePin(lossy, await openPin(lossy, wanted), cut);
  expect(row.version).toBe(2);
  await expect(openPin(lossy, wanted)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
});

test('a damaged pin stops whoever wants to know what is held', async () => {
  const { key } = await taken();
  await table.put(key, new Uint8Array([1, 2, 3]));
  await expect(holdingPins(ports())).rejects.toMatchObject({ code: 'DATA_CORRUPT' });
});
