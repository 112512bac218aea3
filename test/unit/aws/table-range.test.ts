import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sortRange } from '#aws/table-range.ts';
import { queryBounds } from '#ports/arguments.ts';
import type { QueryOptions } from '#ports/table.ts';

/** DynamoDB compares strings by their UTF-8 bytes, and BETWEEN includes both ends. */
const between = (sort: string, first: string, last: string): boolean =>
  Buffer.compare(Buffer.from(first), Buffer.from(sort)) <= 0 &&
  Buffer.compare(Buffer.from(sort), Buffer.from(last)) <= 0;

function expectSame(sort: string, options: QueryOptions): void {
  const { prefix = '', after, before } = options;
  const expected =
    sort.startsWith(prefix) &&
    (after === undefined || sort > after) &&
    (before === undefined || sort < before);
  const range = sortRange(queryBounds('p', options));
  const found = range !== undefined && between(sort, range.first, range.last);
  expect({ sort, options, found }).toEqual({ sort, options, found: expected });
  if (range === undefined) return;
  for (const end of [range.first, range.last]) {
    expect(Buffer.byteLength(end)).toBeGreaterThan(0);
    expect(Buffer.byteLength(end)).toBeLessThanOrEqual(1_024);
  }
}

/** Few characters, the outermost among them, so that texts are often neighbours. */
const sorts = fc.string({
  unit: fc.constantFrom(' ', '!', 'a', 'b', '~'),
  minLength: 1,
  maxLength: 5,
});
const bounds = fc.string({
  unit: fc.constantFrom(' ', '!', 'a', 'b', '~', '\0', '\n', '\x7f', 'ä', '\u{1f600}', '\ud800'),
  maxLength: 5,
});

describe('the one condition of a query', () => {
  it('says what prefix, after and before say together', () => {
    const options = fc.record(
      { prefix: bounds, after: bounds, before: bounds },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(sorts, options, (sort, given) => expectSame(sort, given)),
      { numRuns: 20_000 },
    );
  });

  it('does so for the longest sorts and for longer bounds', () => {
    const long = fc
      .tuple(fc.constantFrom(510, 511, 512, 513, 600, 2_000), fc.constantFrom(' ', 'a', '~', 'ä'))
      .map(([length, end]) => `${'a'.repeat(length - 1)}${end}`);
    const longSorts = long.filter((text) => text.length <= 512 && !text.endsWith('ä'));
    const options = fc.record({ prefix: long, after: long, before: long }, { requiredKeys: [] });
    fc.assert(fc.property(longSorts, options, (sort, given) => expectSame(sort, given)));
  });
});
