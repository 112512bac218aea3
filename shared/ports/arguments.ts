/**
 * What the arguments of a port look like. Every adapter checks with these functions before it does
 * anything, so that a request which one platform refuses is refused by all, with `INVALID_ARGUMENT`
 * or `TOO_LARGE` and nothing changed (I11).
 */
import { StoreError } from '#base/errors.ts';
import type { ReadOptions, Sequence } from './log.ts';
import type { ByteRange, ListOptions } from './object-store.ts';
import { type QueryOptions, ROW_VALUE_BYTES_MAX, type RowKey } from './table.ts';

const OBJECT_KEY_CHARACTERS_MAX = 512;
/** Files on every common file system may have names of 255 bytes. */
const OBJECT_STEP_CHARACTERS_MAX = 200;
const PAGE_MAX = 1_000;
const LOG_PAGE_MAX = 10_000;
const PARTITION_CHARACTERS_MAX = 256;
const ROW_KEY_PART_BYTES_MAX = 512;
/** Kinesis has sequences of up to 56 digits. */
const SEQUENCE = /^(0|[1-9][0-9]{0,55})$/;

const refuse = (message: string): never => {
  throw new StoreError('INVALID_ARGUMENT', message);
};

const shown = (text: string): string => JSON.stringify(text.slice(0, 100));

export function checkObjectKey(key: string): void {
  if (key.length === 0 || key.length > OBJECT_KEY_CHARACTERS_MAX) {
    refuse(`an object key has 1 to ${OBJECT_KEY_CHARACTERS_MAX} characters, found ${key.length}`);
  }
  if (!/^[a-z0-9/._-]*$/.test(key)) {
    refuse(`object key ${shown(key)} has a character outside [a-z0-9/._-]`);
  }
  for (const step of key.split('/')) {
    if (step === '' || step === '.' || step === '..') {
      refuse(`object key ${shown(key)} has the step ${shown(step)} between slashes`);
    }
    if (step.length > OBJECT_STEP_CHARACTERS_MAX) {
      refuse(`a step of object key ${shown(key)} exceeds ${OBJECT_STEP_CHARACTERS_MAX} characters`);
    }
  }
}

/** A prefix may end anywhere in a key, and may be empty. */
export function checkObjectPrefix(prefix: string): void {
  if (prefix.length > OBJECT_KEY_CHARACTERS_MAX || !/^[a-z0-9/._-]*$/.test(prefix)) {
    refuse(`prefix ${shown(prefix)} cannot be the beginning of an object key`);
  }
  const steps = prefix.split('/').slice(0, -1);
  if (steps.some((step) => step === '' || step === '.' || step === '..')) {
    refuse(`prefix ${shown(prefix)} has an empty, . or .. step between slashes`);
  }
}

export function checkByteRange(range: ByteRange): void {
  if (!Number.isSafeInteger(range.offset) || range.offset < 0) {
    refuse(`the offset of a byte range is a whole number from 0, found ${range.offset}`);
  }
  if (!Number.isSafeInteger(range.length) || range.length < 1) {
    refuse(`the length of a byte range is a whole number from 1, found ${range.length}`);
  }
}

const checkLimit = (limit: number, max: number): number =>
  Number.isInteger(limit) && limit >= 1 && limit <= max
    ? limit
    : refuse(`a page's limit is a whole number from 1 to ${max}, found ${limit}`);

/** The limit of a listing, its default filled in. */
export const listLimit = (options: ListOptions | undefined): number =>
  checkLimit(options?.limit ?? PAGE_MAX, PAGE_MAX);

/** The limit of a table query, its default filled in. */
export const queryLimit = (options: QueryOptions | undefined): number =>
  checkLimit(options?.limit ?? PAGE_MAX, PAGE_MAX);

export function checkReadOptions(options: ReadOptions): void {
  checkLimit(options.limit, LOG_PAGE_MAX);
  if (options.after !== undefined) checkSequence(options.after);
  if (options.maxBytes !== undefined && !(options.maxBytes >= 1)) {
    refuse(`maxBytes of a log read is at least 1, found ${options.maxBytes}`);
  }
}

export function checkPartition(partition: string): void {
  if (partition.length === 0 || partition.length > PARTITION_CHARACTERS_MAX) {
    refuse(
      `a partition's name has 1 to ${PARTITION_CHARACTERS_MAX} characters, found ${partition.length}`,
    );
  }
  if (/\p{Surrogate}/u.test(partition)) refuse('a partition has a lone surrogate in its name');
}

export function checkConsumer(consumer: string): void {
  if (!/^[\x21-\x7e]{1,128}$/.test(consumer)) {
    refuse(`a consumer's name has 1 to 128 printable characters, found ${shown(consumer)}`);
  }
}

export function checkSequence(sequence: Sequence): void {
  if (!SEQUENCE.test(sequence)) {
    refuse(`a sequence is a decimal number of at most 56 digits, found ${shown(sequence)}`);
  }
}

export function checkRowKeyPart(what: 'partition' | 'sort', text: string): void {
  if (text.length === 0 || text.length > ROW_KEY_PART_BYTES_MAX) {
    refuse(`a row's ${what} has 1 to ${ROW_KEY_PART_BYTES_MAX} bytes, found ${text.length}`);
  }
  if (!/^[\x20-\x7e]*$/.test(text)) {
    refuse(`a row's ${what} has a character outside printable ASCII: ${shown(text)}`);
  }
}

export function checkRowKey(key: RowKey): void {
  checkRowKeyPart('partition', key.partition);
  checkRowKeyPart('sort', key.sort);
}

export function checkRowValue(key: RowKey, value: Uint8Array): void {
  if (value.length > ROW_VALUE_BYTES_MAX) {
    throw new StoreError(
      'TOO_LARGE',
      `row ${shown(key.partition)} ${shown(key.sort)} has a value of ${value.length} bytes; at most ${ROW_VALUE_BYTES_MAX} are stored`,
    );
  }
}

/**
 * The bounds of a table query as two texts that are no sorts themselves: a sort lies within where
 * `low <= sort && sort < high`. Sorts are printable ASCII, so U+0000 makes the next larger text and
 * U+007F is beyond every continuation.
 */
export function queryBounds(
  partition: string,
  options: QueryOptions | undefined,
): Readonly<{ low: string; high: string }> {
  checkRowKeyPart('partition', partition);
  const prefix = options?.prefix ?? '';
  const after = options?.after === undefined ? '' : `${options.after}\u0000`;
  const before = options?.before ?? '\u007f';
  const beyond = `${prefix}\u007f`;
  return { low: prefix > after ? prefix : after, high: beyond < before ? beyond : before };
}
