/** Chance that counts: every draw is new, and a test that fails fails again. */
import type { Entropy } from '#ports/entropy.ts';

export function countingEntropy(): Entropy {
  let drawn = 0;
  return {
    bytes(count) {
      drawn += 1;
      const bytes = new Uint8Array(count);
      new DataView(bytes.buffer).setUint32(0, drawn);
      return bytes;
    },
    random: () => 0.5,
  };
}
