/** What every binary format has to pass: round trips, and no answer but a refusal to damage. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { crc32 } from '#base/bytes.ts';
import { isStoreError } from '#base/errors.ts';

/** @param read decodes, and throws for whatever is not right */
export function expectRefusal(
  read: () => unknown,
  ...codes: Parameters<typeof isStoreError>[1][]
): void {
  let error: unknown;
  try {
    read();
  } catch (thrown) {
    error = thrown;
  }
  expect(error, 'damaged bytes are refused').toBeDefined();
  if (!isStoreError(error, ...codes)) throw error;
}

export function checkRoundTrip<T>(
  values: fc.Arbitrary<T>,
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
): void {
  fc.assert(
    fc.property(values, (value) => {
      const bytes = encode(value);
      expect(decode(bytes)).toEqual(value);
      expect(encode(decode(bytes))).toEqual(bytes);
    }),
  );
}

/** Cut anywhere, with any bit flipped: `DATA_CORRUPT`, and nothing else. */
export function checkDamage<T>(
  values: fc.Arbitrary<T>,
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => unknown,
): void {
  fc.assert(
    fc.property(values, fc.nat(), fc.nat(7), (value, where, bit) => {
      const bytes = encode(value);
      const at = where % bytes.length;
      expectRefusal(() => decode(bytes.slice(0, at)), 'DATA_CORRUPT');
      const flipped = bytes.slice();
      flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
      expectRefusal(() => decode(flipped), 'DATA_CORRUPT');
    }),
  );
}

/**
 * Damage that the checksum does not see, because it was computed afterwards: the decoder stays
 * total. It returns a value or refuses; nothing else escapes, and it does not run away.
 */
export function checkTotality<T>(
  values: fc.Arbitrary<T>,
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => unknown,
): void {
  const mutations = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(values, mutations, fc.nat(20), (value, changes, cut) => {
      const whole = encode(value);
      const bytes = whole.slice(0, Math.max(9, whole.length - cut));
      for (const [where, byte] of changes) bytes[5 + (where % (bytes.length - 5))] = byte;
      try {
        decode(resealed(bytes));
      } catch (error) {
        if (!isStoreError(error, 'DATA_CORRUPT', 'FORMAT_TOO_NEW')) throw error;
      }
    }),
    { numRuns: 1000 },
  );
}

/** The same frame with format version `version`. */
export function withVersion(frame: Uint8Array, version: number): Uint8Array {
  const bytes = frame.slice();
  bytes[4] = version;
  return resealed(bytes);
}

/** Puts the right checksum at the end of a frame. */
function resealed(frame: Uint8Array): Uint8Array {
  const bytes = frame.slice();
  const end = bytes.length - 4;
  new DataView(bytes.buffer).setUint32(end, crc32(bytes.subarray(0, end)), true);
  return bytes;
}
