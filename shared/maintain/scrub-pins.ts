/**
 * Scrub of what pins hold: each complete pin's cut decodes, agrees with itself, and every object that it
 * lists is there. What the source's head names too is read with its shard; what only pins hold is read
 * here, every byte, once for all pins that share it (I9).
 */
import { isStoreError } from '#base/errors.ts';
import { equalSums, parseSum, sumOf } from '#base/setsum.ts';
import { decodeCollection } from '#catalog/collections-codec.ts';
import { type PinRow, readPins } from '#catalog/pins.ts';
import { type Cut, decodeCut, pinOfKey } from '#manifest/cut.ts';
import { readManifest } from '#manifest/head.ts';
import type { RowKey, Table } from '#ports/table.ts';
import type { CollectionSchema } from '#schema/field.ts';
import type { SegmentEntry } from '#segment/entry.ts';
import type { ScrubBounds, ScrubPorts } from './scrub.ts';
import { addFindings, Findings, type ScrubFindings } from './scrub-findings.ts';
import { scrubAuxiliary } from './scrub-graph.ts';
import { listAll, summary } from './scrub-orphans.ts';
import {
  freshProgress,
  KNOWN_MAX,
  type Orphans,
  readProgress,
  writeProgress,
} from './scrub-progress.ts';
import { scrubSegment } from './scrub-segment.ts';

export type PinScrub = ScrubFindings &
  Readonly<{
    pins: number;
    complete: boolean;
    startedMs: number;
    finishedMs?: number;
    /** Below `snapshots/`, of pins that are gone. */
    orphans?: Orphans;
  }>;

const PROGRESS: RowKey = { partition: 'scrub', sort: 'pins' };

/** Begins a pass anew. */
export const beginPins = ({ table, clock }: ScrubPorts): Promise<void> =>
  writeProgress(table, PROGRESS, freshProgress(clock.nowMs()));

/** As {@link beginPins} left it, or later. */
export async function lastPins(table: Table): Promise<Omit<PinScrub, 'pins'> | undefined> {
  const progress = (await readProgress(table, PROGRESS))?.progress;
  if (progress === undefined) return undefined;
  const { format: _, known: __, found, ...times } = progress;
  return { complete: times.finishedMs !== undefined, ...times, ...found };
}

/** Where the row of a pass remembers the last pin that was read. */
const AFTER = 'after';

/**
 * Goes on with the pass under way, within the bounds, or begins one.
 *
 * @throws StoreError whatever the ports throw that is no word about an object's bytes, and
 *   `DATA_CORRUPT` for a pin's row: what it holds is not known
 */
export async function scrubPins(
  ports: ScrubPorts,
  bounds: ScrubBounds,
): Promise<PinScrub & Readonly<{ runBytes: number }>> {
  const last = (await readProgress(ports.table, PROGRESS))?.progress;
  const isOver = last === undefined || last.finishedMs !== undefined;
  const before = isOver ? freshProgress(ports.clock.nowMs()) : last;
  const findings = new Findings(ports.objects, ports.telemetry, 'pins');
  const { [AFTER]: first = '', ...seen } = before.known;
  const run = { ports, findings, bounds, seen: new Map(Object.entries(seen)), heads: new Map() };
  // In the order of their keys; one that is made meanwhile before the place is for the next pass.
  // One that has neither a name nor holders any more holds nothing, and collect takes its cut (I6).
  const pins = (await readPins(ports.table)).filter(
    ({ pin: { state, name, holders } }) =>
      state === 'complete' && (name !== undefined || holders.length > 0),
  );
  let after = first;
  let done = true;
  for (const row of pins.filter(({ key }) => key.sort > first)) {
    done = await scrubPin(run, row);
    if (!done) break;
    after = row.key.sort;
  }
  const found = addFindings(before.found, findings.all());
  const times = {
    startedMs: before.startedMs,
    ...(done ? { finishedMs: ports.clock.nowMs() } : {}),
  };
  const rest = done ? { orphans: await orphanCuts(ports, findings) } : {};
  // The last ones: those of the pin that is not done.
  const latest = Object.fromEntries([...run.seen].slice(-KNOWN_MAX));
  await writeProgress(ports.table, PROGRESS, {
    ...{ format: 1, found, known: done ? {} : { ...latest, [AFTER]: after } },
    ...times,
    ...rest,
  });
  const runBytes = findings.counts.bytes;
  return { pins: pins.length, complete: done, ...times, ...found, ...rest, runBytes };
}

type Run = Readonly<{
  ports: ScrubPorts;
  findings: Findings;
  bounds: ScrubBounds;
  /** Objects that were read in this pass, with size and checksum. */
  seen: Map<string, string>;
  /** By shard, what its head names, in the same way. */
  heads: Map<string, ReadonlyMap<string, string>>;
}>;

/** False where the time was up; the next run goes on behind what was seen. */
async function scrubPin(run: Run, { pin }: PinRow): Promise<boolean> {
  const { findings, bounds, ports } = run;
  const { cut } = pin;
  if (cut === undefined) return true;
  const name = pin.name ?? pin.pinId;
  const decoded = await whereNamed(run, cut.key, name, async () => {
    const found = decodeCut(await findings.objects.get(cut.key), `cut ${cut.key}`);
    findings.verified();
    checkCut(findings, cut.key, cut.logTimeMs, found);
    return { cut: found, ...decodeCollection(found.definition, `cut ${cut.key}`) };
  });
  if (decoded === undefined) return true;
  const { collectionId } = pin.source;
  for (const { segments, shard, applied } of decoded.cut.manifests) {
    const head = await headOf(run, collectionId, shard);
    for (const entry of segments) {
      const late = ports.clock.nowMs() >= bounds.untilMs;
      const { objects, bytes } = findings.counts;
      if (objects > 1 && (late || bytes >= bounds.bytesMax)) return false;
      await scrubEntry(run, head, name, decoded.schema, entry, applied);
    }
  }
  return true;
}

function checkCut(findings: Findings, key: string, logTimeMs: number, cut: Cut): void {
  findings.check(key, cut.logTimeMs === logTimeMs, 'of another log time than its pin says');
  for (const { shard, sums, logTimeMs: own } of cut.manifests) {
    const total = sumOf(parseSum(sums.held), parseSum(sums.out));
    const agrees = equalSums(total, parseSum(sums.in));
    findings.check(key, agrees, `shard ${shard}: held + out is not in`);
    findings.check(key, own <= cut.logTimeMs, `shard ${shard}: content of a later log time`);
  }
}

/** A head that cannot be read is its own shard's finding; then the pin's objects are all read here. */
async function headOf(
  { ports, heads }: Run,
  collectionId: number,
  shard: number,
): Promise<ReadonlyMap<string, string>> {
  const name = `${collectionId}/${shard}`;
  const known = heads.get(name);
  if (known !== undefined) return known;
  let named = new Map<string, string>();
  try {
    const { manifest } = await readManifest(ports, { collectionId, shard });
    named = new Map(manifest.segments.flatMap(checksumsOf));
  } catch (error) {
    const isGone =
      isStoreError(error, 'COLLECTION_NOT_FOUND') ||
      isStoreError(error, 'DATA_CORRUPT') ||
      isStoreError(error, 'OBJECT_NOT_FOUND');
    if (!isGone) throw error;
  }
  heads.set(name, named);
  return named;
}

const checksumsOf = (entry: SegmentEntry): [string, string][] =>
  [entry, ...entry.auxiliary].map(({ key, sizeBytes, footerCrc32 }) => [
    key,
    `${sizeBytes} ${footerCrc32}`,
  ]);

async function scrubEntry(
  run: Run,
  head: ReadonlyMap<string, string>,
  pin: string,
  schema: CollectionSchema,
  entry: SegmentEntry,
  applied: string,
): Promise<void> {
  const { findings, seen } = run;
  const wanted = new Map(
    checksumsOf(entry).filter(([key, sum]) => head.get(key) !== sum && seen.get(key) !== sum),
  );
  for (const [key, sum] of wanted) seen.set(key, sum);
  if (wanted.has(entry.key)) {
    await whereNamed(run, entry.key, pin, () => scrubSegment(findings, schema, entry, applied));
  }
  for (const auxiliary of entry.auxiliary.filter(({ key }) => wanted.has(key))) {
    await whereNamed(run, auxiliary.key, pin, () => scrubAuxiliary(findings, auxiliary, undefined));
  }
}

/** Notes an object that is not there as missing, where the pin still wants it. */
async function whereNamed<T>(
  { ports, findings }: Run,
  key: string,
  name: string,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await findings.attempt(key, work);
  } catch (error) {
    if (!isStoreError(error, 'OBJECT_NOT_FOUND')) throw error;
    const pins = await readPins(ports.table);
    if (pins.some(({ pin }) => (pin.name ?? pin.pinId) === name)) {
      findings.missing(key, `snapshot ${name} names it`);
    }
    return undefined;
  }
}

async function orphanCuts({ table }: ScrubPorts, { objects }: Findings): Promise<Orphans> {
  const listed = await listAll(objects, 'snapshots/');
  const pinIds = new Set((await readPins(table)).map(({ pin }) => pin.pinId));
  return summary(listed.filter(({ key }) => !pinIds.has(pinOfKey(key) ?? '')));
}
