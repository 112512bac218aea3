/**
 * Scrub: reads every byte that a shard's head reaches, and proves that it is what was written: checksums,
 * key order, positions, counts, ranges, statistics, archive entries, and that the rows and tombstones
 * add up to what the manifest holds (I7). Names each damaged or missing object and goes on behind it.
 *
 * It takes no lease and stops nobody: objects are immutable, and what is merged away meanwhile stays for
 * longer than a run. What is not found is therefore looked up in the head once more before it is called
 * missing.
 *
 * Cost on AWS: a full segment of 262,144 rows of 768 dimensions is 0.8 GB and some 200 requests
 * ($0.0001); a small object is one request. `test/unit/maintain/scrub-cost.test.ts` counts them.
 */
import { isStoreError, StoreError } from '#base/errors.ts';
import {
  addSum,
  emptySum,
  equalSums,
  formatSum,
  parseSum,
  type SetSum,
  sumOf,
} from '#base/setsum.ts';
import type { Collection } from '#catalog/collection.ts';
import type { Manifest } from '#manifest/format.ts';
import { decodeHead, headKey, readManifest } from '#manifest/head.ts';
import { contentKeys, reachableKeys } from '#manifest/history.ts';
import type { Clock } from '#ports/clock.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { RowKey, Table } from '#ports/table.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import type { CollectionSchema } from '#schema/field.ts';
import type { ArchiveRef, AuxiliaryEntry, SegmentEntry } from '#segment/entry.ts';
import { objectPrefix, type ShardId, shardName } from '#wal/shard.ts';
import type { HeldCuts } from './held.ts';
import { checkChain, scrubArchive } from './scrub-archive.ts';
import { addFindings, Findings, type ScrubFindings } from './scrub-findings.ts';
import { scrubAuxiliary } from './scrub-graph.ts';
import { orphansOf } from './scrub-orphans.ts';
import {
  freshProgress,
  KNOWN_MAX,
  type Orphans,
  type Progress,
  readProgress,
  writeProgress,
} from './scrub-progress.ts';
import { scrubSegment } from './scrub-segment.ts';
import { scrubTail } from './scrub-tail.ts';

export type ScrubPorts = Readonly<{
  objects: ObjectStore;
  table: Table;
  clock: Clock;
  telemetry: Telemetry;
  held?: Pick<HeldCuts, 'read'> | undefined;
}>;

/** When a run ends. At least one object is read in any case, of at most 1 GiB. */
export type ScrubBounds = Readonly<{ bytesMax: number; untilMs: number }>;

export type ShardScrub = ScrubFindings &
  Readonly<{
    shard: string;
    /** The pass is over: all of the above was found in one pass. */
    complete: boolean;
    startedMs: number;
    finishedMs?: number;
    orphans?: Orphans;
  }>;

/** `runBytes`: read by this call alone. */
export type ScrubStep = ShardScrub & Readonly<{ runBytes: number }>;

const progressKey = (shard: ShardId): RowKey => ({ partition: shardName(shard), sort: 'scrub' });

/** Begins a pass anew: what was read before counts no more. */
export const beginScrub = ({ table, clock }: ScrubPorts, shard: ShardId): Promise<void> =>
  writeProgress(table, progressKey(shard), freshProgress(clock.nowMs()));

/**
 * Goes on with the pass under way, within the bounds, or begins one where none is.
 *
 * @throws StoreError `COLLECTION_NOT_FOUND` where the shard has no head; whatever the ports throw that
 *   is no word about an object's bytes. What was read before is remembered
 */
export async function scrubShard(
  ports: ScrubPorts,
  { schema }: Pick<Collection, 'schema'>,
  shard: ShardId,
  bounds: ScrubBounds,
): Promise<ScrubStep> {
  const name = shardName(shard);
  const last = (await readProgress(ports.table, progressKey(shard)))?.progress;
  const isOver = last === undefined || last.finishedMs !== undefined;
  const before = isOver ? freshProgress(ports.clock.nowMs()) : last;
  const findings = new Findings(ports.objects, ports.telemetry, name);
  const run = {
    ...{ ports, findings, schema, shard, bounds },
    known: new Map(Object.entries(before.known)),
  };
  let after: Progress | undefined;
  try {
    const manifest = await scrubHead(run);
    if (manifest === undefined) after = progressOf(run, before, true);
    else if (await scrubObjects(run, manifest)) {
      await finishPass(run, manifest);
      const orphans = await orphansOf(findings.objects, ports, shard, manifest);
      after = progressOf(run, before, true, orphans);
    }
  } finally {
    after ??= progressOf(run, before, false);
    await remember(run, after);
  }
  return { ...scrubOf(shard, after), runBytes: findings.counts.bytes };
}

/** What the last pass found, or what the pass under way has found so far. */
export async function lastScrub(table: Table, shard: ShardId): Promise<ShardScrub | undefined> {
  const row = await readProgress(table, progressKey(shard));
  return row && scrubOf(shard, row.progress);
}

function scrubOf(shard: ShardId, progress: Progress): ShardScrub {
  const { format: _, known: __, found, ...times } = progress;
  return { shard: shardName(shard), complete: times.finishedMs !== undefined, ...times, ...found };
}

type Run = Readonly<{
  ports: ScrubPorts;
  findings: Findings;
  schema: CollectionSchema;
  shard: ShardId;
  bounds: ScrubBounds;
  /** By object: the sum of a segment that was read; empty text for anything else that was. */
  known: Map<string, string>;
}>;

function progressOf(
  { ports, findings, known }: Run,
  before: Progress,
  done: boolean,
  orphans?: Orphans,
): Progress {
  return {
    format: 1,
    startedMs: before.startedMs,
    ...(done ? { finishedMs: ports.clock.nowMs() } : {}),
    found: addFindings(before.found, findings.all()),
    ...(orphans === undefined ? {} : { orphans }),
    known: done ? {} : Object.fromEntries([...known].slice(0, KNOWN_MAX)),
  };
}

async function remember({ ports, findings, shard }: Run, after: Progress): Promise<void> {
  const { objects, bytes } = findings.counts;
  ports.telemetry.count('scrub_objects_total', objects);
  ports.telemetry.count('scrub_read_bytes_total', bytes);
  if (after.finishedMs !== undefined) ports.telemetry.count('scrub_passes_total');
  await writeProgress(ports.table, progressKey(shard), after);
}

/** The manifest, read past every cache; undefined where it cannot be read, and said so. */
async function scrubHead({ ports, findings, shard }: Run): Promise<Manifest | undefined> {
  const { objects } = findings;
  const { table } = ports;
  const name = await findings.attempt(rowName(shard), () => manifestName(table, shard));
  if (name === undefined) return undefined;
  findings.verified();
  try {
    const head = await findings.attempt(name, () => readManifest({ objects, table }, shard));
    if (head === undefined) return undefined;
    checkManifest(findings, head.objectKey ?? name, head.manifest);
    return head.manifest;
  } catch (error) {
    if (!isStoreError(error, 'OBJECT_NOT_FOUND')) throw error;
    findings.missing(name, `the head row of ${shardName(shard)} names it`);
    return undefined;
  }
}

const rowName = (shard: ShardId): string => `${shardName(shard)} head`;

/** The object that the head row names, or the row itself. */
async function manifestName(table: Table, shard: ShardId): Promise<string> {
  const row = await table.get(headKey(shard));
  if (row === undefined) {
    throw new StoreError('COLLECTION_NOT_FOUND', `shard ${shardName(shard)} has no manifest`);
  }
  const value = decodeHead(row.value, `head of ${shardName(shard)}`);
  return value.at === 'object' ? value.key : rowName(shard);
}

/** What holds within any manifest, whatever its objects say. */
function checkManifest(findings: Findings, key: string, manifest: Manifest): void {
  const { sums, segments, retired, applied, logTimeMs } = manifest;
  const total = sumOf(parseSum(sums.held), parseSum(sums.out));
  findings.check(key, equalSums(total, parseSum(sums.in)), 'held + out is not in');
  const content = contentKeys(manifest);
  const named = segments.reduce((count, { auxiliary }) => count + 1 + auxiliary.length, 0);
  findings.check(key, content.size === named, 'an object belongs to the content twice');
  const back = retired.find((entry) => content.has(entry.key));
  findings.check(key, back === undefined, `${back?.key} is retired and in use`);
  for (const { key: segment, positionRange, logTimeRangeMs } of segments) {
    const newest = positionRange?.max.slice(0, -8) ?? '';
    findings.check(key, newest <= applied, `${segment} has positions behind the applied one`);
    findings.check(key, logTimeRangeMs.max <= logTimeMs, `${segment} has log times to come`);
  }
}

type Unit =
  | Readonly<{ kind: 'segment'; key: string; entry: SegmentEntry }>
  | Readonly<{ kind: 'auxiliary'; key: string; entry: AuxiliaryEntry }>
  | Readonly<{ kind: 'archive'; key: string; entry: ArchiveRef }>;

/**
 * Large segments first: it is those that a row has to remember. A graph comes behind its segment, whose
 * vectors are counted by then.
 */
function unitsOf({ segments, idWindow }: Manifest): readonly Unit[] {
  const content = new Set(segments.map(({ key }) => key));
  const bySize = [...segments].sort((a, b) => b.sizeBytes - a.sizeBytes);
  return [
    ...bySize.flatMap((entry): Unit[] => [
      { kind: 'segment', key: entry.key, entry },
      ...entry.auxiliary.map(
        (auxiliary): Unit => ({ kind: 'auxiliary', key: auxiliary.key, entry: auxiliary }),
      ),
    ]),
    ...idWindow.flatMap((entry): Unit[] =>
      content.has(entry.key) ? [] : [{ kind: 'archive', key: entry.key, entry }],
    ),
  ];
}

/** True where nothing is left to read. */
async function scrubObjects(run: Run, manifest: Manifest): Promise<boolean> {
  const { findings, bounds, known, ports } = run;
  const units = unitsOf(manifest);
  const named = new Map(units.map((unit) => [shortKey(run.shard, unit.key), unit]));
  for (const key of known.keys()) if (!named.has(key)) known.delete(key);
  const filled = new Map<string, number>();
  for (const [key, unit] of named) {
    if (known.has(key)) continue;
    const { objects, bytes } = findings.counts;
    const isOver = bytes >= bounds.bytesMax || ports.clock.nowMs() >= bounds.untilMs;
    // Besides the manifest at least one, however little time there is.
    if (isOver && objects > 1) return false;
    try {
      known.set(key, await scrubUnit(run, manifest, unit, filled));
    } catch (error) {
      if (!isStoreError(error, 'OBJECT_NOT_FOUND')) throw error;
      known.set(key, '');
      await reportMissing(run, unit.key);
    }
  }
  return true;
}

async function scrubUnit(
  { findings, schema }: Run,
  { segments, applied }: Manifest,
  unit: Unit,
  filled: Map<string, number>,
): Promise<string> {
  if (unit.kind === 'archive') await scrubArchive(findings, unit.entry);
  if (unit.kind === 'auxiliary') {
    const owner = segments.find(({ auxiliary }) => auxiliary.includes(unit.entry));
    const vectors = filled.get(`${owner?.key} ${unit.entry.fieldId}`);
    await scrubAuxiliary(findings, unit.entry, vectors);
  }
  if (unit.kind !== 'segment') return '';
  const { sum, filled: counts } = await scrubSegment(findings, schema, unit.entry, applied);
  for (const [fieldId, count] of counts) filled.set(`${unit.key} ${fieldId}`, count);
  return sum === undefined ? '' : formatSum(sum);
}

/** Own objects by what follows the shard's own prefix, so that a row holds more of them. */
function shortKey(shard: ShardId, key: string): string {
  const own = objectPrefix(shard, 'segment').slice(0, -'segment/'.length);
  return key.startsWith(own) ? `~${key.slice(own.length)}` : key;
}

/** Only where the head still names it: it may have been merged away and collected since. */
async function reportMissing({ ports, findings, shard }: Run, key: string): Promise<void> {
  const { manifest } = await readManifest(ports, shard);
  if (reachableKeys(manifest).has(key)) {
    findings.missing(key, `the manifest of ${shardName(shard)} names it`);
  }
}

/** Everything that `manifest` names was read: what has to hold between its objects. */
async function finishPass(run: Run, manifest: Manifest): Promise<void> {
  const { findings, known, shard, ports } = run;
  const held = sumOfAll(manifest, (key) => known.get(shortKey(shard, key)));
  if (held !== undefined) {
    findings.check(
      rowName(shard),
      formatSum(held) === manifest.sums.held,
      `its segments hold ${formatSum(held)}, it says ${manifest.sums.held}`,
    );
  }
  try {
    await checkChain(findings, manifest.idWindow, manifest.applied);
  } catch (error) {
    // Said already, or collected since.
    if (!isStoreError(error, 'OBJECT_NOT_FOUND')) throw error;
  }
  await scrubTail(findings, ports.table, shard, manifest.applied);
}

/** Undefined where a segment could not be summed: that was reported as what it is. */
function sumOfAll(
  { segments }: Manifest,
  sumText: (key: string) => string | undefined,
): SetSum | undefined {
  const total = emptySum();
  for (const { key } of segments) {
    const text = sumText(key);
    if (text === undefined || text === '') return undefined;
    addSum(total, parseSum(text));
  }
  return total;
}
