import { describe, expect, it } from 'vitest';
import { assert, must } from '#base/assert.ts';
import { ERRORS, type ErrorCode, isStoreError, StoreError } from '#base/errors.ts';

describe('StoreError', () => {
  it('carries code, advice, cause and details', () => {
    const cause = new Error('why');
    const error = new StoreError('NOT_PRIMARY', 'elsewhere', { cause, details: { primary: 'eu' } });
    expect(error.advice).toEqual({ retry: 'elsewhere', effect: 'none' });
    expect([error.name, error.message, error.cause]).toEqual(['StoreError', 'elsewhere', cause]);
    expect(error.details).toEqual({ primary: 'eu' });
    expect('cause' in new StoreError('INTERNAL', 'x')).toBe(false);
  });

  it('is told from others and by code', () => {
    const error: unknown = new StoreError('TIMEOUT', 'late');
    expect(isStoreError(error)).toBe(true);
    expect(isStoreError(error, 'OVERLOADED', 'TIMEOUT')).toBe(true);
    expect(isStoreError(error, 'OVERLOADED')).toBe(false);
    expect(isStoreError(new Error('TIMEOUT'))).toBe(false);
  });

  it('never advises a retry elsewhere or never for an effect that is unknown, bugs excepted', () => {
    // Object.keys of the table are its codes.
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const { retry, effect } = ERRORS[code];
      if (effect === 'unknown' && code !== 'INTERNAL') expect(retry).toBe('later');
    }
  });
});

describe('assert and must', () => {
  it('stop the work', () => {
    expect(() => assert(0, 'zero is true')).toThrow('assertion failed: zero is true');
    expect(() => must(undefined, 'a value')).toThrow(StoreError);
    expect(() => must(null, 'a value')).toThrow('a value');
  });

  it('let through what holds', () => {
    assert('yes', 'never shown');
    expect(must(0, 'zero is a value')).toBe(0);
    expect(must('', 'so is an empty text')).toBe('');
  });
});
