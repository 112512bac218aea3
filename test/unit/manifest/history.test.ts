/** What a manifest reaches, and what it lists as retired (I6). */
import { expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import {
  contentKeys,
  forgetRetired,
  RETIRED_MAX,
  reachableKeys,
  retire,
} from '#manifest/history.ts';
import { firstManifest, segmentOf } from './arbitrary-manifests.ts';

const graph = {
  kind: 'graph',
  fieldId: 101,
  key: 'graph-1',
  sizeBytes: 1,
  footerCrc32: 0,
  facts: {},
};
const manifest = {
  ...firstManifest,
  segments: [{ ...segmentOf(1, 'a'), auxiliary: [graph] }, segmentOf(1, 'b')],
  idWindow: [{ key: 'archive-1', footerOffset: 1, footerBytes: 1, footerCrc32: 0, logTimeMs: 1 }],
  retired: [{ key: 'old', atMs: 5 }],
};

test('segments, auxiliary objects and the id window are reachable, retired objects are not', () => {
  const content = [segmentOf(1, 'a').key, 'graph-1', segmentOf(1, 'b').key];
  expect([...contentKeys(manifest)]).toEqual(content);
  expect([...reachableKeys(manifest)]).toEqual([...content, 'archive-1']);
});

test('an object is retired once, at the first time', () => {
  const retired = retire(manifest, ['x', 'old', 'x'], 9);
  expect(retired.retired).toEqual([
    { key: 'old', atMs: 5 },
    { key: 'x', atMs: 9 },
  ]);
  expect(forgetRetired(retired, new Set(['old'])).retired).toEqual([{ key: 'x', atMs: 9 }]);
});

test('a full list refuses instead of forgetting', () => {
  const full = retire(
    firstManifest,
    Array.from({ length: RETIRED_MAX }, (_, n) => `k${n}`),
    1,
  );
  expect(full.retired.length).toBe(RETIRED_MAX);
  expect(retire(full, ['k7'], 2).retired.length).toBe(RETIRED_MAX);
  try {
    retire(full, ['one-more'], 2);
    expect.unreachable();
  } catch (error) {
    expect(isStoreError(error, 'OVERLOADED')).toBe(true);
  }
});
