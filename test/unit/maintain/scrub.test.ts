/** Scrub names what is damaged, all of it and nothing else, and goes on behind it (I6, I7). */
import { expect, test } from 'vitest';
import { mergeShard } from '#maintain/compact.ts';
import { lastScrub, scrubShard } from '#maintain/scrub.ts';
import { createHead, encodeHead, headKey } from '#manifest/head.ts';
import { readFooterFromEnd } from '#segment/sections.ts';
import { RecordingTelemetry } from '#sim/silent-telemetry.ts';
import { applyAll, type World } from '../ingest/world.ts';
import { overObjects } from './collected-world.ts';
import {
  EAGER,
  flip,
  furnished,
  headOf,
  SHARD,
  scrub,
  UNBOUNDED,
  write,
} from './scrubbed-world.ts';

type Kind = 'merged' | 'level-zero' | 'archive' | 'graph' | 'payload';

/** An object of each kind there is. */
async function objectsByKind(world: World): Promise<ReadonlyMap<Kind, string>> {
  const { segments, idWindow } = await headOf(world);
  const content = new Set(segments.map(({ key }) => key));
  const payloads = await world.disk.objects.list('collections/7/0/payload/');
  const found: [Kind, string | undefined][] = [
    ['merged', segments.find(({ level }) => level === 1)?.key],
    ['level-zero', segments.find(({ level }) => level === 0)?.key],
    ['archive', idWindow.find(({ key }) => !content.has(key))?.key],
    ['graph', segments.flatMap(({ auxiliary }) => auxiliary)[0]?.key],
    ['payload', payloads.at(-1)?.key],
  ];
  return new Map(found.flatMap(([kind, key]) => (key === undefined ? [] : [[kind, key] as const])));
}

test('an untouched shard has no finding, and everything in it is read', async () => {
  const { world } = await furnished();
  const kinds = await objectsByKind(world);
  expect(kinds.size).toBeGreaterThanOrEqual(4);
  const report = await scrub(world);
  expect(report).toMatchObject({ complete: true, damaged: [], missing: [] });
  const { segments, idWindow } = await headOf(world);
  expect(report.rows).toBe(segments.reduce((sum, { rows }) => sum + rows, 0));
  const named = new Set([...segments, ...idWindow].map(({ key }) => key)).size;
  const graphs = segments.flatMap(({ auxiliary }) => auxiliary).length;
  expect(report.objects).toBe(1 + named + graphs + 1);
  expect(report.orphans).toMatchObject({ objects: 0, bytes: 0 });
  expect(await lastScrub(world.disk.table, SHARD)).toMatchObject({ complete: true, damaged: [] });
});

/** Places in every part of an object: header, each section, between them, footer and trailer. */
async function placesIn(world: World, key: string, kind: Kind): Promise<readonly number[]> {
  const bytes = await world.disk.objects.get(key);
  const spread = Array.from({ length: 40 }, (_, index) =>
    Math.floor((index * (bytes.length - 1)) / 39),
  );
  if (kind === 'payload') return spread;
  const footer = await readFooterFromEnd(world.disk.objects, {
    key,
    sizeBytes: bytes.length,
    footerCrc32: await footerCrcOf(world, key),
  });
  const inside = [...footer.sections.values()].flatMap(({ offset, length }) =>
    length === 0 ? [] : [offset, offset + (length >> 1), offset + length - 1, offset + length],
  );
  return [...new Set([...spread, ...inside, 12, 63])].filter((at) => at < bytes.length);
}

async function footerCrcOf(world: World, key: string): Promise<number> {
  const { segments, idWindow } = await headOf(world);
  const all = [...segments, ...idWindow, ...segments.flatMap(({ auxiliary }) => auxiliary)];
  return all.find((entry) => entry.key === key)?.footerCrc32 ?? 0;
}

test('a bit that flips anywhere in any object is found, and the object named', async () => {
  const { world } = await furnished();
  for (const [kind, key] of await objectsByKind(world)) {
    const original = await world.disk.objects.get(key);
    for (const at of await placesIn(world, key, kind)) {
      await flip(world, key, at, at % 8);
      const report = await scrub(world);
      expect(
        report.damaged.map((one) => one.key),
        `${kind}, byte ${at}`,
      ).toContain(key);
      expect(new Set(report.damaged.map((one) => one.key)).size, `${kind}, byte ${at}`).toBe(1);
      expect(report).toMatchObject({ complete: true, missing: [] });
      await world.disk.objects.put(key, original);
    }
  }
  expect(await scrub(world)).toMatchObject({ damaged: [], missing: [] });
}, 60_000);

test('an object that is gone, shortened or lengthened is named, whatever its kind', async () => {
  const { world } = await furnished();
  for (const [kind, key] of await objectsByKind(world)) {
    const original = await world.disk.objects.get(key);
    await world.disk.objects.delete([key]);
    const gone = await scrub(world);
    expect(
      gone.missing.map((one) => one.key),
      kind,
    ).toEqual([key]);
    expect(gone.damaged).toEqual([]);
    const changed = [
      original.subarray(0, original.length - 1),
      original.subarray(0, 40),
      new Uint8Array(0),
      Buffer.concat([original, new Uint8Array(1)]),
    ];
    for (const bytes of changed) {
      await world.disk.objects.put(key, bytes);
      const report = await scrub(world);
      expect(
        report.damaged.map((one) => one.key),
        `${kind}, ${bytes.length} bytes`,
      ).toContain(key);
    }
    await world.disk.objects.put(key, original);
  }
});

test('two objects that were exchanged are both named, though each is whole', async () => {
  const { world } = await furnished();
  const { segments } = await headOf(world);
  const [first, second] = segments.filter(({ level }) => level === 0);
  if (first === undefined || second === undefined) throw new Error('two of level 0');
  const [a, b] = [
    await world.disk.objects.get(first.key),
    await world.disk.objects.get(second.key),
  ];
  await world.disk.objects.put(first.key, b);
  await world.disk.objects.put(second.key, a);
  const damaged = new Set((await scrub(world)).damaged.map(({ key }) => key));
  expect(damaged).toEqual(new Set([first.key, second.key]));
});

/** Puts a head that no commit would let pass. */
async function forgeHead(
  world: World,
  change: (head: Awaited<ReturnType<typeof headOf>>) => object,
) {
  const manifest = await headOf(world);
  await world.disk.table.delete(headKey(SHARD));
  await createHead(world.disk, SHARD, { ...manifest, ...change(manifest) });
}

test('a manifest that does not say what its objects hold is reported', async () => {
  const one = '01'.padEnd(64, '0');
  const lies: [string, Parameters<typeof forgeHead>[1], RegExp][] = [
    ['sum', ({ sums }) => ({ sums: { ...sums, held: one } }), /held \+ out|segments hold/],
    [
      'a segment left out',
      ({ segments }) => ({ segments: segments.slice(1) }),
      /its segments hold/,
    ],
    [
      'applied',
      ({ segments }) => ({ applied: segments[0]?.positionRange?.min.slice(0, -8) }),
      /behind/,
    ],
    ['log time', () => ({ logTimeMs: 0 }), /log times to come/],
    [
      'key range',
      ({ segments: [first, ...rest] }) => ({
        segments: [{ ...first, keyRange: { min: 3n, max: 4n } }, ...rest],
      }),
      /keys outside/,
    ],
    [
      'statistics',
      ({ segments: [first, ...rest] }) => ({
        segments: [
          { ...first, stats: new Map([[101, { rows: first?.rows, nulls: 0, min: 5n, max: 6n }]]) },
          ...rest,
        ],
      }),
      /exclude values/,
    ],
    [
      'rows',
      ({ segments: [first, ...rest] }) => ({ segments: [{ ...first, rows: 3 }, ...rest] }),
      /3 rows/,
    ],
    ['the chain', ({ idWindow }) => ({ idWindow: idWindow.toSpliced(1, 1) }), /does not follow/],
    [
      'retired and in use',
      ({ segments }) => ({ retired: [{ key: segments[0]?.key, atMs: 0 }] }),
      /retired/,
    ],
  ];
  for (const [what, lie, expected] of lies) {
    const { world } = await furnished();
    await forgeHead(world, lie);
    const { damaged } = await scrub(world);
    expect(damaged.map((finding) => finding.what).join('\n'), what).toMatch(expected);
  }
});

test('a head row that cannot be read, or names no object, is reported', async () => {
  const { world } = await furnished();
  const put = (value: Uint8Array) => world.disk.table.put(headKey(SHARD), value);
  await put(new Uint8Array([1, 2, 3]));
  expect(await scrub(world)).toMatchObject({ complete: true, damaged: [{ key: 'c7-0 head' }] });
  const key = 'collections/7/0/manifest/000000000001-aa';
  await put(encodeHead({ at: 'object', key, sizeBytes: 5, crc32: 1 }));
  expect(await scrub(world)).toMatchObject({ missing: [{ key }], damaged: [] });
  await world.disk.objects.put(key, new Uint8Array(5));
  expect(await scrub(world)).toMatchObject({ missing: [], damaged: [{ key }] });
});

test('every damaged object raises an event once, for the alarm', async () => {
  const { world } = await furnished();
  const telemetry = new RecordingTelemetry();
  const keys = [...(await objectsByKind(world)).values()];
  for (const key of keys) await flip(world, key, 100, 1);
  const ports = { ...world.disk, telemetry };
  await scrubShard(ports, world.collection, SHARD, UNBOUNDED);
  const events = telemetry.events.filter(({ name }) => name === 'scrub-damaged');
  expect(new Set(events.map(({ facts }) => facts['object']))).toEqual(new Set(keys));
  expect(events.every(({ level }) => level === 'error')).toBe(true);
  expect(telemetry.counted('scrub_damaged_total', { kind: 'damaged' })).toBe(events.length);
});

test('a pass goes on over many small runs, reads nothing twice, and finds the same', async () => {
  const { world } = await furnished();
  const whole = await scrub(world);
  const victim = (await objectsByKind(world)).get('archive') ?? '';
  await flip(world, victim, 100, 1);
  let runs = 0;
  let last = await scrub(world, { bytesMax: 1, untilMs: 0 });
  for (; !last.complete && runs < 50; runs++) {
    last = await scrub(world, { bytesMax: 1, untilMs: 0 });
  }
  expect(runs).toBeGreaterThan(4);
  expect(last.complete).toBe(true);
  expect(last.damaged.map(({ key }) => key)).toContain(victim);
  // The manifest again in each run, everything else once.
  expect(last.objects).toBe(whole.objects + runs);
  expect(last.rows).toBe(whole.rows);
});

test('what is merged away and collected during a pass is not missing', async () => {
  const { world, ports } = await furnished();
  const { objects } = world.disk;
  await applyAll(ports);
  await mergeShard(ports, world.collection, SHARD, EAGER);
  const gone: string[] = [];
  const racing = overObjects(objects, {
    get: async (key, range) => {
      // The manifest was read; before its first object is, everything is merged into one.
      if (gone.length === 0) {
        const before = await headOf(world);
        await write(world, ports, 3_000, 600);
        await applyAll(ports);
        await mergeShard(ports, world.collection, SHARD, EAGER);
        await world.clock.advance(1);
        await mergeShard(ports, world.collection, SHARD, { ...EAGER, idleMs: 0 });
        const { segments, idWindow } = await headOf(world);
        const named = new Set([...segments, ...idWindow].map((one) => one.key));
        gone.push(...before.segments.map((one) => one.key).filter((one) => !named.has(one)));
        await objects.delete(gone);
      }
      return objects.get(key, range);
    },
  });
  const watched = { ...world.disk, objects: racing };
  const during = await scrubShard(watched, world.collection, SHARD, UNBOUNDED);
  expect(gone.length).toBeGreaterThan(0);
  expect(during).toMatchObject({ complete: true, damaged: [], missing: [] });
  expect(await scrub(world)).toMatchObject({ complete: true, damaged: [], missing: [] });
});
