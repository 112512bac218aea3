/** Chance comes in through here. */
export interface Entropy {
  /** `count` random bytes. */
  bytes(count: number): Uint8Array;
  /** A number in [0, 1), for jitter and sampling, not for secrets. */
  random(): number;
}
