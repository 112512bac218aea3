/** The order of keys: sorting rows by key, finding a key's rows, walking two indexes side by side. */
import { assert } from '#base/assert.ts';
import type { Key, KeyColumn } from '#schema/column.ts';
import { keyAt } from '#schema/gather.ts';
import type { KeyIndex, KeyRange, RowStamps } from './source.ts';

/** Int64 by value, VarChar by UTF-8 bytes. */
export function compareKeys(a: Key, b: Key): number {
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b);
  assert(typeof a === typeof b, 'keys of one type');
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * UTF-8 order is the order of code points; UTF-16 order differs only where a surrogate (from
 * U+10000) meets one of U+E000 to U+FFFF.
 */
function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return codePointRank(left) - codePointRank(right);
  }
  return a.length - b.length;
}

/** Lifts surrogates above the rest of the basic plane. */
const codePointRank = (unit: number): number =>
  unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x1_0000 : unit;

/** Sorts the rows of a key column by key, equal keys by position. */
export function buildKeyIndex(column: KeyColumn, stamps: RowStamps): KeyIndex {
  const order = Uint32Array.from(stamps.record, (_, row) => row);
  if (!inPositionOrder(stamps)) {
    sortByWord(order, (row) => stamps.ordinal[row] ?? 0);
    sortByWord(order, (row) => stamps.record[row] ?? 0);
  }
  if (column.type === 'VarChar') {
    const ranks = rankTexts(column.dictionary);
    sortByWord(order, (row) => ranks[column.codes[row] ?? 0] ?? 0);
  } else {
    const { buffer, byteOffset, length } = column.values;
    const words = new Uint32Array(buffer, byteOffset, length * 2);
    sortByWord(order, (row) => words[row * 2] ?? 0);
    // The high word of a signed number, its sign bit turned, orders as unsigned.
    sortByWord(order, (row) => (words[row * 2 + 1] ?? 0) ^ 0x8000_0000);
  }
  return { column, order };
}

function inPositionOrder({ record, ordinal }: RowStamps): boolean {
  for (let row = 1; row < record.length; row++) {
    const step = (record[row] ?? 0) - (record[row - 1] ?? 0);
    if (step < 0 || (step === 0 && (ordinal[row] ?? 0) < (ordinal[row - 1] ?? 0))) return false;
  }
  return true;
}

/** Per dictionary entry its rank by UTF-8 bytes. */
function rankTexts(dictionary: readonly string[]): Uint32Array {
  const sorted = [...dictionary];
  // The native order is by UTF-16 and several times faster than a comparator.
  if (dictionary.some((text) => /[\ud800-\udfff]/.test(text))) sorted.sort(compareTexts);
  else sorted.sort();
  const ranks = new Map(sorted.map((text, rank) => [text, rank]));
  return Uint32Array.from(dictionary, (text) => ranks.get(text) ?? 0);
}

const DIGIT_BITS = 16;
const DIGITS = 1 << DIGIT_BITS;
/** Below this many rows a comparison sort costs less than clearing the counters of two digits. */
const RADIX_ROWS_MIN = 4096;

/**
 * Stable sort of row numbers by an unsigned 32-bit word each: two counting passes. Sorting by the
 * least significant word first sorts by several words, without a BigInt being made.
 */
function sortByWord(order: Uint32Array, wordOf: (row: number) => number): void {
  const words = Uint32Array.from(order, wordOf);
  if (order.length < RADIX_ROWS_MIN) {
    const slots = Uint32Array.from(order, (_, slot) => slot);
    slots.sort((a, b) => (words[a] ?? 0) - (words[b] ?? 0) || a - b);
    const sorted = slots.map((slot) => order[slot] ?? 0);
    order.set(sorted);
    return;
  }
  const spare = new Uint32Array(order.length);
  const spareWords = new Uint32Array(order.length);
  countingPass(words, order, spareWords, spare, 0);
  countingPass(spareWords, spare, words, order, DIGIT_BITS);
}

function countingPass(
  words: Uint32Array,
  rows: Uint32Array,
  wordsOut: Uint32Array,
  rowsOut: Uint32Array,
  shift: number,
): void {
  const starts = new Uint32Array(DIGITS);
  for (const word of words) {
    const digit = (word >>> shift) & (DIGITS - 1);
    starts[digit] = (starts[digit] ?? 0) + 1;
  }
  let start = 0;
  for (let digit = 0; digit < DIGITS; digit++) {
    const count = starts[digit] ?? 0;
    starts[digit] = start;
    start += count;
  }
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? 0;
    const digit = (word >>> shift) & (DIGITS - 1);
    const slot = starts[digit] ?? 0;
    starts[digit] = slot + 1;
    wordsOut[slot] = word;
    rowsOut[slot] = rows[at] ?? 0;
  }
}

/** The key at a place of the order. */
export const keyInOrder = ({ column, order }: KeyIndex, place: number): Key =>
  keyAt(column, order[place] ?? 0);

export function keyRangeOf(index: KeyIndex): KeyRange | undefined {
  const last = index.order.length - 1;
  return last < 0 ? undefined : { min: keyInOrder(index, 0), max: keyInOrder(index, last) };
}

/** The smallest range around both. */
export function spanKeys(a: KeyRange | undefined, b: KeyRange | undefined): KeyRange | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return {
    min: compareKeys(a.min, b.min) <= 0 ? a.min : b.min,
    max: compareKeys(a.max, b.max) >= 0 ? a.max : b.max,
  };
}

export const keysOverlap = (a: KeyRange | undefined, b: KeyRange | undefined): boolean =>
  a !== undefined &&
  b !== undefined &&
  compareKeys(a.min, b.max) <= 0 &&
  compareKeys(b.min, a.max) <= 0;

/** The places `[from, to)` in `order` of the rows that have this key, oldest first. */
export function findKey(index: KeyIndex, key: Key): { from: number; to: number } {
  const from = seek(index, key, 0, false);
  return { from, to: seek(index, key, from, true) };
}

/**
 * The first place from `start` whose key is not below `key` (or above it, where `beyond`). Steps
 * double, then halve: cheap where the answer is near, so that walking two indexes side by side costs
 * the smaller one's size times the logarithm of the gaps in the larger.
 */
function seek(index: KeyIndex, key: Key, start: number, beyond: boolean): number {
  const end = index.order.length;
  const isBefore = (place: number): boolean => {
    const order = compareKeys(keyInOrder(index, place), key);
    return order < 0 || (beyond && order === 0);
  };
  let low = start;
  let step = 1;
  while (low + step <= end && isBefore(low + step - 1)) {
    low += step;
    step *= 2;
  }
  let high = Math.min(low + step - 1, end);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Places `[aFrom, aTo)` of one order and `[bFrom, bTo)` of another that have the same key. */
export type KeyMatch = (aFrom: number, aTo: number, bFrom: number, bTo: number) => void;

/** Visits every key that both indexes have, in order. */
export function joinKeys(a: KeyIndex, b: KeyIndex, onMatch: KeyMatch): void {
  let i = 0;
  let j = 0;
  while (i < a.order.length && j < b.order.length) {
    const left = keyInOrder(a, i);
    const right = keyInOrder(b, j);
    const order = compareKeys(left, right);
    if (order < 0) i = seek(a, right, i, false);
    else if (order > 0) j = seek(b, left, j, false);
    else {
      const iEnd = seek(a, left, i, true);
      const jEnd = seek(b, right, j, true);
      onMatch(i, iEnd, j, jEnd);
      i = iEnd;
      j = jEnd;
    }
  }
}
