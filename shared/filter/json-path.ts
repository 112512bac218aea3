/**
 * Finds the value at a path in canonical JSON text without parsing the rest of it.
 *
 * Canonical text (docs/formats/canonical-row.md) has no white space and spells every key in one way,
 * so a key is found by comparing bytes. Like Milvus's JSON pointers, a step of digits is a key in an
 * object and an index in an array, quoted or not.
 */
import { utf8 } from '#base/bytes.ts';

export type PathFinder = Readonly<{
  /** The offset of the value, or -1. The text is `bytes[from..to]`. */
  find(bytes: Uint8Array, from: number, to: number): number;
}>;

type Step = Readonly<{ key: Uint8Array; index: number }>;

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

export function pathFinder(path: readonly (string | number)[]): PathFinder {
  const steps = path.map((step): Step => {
    const digits = typeof step === 'number' || /^(0|[1-9][0-9]{0,9})$/.test(step);
    return { key: utf8(`${JSON.stringify(String(step))}:`), index: digits ? Number(step) : -1 };
  });
  return {
    find(bytes, from, to) {
      let at = from < to ? from : -1;
      for (let index = 0; index < steps.length && at >= 0; index++) {
        const step = steps[index]!;
        if (bytes[at] === OPEN_OBJECT) at = member(bytes, at + 1, to, step.key);
        else if (bytes[at] === OPEN_LIST && step.index >= 0)
          at = element(bytes, at + 1, to, step.index);
        else at = -1;
      }
      return at;
    },
  };
}

/** The value of a key in the object whose members begin at `at`. */
function member(bytes: Uint8Array, at: number, to: number, key: Uint8Array): number {
  while (at < to && bytes[at] === QUOTE) {
    const colon = skipString(bytes, at, to);
    if (colon + 1 - at === key.length && startsWith(bytes, at, key)) return colon + 1;
    at = skipValue(bytes, colon + 1, to);
    if (bytes[at] !== COMMA) return -1;
    at++;
  }
  return -1;
}

function element(bytes: Uint8Array, at: number, to: number, index: number): number {
  if (bytes[at] === CLOSE_LIST) return -1;
  for (let skipped = 0; at < to; skipped++) {
    if (skipped === index) return at;
    at = skipValue(bytes, at, to);
    if (bytes[at] !== COMMA) return -1;
    at++;
  }
  return -1;
}

/** Whether the bytes at `at` are those of `key`. */
export function startsWith(bytes: Uint8Array, at: number, key: Uint8Array): boolean {
  for (let index = 0; index < key.length; index++) {
    if (bytes[at + index] !== key[index]) return false;
  }
  return true;
}

/** The offset behind the string that begins at `at`. */
function skipString(bytes: Uint8Array, at: number, to: number): number {
  for (at++; at < to; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) return at + 1;
    if (byte === BACKSLASH) at++;
  }
  return to;
}

/** The offset behind the value that begins at `at`. */
export function skipValue(bytes: Uint8Array, at: number, to: number): number {
  let open = 0;
  while (at < to) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = skipString(bytes, at, to);
      if (open === 0) return at;
      continue;
    }
    if (byte === OPEN_OBJECT || byte === OPEN_LIST) open++;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
      // The end of what the value stands in: a number or a word ends here.
      if (open === 0) return at;
      if (--open === 0) return at + 1;
    } else if (byte === COMMA && open === 0) return at;
    at++;
  }
  return to;
}
