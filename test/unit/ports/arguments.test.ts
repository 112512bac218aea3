import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkObjectKey, queryBounds } from '#ports/arguments.ts';
import { compareSequences } from '#ports/log.ts';

describe('compareSequences', () => {
  it('orders as the numbers do', () => {
    const number = fc.bigInt({ min: 0n, max: 10n ** 56n - 1n });
    fc.assert(
      fc.property(number, number, (a, b) => {
        const order = compareSequences(String(a), String(b));
        expect(Math.sign(order)).toBe(a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });
});

describe('queryBounds', () => {
  it('says of every sort what prefix, after and before say', () => {
    const ascii = fc.string({ unit: fc.constantFrom(' ', '!', 'a', 'b', '}', '~'), maxLength: 4 });
    const sort = ascii.filter((text) => text !== '');
    const bound = fc.option(ascii, { nil: undefined });
    fc.assert(
      fc.property(sort, bound, bound, bound, (text, prefix, after, before) => {
        const { low, high } = queryBounds('p', {
          ...(prefix === undefined ? {} : { prefix }),
          ...(after === undefined ? {} : { after }),
          ...(before === undefined ? {} : { before }),
        });
        const within =
          text.startsWith(prefix ?? '') &&
          (after === undefined || text > after) &&
          (before === undefined || text < before);
        expect(low <= text && text < high).toBe(within);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('checkObjectKey', () => {
  it('takes exactly what the contract describes', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'Z', '0', '/', '.', '_', '-', ' '),
      maxLength: 8,
    });
    fc.assert(
      fc.property(text, (key) => {
        const isGood =
          key !== '' &&
          key
            .split('/')
            .every((step) => /^[a-z0-9._-]+$/.test(step) && step !== '.' && step !== '..');
        if (isGood) expect(() => checkObjectKey(key)).not.toThrow();
        else
          expect(() => checkObjectKey(key)).toThrow(
            expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
          );
      }),
      { numRuns: 2_000 },
    );
  });
});
