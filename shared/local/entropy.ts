import { randomFillSync } from 'node:crypto';
import type { Entropy } from '#ports/entropy.ts';

/** The machine's chance. */
export const systemEntropy: Entropy = {
  bytes: (count) => randomFillSync(new Uint8Array(count)),
  random: () => Math.random(),
};
