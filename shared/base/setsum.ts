/**
 * Set-sums: 256-bit sums of hashes, independent of order, subtractable (I7).
 *
 * A sum is an integer modulo 2^256, the sum of the SHA-256 digests of its items, each read as a
 * little-endian number. Adding and removing the same item cancel; equal multisets have equal sums.
 * A sum finds accidents, not adversaries. Normative text and test vectors: docs/formats/setsum.md.
 */
import { hash } from 'node:crypto';
import { fromHex, toHex } from './bytes.ts';
import { StoreError } from './errors.ts';

const LIMBS = 8;

/** Eight 32-bit limbs, least significant first. Mutable: an accumulator. */
export type SetSum = Uint32Array;

export const emptySum = (): SetSum => new Uint32Array(LIMBS);

/** The digest of one item as a sum of one. */
export function itemSum(item: Uint8Array): SetSum {
  const digest = hash('sha256', item, 'buffer');
  const limbs = new Uint32Array(LIMBS);
  for (let limb = 0; limb < LIMBS; limb++) limbs[limb] = digest.readUInt32LE(limb * 4);
  return limbs;
}

/** Adds `other` into `sum`. */
export function addSum(sum: SetSum, other: SetSum): void {
  let carry = 0;
  for (let limb = 0; limb < LIMBS; limb++) {
    const total = sum[limb]! + other[limb]! + carry;
    sum[limb] = total;
    carry = total > 0xffff_ffff ? 1 : 0;
  }
}

/** Takes `other` out of `sum`. */
export function subtractSum(sum: SetSum, other: SetSum): void {
  let borrow = 0;
  for (let limb = 0; limb < LIMBS; limb++) {
    const total = sum[limb]! - other[limb]! - borrow;
    sum[limb] = total;
    borrow = total < 0 ? 1 : 0;
  }
}

export function sumOf(...sums: readonly SetSum[]): SetSum {
  const total = emptySum();
  for (const sum of sums) addSum(total, sum);
  return total;
}

export const equalSums = (a: SetSum, b: SetSum): boolean =>
  a.every((limb, index) => limb === b[index]);

/** 64 hexadecimal digits: the 32 bytes of the little-endian number in order. */
export function formatSum(sum: SetSum): string {
  const bytes = new Uint8Array(LIMBS * 4);
  const view = new DataView(bytes.buffer);
  for (let limb = 0; limb < LIMBS; limb++) view.setUint32(limb * 4, sum[limb]!, true);
  return toHex(bytes);
}

/** @throws StoreError `DATA_CORRUPT` where the text is not 64 hexadecimal digits. */
export function parseSum(text: string): SetSum {
  if (!/^[0-9a-f]{64}$/.test(text)) throw new StoreError('DATA_CORRUPT', `not a set-sum: ${text}`);
  const view = new DataView(fromHex(text).buffer);
  const sum = emptySum();
  for (let limb = 0; limb < LIMBS; limb++) sum[limb] = view.getUint32(limb * 4, true);
  return sum;
}
