/**
 * One shard as it stood at a log time: a manifest from before, and what the archives behind it hold up
 * to then (ADR 0013). What lies in between is seconds of writes, so it is read and encoded anew; all
 * that the manifest names is shared.
 */
import { StoreError } from '#base/errors.ts';
import { addSum, emptySum, formatSum, parseSum, type SetSum } from '#base/setsum.ts';
import { keyTypeOf, tombstonesSum } from '#ingest/level-zero.ts';
import { type Input, joinSegments, rowsSumOf } from '#maintain/merge.ts';
import type { Manifest } from '#manifest/format.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { CollectionSchema } from '#schema/field.ts';
import { readArchive } from '#segment/archive.ts';
import { SectionCache } from '#segment/cache.ts';
import type { ArchiveEntry, ArchiveRef, SegmentEntry } from '#segment/entry.ts';
import { TRAILER_BYTES } from '#segment/layout.ts';
import { openSegment, type SegmentReader } from '#segment/reader.ts';
import type { RowStamps, StampedTombstones } from '#segment/source.ts';
import { logTimeAt } from '#segment/stamps.ts';
import { concatTombstones, gatherTombstones, noTombstones } from '#segment/tombstones.ts';
import { shardName } from '#wal/shard.ts';

/**
 * The manifest of a shard at `throughMs`: `base` and the rows of `archives` behind it. Puts an object
 * under `key` where there are such rows. A cut has neither an id window nor retired objects.
 *
 * @param archives in order, without a hole behind `base`
 * @throws StoreError `NOT_READY` where a fence took effect in between: take the cut again;
 *   `DATA_CORRUPT`, `OBJECT_NOT_FOUND`
 */
export async function cutShard(
  { objects }: Readonly<{ objects: ObjectStore }>,
  schema: CollectionSchema,
  base: Manifest,
  archives: readonly ArchiveRef[],
  throughMs: number,
  key: string,
): Promise<Manifest> {
  const bare: Manifest = { ...base, idWindow: [], retired: [], collectedBelow: 0 };
  const behind = await entriesBehind(objects, base, archives, throughMs);
  const last = behind.at(-1)?.entries.at(-1);
  if (last === undefined) return bare;
  refuseFences(base, behind);
  const moved = { ...bare, applied: last.position, logTimeMs: last.logTimeMs };
  const product = await joinBehind(objects, schema, behind, throughMs);
  if (product === undefined) return moved;
  await objects.put(key, product.bytes);
  const segment: SegmentEntry = { ...product.entry, key, auxiliary: [] };
  return {
    ...moved,
    rowsApplied: base.rowsApplied + segment.rows,
    segments: [...base.segments, segment],
    sums: {
      ...base.sums,
      in: plus(base.sums.in, product.sum),
      held: plus(base.sums.held, product.sum),
    },
  };
}

type Behind = Readonly<{ ref: ArchiveRef; all: readonly ArchiveEntry[]; entries: ArchiveEntry[] }>;

/** The records behind `base` up to the log time, by archive object. */
async function entriesBehind(
  objects: ObjectStore,
  base: Manifest,
  archives: readonly ArchiveRef[],
  throughMs: number,
): Promise<Behind[]> {
  const found: Behind[] = [];
  let expected = base.applied;
  for (const { ref, all, behind } of await archivesBehind(objects, base, archives)) {
    if (behind[0]?.previous !== expected || behind.length < all.length) {
      throw new StoreError(
        'NOT_READY',
        `${shardName(base)}: the archive has a hole behind ${expected || 'its beginning'}; try again`,
      );
    }
    const entries = behind.filter(({ logTimeMs }) => logTimeMs <= throughMs);
    if (entries.length > 0) found.push({ ref, all, entries });
    if (entries.length < behind.length) break;
    expected = behind.at(-1)?.position ?? expected;
  }
  return found;
}

type ReadArchive = Readonly<{
  ref: ArchiveRef;
  all: readonly ArchiveEntry[];
  behind: readonly ArchiveEntry[];
}>;

/**
 * From the newest one back to the first behind `base`: of minutes of archives those of the last seconds
 * are read, and none that may be gone already.
 */
async function archivesBehind(
  objects: ObjectStore,
  base: Manifest,
  archives: readonly ArchiveRef[],
): Promise<ReadArchive[]> {
  const read: ReadArchive[] = [];
  for (const ref of [...archives].reverse()) {
    const all = await readArchive({ objects }, ref);
    const behind = all.filter(({ position }) => position > base.applied);
    if (behind.length > 0) read.unshift({ ref, all, behind });
    if (behind.length === 0 || behind[0]?.previous === base.applied) break;
  }
  return read;
}

function refuseFences(base: Manifest, behind: readonly Behind[]): void {
  const fenced = behind.some(({ entries }) =>
    entries.some(({ kind, verdict }) => kind === 'fence' && verdict === 'effective'),
  );
  if (fenced) {
    throw new StoreError('NOT_READY', `${shardName(base)} was fenced meanwhile; try again`);
  }
}

type Joined = Awaited<ReturnType<typeof joinSegments>> & Readonly<{ sum: SetSum }>;

async function joinBehind(
  objects: ObjectStore,
  schema: CollectionSchema,
  behind: readonly Behind[],
  throughMs: number,
): Promise<Joined | undefined> {
  // Room for what is read of a handful of level-0 objects of at most 64 MiB, one at a time.
  const cache = new SectionCache({ sectionBytesMax: 64 * 1024 * 1024, graphBytesMax: 1 });
  const inputs: Input[] = [];
  const killed: StampedTombstones[] = [];
  const sum = emptySum();
  for (const { ref, all } of behind) {
    const source = openSegment({ objects }, entryOf(ref, all), cache);
    const live = source.rows === 0 ? new Uint32Array(0) : upTo(await source.stamps(), throughMs);
    inputs.push({ source, live });
    addSum(sum, await rowsSumOf(schema, source, live));
    if (source.tombstoneCount > 0) killed.push(await tombstonesUpTo(source, throughMs));
  }
  const rows = inputs.reduce((total, { live }) => total + live.length, 0);
  const none = noTombstones(keyTypeOf(schema));
  const tombstones = killed.length === 0 ? none : concatTombstones(killed);
  if (rows + tombstones.count === 0) return undefined;
  addSum(sum, tombstonesSum(tombstones));
  return { ...(await joinSegments(schema, inputs, rows, tombstones, 0)), sum };
}

async function tombstonesUpTo(
  source: SegmentReader,
  throughMs: number,
): Promise<StampedTombstones> {
  const all = await source.tombstones();
  return gatherTombstones(all, upTo(all.stamps, throughMs));
}

/** Numbers of the entries whose log time is not later. */
const upTo = (stamps: RowStamps, throughMs: number): Uint32Array =>
  Uint32Array.from({ length: stamps.record.length }, (_, index) => index).filter(
    (index) => logTimeAt(stamps, index) <= throughMs,
  );

/** What a reader of an archive object has to know of it. Ranges and statistics are for choosing only. */
function entryOf(ref: ArchiveRef, entries: readonly ArchiveEntry[]): SegmentEntry {
  const writes = entries.filter(({ verdict }) => verdict === 'effective');
  const total = (count: 'rows' | 'tombstones'): number =>
    writes.reduce((sum, entry) => sum + entry[count], 0);
  const { key, footerOffset, footerBytes, footerCrc32 } = ref;
  return {
    ...{ key, footerOffset, footerBytes, footerCrc32, level: 0 },
    sizeBytes: footerOffset + footerBytes + TRAILER_BYTES,
    rows: total('rows'),
    tombstones: total('tombstones'),
    keyRange: undefined,
    positionRange: undefined,
    logTimeRangeMs: { min: 0, max: ref.logTimeMs },
    stats: new Map(),
    auxiliary: [],
  };
}

const plus = (sum: string, added: SetSum): string => {
  const total = parseSum(sum);
  addSum(total, added);
  return formatSum(total);
};
