import { describe, expect, it } from 'vitest';
import { crc32 } from '#base/bytes.ts';
import { isStoreError } from '#base/errors.ts';
import {
  BLOCK_BYTES,
  layContainer,
  requireKnown,
  SECTION_TYPES,
  type SectionPlan,
  TRAILER_BYTES,
} from '#segment/layout.ts';
import { readFooter, readFooterFromEnd, readSection, readSectionRange } from '#segment/sections.ts';
import { KEY, WatchedObjects } from './objects.ts';
import { Dice } from './random-rows.ts';

const plan = (name: string, length: number, rest: Partial<SectionPlan> = {}): SectionPlan => ({
  name,
  type: SECTION_TYPES.column,
  required: true,
  length,
  ...rest,
});

async function store(plans: readonly SectionPlan[]) {
  const container = layContainer(plans);
  const dice = new Dice(1);
  for (const { name, length } of plans) {
    container.section(name).set(Uint8Array.from({ length }, () => dice.below(256)));
  }
  const sealed = container.seal();
  const objects = await WatchedObjects.of(sealed.bytes);
  const contents = new Map(plans.map(({ name }) => [name, container.section(name).slice()]));
  return { ...sealed, objects, contents, place: { key: KEY, ...sealed } };
}

describe('container', () => {
  it('gives back sections, found from the manifest or from the end', async () => {
    const plans = [plan('a', 0), plan('b', 1), plan('c', 63), plan('d', BLOCK_BYTES + 5)];
    const { objects, contents, place, bytes } = await store(plans);
    const footer = await readFooter(objects, place);
    expect([...footer.sections.keys()]).toEqual(['a', 'b', 'c', 'd']);
    expect(await readFooterFromEnd(objects, { ...place, sizeBytes: bytes.length })).toEqual(footer);
    for (const [name, section] of footer.sections) {
      expect(section.offset % 64).toBe(0);
      expect(await readSection(objects, KEY, section)).toEqual(contents.get(name));
    }
  });

  it('finds a footer that one read of the end does not reach', async () => {
    const plans = Array.from({ length: 250 }, (_, index) => plan('n'.repeat(300) + index, 3));
    const { objects, place, bytes } = await store(plans);
    expect(place.footerBytes).toBeGreaterThan(64 * 1024);
    const footer = await readFooterFromEnd(objects, { ...place, sizeBytes: bytes.length });
    expect(footer).toEqual(await readFooter(objects, place));
  });

  it('reads ranges by the blocks that they touch', async () => {
    const length = 3 * BLOCK_BYTES + 100;
    const { objects, contents, place } = await store([plan('big', length)]);
    const section = (await readFooter(objects, place)).sections.get('big');
    if (section === undefined) throw new Error('no section');
    const ranges = [
      [0, 1],
      [BLOCK_BYTES - 1, 2],
      [BLOCK_BYTES, BLOCK_BYTES],
      [3 * BLOCK_BYTES + 99, 1],
      [5, 0],
      [0, length],
    ] as const;
    for (const [from, count] of ranges) {
      const bytes = await readSectionRange(objects, KEY, section, from, count);
      expect(bytes).toEqual(contents.get('big')?.slice(from, from + count));
    }
    objects.reads.length = 0;
    await readSectionRange(objects, KEY, section, BLOCK_BYTES + 1, 1);
    expect(objects.reads).toEqual([{ offset: section.offset + BLOCK_BYTES, length: BLOCK_BYTES }]);
    await expect(readSectionRange(objects, KEY, section, length, 1)).rejects.toThrow(/section big/);
  });

  it('returns no byte of a block that was changed, and names object, section and block', async () => {
    const { bytes, place } = await store([plan('a', 10), plan('big', 2 * BLOCK_BYTES)]);
    const broken = bytes.slice();
    const at = 128 + BLOCK_BYTES + 7;
    broken[at] = (broken[at] ?? 0) ^ 1;
    const objects = await WatchedObjects.of(broken);
    const section = (await readFooter(objects, place)).sections.get('big');
    if (section === undefined) throw new Error('no section');
    expect((await readSectionRange(objects, KEY, section, 0, BLOCK_BYTES)).length).toBe(
      BLOCK_BYTES,
    );
    const failed = await readSection(objects, KEY, section).catch((error: unknown) => error);
    expect(isStoreError(failed, 'DATA_CORRUPT')).toBe(true);
    expect(String(failed)).toContain(KEY);
    expect(String(failed)).toContain('block 1 of section big');
  });

  it('skips optional sections that it does not know and refuses required ones', async () => {
    const known = { a: 'column' } as const;
    const optional = await store([plan('a', 1), plan('codes/7', 9, { type: 99, required: false })]);
    requireKnown(await readFooter(optional.objects, optional.place), known);
    const cases = [plan('codes/7', 9, { type: 99 }), plan('b', 1), plan('a/1', 1, { type: 99 })];
    for (const unknown of cases) {
      const required = await store([plan('a', 1), unknown]);
      const footer = await readFooter(required.objects, required.place);
      expect(() => requireKnown(footer, known)).toThrow(/needs a newer Sterna/);
    }
  });

  it('refuses a newer format version and says which', async () => {
    const { bytes, place } = await store([plan('a', 1)]);
    const newer = Buffer.from(bytes);
    newer.writeUInt32LE(2, place.footerOffset + 8);
    const end = place.footerOffset + place.footerBytes - 4;
    newer.writeUInt32LE(crc32(newer.subarray(place.footerOffset, end)), end);
    const objects = await WatchedObjects.of(new Uint8Array(newer));
    const ref = { ...place, footerCrc32: newer.readUInt32LE(end) };
    const failed = await readFooter(objects, ref).catch((error: unknown) => error);
    expect(isStoreError(failed, 'FORMAT_TOO_NEW')).toBe(true);
    expect(String(failed)).toContain('version 2');
  });

  it('refuses an object of the same size whose footer is shorter or another', async () => {
    const { place, bytes } = await store([plan('a', 3), plan('b', 64)]);
    const others = [[plan('a', 67)], [plan('b', 3), plan('a', 64)]];
    for (const plans of others) {
      const other = await store(plans);
      const padded = Buffer.alloc(bytes.length);
      // The footer ends at the object's end, wherever it begins.
      padded.set(other.bytes, bytes.length - other.bytes.length);
      const trailer = Buffer.from(other.bytes.subarray(-TRAILER_BYTES));
      trailer.writeDoubleLE(bytes.length - TRAILER_BYTES - other.footerBytes, 0);
      trailer.writeUInt32LE(crc32(trailer.subarray(0, 20)), 20);
      padded.set(trailer, bytes.length - TRAILER_BYTES);
      const objects = await WatchedObjects.of(new Uint8Array(padded));
      await expect(readFooter(objects, place)).rejects.toMatchObject({
        code: 'DATA_CORRUPT',
        message: `${KEY} is not the object that the manifest names`,
      });
    }
  });

  it('finds every changed or missing byte of footer and trailer', async () => {
    const { bytes, place } = await store([plan('a', 3), plan('b', 200)]);
    for (let at = place.footerOffset; at < bytes.length; at++) {
      const broken = bytes.slice();
      broken[at] = (broken[at] ?? 0) ^ 0x10;
      const objects = await WatchedObjects.of(broken);
      await expect(readFooter(objects, place)).rejects.toMatchObject({ code: 'DATA_CORRUPT' });
      await expect(
        readFooterFromEnd(objects, { ...place, sizeBytes: bytes.length }),
      ).rejects.toThrow(KEY);
    }
    for (let length = 0; length < bytes.length; length++) {
      const objects = await WatchedObjects.of(bytes.slice(0, length));
      const refusal = { code: 'DATA_CORRUPT', message: expect.stringContaining(KEY) };
      await expect(readFooter(objects, place)).rejects.toMatchObject(refusal);
      const ref = { ...place, sizeBytes: length };
      await expect(readFooterFromEnd(objects, ref)).rejects.toMatchObject(refusal);
    }
  });
});
