import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readZip, unzip } from '../../support/lambda/zip.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sterna-zip-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

type Entry = Readonly<{ name: string; bytes: Buffer; isStored?: boolean; mode?: number }>;

/** A zip after APPNOTE.TXT: local header and bytes of each entry, the directory, the end record. */
function zipOf(entries: readonly Entry[], comment = ''): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, bytes, isStored = false, mode = 0o644 } of entries) {
    const packed = isStored ? bytes : deflateRawSync(bytes);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(isStored ? 0 : 8, 4);
    fields.writeUInt32LE(crc32(bytes), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(bytes.length, 18);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, Buffer.from(name), packed]);
    const head = Buffer.alloc(42);
    // Made by a Unix.
    head.writeUInt8(3, 1);
    fields.copy(head, 2, 0, 24);
    head.writeUInt32LE((0o100000 | mode) * 0x1_0000, 34);
    head.writeUInt32LE(at, 38);
    directory.push(Buffer.from('PK\x01\x02'), head, Buffer.from(name));
    parts.push(local);
    at += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(at, 12);
  end.writeUInt16LE(comment.length, 16);
  return Buffer.concat([...parts, central, Buffer.from('PK\x05\x06'), end, Buffer.from(comment)]);
}

const BYTES = Buffer.from('module.exports = 1;\n'.repeat(100));

test('stored and deflated entries come out as they went in, with folders and modes', async () => {
  const file = join(dir, 'a.zip');
  await writeFile(
    file,
    zipOf(
      [
        { name: 'functions/', bytes: Buffer.alloc(0), isStored: true, mode: 0o755 },
        { name: 'functions/á.js', bytes: BYTES },
        { name: 'deep/er/run', bytes: BYTES, isStored: true, mode: 0o755 },
      ],
      'a comment',
    ),
  );
  await unzip(file, join(dir, 'a'));
  expect(await readFile(join(dir, 'a/functions/á.js'))).toEqual(BYTES);
  expect(await readFile(join(dir, 'a/deep/er/run'))).toEqual(BYTES);
  expect((await stat(join(dir, 'a/deep/er/run'))).mode & 0o777).toBe(0o755);
  expect((await stat(join(dir, 'a/functions/á.js'))).mode & 0o777).toBe(0o644);
});

test('damage and paths that leave the folder are refused', async () => {
  const damaged = zipOf([{ name: 'a', bytes: BYTES, isStored: true }]);
  damaged.writeUInt8(damaged.readUInt8(40) ^ 1, 40);
  expect(() => readZip(damaged).map(({ read }) => read())).toThrow('a: checksum differs');
  expect(() => readZip(Buffer.from('no zip at all, but long enough'))).toThrow('not a zip');
  const file = join(dir, 'b.zip');
  await writeFile(file, zipOf([{ name: '../b', bytes: BYTES }]));
  await expect(unzip(file, join(dir, 'b'))).rejects.toThrow('lies outside');
});
