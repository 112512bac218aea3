/** Builds columns value by value; rows that are never set have no value. */
import { assert } from '#base/assert.ts';
import { ByteWriter, utf8 } from '#base/bytes.ts';
import { type Bitmap, bitmapOf, type Column, hasBit, setBit } from './column.ts';
import type { Field } from './field.ts';

/** A scalar as a column stores it. A JSON value is its canonical text. */
export type Stored = boolean | number | bigint | string;

/** The `valid` member of a column, left out where every row has a value. */
export type Validity = Readonly<{ valid?: Bitmap }>;

export const validity = (present: Bitmap, presentCount: number, count: number): Validity =>
  presentCount === count ? {} : { valid: present };

/** One column under construction. */
export class ColumnBuilder {
  readonly #field: Field;
  readonly #count: number;
  readonly #present: Bitmap;
  readonly #slots: Slots;
  #presentCount = 0;

  constructor(field: Field, count: number) {
    this.#field = field;
    this.#count = count;
    this.#present = bitmapOf(count);
    this.#slots = slotsFor(field, count);
  }

  /** At most once per row; `value` is of the type that `readScalar` gives for the field. */
  set(row: number, value: Stored): void {
    this.#slots.set(row, value);
    this.#mark(row);
  }

  /** The slot of a vector, to be filled by the caller: `dim` floats, zero at first. */
  vector(row: number): Float32Array {
    const slots = this.#slots;
    assert(slots.vectors !== undefined, `field ${this.#field.name} is a vector field`);
    this.#mark(row);
    const dim = this.#field.dim ?? 0;
    return slots.vectors.subarray(row * dim, (row + 1) * dim);
  }

  has(row: number): boolean {
    return hasBit(this.#present, row);
  }

  #mark(row: number): void {
    setBit(this.#present, row);
    this.#presentCount += 1;
  }

  finish(): Column {
    const valid = validity(this.#present, this.#presentCount, this.#count);
    return this.#slots.finish(valid);
  }
}

type Slots = Readonly<{
  set: (row: number, value: Stored) => void;
  finish: (valid: Validity) => Column;
  vectors?: Float32Array;
}>;

type Numeric = { [index: number]: number };

/** The casts below hold because `readScalar` decides the type of a value by the same field. */
function slotsFor(field: Field, count: number): Slots {
  switch (field.type) {
    case 'Bool':
      return numbers(new Uint8Array(count), (values, valid) => ({
        type: 'Bool',
        values,
        ...valid,
      }));
    case 'Int8':
      return numbers(new Int8Array(count), (values, valid) => ({ type: 'Int8', values, ...valid }));
    case 'Int16':
      return numbers(new Int16Array(count), (values, valid) => ({
        type: 'Int16',
        values,
        ...valid,
      }));
    case 'Int32':
      return numbers(new Int32Array(count), (values, valid) => ({
        type: 'Int32',
        values,
        ...valid,
      }));
    case 'Float':
      return numbers(new Float32Array(count), (values, valid) => ({
        type: 'Float',
        values,
        ...valid,
      }));
    case 'Double':
      return numbers(new Float64Array(count), (values, valid) => ({
        type: 'Double',
        values,
        ...valid,
      }));
    case 'Int64': {
      const values = new BigInt64Array(count);
      return {
        set: (row, value) => {
          values[row] = value as bigint;
        },
        finish: (valid) => ({ type: 'Int64', values, ...valid }),
      };
    }
    case 'VarChar':
      return strings(count);
    case 'JSON':
      return texts(count);
    case 'FloatVector': {
      const dim = field.dim ?? 0;
      const vectors = new Float32Array(count * dim);
      return {
        set: () => assert(false, 'a vector is filled through its slot'),
        finish: (valid) => ({ type: 'FloatVector', dim, values: vectors, ...valid }),
        vectors,
      };
    }
  }
}

function numbers<A extends Numeric>(
  values: A,
  finish: (values: A, valid: Validity) => Column,
): Slots {
  const slots: Numeric = values;
  return {
    set: (row, value) => {
      slots[row] = Number(value);
    },
    finish: (valid) => finish(values, valid),
  };
}

/** A dictionary under construction: equal texts share a code. */
export class Dictionary {
  readonly entries: string[] = [];
  readonly #codes = new Map<string, number>();

  code(text: string): number {
    const known = this.#codes.get(text);
    if (known !== undefined) return known;
    const code = this.entries.push(text) - 1;
    this.#codes.set(text, code);
    return code;
  }
}

function strings(count: number): Slots {
  const dictionary = new Dictionary();
  const codes = new Uint32Array(count);
  return {
    set: (row, value) => {
      codes[row] = dictionary.code(value as string);
    },
    finish: (valid) => {
      if (valid.valid !== undefined) {
        const none = dictionary.code('');
        for (let row = 0; row < count; row++) if (!hasBit(valid.valid, row)) codes[row] = none;
      }
      return { type: 'VarChar', dictionary: dictionary.entries, codes, ...valid };
    },
  };
}

function texts(count: number): Slots {
  const parts: (string | undefined)[] = new Array(count);
  return {
    set: (row, value) => {
      parts[row] = value as string;
    },
    finish: (valid) => {
      const writer = new ByteWriter();
      const offsets = new Uint32Array(count + 1);
      for (let row = 0; row < count; row++) {
        const text = parts[row];
        if (text !== undefined) writer.raw(utf8(text));
        offsets[row + 1] = writer.length;
      }
      return { type: 'JSON', offsets, bytes: writer.finish(), ...valid };
    },
  };
}
