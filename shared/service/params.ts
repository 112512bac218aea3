/** Values of `params`-like maps, which clients send as JSON values or as text. */
import type { JsonMembers } from '#api/names.ts';
import { StoreError } from '#base/errors.ts';

/** @throws StoreError `INVALID_ARGUMENT` naming the key; undefined where the map lacks it */
export function readInteger(map: JsonMembers, key: string, where: string): number | undefined {
  const given = map[key];
  if (given === undefined || given === null) return undefined;
  const value = typeof given === 'string' && !/^\s*[+-]?[0-9]+\s*$/.test(given) ? NO : given;
  const integer = numberOf(value);
  if (Number.isSafeInteger(integer)) return integer;
  throw refused(where, key, 'an integer', given);
}

/** @throws StoreError `INVALID_ARGUMENT` naming the key; undefined where the map lacks it */
export function readNumber(map: JsonMembers, key: string, where: string): number | undefined {
  const given = map[key];
  if (given === undefined || given === null) return undefined;
  const value = typeof given === 'string' && given.trim() === '' ? NO : numberOf(given);
  if (Number.isFinite(value)) return value;
  throw refused(where, key, 'a number', given);
}

const NO = Number.NaN;

/** Lists and objects have no number, whatever JavaScript would make of them. */
const numberOf = (value: unknown): number =>
  typeof value === 'number' || typeof value === 'bigint' || typeof value === 'string'
    ? Number(value)
    : NO;

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
export function settingText(value: unknown): string | undefined {
  if (typeof value === 'string' || typeof value === 'boolean') return String(value);
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : undefined;
}

function refused(where: string, key: string, expected: string, given: unknown): StoreError {
  const found = settingText(given)?.slice(0, 64) ?? typeof given;
  const message = `${where}.${key}: expected ${expected}, found ${found}`;
  return new StoreError('INVALID_ARGUMENT', message);
}
