import { randomFillSync } from 'node:crypto';
import type { Entropy } from '#ports/entropy.ts';

/** Each call into the generator costs as much as 2 KiB of its bytes: small requests share one. */
const POOL_BYTES = 4096;
const SMALL_BYTES = 64;

const pool = new Uint8Array(POOL_BYTES);
let used = POOL_BYTES;

function bytes(count: number): Uint8Array {
  if (count > SMALL_BYTES) return randomFillSync(new Uint8Array(count));
  if (used + count > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const taken = pool.slice(used, used + count);
  // What was handed out is not kept: it may be a secret.
  pool.fill(0, used, used + count);
  used += count;
  return taken;
}

/** The machine's chance. */
export const systemEntropy: Entropy = { bytes, random: () => Math.random() };
