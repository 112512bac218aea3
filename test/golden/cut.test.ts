/**
 * Golden bytes of cuts: a snapshot that was taken once must be readable for ever (I9).
 *
 * A change of the format fails here. If it is meant: raise the version, keep reading the old one, add a
 * file, and say so in docs/formats and the changelog.
 */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { toHex } from '#base/bytes.ts';
import { cutContentKeys, decodeCut, encodeCut, pinOfKey } from '#manifest/cut.ts';
import { CUT } from './cut-samples.ts';

const golden = new Uint8Array(readFileSync(new URL('./cut-v1.bin', import.meta.url)));

test('the golden cut is read, and is what is written today', () => {
  expect(decodeCut(golden, 'a cut')).toEqual(CUT);
  expect(toHex(encodeCut(CUT))).toBe(toHex(golden));
});

test('its keys are known, and whose pin each belongs to', () => {
  const keys = [...cutContentKeys(CUT)];
  expect(keys).toHaveLength(2);
  expect(keys.map(pinOfKey)).toEqual([undefined, '0123456789abcdef']);
  expect(pinOfKey('snapshots/42/0123456789abcdef/cut')).toBe('0123456789abcdef');
  for (const other of ['snapshots/42/cut', 'snapshots/42/0123/cut', 'snapshots/x/y/z']) {
    expect(pinOfKey(other)).toBeUndefined();
  }
});

test('a cut that lost a byte, or has one flipped, is refused by name', () => {
  for (let at = 0; at < golden.length; at++) {
    const flipped = new Uint8Array(golden);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
    expect(() => decodeCut(flipped, 'cut x'), `byte ${at}`).toThrow('cut x');
    expect(() => decodeCut(golden.subarray(0, at), 'cut x'), `${at} bytes`).toThrow('cut x');
  }
});

test('shards that are not in order are refused', () => {
  const { manifests } = CUT;
  const turned = encodeCut({ ...CUT, manifests: [...manifests].reverse() });
  expect(() => decodeCut(turned, 'cut x')).toThrow('shard 1 in place 0');
  expect(() => decodeCut(encodeCut({ ...CUT, manifests: [] }), 'cut x')).toThrow('0 shards');
});
