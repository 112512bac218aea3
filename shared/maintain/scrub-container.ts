/**
 * Every byte of a data or graph object, in pieces: header, sections against their checksums, footer,
 * trailer, and the zeros in between.
 */
import { ByteReader } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import {
  FORMAT_VERSION,
  type Footer,
  type FooterRef,
  HEADER_BYTES,
  type Section,
} from '#segment/layout.ts';
import { type ObjectReads, readSectionRange } from '#segment/sections.ts';
import type { ScrubReads } from './scrub-findings.ts';

/** Objects up to here are read in one piece: one request instead of a dozen. */
const WHOLE_BYTES = 4 * 1024 * 1024;
/** Beyond it what is small is read by windows of this size, so that neighbours share a request. */
const WINDOW_BYTES = 1024 * 1024;
const SMALL_BYTES = WINDOW_BYTES / 4;
/** Two sections that are read side by side, and the footer. */
const WINDOWS_MAX = 4;
/**
 * Large sections are read in such pieces: 256 requests a GiB. Hashing one holds the thread for some
 * 15 ms, which a server that answers at the same time can bear.
 */
export const PIECE_BYTES = 4 * 1024 * 1024;

const HEADER = Buffer.concat([Buffer.from('SternaC\n', 'latin1'), u32(FORMAT_VERSION)]);

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

export type ContainerRef = Readonly<{ key: string; sizeBytes: number }>;

/**
 * Reads of one object of a known size.
 *
 * @throws StoreError `DATA_CORRUPT` where it has another size; `OBJECT_NOT_FOUND`
 */
export async function openReads(
  objects: ScrubReads,
  { key, sizeBytes }: ContainerRef,
): Promise<ObjectReads> {
  const wrong = (found: number): StoreError =>
    new StoreError('DATA_CORRUPT', `${key}: ${found} bytes where ${sizeBytes} are due`);
  if (sizeBytes <= WHOLE_BYTES) {
    const bytes = await objects.get(key);
    if (bytes.length !== sizeBytes) throw wrong(bytes.length);
    return {
      async get(_, range = { offset: 0, length: sizeBytes }) {
        return bytes.subarray(range.offset, range.offset + range.length);
      },
    };
  }
  const info = await objects.head(key);
  if (info === undefined) throw new StoreError('OBJECT_NOT_FOUND', `there is no object ${key}`);
  if (info.sizeBytes !== sizeBytes) throw wrong(info.sizeBytes);
  return windowed(objects, key, sizeBytes);
}

function windowed(objects: ScrubReads, key: string, sizeBytes: number): ObjectReads {
  const windows = new Map<number, Promise<Uint8Array>>();
  const windowAt = (index: number): Promise<Uint8Array> => {
    const offset = index * WINDOW_BYTES;
    const length = Math.min(WINDOW_BYTES, sizeBytes - offset);
    const window = windows.get(index) ?? objects.get(key, { offset, length });
    windows.delete(index);
    windows.set(index, window);
    for (const oldest of windows.keys()) {
      if (windows.size <= WINDOWS_MAX) break;
      windows.delete(oldest);
    }
    return window;
  };
  return {
    async get(_, range = { offset: 0, length: sizeBytes }) {
      const { offset, length } = range;
      const first = Math.floor(offset / WINDOW_BYTES);
      const last = Math.floor((offset + length - 1) / WINDOW_BYTES);
      if (length > SMALL_BYTES || first !== last) return await objects.get(key, range);
      const window = await windowAt(first);
      const from = offset - first * WINDOW_BYTES;
      return window.subarray(from, from + length);
    },
  };
}

/**
 * Verifies what nobody has read yet: all but the sections in `done`, and the bytes that belong to no
 * section.
 *
 * @param onDamage is told what is wrong; verifying goes on
 */
export async function verifyRest(
  reads: ObjectReads,
  ref: Pick<FooterRef, 'key' | 'footerOffset'>,
  footer: Footer,
  done: ReadonlySet<string>,
  attempt: (work: () => Promise<void>) => Promise<unknown>,
): Promise<void> {
  const sections = [...footer.sections.values()].sort((a, b) => a.offset - b.offset);
  await attempt(() => verifyHeader(reads, ref.key));
  let end = HEADER_BYTES;
  for (const section of [...sections, { offset: ref.footerOffset, length: 0, name: '' }]) {
    const gap = { offset: end, length: section.offset - end };
    await attempt(() => verifyZeros(reads, ref.key, gap));
    end = section.offset + section.length;
  }
  for (const section of sections) {
    if (!done.has(section.name)) await attempt(() => verifySection(reads, ref.key, section));
  }
}

async function verifyHeader(reads: ObjectReads, key: string): Promise<void> {
  const bytes = await reads.get(key, { offset: 0, length: HEADER_BYTES });
  const reader = new ByteReader(bytes, `header of ${key}`);
  if (Buffer.compare(reader.raw(HEADER.length), HEADER) !== 0) reader.fail('not the header');
  if (bytes.subarray(HEADER.length).some((byte) => byte !== 0)) reader.fail('more than a header');
}

async function verifyZeros(
  reads: ObjectReads,
  key: string,
  { offset, length }: Readonly<{ offset: number; length: number }>,
): Promise<void> {
  if (length === 0) return;
  const isGap = length > 0 && length < HEADER_BYTES;
  const bytes = isGap ? await reads.get(key, { offset, length }) : undefined;
  if (bytes?.every((byte) => byte === 0) === true) return;
  throw new StoreError('DATA_CORRUPT', `${key}: the bytes from ${offset} belong to no section`);
}

async function verifySection(reads: ObjectReads, key: string, section: Section): Promise<void> {
  for (let at = 0; at < section.length; at += PIECE_BYTES) {
    const length = Math.min(PIECE_BYTES, section.length - at);
    await readSectionRange(reads, key, section, at, length);
  }
}
