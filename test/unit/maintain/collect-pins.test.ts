/** What pins hold is never deleted, and goes when nobody holds it (I6, I9). */
import { beforeEach, expect, test } from 'vitest';
import { changePin, dropPin, holdingPins, releaseHolder } from '#catalog/pins.ts';
import { collectShard } from '#maintain/collect.ts';
import { collectCuts } from '#maintain/collect-dropped.ts';
import {
  begin,
  completeOne,
  contain,
  entryOf,
  headOf,
  heldBy,
  keysIn,
  LATER,
  openOne,
  overTable,
  type Ports,
  pinHead,
  portsOf,
  product,
  SHARD,
  touch,
} from './collected-world.ts';

let ports: Ports;
let key: string;
beforeEach(async () => {
  ports = portsOf();
  await begin(ports);
  key = await product(ports, 0, '1-segment');
  await contain(ports, [key]);
});

const CLONE = 8;
const collect = (ids: readonly number[] = [7, CLONE]) =>
  collectShard({ ...ports, held: heldBy(ports, ids) }, SHARD);
const segments = () => keysIn(ports, 'collections/7/0/segment/');

/** The segment is merged away, and so long ago that no read is at it. */
async function mergeAway(): Promise<void> {
  await contain(ports, []);
  await ports.clock.advance(LATER);
}

test('an open pin ends the round, whatever is due', async () => {
  const other = await product(ports, 0, 'orphan');
  await mergeAway();
  const open = await openOne(ports, 'monday');
  expect(await collect()).toEqual({ retired: 0, orphans: 0, payloads: 0, manifests: 0 });
  expect(await segments()).toEqual([key, other]);
  await dropPin(ports.table, open);
  expect(await collect()).toMatchObject({ retired: 1, orphans: 1 });
});

test('a pin with a name holds what its cut lists, and lets go when it is dropped', async () => {
  const pin = await pinHead(ports, 'monday');
  await mergeAway();
  expect(await collect()).toMatchObject({ retired: 0, orphans: 0 });
  expect((await headOf(ports)).retired).toEqual([]);
  for (let round = 0; round < 3; round++) await collect();
  expect(await segments()).toEqual([key]);
  await dropPin(ports.table, pin);
  expect(await collect()).toMatchObject({ orphans: 1 });
  expect(await segments()).toEqual([]);
});

test('a pin whose name is dropped holds for its clones as long as there is one', async () => {
  const pin = await pinHead(ports, 'monday', [CLONE]);
  await mergeAway();
  await dropPin(ports.table, pin);
  for (let round = 0; round < 3; round++) await collect();
  expect(await segments()).toEqual([key]);
  await releaseHolder(ports.table, CLONE);
  expect(await collect()).toMatchObject({ orphans: 1 });
});

test('a holder that has been collected holds nothing', async () => {
  await pinHead(ports, undefined, [CLONE]);
  await mergeAway();
  await collect();
  expect(await segments()).toEqual([key]);
  expect(await collect([7])).toMatchObject({ orphans: 1 });
});

test('without a catalog to ask every holder counts', async () => {
  await pinHead(ports, undefined, [CLONE]);
  await mergeAway();
  await collectShard(ports, SHARD);
  await collectShard(ports, SHARD);
  expect(await segments()).toEqual([key]);
});

test('a cut that cannot be read stops collect: what it holds is not known', async () => {
  const { pin } = await pinHead(ports, 'monday');
  await mergeAway();
  await ports.objects.put(pin.cut?.key ?? '', new Uint8Array(3));
  await expect(collect()).rejects.toMatchObject({ code: 'DATA_CORRUPT' });
  await ports.objects.delete([pin.cut?.key ?? '']);
  await expect(collect()).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
  expect(await segments()).toEqual([key]);
});

test('a clone forgets what it shares, and never deletes it', async () => {
  const clone = { collectionId: CLONE, shard: 0 };
  await begin(ports, clone, [entryOf(key)]);
  const own = await product(ports, 0, '1-merged', clone);
  await contain(ports, [own], clone);
  expect((await headOf(ports, clone)).retired).toMatchObject([{ key }]);
  await ports.clock.advance(LATER);
  expect(await collectShard(ports, clone)).toMatchObject({ retired: 0 });
  expect((await headOf(ports, clone)).retired).toEqual([]);
  expect(await segments()).toEqual([key]);
});

/**
 * A scan reads rows one after the other. The pin moves from its name to a nameless row behind the
 * scan's back: that row lies before the named one, where the scan has been already.
 */
test('a pin that loses its name during the look is seen all the same', async () => {
  const pin = await pinHead(ports, 'monday', [CLONE]);
  const { table } = ports;
  let scans = 0;
  const torn = overTable(table, {
    query: async (...asked) => {
      scans += 1;
      // The second scan has read the nameless rows, is overtaken by the drop, and reads the others.
      const before = await table.query(...asked);
      if (scans !== 2) return before;
      await dropPin(table, pin);
      const after = await table.query(...asked);
      const isNameless = ({ sort }: { sort: string }) => sort.includes('/a/');
      return [...before.filter(isNameless), ...after.filter((row) => !isNameless(row))];
    },
  });
  const holding = await holdingPins({ ...ports, table: torn });
  expect(holding.map((row) => row.pin.pinId)).toEqual([pin.pin.pinId]);
  expect(await holdingPins(ports)).toHaveLength(1);
});

test('the cut of a dropped snapshot goes, those of others stay, and so does what an open pin puts', async () => {
  const kept = await pinHead(ports, 'kept');
  const gone = await pinHead(ports, 'gone');
  const dropped = { ...ports, held: heldBy(ports, [7]) };
  expect(await collectCuts(dropped)).toBe(0);
  await dropPin(ports.table, gone);
  const open = await openOne(ports, 'soon');
  expect(await collectCuts(dropped)).toBe(0);
  const soon = await completeOne(ports, open);
  expect(await collectCuts(dropped)).toBe(1);
  const left = [kept, soon].map(({ pin }) => pin.cut?.key ?? '').sort();
  expect(await keysIn(ports, 'snapshots/')).toEqual(left);
});

test('a pin that lost its holder between two looks counts as it was seen', async () => {
  const row = await pinHead(ports, undefined, [CLONE]);
  await mergeAway();
  await touch(ports);
  await changePin(ports.table, row, (pin) => ({ ...pin, holders: [] }));
  expect(await holdingPins(ports)).toEqual([]);
  expect(await collect()).toMatchObject({ retired: 1 });
});
