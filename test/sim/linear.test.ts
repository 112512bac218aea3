import { describe, expect, test } from 'vitest';
import { checkKey, type Held, type KeyOperation } from './linear.ts';

const NEVER = Number.POSITIVE_INFINITY;
const write = (startMs: number, endMs: number, value: Held): KeyOperation => ({
  startMs,
  endMs,
  what: `write ${value}`,
  act: { do: 'write', value },
});
const read = (startMs: number, endMs: number, value: Held): KeyOperation => ({
  startMs,
  endMs,
  what: `read ${value}`,
  act: { do: 'read', value },
});
const deleteEven = (startMs: number, endMs: number, may: boolean): KeyOperation => ({
  startMs,
  endMs,
  what: 'delete even',
  act: { do: 'delete-some', matches: (value) => value % 2n === 0n, may },
});

const verdict = (...operations: KeyOperation[]) => checkKey(operations).is;

describe('one key', () => {
  test('reads see the write before them', () => {
    expect(verdict(write(0, 1, 5n), read(2, 3, 5n))).toBe('linearizable');
    expect(verdict(write(0, 1, 5n), read(2, 3, undefined))).toBe('impossible');
    expect(verdict(read(0, 1, undefined), write(2, 3, 5n))).toBe('linearizable');
  });

  test('what overlaps may be seen or not, but not first seen and then not', () => {
    const going = write(0, 10, 5n);
    expect(verdict(going, read(1, 2, undefined), read(3, 4, 5n))).toBe('linearizable');
    expect(verdict(going, read(1, 2, 5n), read(3, 4, undefined))).toBe('impossible');
  });

  test('a write of unknown outcome may take effect late or never, and once only', () => {
    const lost = write(0, NEVER, 5n);
    expect(verdict(lost, read(9, 10, undefined))).toBe('linearizable');
    expect(verdict(lost, read(1, 2, undefined), read(9, 10, 5n))).toBe('linearizable');
    const between = write(3, 4, undefined);
    expect(verdict(lost, read(1, 2, 5n), between, read(9, 10, 5n))).toBe('impossible');
  });

  test('of two writes at once the order is free, and then it is settled', () => {
    const both = [write(0, 5, 1n), write(0, 5, 2n)];
    expect(verdict(...both, read(6, 7, 1n), read(8, 9, 1n))).toBe('linearizable');
    expect(verdict(...both, read(6, 7, 1n), read(8, 9, 2n))).toBe('impossible');
  });

  test('a delete that looks takes what it matches, or leaves it where it was raced', () => {
    expect(verdict(write(0, 1, 4n), deleteEven(2, 3, false), read(4, 5, undefined))).toBe(
      'linearizable',
    );
    expect(verdict(write(0, 1, 4n), deleteEven(2, 3, false), read(4, 5, 4n))).toBe('impossible');
    expect(verdict(write(0, 1, 4n), deleteEven(2, 3, true), read(4, 5, 4n))).toBe('linearizable');
    expect(verdict(write(0, 1, 3n), deleteEven(2, 3, false), read(4, 5, undefined))).toBe(
      'impossible',
    );
  });

  test('an unknown write that nobody read can be what a delete took', () => {
    const operations = [write(0, 1, 3n), write(2, NEVER, 4n), deleteEven(3, 5, false)];
    expect(verdict(...operations, read(6, 7, undefined))).toBe('linearizable');
  });
});
