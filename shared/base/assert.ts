import { StoreError } from './errors.ts';

/**
 * Stops the work when something that must hold does not.
 *
 * @throws StoreError `INTERNAL`; the message says what was expected.
 */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new StoreError('INTERNAL', `assertion failed: ${message}`);
}

/** The value, or `INTERNAL` when it is missing; for look-ups that cannot fail by construction. */
export function must<T>(value: T | undefined | null, message: string): T {
  assert(value !== undefined && value !== null, message);
  return value;
}
