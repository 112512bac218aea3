import { describe, expect, it } from 'vitest';
import {
  ByteReader,
  ByteWriter,
  bytesOf,
  compareBytes,
  concatBytes,
  crc32,
  fromHex,
  fromUtf8,
  toHex,
  utf8,
} from '#base/bytes.ts';
import { isStoreError } from '#base/errors.ts';

const corrupt = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (isStoreError(error, 'DATA_CORRUPT')) return error.message;
    throw error;
  }
  throw new Error('was accepted');
};

describe('ByteWriter and ByteReader', () => {
  it('give back what was written', () => {
    const writer = new ByteWriter(1);
    writer
      .u8(255)
      .u32(0xffffffff)
      .f32(0.5)
      .f64(Math.PI)
      .i64(-(2n ** 63n))
      .varint(300);
    writer
      .string('Küste')
      .bytes(new Uint8Array([1, 2]))
      .align(8)
      .raw(new Uint8Array([9]));
    const reader = new ByteReader(writer.finish(), 'test');
    expect(reader.u8()).toBe(255);
    expect(reader.u32()).toBe(0xffffffff);
    expect(reader.f32()).toBe(0.5);
    expect(reader.f64()).toBe(Math.PI);
    expect(reader.i64()).toBe(-(2n ** 63n));
    expect(reader.varint()).toBe(300);
    expect(reader.string()).toBe('Küste');
    expect(reader.bytes()).toEqual(new Uint8Array([1, 2]));
    reader.align(8);
    expect(reader.offset % 8).toBe(0);
    expect(corrupt(() => reader.end())).toBe(`test: 1 bytes too many at byte ${reader.offset}`);
    expect(reader.raw(1)).toEqual(new Uint8Array([9]));
    reader.end();
  });

  it('writes little-endian and LEB128', () => {
    const writer = new ByteWriter()
      .u32(1)
      .i64(-2n)
      .varint(127)
      .varint(128)
      .varint(2 ** 53 - 1);
    expect(toHex(writer.view())).toBe('01000000feffffffffffffff7f8001ffffffffffffff0f');
  });

  it('pads with zeros, also over what was there before a clear', () => {
    const writer = new ByteWriter(4).raw(new Uint8Array(16).fill(7)).clear().u8(1).align(8);
    expect(writer.finish()).toEqual(new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]));
  });

  it('refuses varints that are no safe integer', () => {
    for (const value of [-1, 0.5, 2 ** 53, Number.NaN]) {
      expect(() => new ByteWriter().varint(value)).toThrow('varint out of range');
    }
    expect(corrupt(() => new ByteReader(fromHex('ffffffffffffff7f'), 'x').varint())).toContain(
      '2^53',
    );
    expect(corrupt(() => new ByteReader(fromHex('ffffffffffffffff01'), 'x').varint())).toContain(
      'longer than eight',
    );
  });

  it('names the thing that ends early', () => {
    const reader = new ByteReader(fromHex('05aabb'), 'payload 7');
    expect(corrupt(() => reader.bytes())).toBe('payload 7: ends 3 bytes early at byte 1');
    expect(corrupt(() => new ByteReader(fromHex('02c328'), 'name').string())).toContain(
      'not UTF-8',
    );
  });

  it('never goes back, also for a count of bits that a shift made negative', () => {
    const reader = new ByteReader(fromHex('f0ffff8f00'), 'bitmap');
    const count = reader.u32();
    expect(corrupt(() => reader.raw((count + 7) >> 3))).toContain('bytes asked for');
    expect(reader.remaining).toBe(1);
  });
});

describe('bytes', () => {
  it('compares bytewise, a prefix first', () => {
    const sorted = [[], [0], [0, 255], [1], [1, 0], [255]].map((list) => Uint8Array.from(list));
    for (const [i, a] of sorted.entries()) {
      for (const [j, b] of sorted.entries()) {
        expect(Math.sign(compareBytes(a, b))).toBe(Math.sign(i - j));
      }
    }
  });

  it('concatenates, views, and converts', () => {
    expect(concatBytes([utf8('ab'), new Uint8Array(0), utf8('c')])).toEqual(utf8('abc'));
    expect(fromUtf8(utf8('😀é'))).toBe('😀é');
    expect(() => fromUtf8(fromHex('ff'))).toThrow(TypeError);
    expect(toHex(bytesOf(new Uint16Array([0x0102]).subarray(0, 1)))).toBe('0201');
    expect(toHex(fromHex('00ff10'))).toBe('00ff10');
  });

  it('continues a checksum from its seed', () => {
    expect(crc32(utf8('123456789'))).toBe(0xcbf43926);
    expect(crc32(utf8('56789'), crc32(utf8('1234')))).toBe(0xcbf43926);
  });
});
