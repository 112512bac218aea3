/** Values of `params`-like maps, which clients send as JSON values or as text. */
import type { JsonMembers } from '#api/names.ts';
import { StoreError } from '#base/errors.ts';

/** @throws StoreError `INVALID_ARGUMENT` naming the key; undefined where the map lacks it */
export function readInteger(map: JsonMembers, key: string, where: string): number | undefined {
  const given = map[key];
  if (given === undefined || given === null) return undefined;
  const text = typeof given === 'string' ? given.trim() : given;
  const value = typeof text === 'string' && !/^[+-]?[0-9]+$/.test(text) ? Number.NaN : Number(text);
  if (typeof given !== 'boolean' && Number.isSafeInteger(value)) return value;
  throw refused(where, key, 'an integer', given);
}

/** @throws StoreError `INVALID_ARGUMENT` naming the key; undefined where the map lacks it */
export function readNumber(map: JsonMembers, key: string, where: string): number | undefined {
  const given = map[key];
  if (given === undefined || given === null) return undefined;
  const value = typeof given === 'string' && given.trim() === '' ? Number.NaN : Number(given);
  const numeric =
    typeof given === 'string' || typeof given === 'number' || typeof given === 'bigint';
  if (numeric && Number.isFinite(value)) return value;
  throw refused(where, key, 'a number', given);
}

/** @throws StoreError `INVALID_ARGUMENT` naming the key; undefined where the map lacks it */
export function readBoolean(map: JsonMembers, key: string, where: string): boolean | undefined {
  const given = map[key];
  if (given === undefined || given === null) return undefined;
  if (typeof given === 'boolean') return given;
  const text = typeof given === 'string' ? given.trim().toLowerCase() : '';
  if (text === 'true' || text === 'false') return text === 'true';
  throw refused(where, key, 'true or false', given);
}

/** @throws StoreError `INVALID_ARGUMENT` naming the key; undefined where the map lacks it */
export function readText(map: JsonMembers, key: string, where: string): string | undefined {
  const given = map[key];
  if (given === undefined || given === null) return undefined;
  if (typeof given === 'string') return given;
  throw refused(where, key, 'a string', given);
}

/** Settings that are stored and shown as text, whatever they were sent as. */
export const settingText = (value: unknown): string | undefined =>
  typeof value === 'string' || typeof value === 'boolean' ? String(value) : numberText(value);

const numberText = (value: unknown): string | undefined =>
  typeof value === 'number' || typeof value === 'bigint' ? String(value) : undefined;

function refused(where: string, key: string, expected: string, given: unknown): StoreError {
  const found = settingText(given)?.slice(0, 64) ?? typeof given;
  const message = `${where}.${key}: expected ${expected}, found ${found}`;
  return new StoreError('INVALID_ARGUMENT', message);
}
