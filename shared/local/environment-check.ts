/**
 * Whether an LMDB file is whole, found out before LMDB maps it: in a file that was cut off, LMDB
 * touches pages past the end, and the kernel ends the process.
 *
 * The layout is that of `lmdb` 3.5 on 64-bit little-endian machines; docs/formats/data-directory.md
 * gives the offsets. `data.mdb` may be opened and closed beside LMDB: its locks are on `lock.mdb`.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreError } from '#base/errors.ts';
import { systemCode } from './durable-files.ts';

/** LMDB's file within the folder of an environment. */
export const DATA_FILE = 'data.mdb';

/**
 * `made`: the file was used, so that a missing or an empty one is lost data. `new`: nothing was
 * acknowledged yet, so that LMDB may make it.
 */
export type EnvironmentAge = 'made' | 'new';

type Meta = Readonly<{
  pageBytes: number;
  roots: readonly bigint[];
  lastPage: number;
  transaction: bigint;
}>;
/** `seen`: the bytes that the verdict came from; undefined `damage` where the file is whole. */
type Verdict = Readonly<{ seen: string; damage: string | undefined }>;
type Tree = Readonly<{ handle: FileHandle; meta: Meta; pages: number }>;

const HEADER_BYTES = 24;
const FLAGS_AT = 18;
const LOWER_AT = 20;
const META_BYTES = 160;
const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const PAGE_BYTES_MIN = 512;
const PAGE_BYTES_MAX = 65_536;
const BRANCH_PAGE = 0x01;
const LEAF_PAGE = 0x02;
const META_PAGE = 0x08;
const NODE_BYTES = 8;
const OVERFLOW_NODE = 0x01;
const DATABASE_NODE = 0x02;
/** The record of a database, whose last field is its root page: 48 bytes. */
const ROOT_AT = 40;
const DATABASE_RECORD_BYTES = 48;
/** The record of a value with pages of its own: first page, transaction, number of pages. */
const VALUE_RECORD_BYTES = 24;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;

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
 * @throws StoreError `DIRECTORY_UNUSABLE` naming the file, what was found and what was expected
 */
export async function checkEnvironment(
  folder: string,
  age: EnvironmentAge,
  remedy: string,
): Promise<void> {
  const file = join(folder, DATA_FILE);
  let before: string | undefined;
  for (let look = 0; look < LOOKS_MAX; look++) {
    const { seen, damage } = await examine(file, age);
    if (damage === undefined) return;
    if (seen === before) {
      throw new StoreError('DIRECTORY_UNUSABLE', `${file} ${damage}; ${remedy}`);
    }
    before = seen;
    await sleep(LOOK_AGAIN_MS);
  }
}

async function examine(file: string, age: EnvironmentAge): Promise<Verdict> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (handle === undefined) {
    return { seen: 'missing', damage: age === 'new' ? undefined : 'is missing' };
  }
  try {
    return await examineOpened(handle, age);
  } finally {
    await handle.close();
  }
}

async function examineOpened(handle: FileHandle, age: EnvironmentAge): Promise<Verdict> {
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
  return { seen, damage: await findDamage(handle, size, first, second) };
}

async function findDamage(
  handle: FileHandle,
  size: number,
  first: Buffer,
  second: Buffer,
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
  const wholeBytes = (meta.lastPage + 1) * meta.pageBytes;
  if (size >= wholeBytes) return undefined;
  // Not damage yet: pages at the end that a transaction took and gave back were never written.
  const lost = await lostPage({ handle, meta, pages: Math.floor(size / meta.pageBytes) });
  if (lost === undefined) return undefined;
  return `was cut off or is damaged: it has ${size} bytes, up to ${wholeBytes} were expected, and page ${lost} of ${meta.pageBytes} bytes, which is in use, is not in it`;
}

/** The meta page in these bytes; undefined where they are none. */
function readMeta(bytes: Buffer): Meta | undefined {
  if (bytes.length < META_BYTES || (bytes.readUInt16LE(FLAGS_AT) & META_PAGE) === 0)
    return undefined;
  if (bytes.readUInt32LE(24) !== MAGIC || bytes.readUInt16LE(28) !== DATA_VERSION) return undefined;
  const pageBytes = bytes.readUInt32LE(48);
  const isPower = (pageBytes & (pageBytes - 1)) === 0;
  if (!isPower || pageBytes < PAGE_BYTES_MIN || pageBytes > PAGE_BYTES_MAX) return undefined;
  const roots = [bytes.readBigUInt64LE(88), bytes.readBigUInt64LE(136)];
  const lastPage = Number(bytes.readBigUInt64LE(144));
  return { pageBytes, roots, lastPage, transaction: bytes.readBigUInt64LE(152) };
}

/** A page in use that the file does not have, or that is not what it should be. */
async function lostPage({ handle, meta, pages }: Tree): Promise<bigint | undefined> {
  const pending = meta.roots.filter((root) => root !== NO_PAGE);
  // No page is reached twice in a whole tree, so a walk of more steps than pages goes round.
  for (let steps = 0; pending.length > 0; steps++) {
    const page = pending.pop() ?? NO_PAGE;
    if (page >= BigInt(pages) || steps > pages) return page;
    const bytes = await readAt(handle, Number(page) * meta.pageBytes, meta.pageBytes);
    const below = pagesBelow(bytes, page);
    if (below === undefined) return page;
    const beyond = below.values.find((last) => last >= BigInt(pages));
    if (beyond !== undefined) return beyond;
    pending.push(...below.trees);
  }
  return undefined;
}

/** `trees`: pages of the tree to go on with. `values`: the last page of each value that has its own. */
type Below = Readonly<{ trees: readonly bigint[]; values: readonly bigint[] }>;

function pagesBelow(bytes: Buffer, page: bigint): Below | undefined {
  const flags = bytes.readUInt16LE(FLAGS_AT);
  const isBranch = (flags & BRANCH_PAGE) !== 0;
  if (bytes.readBigUInt64LE(0) !== page || isBranch === ((flags & LEAF_PAGE) !== 0))
    return undefined;
  const trees: bigint[] = [];
  const values: bigint[] = [];
  const nodes = bytes.readUInt16LE(LOWER_AT) >> 1;
  for (let index = 0; index < nodes; index++) {
    const slot = HEADER_BYTES + 2 * index;
    const node = slot + 2 > bytes.length ? bytes.length : HEADER_BYTES + bytes.readUInt16LE(slot);
    if (node + NODE_BYTES > bytes.length) return undefined;
    const nodeFlags = bytes.readUInt16LE(node + 4);
    if (isBranch) {
      trees.push(BigInt(bytes.readUInt32LE(node)) | (BigInt(nodeFlags) << 32n));
      continue;
    }
    if ((nodeFlags & (OVERFLOW_NODE | DATABASE_NODE)) === 0) continue;
    const data = node + NODE_BYTES + bytes.readUInt16LE(node + 6);
    const isValue = (nodeFlags & OVERFLOW_NODE) !== 0;
    if (data + (isValue ? VALUE_RECORD_BYTES : DATABASE_RECORD_BYTES) > bytes.length)
      return undefined;
    if (isValue) {
      values.push(bytes.readBigUInt64LE(data) + bytes.readBigUInt64LE(data + 16) - 1n);
    } else {
      const root = bytes.readBigUInt64LE(data + ROOT_AT);
      if (root !== NO_PAGE) trees.push(root);
    }
  }
  return { trees, values };
}

/** The bytes at a place, fewer where the file ends before. */
async function readAt(handle: FileHandle, at: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, at);
  return buffer.subarray(0, bytesRead);
}
