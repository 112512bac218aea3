/**
 * A data object against its entry in the manifest, from its bytes: checksums, key order, counts,
 * ranges, statistics, archive entries, and the sum of what it holds (I7).
 *
 * In memory at a time: keys, stamps and scalar columns of one segment, and a few MiB of its vectors.
 */
import { must } from '#base/assert.ts';
import { StoreError } from '#base/errors.ts';
import type { RecordPosition } from '#base/position.ts';
import { addSum, type SetSum } from '#base/setsum.ts';
import { tombstonesSum } from '#ingest/level-zero.ts';
import { batchSum } from '#schema/canonical.ts';
import { type Bitmap, bitmapOf, type Column, hasBit, setBit } from '#schema/column.ts';
import type { CollectionSchema, Field } from '#schema/field.ts';
import { gatherColumn } from '#schema/gather.ts';
import { SectionCache } from '#segment/cache.ts';
import type { SegmentEntry } from '#segment/entry.ts';
import { type Footer, requireKnown } from '#segment/layout.ts';
import { SEGMENT_SECTIONS } from '#segment/names.ts';
import { openSegment, type SegmentReader } from '#segment/reader.ts';
import { type ObjectReads, readFooter, readSectionRange } from '#segment/sections.ts';
import type { RowStamps } from '#segment/source.ts';
import { positionAt } from '#segment/stamps.ts';
import { checkArchive } from './scrub-archive.ts';
import { checkKeys, checkRanges, checkStats } from './scrub-checks.ts';
import { openReads, PIECE_BYTES, verifyRest } from './scrub-container.ts';
import type { Findings } from './scrub-findings.ts';

/** What is read twice, such as stamps, stays at hand; scalar columns are held by their users. */
const SECTION_BYTES = 64 * 1024 * 1024;
/** Rows hashed at once where there are no vectors to fill a piece. */
const PIECE_ROWS = 4096;

export type ScrubbedSegment = Readonly<{
  /** Of its rows and tombstones; undefined where they could not be read. */
  sum: SetSum | undefined;
  /** Rows that have a vector, by field id. */
  filled: ReadonlyMap<number, number>;
}>;

/**
 * @param applied no position in it may be newer; undefined where nobody says
 * @throws StoreError `OBJECT_NOT_FOUND`
 */
export async function scrubSegment(
  findings: Findings,
  schema: CollectionSchema,
  entry: SegmentEntry,
  applied?: RecordPosition,
): Promise<ScrubbedSegment> {
  const { key, rows } = entry;
  findings.verified(rows);
  const nothing = { sum: undefined, filled: new Map() };
  const reads = await findings.attempt(key, () => openReads(findings.objects, entry));
  if (reads === undefined) return nothing;
  const footer = await findings.attempt(key, async () => {
    const found = await readFooter(reads, entry);
    requireKnown(found, SEGMENT_SECTIONS);
    return found;
  });
  if (footer === undefined) return nothing;
  const done = new Set<string>();
  const step = { findings, schema, entry, reads, footer, done };
  const content = await findings.attempt(key, () => readContent(step, applied));
  await verifyRest(reads, entry, footer, done, (work) => findings.attempt(key, work));
  return content ?? nothing;
}

type Step = Readonly<{
  findings: Findings;
  schema: CollectionSchema;
  entry: SegmentEntry;
  reads: ObjectReads;
  footer: Footer;
  /** Sections whose bytes were read and right. */
  done: Set<string>;
}>;

async function readContent(
  step: Step,
  applied: RecordPosition | undefined,
): Promise<ScrubbedSegment> {
  const { findings, entry, reads, footer, done } = step;
  const cache = new SectionCache({ sectionBytesMax: SECTION_BYTES, graphBytesMax: 1 });
  const reader = openSegment({ objects: reads }, entry, cache);
  const [keys, stamps] = [await reader.keys(), await reader.stamps()];
  // Not by way of the reader, which takes an entry without tombstones at its word.
  const tombstones = await reader.tombstones();
  if (entry.tombstones > 0) done.add('tombstones');
  await reader.partitions();
  for (const name of footer.sections.keys()) {
    if (/^(key-index\/.*|stamps|partitions)$/.test(name)) done.add(name);
  }
  const report = (what: string): void => findings.damaged(entry.key, what);
  checkKeys(keys, stamps, report);
  checkRanges(entry, keys, stamps, tombstones, applied, report);
  const columns = await readColumns(step, reader);
  await checkStats(reads, footer, entry, columns, report);
  await checkArchive(reads, footer, entry, stamps, report);
  const sum = tombstonesSum(tombstones);
  const filled = await addRows(step, reader, columns, stamps, sum);
  return { sum, filled };
}

/** Scalar columns by field id: those that the segment has, for only they enter the sum. */
async function readColumns(
  { schema, footer, done }: Step,
  reader: SegmentReader,
): Promise<ReadonlyMap<number, Column>> {
  const columns = new Map<number, Column>();
  for (const field of schema.fields) {
    const name = `column/${field.id}`;
    if (field.type === 'FloatVector' || !footer.sections.has(name)) continue;
    columns.set(field.id, await reader.column(field));
    done.add(name);
  }
  return columns;
}

/** Adds the sums of all rows to `sum`, a piece of the vectors at a time. */
async function addRows(
  step: Step,
  reader: SegmentReader,
  columns: ReadonlyMap<number, Column>,
  stamps: RowStamps,
  sum: SetSum,
): Promise<ReadonlyMap<number, number>> {
  const { schema, entry, footer, done } = step;
  const vectors = schema.fields.filter(({ id }) => footer.sections.has(`vectors/${id}`));
  const filled = new Map<number, number>();
  const valid = new Map<number, Bitmap | undefined>();
  for (const field of vectors) {
    const bitmap = await reader.vectorValidity(field);
    valid.set(field.id, bitmap);
    filled.set(field.id, bitmap === undefined ? entry.rows : countRows(bitmap, entry.rows));
    done.add(`validity/${field.id}`);
  }
  const rowBytes = vectors.reduce((total, { dim = 0 }) => total + dim * 4, 0);
  const pieceRows =
    rowBytes === 0 ? PIECE_ROWS : Math.max(1, Math.min(PIECE_ROWS, PIECE_BYTES / rowBytes)) | 0;
  for (let from = 0; from < entry.rows; from += pieceRows) {
    const count = Math.min(pieceRows, entry.rows - from);
    const rows = Uint32Array.from({ length: count }, (_, index) => from + index);
    const piece = new Map<number, Column>();
    for (const [id, column] of columns) piece.set(id, gatherColumn(column, rows));
    for (const field of vectors) {
      piece.set(field.id, await vectorPiece(step, field, valid.get(field.id), from, count));
    }
    const batch = { count, columns: piece, partitions: new Uint32Array(count) };
    addSum(
      sum,
      batchSum(schema, batch, (row) => positionAt(stamps, from + row)),
    );
  }
  for (const { id } of vectors) done.add(`vectors/${id}`);
  return filled;
}

async function vectorPiece(
  { entry, reads, footer }: Step,
  { id, dim = 0 }: Field,
  valid: Bitmap | undefined,
  from: number,
  count: number,
): Promise<Column> {
  const section = must(footer.sections.get(`vectors/${id}`), 'a section that was looked up');
  if (section.length !== entry.rows * dim * 4) {
    throw new StoreError(
      'DATA_CORRUPT',
      `${entry.key}: ${section.name} of ${section.length} bytes`,
    );
  }
  const bytes = await readSectionRange(reads, entry.key, section, from * dim * 4, count * dim * 4);
  // Copied where they do not lie at a multiple of four.
  const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  const values = new Float32Array(buffer, byteOffset, count * dim);
  if (valid === undefined) return { type: 'FloatVector', dim, values };
  const picked = bitmapOf(count);
  for (let row = 0; row < count; row++) if (hasBit(valid, from + row)) setBit(picked, row);
  return { type: 'FloatVector', dim, values, valid: picked };
}

function countRows(bitmap: Bitmap, rows: number): number {
  let count = 0;
  for (let row = 0; row < rows; row++) if (hasBit(bitmap, row)) count += 1;
  return count;
}
