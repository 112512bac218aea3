/**
 * The checksum of every key and value that Sterna keeps in LMDB, which has none of its own: a bit that
 * flipped in a key would hide a row, and one in a position, a version or a checkpoint would be believed.
 *
 * What is stored is the value and behind it the CRC-32 of key and value, little-endian.
 */
import { crc32 } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';

export const SEAL_BYTES = 4;

/** Fills in the last four bytes of what is stored under the key. */
export function seal(key: Uint8Array, stored: Buffer): Buffer {
  const at = stored.length - SEAL_BYTES;
  stored.writeUInt32LE(crc32(stored.subarray(0, at), crc32(key)), at);
  return stored;
}

/** Whether what is stored is what was stored under this key. */
export function isSealed(key: Uint8Array, stored: Buffer): boolean {
  const at = stored.length - SEAL_BYTES;
  return at >= 0 && crc32(stored.subarray(0, at), crc32(key)) === stored.readUInt32LE(at);
}

/**
 * The value without its checksum; shares memory with `stored`.
 *
 * @throws StoreError `DATA_CORRUPT` naming the file and the key
 */
export function unseal(file: string, key: Uint8Array, stored: Buffer): Buffer {
  if (isSealed(key, stored)) return stored.subarray(0, stored.length - SEAL_BYTES);
  throw new StoreError('DATA_CORRUPT', `${file}: ${showKey(key)} does not match its checksum`);
}

/** Keys are text but for the zero byte between partition and sort, and what a flipped bit made of them. */
export const showKey = (key: Uint8Array): string =>
  `the row ${JSON.stringify(Buffer.from(key).toString('latin1').replaceAll('\u0000', '/'))}`;
