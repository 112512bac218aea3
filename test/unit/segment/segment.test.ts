import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CollectionSchema, primaryField, vectorFields } from '#schema/field.ts';
import { gatherColumn } from '#schema/gather.ts';
import { readArchive, readArchiveIds } from '#segment/archive.ts';
import { SectionCache } from '#segment/cache.ts';
import type { ArchiveEntry } from '#segment/entry.ts';
import { layContainer } from '#segment/layout.ts';
import { memorySource } from '#segment/memory.ts';
import { openSegment, type SegmentReader } from '#segment/reader.ts';
import { readFooter, readFooterFromEnd } from '#segment/sections.ts';
import type { StampedBatch, VectorSource } from '#segment/source.ts';
import { draftSegment, encodeSegment, type NewSegment } from '#segment/writer.ts';
import { entryOf, KEY, WatchedObjects } from './objects.ts';
import {
  Dice,
  field,
  plainRows,
  randomArchive,
  randomRows,
  randomSchema,
  randomTombstones,
} from './random-rows.ts';

const cacheOf = (sectionBytesMax = 1e8): SectionCache =>
  new SectionCache({ sectionBytesMax, graphBytesMax: 1e8 });

function randomSegment(seed: number, rowsMax: number, rowsMin = 0) {
  const dice = new Dice(seed);
  const schema = randomSchema(dice, dice.chance(0.3));
  const count = rowsMin + dice.below(rowsMax - rowsMin + 1);
  const rows = randomRows(dice, schema, count);
  const tombstones = randomTombstones(dice, schema, dice.below(6), 2);
  const archive = randomArchive(dice, dice.below(5));
  return { schema, rows, tombstones, archive, level: dice.below(3) };
}

/** Everything that a source says, field by field. */
async function readRows(source: VectorSource, schema: CollectionSchema): Promise<StampedBatch> {
  const columns = new Map();
  for (const each of schema.fields) columns.set(each.id, await source.column(each));
  const [partitions, stamps] = await Promise.all([source.partitions(), source.stamps()]);
  return { batch: { count: source.rows, columns, partitions }, stamps };
}

async function collectVectors(source: VectorSource, each: CollectionSchema['fields'][number]) {
  const all: number[] = [];
  let rows = 0;
  await source.scanVectors(each, (values, firstRow) => {
    expect(firstRow).toBe(rows);
    rows += values.length / (each.dim ?? 0);
    all.push(...values);
  });
  return all;
}

describe('a segment', () => {
  it('gives back rows, tombstones, order, ranges, statistics and archive', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const input = randomSegment(seed, 40);
        const segment = encodeSegment(input);
        const entry = entryOf(segment);
        const objects = await WatchedObjects.of(segment.bytes);
        const reader = openSegment({ objects }, entry, cacheOf());
        const memory = memorySource('m', input.rows, input.tombstones, primaryField(input.schema));
        expect(plainRows(await readRows(reader, input.schema))).toEqual(plainRows(input.rows));
        expect(await reader.keys()).toEqual(await memory.keys());
        expect(await reader.tombstones()).toEqual(input.tombstones);
        expect(entry.keyRange).toEqual(memory.keyRange);
        expect(entry.positionRange).toEqual(memory.positionRange);
        expect(await reader.archive()).toEqual(input.archive);
        await checkArchive(objects, entry, input.archive);
        await checkVectors(reader, memory, input.schema);
        expect(entry.sizeBytes).toBe(segment.bytes.length);
        expect([...entry.stats.values()].every(({ rows }) => rows === entry.rows)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  async function checkArchive(
    objects: WatchedObjects,
    entry: ReturnType<typeof entryOf>,
    archive: readonly ArchiveEntry[],
  ): Promise<void> {
    const ref = { ...entry, logTimeMs: 0 };
    expect(await readArchive({ objects }, ref)).toEqual(archive);
    const effective = archive.filter(
      (each) => each.kind === 'write' && each.verdict === 'effective',
    );
    expect(await readArchiveIds({ objects }, ref)).toEqual(
      effective.map(({ recordId, position, logTimeMs }) => ({ recordId, position, logTimeMs })),
    );
  }

  async function checkVectors(
    reader: SegmentReader,
    memory: VectorSource,
    schema: CollectionSchema,
  ): Promise<void> {
    const picked = Uint32Array.from({ length: reader.rows }, (_, row) => reader.rows - 1 - row);
    for (const each of vectorFields(schema)) {
      const column = await memory.column(each);
      const reversed = gatherColumn(column, picked);
      expect({ values: await reader.vectorsAt(each, picked) }).toEqual({
        values: reversed.type === 'FloatVector' ? reversed.values : undefined,
      });
      expect(await reader.vectorValidity(each)).toEqual(await memory.vectorValidity(each));
      expect(await collectVectors(reader, each)).toEqual(await collectVectors(memory, each));
    }
  }

  it('reads a large object by ranges, with a cache too small for its vectors', async () => {
    const dice = new Dice(5);
    const schema = {
      version: 1,
      fields: [
        field(100, 'Int64', { primaryKey: true }),
        field(101, 'VarChar'),
        field(102, 'FloatVector', { dim: 301 }),
      ],
    };
    const rows = randomRows(dice, schema, 9000);
    const input = { schema, level: 1, rows, tombstones: randomTombstones(dice, schema, 3) };
    const segment = encodeSegment(input);
    const objects = await WatchedObjects.of(segment.bytes);
    const reader = openSegment({ objects }, entryOf(segment), cacheOf(2e6));
    const column = rows.batch.columns.get(102);
    if (column?.type !== 'FloatVector') throw new Error('no vectors');
    const vectors = field(102, 'FloatVector', { dim: 301 });
    let seen = 0;
    await reader.scanVectors(vectors, (values, firstRow) => {
      expect(
        Buffer.compare(
          Buffer.from(values.buffer, values.byteOffset, values.byteLength),
          Buffer.from(column.values.buffer, firstRow * 301 * 4, values.byteLength),
        ),
      ).toBe(0);
      seen += values.length / 301;
    });
    expect(seen).toBe(9000);
    const longest = Math.max(...objects.reads.map((range) => range?.length ?? Infinity));
    expect(longest).toBeLessThan(9 * 1024 * 1024);
    const picked = Uint32Array.of(8999, 0, 217, 218, 4000, 0);
    const found = await reader.vectorsAt(vectors, picked);
    picked.forEach((row, at) => {
      expect(found.slice(at * 301, (at + 1) * 301)).toEqual(
        column.values.slice(row * 301, (row + 1) * 301),
      );
    });
  });

  it('answers for a field that it lacks with its default or with nothing', async () => {
    const dice = new Dice(9);
    const schema = { version: 1, fields: [field(100, 'Int64', { primaryKey: true })] };
    const rows = randomRows(dice, schema, 3);
    const segment = encodeSegment({
      schema,
      level: 0,
      rows,
      tombstones: randomTombstones(dice, schema, 0),
    });
    const objects = await WatchedObjects.of(segment.bytes);
    const reader = openSegment({ objects }, entryOf(segment), cacheOf());
    const withDefault = field(105, 'Int32', { defaultValue: 7 });
    expect(await reader.column(withDefault)).toEqual({
      type: 'Int32',
      values: Int32Array.of(7, 7, 7),
    });
    const none = await reader.column(field(106, 'VarChar', { nullable: true }));
    expect(none.valid).toEqual(Uint8Array.of(0));
    const vectors = field(107, 'FloatVector', { nullable: true, dim: 2 });
    expect((await reader.column(vectors)).valid).toEqual(Uint8Array.of(0));
    expect(await reader.vectorsAt(vectors, Uint32Array.of(1))).toEqual(new Float32Array(2));
    expect(await collectVectors(reader, vectors)).toEqual([]);
  });

  it('may hold nothing but archive entries', async () => {
    const dice = new Dice(3);
    const schema = randomSchema(dice);
    const archive = randomArchive(dice, 4);
    const segment = encodeSegment({
      schema,
      level: 0,
      rows: randomRows(dice, schema, 0),
      tombstones: randomTombstones(dice, schema, 0),
      archive,
    });
    const { keyRange, positionRange, logTimeRangeMs } = segment.entry;
    expect({ keyRange, positionRange }).toEqual({ keyRange: undefined, positionRange: undefined });
    expect(logTimeRangeMs).toEqual({ min: 5000, max: 5003 });
    const objects = await WatchedObjects.of(segment.bytes);
    const reader = openSegment({ objects }, entryOf(segment), cacheOf());
    expect(await reader.archive()).toEqual(archive);
    expect((await reader.keys()).order.length).toBe(0);
  });

  it('is read though it holds optional sections of a newer writer, and refused with required ones', async () => {
    const input = randomSegment(12, 20, 5);
    const segment = encodeSegment(input);
    for (const required of [false, true]) {
      const { bytes, ...place } = await withSection(segment, required);
      const entry = { ...entryOf(segment), ...place, sizeBytes: bytes.length };
      const objects = await WatchedObjects.of(bytes);
      const reading = readRows(openSegment({ objects }, entry, cacheOf()), input.schema);
      if (required) await expect(reading).rejects.toMatchObject({ code: 'FORMAT_TOO_NEW' });
      else expect(plainRows(await reading)).toEqual(plainRows(input.rows));
    }
  });

  async function withSection(segment: NewSegment, required: boolean) {
    const { bytes } = segment;
    const { sections } = await readFooter(await WatchedObjects.of(bytes), entryOf(segment));
    const codes = { name: 'codes/120', type: 99, required, length: 500 };
    const container = layContainer([codes, ...sections.values()]);
    for (const { name, offset, length } of sections.values()) {
      container.section(name).set(bytes.subarray(offset, offset + length));
    }
    return container.seal();
  }

  it('is refused where its object was exchanged for another whole one, or lost its last byte', async () => {
    for (const count of [5, 1500]) {
      const { input, segment, other } = twins(count);
      const damaged = [
        { bytes: other.bytes, message: `${KEY} is not the object that the manifest names` },
        { bytes: segment.bytes.subarray(0, -1), message: KEY },
      ];
      for (const { bytes, message } of damaged) {
        const objects = await WatchedObjects.of(bytes);
        const refusal = { code: 'DATA_CORRUPT', message: expect.stringContaining(message) };
        const entry = entryOf(segment);
        const reader = openSegment({ objects }, entry, cacheOf());
        for (const each of input.schema.fields) {
          await expect(reader.column(each)).rejects.toMatchObject(refusal);
        }
        await expect(reader.keys()).rejects.toMatchObject(refusal);
        await expect(reader.archive()).rejects.toMatchObject(refusal);
        const ref = { ...entry, logTimeMs: 0 };
        await expect(readArchive({ objects }, ref)).rejects.toMatchObject(refusal);
        await expect(readArchiveIds({ objects }, ref)).rejects.toMatchObject(refusal);
        await expect(readFooterFromEnd(objects, entry)).rejects.toMatchObject(refusal);
      }
    }
  });

  /** Two segments of one size that differ in one component of one vector; 1,500 rows take over 1 MiB. */
  function twins(count: number) {
    const dice = new Dice(21);
    const schema = {
      version: 1,
      fields: [field(100, 'Int64', { primaryKey: true }), field(101, 'FloatVector', { dim: 256 })],
    };
    const rows = randomRows(dice, schema, count);
    const archive = randomArchive(dice, 3);
    const tombstones = randomTombstones(dice, schema, 2);
    const input = { schema, level: 0, rows, tombstones, archive };
    const segment = encodeSegment(input);
    const vectors = rows.batch.columns.get(101);
    if (vectors?.type !== 'FloatVector') throw new Error('no vectors');
    vectors.values[7] = (vectors.values[7] ?? 0) + 1;
    const other = encodeSegment(input);
    expect(other.bytes.length).toBe(segment.bytes.length);
    expect(other.entry.footerOffset).toBe(segment.entry.footerOffset);
    expect(segment.bytes.length > 1024 * 1024).toBe(count === 1500);
    return { input, segment, other };
  }

  it('takes vectors that are written straight into a shared object', () => {
    const input = randomSegment(11, 20, 5);
    const draft = draftSegment(
      input,
      (sizeBytes) => new Uint8Array(new SharedArrayBuffer(sizeBytes)),
    );
    for (const [id, target] of draft.vectors) {
      const column = input.rows.batch.columns.get(id);
      if (column?.type === 'FloatVector') target.set(column.values);
    }
    const shared = draft.finish();
    expect(shared.bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
    const plain = encodeSegment(input);
    expect(new Uint8Array(shared.bytes)).toEqual(plain.bytes);
    expect(shared.entry).toEqual(plain.entry);
  });

  it('says in its statistics what is there', () => {
    const dice = new Dice(2);
    const schema = {
      version: 1,
      fields: [field(100, 'Int64', { primaryKey: true }), field(101, 'VarChar')],
    };
    const rows: StampedBatch = {
      ...randomRows(dice, schema, 3),
      batch: {
        count: 3,
        partitions: new Uint32Array(3),
        columns: new Map([
          [100, { type: 'Int64' as const, values: BigInt64Array.of(5n, -7n, 6n) }],
          [
            101,
            {
              type: 'VarChar' as const,
              dictionary: ['', 'pear', 'fig', 'unused'],
              codes: Uint32Array.of(1, 2, 0),
              valid: Uint8Array.of(0b011),
            },
          ],
        ]),
      },
    };
    const { entry } = encodeSegment({
      schema,
      level: 0,
      rows,
      tombstones: randomTombstones(dice, schema, 0),
    });
    expect([...entry.stats]).toEqual([
      [100, { rows: 3, nulls: 0, min: -7n, max: 6n }],
      [101, { rows: 3, nulls: 1, min: 'fig', max: 'pear' }],
    ]);
    expect(entry.keyRange).toEqual({ min: -7n, max: 6n });
  });
});

describe('a damaged segment', () => {
  it('gives the same data or DATA_CORRUPT that names it, whatever bit is flipped', async () => {
    const dice = new Dice(21);
    const schema = randomSchema(dice, true);
    const input = {
      schema,
      level: 0,
      rows: randomRows(dice, schema, 4),
      tombstones: randomTombstones(dice, schema, 2),
      archive: randomArchive(dice, 2),
    };
    const segment = encodeSegment(input);
    const whole = await everything(segment.bytes);
    for (let at = 0; at < segment.bytes.length; at++) {
      const broken = segment.bytes.slice();
      broken[at] = (broken[at] ?? 0) ^ (1 << (at & 7));
      await expectSameOrCorrupt(broken);
    }
    for (let length = 0; length < segment.bytes.length; length += 1) {
      await expectSameOrCorrupt(segment.bytes.slice(0, length));
    }

    async function everything(bytes: Uint8Array): Promise<unknown> {
      const objects = await WatchedObjects.of(bytes);
      const reader = openSegment({ objects }, entryOf(segment), cacheOf());
      return [
        plainRows(await readRows(reader, schema)),
        (await reader.keys()).order,
        await reader.tombstones(),
        await reader.archive(),
      ];
    }

    async function expectSameOrCorrupt(bytes: Uint8Array): Promise<void> {
      try {
        expect(await everything(bytes)).toEqual(whole);
      } catch (error) {
        expect(error).toMatchObject({ code: 'DATA_CORRUPT' });
        expect(String(error)).toContain(KEY);
      }
    }
  });
});
