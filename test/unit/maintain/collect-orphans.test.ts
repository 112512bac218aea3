/** Orphans of crashes and lost races go, and nothing that anybody may still commit or read (I6). */
import { beforeEach, expect, test } from 'vitest';
import { collectShard } from '#maintain/collect.ts';
import { HeldCuts } from '#maintain/held.ts';
import { isOutdated } from '#manifest/commit.ts';
import { headKey } from '#manifest/head.ts';
import {
  begin,
  contain,
  headOf,
  keysIn,
  LATER,
  MINUTE,
  overObjects,
  overTable,
  type Ports,
  pinHead,
  portsOf,
  product,
  SHARD,
  touch,
} from './collected-world.ts';

let ports: Ports;
beforeEach(async () => {
  ports = portsOf();
  await begin(ports);
});

/** The ports with something done before every put of the head, once. */
function beforeMark(work: () => Promise<unknown>): Ports {
  let done = false;
  const { table } = ports;
  const racing = overTable(table, {
    put: async (key, value, condition) => {
      if (key.sort === headKey(SHARD).sort && !done) {
        done = true;
        await work();
      }
      return table.put(key, value, condition);
    },
  });
  return { ...ports, table: racing };
}

test('a young orphan is left alone, an old one goes, and the mark stands above it', async () => {
  const orphan = await product(ports, 0, 'lost');
  await touch(ports);
  await ports.clock.advance(15 * MINUTE);
  expect(await collectShard(ports, SHARD)).toMatchObject({ orphans: 0 });
  expect((await headOf(ports)).collectedBelow).toBe(0);
  await ports.clock.advance(MINUTE);
  expect(await collectShard(ports, SHARD)).toMatchObject({ orphans: 1 });
  expect(await keysIn(ports)).not.toContain(orphan);
  expect((await headOf(ports)).collectedBelow).toBe(1);
});

test('what was minted at the version that the head has is nobody’s orphan yet', async () => {
  const underWay = await product(ports, 0, 'underway');
  await ports.clock.advance(LATER);
  expect(await collectShard(ports, SHARD)).toMatchObject({ orphans: 0 });
  await contain(ports, [underWay]);
  await ports.clock.advance(LATER);
  await collectShard(ports, SHARD);
  expect(await keysIn(ports)).toEqual([underWay]);
});

test('the mark is committed before anything is deleted', async () => {
  await product(ports, 0, 'lost');
  await touch(ports);
  await ports.clock.advance(LATER);
  const marks: number[] = [];
  const { objects } = ports;
  const watched = overObjects(objects, {
    delete: async (keys) => {
      marks.push((await headOf(ports)).collectedBelow);
      return objects.delete(keys);
    },
  });
  await collectShard({ ...ports, objects: watched }, SHARD);
  expect(marks).toEqual([1]);
});

test('a commit between the look and the mark saves its object', async () => {
  const slow = await product(ports, 0, 'slow');
  const orphan = await product(ports, 0, 'lost');
  await touch(ports);
  await ports.clock.advance(LATER);
  const racing = beforeMark(() => contain(ports, [slow]));
  expect(await collectShard(racing, SHARD)).toMatchObject({ orphans: 1 });
  const keys = await keysIn(ports, 'collections/7/0/segment/');
  expect(keys).toEqual([slow]);
  expect(keys).not.toContain(orphan);
});

test('a merge that comes after the mark with an older object is refused', async () => {
  const slow = await product(ports, 0, 'slow');
  await product(ports, 0, 'lost');
  await touch(ports);
  await ports.clock.advance(LATER);
  await collectShard(ports, SHARD);
  const refusal = await contain(ports, [slow]).catch((error: unknown) => error);
  expect(isOutdated(refusal)).toBe(true);
  expect((await headOf(ports)).segments).toEqual([]);
});

/**
 * A collector that stands still for an hour between its first look at the pins and its mark. Meanwhile
 * an object is committed that it takes for an orphan, pinned, merged away, and forgotten.
 */
test('what was pinned while the collector was frozen stays, though no head names it any more', async () => {
  const slow = await product(ports, 0, 'slow');
  await touch(ports);
  await ports.clock.advance(LATER);
  const racing = beforeMark(async () => {
    await contain(ports, [slow]);
    await pinHead(ports, 'monday');
    await contain(ports, []);
    await ports.clock.advance(LATER);
    // Another collector takes it off the list: it is pinned, so its object stays.
    await collectShard(ports, SHARD);
    expect((await headOf(ports)).retired).toEqual([]);
  });
  await collectShard(racing, SHARD);
  expect(await keysIn(ports, 'collections/')).toEqual([slow]);
});

test('an orphan that a pin opens beside waits for the next round', async () => {
  const orphan = await product(ports, 0, 'lost');
  await touch(ports);
  await ports.clock.advance(LATER);
  const held = new HeldCuts(ports);
  let reads = 0;
  // Nothing is held at first, everything the second time: a pin was opened in between.
  const opening = { read: async () => (++reads === 1 ? held.read() : undefined) };
  expect(await collectShard({ ...ports, held: opening }, SHARD)).toMatchObject({ orphans: 0 });
  expect(await keysIn(ports)).toEqual([orphan]);
  expect(await collectShard(ports, SHARD)).toMatchObject({ orphans: 1 });
});

/** The ports, and how often objects were listed. */
function counted(): Readonly<{ ports: Ports; lists: () => number }> {
  let count = 0;
  const { objects } = ports;
  const counting = overObjects(objects, {
    list: (prefix, options) => {
      count += 1;
      return objects.list(prefix, options);
    },
  });
  return { ports: { ...ports, objects: counting }, lists: () => count };
}

test('an idle shard is listed once, and once a day after that', async () => {
  const { ports: watched, lists } = counted();
  await collectShard(watched, SHARD);
  expect(lists()).toBe(4);
  for (let quarter = 0; quarter < 90; quarter++) {
    await ports.clock.advance(15 * MINUTE);
    await collectShard(watched, SHARD);
  }
  expect(lists()).toBe(4);
  await ports.clock.advance(120 * MINUTE);
  await collectShard(watched, SHARD);
  expect(lists()).toBe(8);
  await touch(ports);
  await collectShard(watched, SHARD);
  expect(lists()).toBe(12);
});

test('a shard with a young orphan is listed again when that is old', async () => {
  const { ports: watched, lists } = counted();
  await product(ports, 0, 'lost');
  await touch(ports);
  await collectShard(watched, SHARD);
  await ports.clock.advance(10 * MINUTE);
  await collectShard(watched, SHARD);
  expect(lists()).toBe(4);
  await ports.clock.advance(6 * MINUTE);
  expect(await collectShard(watched, SHARD)).toMatchObject({ orphans: 1 });
});
