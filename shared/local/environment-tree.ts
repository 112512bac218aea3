/**
 * The trees of an LMDB file, page by page: whether they are those of its newer meta page.
 *
 * LMDB has no checksums, but every page says its own number and the transaction that wrote it, and a
 * page is never older than one below it: who changes a page writes everything above it anew. So in a file
 * whose pages were copied at different moments, a page that was used again meanwhile is found by the
 * transaction that it names, and one that holds the middle of a large value by its number. Rows have
 * checksums of ours.
 */
import type { FileHandle } from 'node:fs/promises';
import { showKey } from './sealed-rows.ts';

export const HEADER_BYTES = 24;
const TRANSACTION_AT = 8;
export const FLAGS_AT = 18;
const LOWER_AT = 20;
/** Of a value's first page; it lies where other pages have the bounds of their free space. */
const VALUE_PAGES_AT = 20;
const BRANCH_PAGE = 0x01;
const LEAF_PAGE = 0x02;
const VALUE_PAGE = 0x04;
const KINDS = BRANCH_PAGE | LEAF_PAGE | VALUE_PAGE | 0x08;
const NODE_BYTES = 8;
const OVERFLOW_NODE = 0x01;
const DATABASE_NODE = 0x02;
/** The record of a database, whose last field is its root page: 48 bytes. */
const ROOT_AT = 40;
const DATABASE_RECORD_BYTES = 48;
/** The record of a value with pages of its own: first page, transaction, number of pages. */
const VALUE_RECORD_BYTES = 24;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
/** Pages read at a time: 1 MiB of pages of 16 KiB. */
const PAGES_AT_ONCE = 64;

export type TreeRoots = Readonly<{
  pageBytes: number;
  /** Its keys are numbers, and not in bytewise order. */
  freeRoot: bigint;
  mainRoot: bigint;
  transaction: bigint;
  /** How many pages the file has. */
  pages: number;
}>;

export type DamagedPage = Readonly<{ page: bigint; why: string }>;

/** Whether a value is what was stored under the key. */
export type RowCheck = (key: Buffer, value: Buffer) => boolean;

/** A page to look at, and what is known of it from the one above. */
type Expected = Readonly<{
  page: bigint;
  newest: bigint;
  /** A value with pages of its own rather than a tree. */
  value: BigValue | undefined;
  /** Whether its leaves hold rows rather than databases or numbers of pages. */
  holdsRows: boolean;
  /** Keys are at or above `low` and below `high`; undefined where they have another order. */
  range: Range | undefined;
}>;
type BigValue = Readonly<{ key: Buffer; sizeBytes: number; isRow: boolean }>;
type Range = Readonly<{ low: Buffer | undefined; high: Buffer | undefined }>;

const GARBLED = 'is in use and garbled';
const EVERYTHING: Range = { low: undefined, high: undefined };

/**
 * A page in use that the file does not have, or that is not what it should be.
 *
 * @param isSound asked of every row; not given, rows are not looked at
 */
export async function findDamagedPage(
  handle: FileHandle,
  { pageBytes, freeRoot, mainRoot, transaction, pages }: TreeRoots,
  isSound: RowCheck | undefined,
): Promise<DamagedPage | undefined> {
  const root = { newest: transaction, value: undefined, holdsRows: false };
  const pending: Expected[] = [
    { ...root, page: freeRoot, range: undefined },
    { ...root, page: mainRoot, range: EVERYTHING },
  ].filter(({ page }) => page !== NO_PAGE);
  // No page is reached twice in a whole tree, so a walk of more steps than pages goes round.
  for (let steps = 0; pending.length > 0; ) {
    const batch = pending.splice(-PAGES_AT_ONCE);
    steps += batch.length;
    const beyond = batch.find(({ page }) => page >= BigInt(pages));
    if (beyond !== undefined) return { page: beyond.page, why: 'is in use and not in it' };
    const [first] = batch;
    if (first !== undefined && steps > pages) return { page: first.page, why: 'is reached twice' };
    const read = await Promise.all(
      batch.map(({ page, value }) =>
        readAt(handle, Number(page) * pageBytes, value === undefined ? pageBytes : bytesOf(value)),
      ),
    );
    for (const [index, expected] of batch.entries()) {
      const below = lookAt(read[index] ?? Buffer.alloc(0), expected, pages, isSound);
      if (typeof below === 'string') return { page: expected.page, why: below };
      pending.push(...below);
    }
  }
  return undefined;
}

const bytesOf = ({ sizeBytes, isRow }: BigValue): number => HEADER_BYTES + (isRow ? sizeBytes : 0);

/** The pages below one, or what is wrong with it. */
function lookAt(
  bytes: Buffer,
  expected: Expected,
  pages: number,
  isSound: RowCheck | undefined,
): readonly Expected[] | string {
  if (bytes.length < HEADER_BYTES) return 'is in use and not in it';
  const number = bytes.readBigUInt64LE(0);
  if (number !== expected.page) return `is in use and says that it is page ${number}`;
  const written = bytes.readBigUInt64LE(TRANSACTION_AT);
  if (written > expected.newest) {
    return `is in use and of transaction ${written}, later than ${expected.newest}, the newest that can be`;
  }
  const kind = bytes.readUInt16LE(FLAGS_AT) & KINDS;
  if (expected.value !== undefined) {
    if (kind !== VALUE_PAGE) return 'is in use and does not begin a value';
    const last = expected.page + BigInt(bytes.readUInt32LE(VALUE_PAGES_AT)) - 1n;
    if (last >= BigInt(pages)) return `begins a value whose last page, ${last}, is not in it`;
    const { key, sizeBytes, isRow } = expected.value;
    const isWell = !isRow || isSound?.(key, bytes.subarray(HEADER_BYTES, HEADER_BYTES + sizeBytes));
    return isWell === false ? badRow(key) : [];
  }
  if (kind !== BRANCH_PAGE && kind !== LEAF_PAGE) return 'is in use and not a page of a tree';
  return pagesBelow(bytes, expected, written, kind === BRANCH_PAGE, isSound);
}

const badRow = (key: Buffer): string => `holds ${showKey(key)}, which does not match its checksum`;

/** What is wrong where the page's nodes do not fit into it, or its keys are not in order. */
function pagesBelow(
  bytes: Buffer,
  { range, holdsRows }: Expected,
  newest: bigint,
  isBranch: boolean,
  isSound: RowCheck | undefined,
): readonly Expected[] | string {
  const below: Expected[] = [];
  const nodes = bytes.readUInt16LE(LOWER_AT) >> 1;
  let before = range?.low;
  for (let index = 0; index < nodes; index++) {
    const node = readNode(bytes, index, isBranch);
    if (node === undefined) return GARBLED;
    // The first key of a branch is empty and stands for everything below the second.
    const key = isBranch && index === 0 ? before : node.key;
    if (range !== undefined && key !== undefined && !isInOrder(before, key, range, index)) {
      return GARBLED;
    }
    const isRow = holdsRows && !isBranch;
    if (isRow && node.data !== undefined && isSound?.(node.key, node.data) === false) {
      return badRow(node.key);
    }
    const last = below.at(-1);
    if (isBranch && last?.range !== undefined) {
      below[below.length - 1] = { ...last, range: { ...last.range, high: key } };
    }
    const own = range && (isBranch ? { low: key, high: range.high } : EVERYTHING);
    if (node.page !== undefined && node.page !== NO_PAGE) {
      const value = node.sizeBytes && { key: node.key, sizeBytes: node.sizeBytes, isRow };
      // Databases are named in the leaves of the main tree, and rows are in the leaves of theirs.
      const rows = isBranch ? holdsRows : node.isDatabase;
      below.push({
        page: node.page,
        newest,
        value: value || undefined,
        holdsRows: rows,
        range: own,
      });
    }
    before = key;
  }
  return below;
}

/** Keys of a page rise; the first may be the lower bound itself. */
function isInOrder(
  before: Buffer | undefined,
  key: Buffer,
  { high }: Range,
  index: number,
): boolean {
  if (high !== undefined && key.compare(high) >= 0) return false;
  if (before === undefined) return true;
  return index === 0 ? key.compare(before) >= 0 : key.compare(before) > 0;
}

/** `page`: of what lies below. `sizeBytes`: of a value that begins there. `data`: a value in the node itself. */
type Node = Readonly<{
  key: Buffer;
  page?: bigint;
  sizeBytes?: number;
  isDatabase: boolean;
  data?: Buffer;
}>;

function readNode(bytes: Buffer, index: number, isBranch: boolean): Node | undefined {
  const slot = HEADER_BYTES + 2 * index;
  const at = slot + 2 > bytes.length ? bytes.length : HEADER_BYTES + bytes.readUInt16LE(slot);
  if (at + NODE_BYTES > bytes.length) return undefined;
  const flags = bytes.readUInt16LE(at + 4);
  const data = at + NODE_BYTES + bytes.readUInt16LE(at + 6);
  if (data > bytes.length) return undefined;
  const key = bytes.subarray(at + NODE_BYTES, data);
  const size = bytes.readUInt32LE(at);
  if (isBranch) return { key, page: BigInt(size) | (BigInt(flags) << 32n), isDatabase: false };
  const isValue = (flags & OVERFLOW_NODE) !== 0;
  const isDatabase = (flags & DATABASE_NODE) !== 0;
  const length = isValue ? VALUE_RECORD_BYTES : isDatabase ? DATABASE_RECORD_BYTES : size;
  if (data + length > bytes.length) return undefined;
  if (isValue) return { key, page: bytes.readBigUInt64LE(data), sizeBytes: size, isDatabase };
  if (isDatabase) return { key, page: bytes.readBigUInt64LE(data + ROOT_AT), isDatabase };
  return { key, isDatabase, data: bytes.subarray(data, data + size) };
}

/** The bytes at a place, fewer where the file ends before. */
export async function readAt(handle: FileHandle, at: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, at);
  return buffer.subarray(0, bytesRead);
}
