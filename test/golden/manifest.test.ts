/**
 * Golden bytes of manifests and head rows.
 *
 * A change of the format fails here. If it is meant: raise the format's version, keep reading the old
 * one, add samples with new file names (encode undefined for the old files), run
 * `node test/golden/record-generate.ts`, and say so in docs/formats and the changelog. Files of a
 * released version never change.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { toHex } from '#base/bytes.ts';
import { GOLDEN } from './manifest-samples.ts';

const folder = new URL('./', import.meta.url);
const files = readdirSync(folder).filter((name) => /^manifest-.*\.bin$/.test(name));

test('every golden file has a sample, and every sample a file', () => {
  expect(files.sort()).toEqual(Object.keys(GOLDEN).sort());
});

const golden = (name: string) => new Uint8Array(readFileSync(new URL(name, folder)));

test.each(Object.entries(GOLDEN))('%s is read', (name, { sample, decode }) => {
  expect(decode(golden(name))).toEqual(sample);
});

test.each(Object.entries(GOLDEN))('%s is what is written today', (name, { encode }) => {
  if (encode === undefined) return;
  expect(toHex(encode())).toBe(toHex(golden(name)));
});
