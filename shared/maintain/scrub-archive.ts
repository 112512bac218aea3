/**
 * Archive entries: they decode, follow each other without a gap, say as many rows as there are, and the
 * ids that apply remembers are those of the effective writes.
 */
import type { RecordPosition } from '#base/position.ts';
import { decodeArchive, decodeArchiveIds } from '#segment/archive.ts';
import type { ArchiveEntry, ArchiveRef, SegmentEntry } from '#segment/entry.ts';
import { type Footer, type FooterRef, requireKnown, TRAILER_BYTES } from '#segment/layout.ts';
import { SEGMENT_SECTIONS } from '#segment/names.ts';
import { type ObjectReads, readFooter, readSection } from '#segment/sections.ts';
import type { RowStamps } from '#segment/source.ts';
import type { Report } from './scrub-checks.ts';
import { openReads, verifyRest } from './scrub-container.ts';
import type { Findings } from './scrub-findings.ts';

/** The archive of a segment beside its rows. */
export async function checkArchive(
  reads: ObjectReads,
  footer: Footer,
  entry: SegmentEntry,
  stamps: RowStamps,
  report: Report,
): Promise<void> {
  const entries = await readEntries(reads, footer, entry.key, report);
  if (entries === undefined) return;
  const writes = entries.filter(isWrite);
  const total = (count: 'rows' | 'tombstones'): number =>
    writes.reduce((sum, write) => sum + write[count], 0);
  if (total('rows') !== entry.rows || total('tombstones') !== entry.tombstones) {
    report(
      `its archive has ${total('rows')} rows and ${total('tombstones')} tombstones, the manifest says ${entry.rows} and ${entry.tombstones}`,
    );
  }
  const times = new Map(writes.map(({ position, logTimeMs }) => [position, logTimeMs]));
  const known = stamps.records.every(
    (record, index) => times.get(record) === stamps.logTimesMs[index],
  );
  if (!known) report('rows of records that its archive does not know');
}

const isWrite = ({ kind, verdict }: ArchiveEntry): boolean =>
  kind === 'write' && verdict === 'effective';

async function readEntries(
  reads: ObjectReads,
  footer: Footer,
  key: string,
  report: Report,
): Promise<readonly ArchiveEntry[] | undefined> {
  const section = footer.sections.get('archive');
  if (section === undefined) return undefined;
  const entries = decodeArchive(await readSection(reads, key, section), `archive of ${key}`);
  for (const [index, { position, previous, logTimeMs }] of entries.entries()) {
    const before = entries[index - 1];
    if (before === undefined) continue;
    const follows = previous === before.position && position > previous;
    if (!follows || logTimeMs < before.logTimeMs) report(`archive entry ${index} does not follow`);
  }
  const idSection = footer.sections.get('archive-ids');
  if (idSection === undefined) {
    report('an archive without ids');
    return entries;
  }
  const ids = decodeArchiveIds(await readSection(reads, key, idSection), `archive ids of ${key}`);
  const nameOf = (id: Pick<ArchiveEntry, 'recordId' | 'position' | 'logTimeMs'>): string =>
    `${id.recordId} ${id.position} ${id.logTimeMs}`;
  if (ids.map(nameOf).join() !== entries.filter(isWrite).map(nameOf).join()) {
    report('its ids are not those of its effective writes');
  }
  return entries;
}

/**
 * An archive object of the id window whose rows are elsewhere by now.
 *
 * @throws StoreError `OBJECT_NOT_FOUND`
 */
export async function scrubArchive(findings: Findings, ref: ArchiveRef): Promise<void> {
  const { key } = ref;
  findings.verified();
  const sizeBytes = ref.footerOffset + ref.footerBytes + TRAILER_BYTES;
  await findings.attempt(key, async () => {
    const reads = await openReads(findings.objects, { key, sizeBytes });
    const footer = await openFooter(reads, ref);
    const report = (what: string): void => findings.damaged(key, what);
    await findings.attempt(key, () => readEntries(reads, footer, key, report));
    const attempt = (work: () => Promise<void>) => findings.attempt(key, work);
    await verifyRest(reads, ref, footer, new Set(), attempt);
  });
}

async function openFooter(reads: ObjectReads, ref: FooterRef): Promise<Footer> {
  const footer = await readFooter(reads, ref);
  requireKnown(footer, SEGMENT_SECTIONS);
  return footer;
}

/**
 * The id window as a chain: each archive begins where the one before ended, and the last ends with what
 * is applied. Two small reads an archive.
 *
 * @throws StoreError `OBJECT_NOT_FOUND`
 */
export async function checkChain(
  findings: Findings,
  window: readonly ArchiveRef[],
  applied: RecordPosition,
): Promise<void> {
  let last: RecordPosition | undefined;
  for (const ref of window) {
    const ends = await findings.attempt(ref.key, () => endsOf(findings, ref));
    if (ends === undefined) {
      // Damaged, and said so: what lies on both sides of it is not compared.
      last = undefined;
      continue;
    }
    findings.check(
      ref.key,
      last === undefined || ends.first.previous === last,
      'does not follow the archive before it',
    );
    findings.check(
      ref.key,
      ends.last.logTimeMs === ref.logTimeMs,
      'ends at another log time than the manifest says',
    );
    last = ends.last.position;
  }
  const newest = window.at(-1);
  if (newest === undefined || last === undefined) return;
  findings.check(newest.key, last === applied, 'does not end with the applied position');
}

type Ends = Readonly<{ first: ArchiveEntry; last: ArchiveEntry }>;

async function endsOf(findings: Findings, ref: ArchiveRef): Promise<Ends | undefined> {
  const footer = await openFooter(findings.objects, ref);
  const section = footer.sections.get('archive');
  const bytes = section && (await readSection(findings.objects, ref.key, section));
  const entries = bytes === undefined ? [] : decodeArchive(bytes, `archive of ${ref.key}`);
  const [first, last] = [entries[0], entries.at(-1)];
  if (first !== undefined && last !== undefined) return { first, last };
  findings.damaged(ref.key, 'an archive without entries');
  return undefined;
}
