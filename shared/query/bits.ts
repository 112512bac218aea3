/** Sets of rows as bitmaps: bit `row & 7` of byte `row >> 3`, bits beyond the last row zero. */
import { type Bitmap, bitmapOf } from '#schema/column.ts';

const BITS_IN_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => {
  let bits = 0;
  for (let rest = byte; rest > 0; rest >>= 1) bits += rest & 1;
  return bits;
});

export function countBits(bitmap: Bitmap): number {
  let count = 0;
  for (const byte of bitmap) count += BITS_IN_BYTE[byte] ?? 0;
  return count;
}

/** A copy of `bitmap` (or of none) with these rows added. */
export function withRows(bitmap: Bitmap | undefined, count: number, rows: Uint32Array): Bitmap {
  const copy = bitmap === undefined ? bitmapOf(count) : bitmap.slice();
  for (const row of rows) copy[row >> 3] = (copy[row >> 3] ?? 0) | (1 << (row & 7));
  return copy;
}

/** Every row but those. */
export function complement(bitmap: Bitmap | undefined, count: number): Bitmap {
  const rest = bitmapOf(count);
  for (let byte = 0; byte < rest.length; byte++) rest[byte] = ~(bitmap?.[byte] ?? 0);
  const used = count & 7;
  const last = rest.length - 1;
  if (used !== 0) rest[last] = (rest[last] ?? 0) & ((1 << used) - 1);
  return rest;
}

/** Takes `rows` out of `bitmap`, in place. */
export function removeRows(bitmap: Bitmap, rows: Bitmap): void {
  for (let byte = 0; byte < bitmap.length; byte++) {
    bitmap[byte] = (bitmap[byte] ?? 0) & ~(rows[byte] ?? 0);
  }
}

/** Keeps in `bitmap` what is in `rows` too, in place. */
export function keepRows(bitmap: Bitmap, rows: Bitmap): void {
  for (let byte = 0; byte < bitmap.length; byte++) {
    bitmap[byte] = (bitmap[byte] ?? 0) & (rows[byte] ?? 0);
  }
}

/** The rows of a bitmap, ascending. */
export function rowsOf(bitmap: Bitmap): Uint32Array {
  const rows = new Uint32Array(countBits(bitmap));
  let at = 0;
  for (let byte = 0; byte < bitmap.length; byte++) {
    let rest = bitmap[byte] ?? 0;
    while (rest !== 0) {
      const bit = rest & -rest;
      rows[at++] = byte * 8 + (31 - Math.clz32(bit));
      rest ^= bit;
    }
  }
  return rows;
}
