/**
 * The envelope of every small binary format: magic, version, body, checksum.
 *
 *     magic   4 bytes of ASCII
 *     version 1 byte
 *     body
 *     crc     u32, CRC-32 of everything before it
 *
 * The checksum is looked at before the version, so that a flipped bit is corruption and never a
 * "newer format". Hence no version of any framed format may move magic, version byte or checksum.
 */
import { ByteReader, ByteWriter, crc32, fromUtf8, utf8 } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';

export type Format = Readonly<{
  /** Four ASCII characters. */
  magic: string;
  /** What is written now; every version from 1 up to it is read. */
  version: number;
}>;

const HEAD_BYTES = 5;
const CRC_BYTES = 4;
const FRAME_BYTES_MIN = HEAD_BYTES + CRC_BYTES;

/** A writer that already holds magic and version. */
export function openFrame({ magic, version }: Format, capacityBytes?: number): ByteWriter {
  return new ByteWriter(capacityBytes).raw(utf8(magic)).u8(version);
}

/** Adds the checksum and returns all of it. */
export function sealFrame(writer: ByteWriter): Uint8Array {
  return writer.u32(crc32(writer.view())).finish();
}

/**
 * The checksum that ends a frame. It stands for the content where a reference carries it; a CRC of
 * the whole frame, its own included, would be the same number for every frame.
 */
export const frameChecksum = (frame: Uint8Array): number =>
  new DataView(frame.buffer, frame.byteOffset + frame.length - CRC_BYTES).getUint32(0, true);

/**
 * A reader of the body, whose offsets count from the beginning of the frame. Call `end()` on it
 * when everything was read.
 *
 * @param what the name of the thing being read, for the message of the error
 * @throws StoreError `DATA_CORRUPT`; `FORMAT_TOO_NEW` where the bytes are whole and the version is
 *   above the one we write
 */
export function readFrame(
  bytes: Uint8Array,
  { magic, version }: Format,
  what: string,
): Readonly<{ version: number; reader: ByteReader }> {
  const corrupt = (message: string): never => {
    throw new StoreError('DATA_CORRUPT', `${what}: ${message}`);
  };
  if (bytes.length < FRAME_BYTES_MIN) corrupt(`${bytes.length} bytes are too few`);
  const end = bytes.length - CRC_BYTES;
  const stored = frameChecksum(bytes);
  const computed = crc32(bytes.subarray(0, end));
  if (stored !== computed) {
    corrupt(`checksum ${computed.toString(16)}, expected ${stored.toString(16)}`);
  }
  const reader = new ByteReader(bytes.subarray(0, end), what);
  const found = reader.raw(magic.length);
  if (!found.every((byte, index) => byte === magic.charCodeAt(index))) {
    corrupt(`begins with ${printable(found)}, expected ${magic}`);
  }
  const written = reader.u8();
  if (written === 0) corrupt('format version 0');
  if (written > version) {
    throw new StoreError(
      'FORMAT_TOO_NEW',
      `${what}: format version ${written}, this Sterna reads up to ${version}`,
    );
  }
  return { version: written, reader };
}

const printable = (bytes: Uint8Array): string =>
  JSON.stringify(fromUtf8(bytes.map((byte) => (byte >= 0x20 && byte < 0x7f ? byte : 0x3f))));

/** Reads one byte that stands for an entry of `names`. */
export function readName<T extends string>(
  reader: ByteReader,
  names: readonly T[],
  what: string,
): T {
  const code = reader.u8();
  return names[code] ?? reader.fail(`unknown ${what} ${code}`);
}

/** The byte that {@link readName} turns back into `name`. */
export const nameCode = <T extends string>(names: readonly T[], name: T): number =>
  names.indexOf(name);
