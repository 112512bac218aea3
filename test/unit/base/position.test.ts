import { describe, expect, it } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { ORIGIN, parsePosition, recordOf, recordPosition, rowPosition } from '#base/position.ts';

describe('positions', () => {
  it('look as docs/formats/position.md says', () => {
    expect(recordPosition(1, 1, '7')).toBe('0000000100000001017');
    expect(recordPosition(1, 1, '12')).toBe('00000001000000010212');
    expect(rowPosition(recordPosition(1, 2, '3'), 10)).toBe('00000001000000020130000000a');
    expect(recordPosition(0xffffffff, 0, '9'.repeat(56))).toBe(
      `ffffffff0000000056${'9'.repeat(56)}`,
    );
  });

  it('are read back', () => {
    const record = recordPosition(3, 2, '10');
    expect(parsePosition(record)).toEqual({
      generation: 3,
      epoch: 2,
      sequence: '10',
      ordinal: undefined,
    });
    expect(parsePosition(rowPosition(record, 255)).ordinal).toBe(255);
    expect(recordOf(rowPosition(record, 255))).toBe(record);
    expect(ORIGIN < record).toBe(true);
  });

  it.each([
    ['a sequence with a leading zero', () => recordPosition(1, 1, '01')],
    ['a sequence of 57 digits', () => recordPosition(1, 1, '1'.repeat(57))],
    ['no sequence', () => recordPosition(1, 1, '')],
    ['a generation beyond 32 bits', () => recordPosition(2 ** 32, 1, '1')],
    ['a negative epoch', () => recordPosition(1, -1, '1')],
    ['an ordinal beyond 32 bits', () => rowPosition(recordPosition(1, 1, '1'), 2 ** 32)],
  ])('cannot be made of %s', (_, make) => {
    expect(make).toThrow('assertion failed');
  });

  it.each([
    '',
    'x',
    '0000000100000001',
    '000000010000000101',
    '0000000100000001027',
    '00000001000000010201',
    '00000001000000010177',
    '0000000100000001017000000g0',
    '000000010000000101700000000a',
    '0000000G00000001017',
  ])('refuses %j', (text) => {
    expect(() => parsePosition(text)).toThrow('not a position');
    try {
      parsePosition(text);
    } catch (error) {
      expect(isStoreError(error, 'DATA_CORRUPT')).toBe(true);
    }
  });
});
