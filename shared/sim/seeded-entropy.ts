import { crc32, utf8 } from '#base/bytes.ts';
import type { Entropy } from '#ports/entropy.ts';

/**
 * Chance that a seed decides: the generator sfc32 (three words of state and a counter), its state
 * taken from two checksums of the seed. Equal seeds give equal sequences on every machine.
 */
export class SeededEntropy implements Entropy {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number | string) {
    const bytes = utf8(String(seed));
    this.#a = crc32(bytes) | 0;
    this.#b = crc32(bytes, 0x5354_4552) | 0;
    this.#c = crc32(bytes, 0x4e41_0001) | 0;
    // The state is barely mixed at first: sfc32 asks for about a dozen discarded rounds.
    for (let round = 0; round < 16; round++) this.#word();
  }

  bytes(count: number): Uint8Array {
    const out = new Uint8Array(count);
    for (let at = 0; at < count; at++) out[at] = this.#word() >>> 24;
    return out;
  }

  random(): number {
    return (this.#word() >>> 0) / 0x1_0000_0000;
  }

  /** A generator of its own, for a part of a simulation whose draws must not shift the others'. */
  fork(name: string): SeededEntropy {
    return new SeededEntropy(`${this.#word()} ${name}`);
  }

  #word(): number {
    const out = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + out) | 0;
    return out;
  }
}
