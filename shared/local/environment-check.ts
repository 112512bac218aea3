/**
 * Whether an LMDB file is whole, found out before LMDB maps it: in a file that was cut off, LMDB
 * touches pages past the end, and the kernel ends the process; in one that was copied while a server
 * wrote to it, pages of several moments stand beside each other, and rows are missing from its trees.
 *
 * The layout is that of `lmdb` 3.5 on 64-bit little-endian machines; docs/formats/data-directory.md
 * gives the offsets. `data.mdb` may be opened and closed beside LMDB: its locks are on `lock.mdb`.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreError } from '#base/errors.ts';
import { systemCode } from './durable-files.ts';
import {
  FLAGS_AT,
  findDamagedPage,
  HEADER_BYTES,
  type RowCheck,
  readAt,
} from './environment-tree.ts';

/** LMDB's file within the folder of an environment. */
export const DATA_FILE = 'data.mdb';

/**
 * `made`: the file was used, so that a missing or an empty one is lost data. `new`: nothing was
 * acknowledged yet, so that LMDB may make it.
 */
export type EnvironmentAge = 'made' | 'new';

type Meta = Readonly<{
  pageBytes: number;
  freeRoot: bigint;
  mainRoot: bigint;
  lastPage: number;
  transaction: bigint;
}>;
/** `seen`: the bytes that the verdict came from; undefined `damage` where the file is whole. */
type Verdict = Readonly<{ seen: string; damage: string | undefined }>;

const META_BYTES = 160;
const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const PAGE_BYTES_MIN = 512;
const PAGE_BYTES_MAX = 65_536;
const META_PAGE = 0x08;

/** 5 looks, 100 ms apart: a page that another process was writing is written long before. */
const LOOKS_MAX = 5;
const LOOK_AGAIN_MS = 100;

/**
 * Returns where LMDB can open the environment in this folder without losing or crashing.
 *
 * Another process may commit to the same file meanwhile, so a verdict of damage counts once a second
 * look saw the same. A file whose meta pages moved at every look is one that somebody's LMDB works with.
 *
 * @param remedy what the reader of the error is to do
 * @param isSound whether a value is what was stored under the key; not given, rows are not looked at
 * @throws StoreError `DIRECTORY_UNUSABLE` naming the file, what was found and what was expected
 */
export async function checkEnvironment(
  folder: string,
  age: EnvironmentAge,
  remedy: string,
  isSound?: RowCheck,
): Promise<void> {
  const file = join(folder, DATA_FILE);
  let before: string | undefined;
  for (let look = 0; look < LOOKS_MAX; look++) {
    const { seen, damage } = await examine(file, age, isSound);
    if (damage === undefined) return;
    if (seen === before) {
      throw new StoreError('DIRECTORY_UNUSABLE', `${file} ${damage}; ${remedy}`);
    }
    before = seen;
    await sleep(LOOK_AGAIN_MS);
  }
}

async function examine(
  file: string,
  age: EnvironmentAge,
  isSound: RowCheck | undefined,
): Promise<Verdict> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (handle === undefined) {
    return { seen: 'missing', damage: age === 'new' ? undefined : 'is missing' };
  }
  try {
    return await examineOpened(handle, age, isSound);
  } finally {
    await handle.close();
  }
}

async function examineOpened(
  handle: FileHandle,
  age: EnvironmentAge,
  isSound: RowCheck | undefined,
): Promise<Verdict> {
  if (!(await handle.stat()).isFile()) return { seen: 'folder', damage: 'is not a file' };
  const first = await readAt(handle, 0, META_BYTES);
  if (first.length === 0) {
    return { seen: 'empty', damage: age === 'new' ? undefined : 'is empty (0 bytes)' };
  }
  const pageBytes = readMeta(first)?.pageBytes;
  const second = pageBytes === undefined ? first : await readAt(handle, pageBytes, META_BYTES);
  // The size after the meta pages: a commit writes its pages first, so this size has them.
  const { size } = await handle.stat();
  const seen = `${size} ${first.toString('hex')} ${second.toString('hex')}`;
  return { seen, damage: await findDamage(handle, size, first, second, isSound) };
}

async function findDamage(
  handle: FileHandle,
  size: number,
  first: Buffer,
  second: Buffer,
  isSound: RowCheck | undefined,
): Promise<string | undefined> {
  const metas = [readMeta(first), readMeta(second)] as const;
  const [even, odd] = metas;
  if (even === undefined) {
    const found = first.subarray(HEADER_BYTES, HEADER_BYTES + 8).toString('hex') || 'nothing';
    return `does not begin as an LMDB file of data version ${DATA_VERSION}: found ${found} at byte ${HEADER_BYTES} of ${size} bytes, expected dec0efbe02000000`;
  }
  if (second.length < META_BYTES) {
    return `was cut off: it has ${size} bytes, its two meta pages alone have ${2 * even.pageBytes}`;
  }
  if (odd === undefined || odd.pageBytes !== even.pageBytes) {
    return `has a damaged second meta page at byte ${even.pageBytes} of ${size} bytes`;
  }
  const meta = even.transaction >= odd.transaction ? even : odd;
  const damaged = await findDamagedPage(
    handle,
    { ...meta, pages: Math.floor(size / meta.pageBytes) },
    isSound,
  );
  if (damaged === undefined) return undefined;
  const { page, why } = damaged;
  const wholeBytes = (meta.lastPage + 1) * meta.pageBytes;
  // A size alone is no damage: pages at the end that a transaction took and gave back were never written.
  const cut =
    size < wholeBytes ? `it has ${size} bytes, up to ${wholeBytes} were expected, and ` : '';
  return `was cut off, is damaged, or was copied while a server wrote to it: ${cut}page ${page} of ${meta.pageBytes} bytes ${why}`;
}

/** The meta page in these bytes; undefined where they are none. */
function readMeta(bytes: Buffer): Meta | undefined {
  if (bytes.length < META_BYTES || (bytes.readUInt16LE(FLAGS_AT) & META_PAGE) === 0)
    return undefined;
  if (bytes.readUInt32LE(24) !== MAGIC || bytes.readUInt16LE(28) !== DATA_VERSION) return undefined;
  const pageBytes = bytes.readUInt32LE(48);
  const isPower = (pageBytes & (pageBytes - 1)) === 0;
  if (!isPower || pageBytes < PAGE_BYTES_MIN || pageBytes > PAGE_BYTES_MAX) return undefined;
  const [freeRoot, mainRoot] = [bytes.readBigUInt64LE(88), bytes.readBigUInt64LE(136)];
  const lastPage = Number(bytes.readBigUInt64LE(144));
  return { pageBytes, freeRoot, mainRoot, lastPage, transaction: bytes.readBigUInt64LE(152) };
}
