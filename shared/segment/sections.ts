/** Reads directories and sections of objects, and returns only bytes whose checksum was right. */
import { crc32 } from '#base/bytes.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import type { ByteRange, ObjectStore } from '#ports/object-store.ts';
import {
  BLOCK_BYTES,
  decodeFooter,
  decodeTrailer,
  FOOTER_BYTES_MAX,
  type Footer,
  type FooterRef,
  failAsAnother,
  type Section,
  TRAILER_BYTES,
} from './layout.ts';

/** All that reading needs of the store. */
export type ObjectReads = Pick<ObjectStore, 'get'>;

/**
 * One range read, to the end of the object: an object that lost its last byte makes it short, and
 * one that was exchanged has its footer elsewhere or another checksum in it.
 *
 * @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW`, `OBJECT_NOT_FOUND`
 */
export async function readFooter(objects: ObjectReads, ref: FooterRef): Promise<Footer> {
  const { key, footerOffset, footerBytes } = ref;
  if (footerBytes < 1 || footerBytes > FOOTER_BYTES_MAX) {
    throw new StoreError('DATA_CORRUPT', `${key}: a footer of ${footerBytes} bytes`);
  }
  const range = { offset: footerOffset, length: footerBytes + TRAILER_BYTES };
  const bytes = await getRange(objects, key, 'footer', range);
  const sizeBytes = footerOffset + range.length;
  const place = decodeTrailer(key, sizeBytes, bytes.subarray(footerBytes));
  // Its end is the same, so its beginning differs where its length does.
  if (place.footerBytes !== footerBytes) failAsAnother(key);
  return decodeFooter(ref, bytes.subarray(0, footerBytes));
}

/**
 * Most footers fit one read of an object's end: 64 KiB hold the checksums of 4 GiB. What is read in
 * vain costs less than a second request.
 */
const END_READ_BYTES = 64 * 1024;

/** The footer of an object whose size and checksum are known but not where its footer lies. */
export async function readFooterFromEnd(
  objects: ObjectReads,
  {
    key,
    sizeBytes,
    footerCrc32,
  }: Readonly<{ key: string; sizeBytes: number; footerCrc32: number }>,
): Promise<Footer> {
  if (sizeBytes < TRAILER_BYTES) {
    throw new StoreError('DATA_CORRUPT', `${key}: ${sizeBytes} bytes are no object of ours`);
  }
  const length = Math.min(sizeBytes, END_READ_BYTES);
  const start = sizeBytes - length;
  const end = await getRange(objects, key, 'trailer', { offset: start, length });
  const trailer = end.subarray(length - TRAILER_BYTES);
  const place = { ...decodeTrailer(key, sizeBytes, trailer), footerCrc32 };
  if (place.footerOffset < start) return await readFooter(objects, place);
  const from = place.footerOffset - start;
  return decodeFooter(place, end.subarray(from, from + place.footerBytes));
}

/** A whole section. @throws StoreError `DATA_CORRUPT` naming object and section */
export const readSection = (
  objects: ObjectReads,
  key: string,
  section: Section,
): Promise<Uint8Array> => readSectionRange(objects, key, section, 0, section.length);

/**
 * `length` bytes of a section from `offset`; the blocks that they touch are read and verified.
 *
 * @throws StoreError `DATA_CORRUPT` naming object and section, also where the range leaves the section
 */
export async function readSectionRange(
  objects: ObjectReads,
  key: string,
  section: Section,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const fits = offset >= 0 && length >= 0 && offset + length <= section.length;
  if (!fits) {
    throw new StoreError(
      'DATA_CORRUPT',
      `${key}: bytes ${offset} to ${offset + length} leave section ${section.name} of ${section.length}`,
    );
  }
  if (length === 0) return new Uint8Array(0);
  const first = Math.floor(offset / BLOCK_BYTES);
  const from = first * BLOCK_BYTES;
  const end = Math.min(Math.ceil((offset + length) / BLOCK_BYTES) * BLOCK_BYTES, section.length);
  const range = { offset: section.offset + from, length: end - from };
  const bytes = await getRange(objects, key, `section ${section.name}`, range);
  verifyBlocks(key, section, first, bytes);
  return bytes.subarray(offset - from, offset - from + length);
}

function verifyBlocks(key: string, section: Section, first: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    const block = first + at / BLOCK_BYTES;
    if (crc32(bytes.subarray(at, at + BLOCK_BYTES)) !== section.blockCrcs[block]) {
      throw new StoreError(
        'DATA_CORRUPT',
        `${key}: block ${block} of section ${section.name} does not match its checksum`,
      );
    }
  }
}

async function getRange(
  objects: ObjectReads,
  key: string,
  what: string,
  range: ByteRange,
): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await objects.get(key, range);
  } catch (error) {
    if (!isStoreError(error, 'DATA_CORRUPT')) throw error;
    throw new StoreError('DATA_CORRUPT', `${key}: ${what} cannot be read: ${error.message}`, {
      cause: error,
    });
  }
  if (bytes.length !== range.length) {
    throw new StoreError(
      'DATA_CORRUPT',
      `${key}: ${what} has ${bytes.length} bytes instead of ${range.length}`,
    );
  }
  return bytes;
}
