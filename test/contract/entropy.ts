import { describe, expect, it } from 'vitest';
import type { Entropy } from '#ports/entropy.ts';

/** Everything `ports/entropy.ts` promises. */
export function entropyContract(name: string, open: () => Entropy): void {
  describe(`entropy: ${name}`, () => {
    it('returns as many bytes as asked for, and others each time', () => {
      const entropy = open();
      for (const count of [0, 1, 16, 100_000]) expect(entropy.bytes(count)).toHaveLength(count);
      const drawn = Array.from({ length: 1_000 }, () =>
        Buffer.from(entropy.bytes(16)).toString('hex'),
      );
      expect(new Set(drawn).size).toBe(1_000);
    });

    it('returns every byte about as often as any other', () => {
      const counts = new Uint32Array(256);
      for (const byte of open().bytes(256_000)) counts[byte] = (counts[byte] ?? 0) + 1;
      // Each count is about 1,000 with a deviation of 32; 200 is more than six of them.
      for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(200);
    });

    it('returns numbers from 0 to below 1, spread evenly', () => {
      const entropy = open();
      const numbers = Array.from({ length: 10_000 }, () => entropy.random());
      for (const number of numbers) expect(number >= 0 && number < 1).toBe(true);
      const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
      // The mean's deviation is 0.0029; 0.02 is almost seven of them.
      expect(Math.abs(mean - 0.5)).toBeLessThan(0.02);
      expect(new Set(numbers).size).toBeGreaterThan(9_900);
    });
  });
}
