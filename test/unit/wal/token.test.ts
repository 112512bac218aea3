/** Tokens come back as they went; whatever else a client passes is refused with a sentence (I4). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc32 } from '#base/bytes.ts';
import { isStoreError } from '#base/errors.ts';
import { ORIGIN, recordPosition } from '#base/position.ts';
import { decodeToken, encodeToken, mergeTokens, TOKEN_CHARS_MAX } from '#wal/token.ts';
import { recordPositions, tokens } from './arbitrary-records.ts';

const refusal = (text: string): string => {
  try {
    decodeToken(text);
  } catch (error) {
    if (isStoreError(error, 'INVALID_ARGUMENT')) return error.message;
    throw error;
  }
  return 'accepted';
};

/** A token whose checksum is right, whatever is in it. */
const sealed = (...body: number[]): string => {
  const bytes = Buffer.alloc(body.length + 4);
  bytes.set(body);
  bytes.writeUInt32LE(crc32(Uint8Array.from(body)), body.length);
  return bytes.toString('base64url');
};

test('a token comes back as it went, and equal tokens have equal text', () => {
  fc.assert(
    fc.property(tokens, (token) => {
      const text = encodeToken(token);
      expect(text).toMatch(/^[A-Za-z0-9_-]+$/);
      expect(decodeToken(text)).toEqual(token);
      const reversed = new Map([...token.positions].reverse());
      expect(encodeToken({ ...token, positions: reversed })).toBe(text);
    }),
  );
});

test('the largest token stays within the bound', () => {
  const position = recordPosition(0xffff_ffff, 0xffff_ffff, '9'.repeat(56));
  const positions = new Map(Array.from({ length: 64 }, (_, shard) => [shard, position]));
  const text = encodeToken({ collectionId: Number.MAX_SAFE_INTEGER, positions });
  expect(text.length).toBeLessThanOrEqual(TOKEN_CHARS_MAX);
  expect(decodeToken(text).positions.size).toBe(64);
});

test('the origin asks for nothing', () => {
  const text = encodeToken({ collectionId: 7, positions: new Map([[0, ORIGIN]]) });
  expect(decodeToken(text).positions.size).toBe(0);
});

describe('refused', () => {
  test.each([
    { what: 'nothing', text: '', why: 'too short' },
    { what: 'a few letters', text: 'abcd', why: 'too short' },
    { what: 'prose', text: 'not a token!', why: 'not base64url' },
    { what: 'padding', text: `${sealed(1, 7, 0)}=`, why: 'not base64url' },
    { what: 'an endless text', text: 'a'.repeat(TOKEN_CHARS_MAX + 1), why: 'more than 8192' },
    { what: 'random bytes', text: 'AAAAAAAAAAAAAAAA', why: 'checksum' },
    { what: 'another version', text: sealed(2, 7, 0), why: 'version 2, this server knows 1' },
    { what: 'bytes behind the end', text: sealed(1, 7, 0, 0), why: '1 bytes too many' },
    { what: 'a shard too few', text: sealed(1, 7, 1), why: 'ends 1 bytes early' },
    { what: 'a shard twice', text: sealed(1, 7, 2, 3, 0, 3, 0), why: 'out of order' },
    { what: 'a bad sequence', text: sealed(1, 7, 1, 0, 1, 1, 1, 1, 0x61), why: 'no number' },
  ])('$what', ({ text, why }) => {
    expect(refusal(text)).toContain(why);
    expect(refusal(text)).toContain('pass the token of a write reply exactly as it came');
  });

  test('any change of a character', () => {
    fc.assert(
      fc.property(tokens, fc.nat(), fc.constantFrom('A', 'z', '0', '_', '-'), (token, at, char) => {
        const text = encodeToken(token);
        const index = at % text.length;
        const changed = text.slice(0, index) + char + text.slice(index + 1);
        fc.pre(changed !== text);
        expect(refusal(changed)).not.toBe('accepted');
      }),
    );
  });
});

test('merging asks for both: the higher position of each shard', () => {
  fc.assert(
    fc.property(tokens, tokens, (a, b) => {
      const other = { ...b, collectionId: a.collectionId };
      const merged = mergeTokens(a, other);
      const shards = new Set([...a.positions.keys(), ...other.positions.keys()]);
      expect(new Set(merged.positions.keys())).toEqual(shards);
      for (const shard of shards) {
        const wanted = [a, other].map(({ positions }) => positions.get(shard) ?? ORIGIN).sort();
        expect(merged.positions.get(shard)).toBe(wanted[1]);
      }
      expect(mergeTokens(other, a)).toEqual(merged);
    }),
  );
});

test('tokens of different collections do not merge', () => {
  fc.assert(
    fc.property(recordPositions, (position) => {
      const token = { collectionId: 1, positions: new Map([[0, position]]) };
      const merge = () => mergeTokens(token, { ...token, collectionId: 2 });
      expect(merge).toThrow('different collections');
    }),
  );
});
