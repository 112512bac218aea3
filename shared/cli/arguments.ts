/** Parsers of option values; each failure is a sentence about that option. */
import { InvalidArgumentError } from 'commander';
import { isStoreError } from '#base/errors.ts';
import { type Json, parseJson } from '#base/json.ts';

/** A whole number within bounds. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

/** JSON text, exact to 64-bit integers. */
export function json(text: string): Json {
  try {
    return parseJson(text);
  } catch (error) {
    if (isStoreError(error)) throw new InvalidArgumentError(`not JSON: ${error.message}`);
    throw error;
  }
}

/** Names separated by commas. */
export const names = (text: string): readonly string[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
