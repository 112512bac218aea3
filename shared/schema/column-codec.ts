/**
 * A column as bytes: self-describing, aligned, read without copying.
 *
 * Normative text: docs/formats/column.md. Everything is little-endian and every part starts at a
 * multiple of eight bytes, so that a decoded column is a view of the bytes wherever these are
 * aligned themselves. Big-endian machines are not supported and are refused.
 */
import { isUtf8 } from 'node:buffer';
import { endianness } from 'node:os';
import { bytesOf, utf8 } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import {
  type Bitmap,
  bitmapOf,
  type Column,
  type JsonColumn,
  type StringColumn,
} from './column.ts';
import type { FieldType } from './field.ts';
import { rowsOf } from './gather.ts';

/** Type bytes; 0 is none, so that zeroed storage is no column. Never reused. */
const TYPE_CODES = {
  Bool: 1,
  Int8: 2,
  Int16: 3,
  Int32: 4,
  Int64: 5,
  Float: 6,
  Double: 7,
  VarChar: 8,
  JSON: 9,
  FloatVector: 10,
} as const satisfies Record<FieldType, number>;

const HEADER_BYTES = 16;
const ALIGN = 8;
/** The only flag: a validity bitmap follows the header. */
const HAS_VALIDITY = 1;
/** Texts are decoded in runs: a JavaScript string ends at 2^29 characters, 16 MiB stays far below. */
const TEXT_RUN_BYTES = 16 * 1024 * 1024;
const U32_MAX = 0xffff_ffff;

type TypedArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

type ArrayClass<T extends TypedArray> = {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): T;
};

/** @throws StoreError `TOO_LARGE` where texts exceed 4 GiB; `INTERNAL` where the column is malformed. */
export function encodeColumn(column: Column): Uint8Array {
  requireLittleEndian();
  const count = rowsOf(column);
  const { a, b, parts } = encodeParts(column, count);
  if (column.valid !== undefined) parts.unshift(validityBytes(column.valid, count));
  const total = parts.reduce((sum, part) => sum + padded(part.length), HEADER_BYTES);
  const out = new Uint8Array(total);
  const view = new DataView(out.buffer);
  out[0] = TYPE_CODES[column.type];
  out[1] = column.valid === undefined ? 0 : HAS_VALIDITY;
  view.setUint32(4, u32(count, 'rows'), true);
  view.setUint32(8, u32(a, 'entries'), true);
  view.setUint32(12, u32(b, 'bytes of text'), true);
  let at = HEADER_BYTES;
  for (const part of parts) {
    out.set(part, at);
    at += padded(part.length);
  }
  return out;
}

/**
 * Reads what {@link encodeColumn} wrote. The column may be a view of `bytes`, which must not change.
 *
 * @param what the name of the thing being read, for the message of the error
 * @throws StoreError `DATA_CORRUPT` for whatever is no column
 */
export function decodeColumn(bytes: Uint8Array, what: string): Column {
  requireLittleEndian();
  const parts = new PartReader(bytes, what);
  const column = decodeParts(parts);
  parts.end();
  return column;
}

const padded = (length: number): number => Math.ceil(length / ALIGN) * ALIGN;

function requireLittleEndian(): void {
  if (endianness() !== 'LE') {
    throw new StoreError('UNSUPPORTED', 'columns are little-endian; this machine is not');
  }
}

function u32(value: number, unit: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= U32_MAX) return value;
  throw new StoreError('TOO_LARGE', `a column holds at most ${U32_MAX} ${unit}, not ${value}`);
}

function malformed(message: string): never {
  throw new StoreError('INTERNAL', `malformed column: ${message}`);
}

/** The bits beyond `count` are written as zero, so that equal columns have equal bytes. */
function validityBytes(valid: Bitmap, count: number): Uint8Array {
  const size = (count + 7) >> 3;
  if (valid.length < size) malformed(`${valid.length} bytes of validity for ${count} rows`);
  const out = new Uint8Array(valid.subarray(0, size));
  const rest = count & 7;
  if (rest !== 0) out[size - 1] = (out[size - 1] ?? 0) & ((1 << rest) - 1);
  return out;
}

type EncodedParts = { a: number; b: number; parts: Uint8Array[] };

function encodeParts(column: Column, count: number): EncodedParts {
  switch (column.type) {
    case 'Bool':
      return { a: 0, b: 0, parts: [packBits(column.values)] };
    case 'VarChar':
      return encodeStrings(column);
    case 'JSON':
      return encodeJson(column);
    case 'FloatVector':
      if (!Number.isInteger(count)) malformed(`${column.values.length} values of ${column.dim}`);
      return { a: column.dim, b: 0, parts: [bytesOf(column.values)] };
    default:
      return { a: 0, b: 0, parts: [bytesOf(column.values)] };
  }
}

function packBits(values: Uint8Array): Uint8Array {
  const bits = bitmapOf(values.length);
  for (let row = 0; row < values.length; row++) {
    if (values[row] !== 0) bits[row >> 3] = (bits[row >> 3] ?? 0) | (1 << (row & 7));
  }
  return bits;
}

function encodeStrings({ dictionary, codes }: StringColumn): EncodedParts {
  for (const code of codes) {
    if (code >= dictionary.length) malformed(`code ${code} of ${dictionary.length} strings`);
  }
  const texts = dictionary.map(utf8);
  const offsets = new Uint32Array(texts.length + 1);
  let length = 0;
  texts.forEach((text, index) => {
    length += text.length;
    offsets[index + 1] = u32(length, 'bytes of text');
  });
  const bytes = new Uint8Array(length);
  texts.forEach((text, index) => {
    bytes.set(text, offsets[index]);
  });
  const narrow = codeClass(dictionary.length).from(codes);
  return { a: texts.length, b: length, parts: [bytesOf(offsets), bytes, bytesOf(narrow)] };
}

/** The width of codes follows from the size of the dictionary. */
const codeClass = (entries: number): typeof Uint8Array | typeof Uint16Array | typeof Uint32Array =>
  entries <= 0x100 ? Uint8Array : entries <= 0x1_0000 ? Uint16Array : Uint32Array;

/** A column that is a view of a longer one is cut to its own texts. */
function encodeJson({ offsets, bytes }: JsonColumn): EncodedParts {
  const first = offsets[0];
  const end = offsets.at(-1);
  if (first === undefined || end === undefined || end > bytes.length) {
    malformed('JSON offsets leave the bytes');
  }
  const own = first === 0 ? offsets : offsets.map((offset) => offset - first);
  return {
    a: 0,
    b: u32(end - first, 'bytes of text'),
    parts: [bytesOf(own), bytes.subarray(first, end)],
  };
}

/** Header and parts of a column, each checked against what is there. */
class PartReader {
  readonly type: number;
  readonly count: number;
  readonly a: number;
  readonly b: number;
  readonly valid: Bitmap | undefined;
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #at = HEADER_BYTES;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
    if (bytes.length < HEADER_BYTES) this.fail(`${bytes.length} bytes are no column`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.type = view.getUint8(0);
    const flags = view.getUint8(1);
    this.count = view.getUint32(4, true);
    this.a = view.getUint32(8, true);
    this.b = view.getUint32(12, true);
    if (flags > HAS_VALIDITY || view.getUint16(2, true) !== 0) this.fail('unknown column flags');
    this.valid = flags === HAS_VALIDITY ? this.bits(this.count) : undefined;
  }

  fail(message: string): never {
    throw new StoreError('DATA_CORRUPT', `${this.#what}: ${message}`);
  }

  /** The next part, a view where its bytes are aligned. */
  part<T extends TypedArray>(Class: ArrayClass<T>, length: number): T {
    const size = length * Class.BYTES_PER_ELEMENT;
    const left = this.#bytes.length - this.#at;
    if (padded(size) > left) this.fail(`the column ends ${padded(size) - left} bytes early`);
    const start = this.#at;
    this.#at += padded(size);
    for (let at = start + size; at < this.#at; at++) {
      if (this.#bytes[at] !== 0) this.fail('padding that is not zero');
    }
    const from = this.#bytes.byteOffset + start;
    if (from % Class.BYTES_PER_ELEMENT === 0) return new Class(this.#bytes.buffer, from, length);
    // Not `slice`: a Buffer's shares its memory.
    const copy = new Uint8Array(this.#bytes.subarray(start, start + size));
    return new Class(copy.buffer, copy.byteOffset, length);
  }

  bits(count: number): Bitmap {
    const bits = this.part(Uint8Array, Math.ceil(count / 8));
    const last = bits.at(-1);
    if (count % 8 !== 0 && last !== undefined && last >> (count % 8) !== 0) {
      this.fail('bits beyond the last row');
    }
    return bits;
  }

  /** `count + 1` offsets from 0 up to the length of the text behind them, none inside a character. */
  texts(count: number, length: number): { offsets: Uint32Array; bytes: Uint8Array } {
    const offsets = this.part(Uint32Array, count + 1);
    const bytes = this.part(Uint8Array, length);
    if (!isUtf8(bytes)) this.fail('text that is not UTF-8');
    if (offsets[0] !== 0 || offsets[count] !== length) this.fail('offsets do not span the text');
    let previous = 0;
    for (const offset of offsets) {
      if (offset < previous) this.fail('offsets that fall');
      // A continuation byte is 10xxxxxx.
      if (offset < length && ((bytes[offset] ?? 0) & 0xc0) === 0x80) {
        this.fail('an offset inside a character');
      }
      previous = offset;
    }
    return { offsets, bytes };
  }

  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left !== 0) this.fail(`${left} bytes too many behind the column`);
  }
}

function decodeParts(parts: PartReader): Column {
  const { type, count, a } = parts;
  const valid = parts.valid === undefined ? {} : { valid: parts.valid };
  const hasEntries = type === TYPE_CODES.VarChar || type === TYPE_CODES.FloatVector;
  const hasText = type === TYPE_CODES.VarChar || type === TYPE_CODES.JSON;
  if ((!hasEntries && a !== 0) || (!hasText && parts.b !== 0)) parts.fail('unknown header fields');
  switch (type) {
    case TYPE_CODES.Bool:
      return { type: 'Bool', values: unpackBits(parts.bits(count), count), ...valid };
    case TYPE_CODES.Int8:
      return { type: 'Int8', values: parts.part(Int8Array, count), ...valid };
    case TYPE_CODES.Int16:
      return { type: 'Int16', values: parts.part(Int16Array, count), ...valid };
    case TYPE_CODES.Int32:
      return { type: 'Int32', values: parts.part(Int32Array, count), ...valid };
    case TYPE_CODES.Int64:
      return { type: 'Int64', values: parts.part(BigInt64Array, count), ...valid };
    case TYPE_CODES.Float:
      return { type: 'Float', values: parts.part(Float32Array, count), ...valid };
    case TYPE_CODES.Double:
      return { type: 'Double', values: parts.part(Float64Array, count), ...valid };
    case TYPE_CODES.VarChar:
      return { type: 'VarChar', ...decodeStrings(parts), ...valid };
    case TYPE_CODES.JSON:
      return { type: 'JSON', ...parts.texts(count, parts.b), ...valid };
    case TYPE_CODES.FloatVector:
      if (a === 0) parts.fail('a vector of no components');
      return { type: 'FloatVector', dim: a, values: parts.part(Float32Array, count * a), ...valid };
    default:
      return parts.fail(`unknown column type ${type}`);
  }
}

function unpackBits(bits: Bitmap, count: number): Uint8Array {
  const values = new Uint8Array(count);
  for (let row = 0; row < count; row++) values[row] = ((bits[row >> 3] ?? 0) >> (row & 7)) & 1;
  return values;
}

function decodeStrings(parts: PartReader): Pick<StringColumn, 'dictionary' | 'codes'> {
  const { offsets, bytes } = parts.texts(parts.a, parts.b);
  const narrow = parts.part<Uint8Array | Uint16Array | Uint32Array>(
    codeClass(parts.a),
    parts.count,
  );
  const codes = narrow instanceof Uint32Array ? narrow : Uint32Array.from(narrow);
  for (const code of codes) {
    if (code >= parts.a) parts.fail(`code ${code} of ${parts.a} strings`);
  }
  return { dictionary: splitTexts(offsets, bytes), codes };
}

/**
 * Decodes runs of texts at once and cuts the run: one call of the decoder per text would cost more
 * than the rest of the column. A byte that starts a character makes one UTF-16 unit, from 0xf0 two.
 */
function splitTexts(offsets: Uint32Array, bytes: Uint8Array): string[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const texts: string[] = [];
  const count = offsets.length - 1;
  const at = (index: number): number => offsets[index] ?? 0;
  for (let first = 0; first < count; ) {
    let end = first + 1;
    while (end < count && at(end + 1) - at(first) <= TEXT_RUN_BYTES) end += 1;
    const run = buffer.toString('utf8', at(first), at(end));
    const ascii = run.length === at(end) - at(first);
    let unit = 0;
    for (let index = first; index < end; index++) {
      const units = ascii ? at(index + 1) - at(index) : unitsOf(bytes, at(index), at(index + 1));
      texts.push(run.slice(unit, unit + units));
      unit += units;
    }
    first = end;
  }
  return texts;
}

function unitsOf(bytes: Uint8Array, from: number, to: number): number {
  let units = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    units += byte >= 0xf0 ? 2 : (byte & 0xc0) === 0x80 ? 0 : 1;
  }
  return units;
}
