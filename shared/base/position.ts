/**
 * Where a row version stands in its shard: (generation, epoch, sequence, ordinal).
 *
 * A position is an ASCII string whose bytewise order is the order of the four numbers, so that it
 * can be a table key, a map key and a `<` operand at once:
 *
 *     gggggggg eeeeeeee LL sequence-digits [ oooooooo ]
 *
 * generation, epoch and ordinal are 8 hexadecimal digits; LL is the number of decimal digits of the
 * sequence (two digits, 01 to 56: Kinesis has up to 56). A *record position* lacks the ordinal. The
 * length prefix makes record positions prefix-free, so a row position sorts behind its record's and
 * before the next record's.
 *
 * | generation | epoch | sequence | ordinal | string |
 * |---|---|---|---|---|
 * | 1 | 1 | 7 | - | `0000000100000001017` |
 * | 1 | 1 | 12 | - | `00000001000000010212` |
 * | 1 | 2 | 3 | 10 | `00000001000000020130000000a` |
 */
import { assert } from './assert.ts';
import { StoreError } from './errors.ts';

/** A record's place. Compare with `<`. */
export type RecordPosition = string & { readonly __brand?: 'RecordPosition' };

/** A row's or tombstone's place: a record position plus its ordinal. Compare with `<`. */
export type RowPosition = string & { readonly __brand?: 'RowPosition' };

/** Below every position. */
export const ORIGIN: RecordPosition = '';

const U32_MAX = 0xffff_ffff;
const hex8 = (value: number): string => value.toString(16).padStart(8, '0');

/** `sequence` is a non-negative decimal number without leading zeros, of at most 56 digits. */
export function recordPosition(
  generation: number,
  epoch: number,
  sequence: string,
): RecordPosition {
  assert(generation >= 0 && generation <= U32_MAX, `generation ${generation} is a u32`);
  assert(epoch >= 0 && epoch <= U32_MAX, `epoch ${epoch} is a u32`);
  assert(/^(0|[1-9][0-9]{0,55})$/.test(sequence), `sequence ${sequence} is a decimal number`);
  return hex8(generation) + hex8(epoch) + String(sequence.length).padStart(2, '0') + sequence;
}

export function rowPosition(record: RecordPosition, ordinal: number): RowPosition {
  assert(ordinal >= 0 && ordinal <= U32_MAX, `ordinal ${ordinal} is a u32`);
  return record + hex8(ordinal);
}

export type PositionParts = Readonly<{
  generation: number;
  epoch: number;
  sequence: string;
  ordinal: number | undefined;
}>;

/** @throws StoreError `DATA_CORRUPT` where the text is no position. */
export function parsePosition(position: string): PositionParts {
  const match = /^([0-9a-f]{8})([0-9a-f]{8})([0-9]{2})([0-9]+)([0-9a-f]*)$/.exec(position);
  const digits = match === null ? 0 : Number(match[3]);
  const tail = position.slice(18);
  const sequence = tail.slice(0, digits);
  const ordinal = tail.slice(digits);
  if (
    match === null ||
    !/^(0|[1-9][0-9]*)$/.test(sequence) ||
    sequence.length !== digits ||
    !/^([0-9a-f]{8})?$/.test(ordinal)
  ) {
    throw new StoreError(
      'DATA_CORRUPT',
      `not a position: ${JSON.stringify(position.slice(0, 100))}`,
    );
  }
  return {
    generation: Number.parseInt(position.slice(0, 8), 16),
    epoch: Number.parseInt(position.slice(8, 16), 16),
    sequence,
    ordinal: ordinal === '' ? undefined : Number.parseInt(ordinal, 16),
  };
}

/** The record part of a row position. */
export const recordOf = (position: RowPosition): RecordPosition => position.slice(0, -8);
