/**
 * Unpacks the zips that packaging makes, as Lambda does: by the central directory at the end of the
 * file (APPNOTE.TXT of PKWARE, sections 4.3.12 and 4.3.16). Stored and deflated entries, no encryption, no zip64,
 * checksums compared.
 */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, normalize, sep } from 'node:path';
import { crc32, inflateRawSync } from 'node:zlib';

export type ZipEntry = Readonly<{
  name: string;
  /** Unix permission bits; 0 where the zip has none. */
  mode: number;
  read: () => Buffer;
}>;

const END_SIGNATURE = 0x06054b50;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const END_BYTES = 22;
/** A comment of up to 64 KiB may follow the end record. */
const COMMENT_BYTES_MAX = 65_535;
const STORED = 0;
const DEFLATED = 8;

/** @throws where the bytes are no zip, or of a kind that Lambda's upload would not take either */
export function readZip(zip: Buffer): readonly ZipEntry[] {
  const end = findEnd(zip);
  const count = zip.readUInt16LE(end + 10);
  let at = zip.readUInt32LE(end + 16);
  const entries: ZipEntry[] = [];
  for (let index = 0; index < count; index++) {
    if (zip.readUInt32LE(at) !== ENTRY_SIGNATURE) throw new Error(`entry ${index}: no signature`);
    const nameBytes = zip.readUInt16LE(at + 28);
    const name = zip.toString('utf8', at + 46, at + 46 + nameBytes);
    const entry = {
      name,
      method: zip.readUInt16LE(at + 10),
      checksum: zip.readUInt32LE(at + 16),
      packedBytes: zip.readUInt32LE(at + 20),
      local: zip.readUInt32LE(at + 42),
    };
    // The upper half is a Unix mode where the maker was a Unix (3).
    const mode = zip.readUInt8(at + 5) === 3 ? (zip.readUInt32LE(at + 38) >>> 16) & 0o777 : 0;
    entries.push({ name, mode, read: () => unpack(zip, entry) });
    at += 46 + nameBytes + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  return entries;
}

function findEnd(zip: Buffer): number {
  const last = zip.length - END_BYTES;
  for (let at = last; at >= Math.max(0, last - COMMENT_BYTES_MAX); at--) {
    if (zip.readUInt32LE(at) === END_SIGNATURE) return at;
  }
  throw new Error('not a zip: no end of central directory');
}

type Packed = Readonly<{
  name: string;
  method: number;
  checksum: number;
  packedBytes: number;
  local: number;
}>;

function unpack(zip: Buffer, { name, method, checksum, packedBytes, local }: Packed): Buffer {
  if (zip.readUInt32LE(local) !== LOCAL_SIGNATURE) throw new Error(`${name}: no local header`);
  const from = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
  const packed = zip.subarray(from, from + packedBytes);
  if (method !== STORED && method !== DEFLATED) throw new Error(`${name}: method ${method}`);
  const bytes = method === STORED ? Buffer.from(packed) : inflateRawSync(packed);
  if (crc32(bytes) !== checksum) throw new Error(`${name}: checksum differs`);
  return bytes;
}

/** Unpacks a zip into a folder, which is made where it is absent. */
export async function unzip(file: string, dir: string): Promise<void> {
  for (const { name, mode, read } of readZip(await readFile(file))) {
    const path = normalize(join(dir, name));
    if (!path.startsWith(normalize(dir) + sep)) throw new Error(`${name} lies outside`);
    if (name.endsWith('/')) {
      await mkdir(path, { recursive: true });
      continue;
    }
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, read());
    if (mode !== 0) await chmod(path, mode);
  }
}
