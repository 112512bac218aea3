/** Collections whose objects are damaged on purpose, and what became of their answers. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { must } from '#base/assert.ts';
import { openCatalog } from '#catalog/collections.ts';
import { openLocal } from '#local/open-directory.ts';
import { readManifest } from '#manifest/head.ts';
import { readFooterFromEnd } from '#segment/sections.ts';
import { readTail } from '#wal/tail.ts';

export const KINDS = ['payload', 'level 0', 'level 1', 'large', 'graph', 'manifest'] as const;
export type Kind = (typeof KINDS)[number];

/** What happens to an object: its new bytes, or undefined where it is deleted. */
export type Damage = Readonly<{
  name: string;
  /** @param other the object of the same kind of another collection */
  harm: (bytes: Buffer, other: Buffer) => Buffer | undefined;
}>;

export function flipAt(bytes: Buffer, at: number): Buffer {
  const harmed = Buffer.from(bytes);
  harmed[at] = (harmed[at] ?? 0) ^ 0x10;
  return harmed;
}

export const DAMAGES: readonly Damage[] = [
  { name: 'a bit flipped early', harm: (bytes) => flipAt(bytes, bytes.length >> 3) },
  { name: 'a bit flipped in the middle', harm: (bytes) => flipAt(bytes, bytes.length >> 1) },
  { name: 'a bit flipped late', harm: (bytes) => flipAt(bytes, bytes.length - 100) },
  { name: 'half of it', harm: (bytes) => bytes.subarray(0, bytes.length >> 1) },
  { name: 'a byte less', harm: (bytes) => bytes.subarray(0, -1) },
  { name: 'nothing in it', harm: () => Buffer.alloc(0) },
  { name: 'zeros', harm: (bytes) => Buffer.alloc(bytes.length) },
  // Whole and valid, and mostly of the same size: whoever refers to an object knows its checksum.
  { name: 'that of another', harm: (_, other) => other },
  { name: 'deleted', harm: () => undefined },
];

/** The objects of a collection with one shard, by their keys. */
export type Anatomy = Readonly<{
  payloads: readonly string[];
  /** The largest segment. */
  segment:
    | Readonly<{
        key: string;
        level: number;
        graph: string | undefined;
        sections: readonly Readonly<{ name: string; offset: number; length: number }>[];
      }>
    | undefined;
  manifest: string | undefined;
}>;

/** Looks into a data directory that no server uses. */
export async function dissect(dir: string): Promise<ReadonlyMap<string, Anatomy>> {
  const local = await openLocal(dir);
  try {
    const { objects, regionalTable: table, globalTable: global, clock, entropy } = local;
    const catalog = openCatalog({ global, table, objects, clock, entropy });
    const found = new Map<string, Anatomy>();
    for (const { collectionId, collectionName } of await catalog.allCollections()) {
      const shard = { collectionId, shard: 0 };
      const { manifest, objectKey } = await readManifest({ objects, table }, shard);
      const tail = await readTail(table, shard, manifest.applied);
      const [largest] = [...manifest.segments].sort((a, b) => b.rows - a.rows);
      const footer = largest === undefined ? undefined : await readFooterFromEnd(objects, largest);
      found.set(collectionName, {
        payloads: tail.flatMap(({ payload }) => (payload.at === 'object' ? [payload.key] : [])),
        segment: largest && {
          key: largest.key,
          level: largest.level,
          graph: largest.auxiliary.find(({ kind }) => kind === 'graph')?.key,
          sections: [...must(footer, 'a footer').sections.values()],
        },
        manifest: objectKey,
      });
    }
    return found;
  } finally {
    await local.close();
  }
}

/** The object that a kind of damage is done to. */
export function objectOf(kind: Kind, anatomy: Anatomy | undefined): string {
  const { payloads = [], segment, manifest } = anatomy ?? {};
  switch (kind) {
    case 'payload':
      return must(payloads[0], 'a payload in the tail');
    case 'manifest':
      return must(manifest, 'a manifest that is an object');
    case 'graph':
      return must(segment?.graph, 'a graph');
    case 'level 0':
      return must(segment?.level === 0 ? segment.key : undefined, 'a segment of level 0');
    default:
      return must(segment?.level === 1 ? segment.key : undefined, 'a segment of level 1');
  }
}

export const readObject = (dir: string, key: string): Promise<Buffer> =>
  readFile(join(dir, 'objects', key));

export async function placeObject(
  dir: string,
  key: string,
  bytes: Buffer | undefined,
): Promise<void> {
  const path = join(dir, 'objects', key);
  if (bytes === undefined) await rm(path);
  else await writeFile(path, bytes);
}
