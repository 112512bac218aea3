/**
 * The archive: what apply remembers of every record of a batch, kept in the level-0 object.
 *
 * The ids of effective writes lie in a section of their own, so that a restarted apply fills its id
 * window with two small reads an object.
 */

import { assert } from '#base/assert.ts';
import { ByteReader, ByteWriter, fromHex, toHex } from '#base/bytes.ts';
import type { RecordPosition } from '#base/position.ts';
import { readRecordPosition, readU32, writePosition } from '#wal/position-codec.ts';
import { VERDICTS } from '#wal/record.ts';
import type { ArchiveEntry, ArchiveRef } from './entry.ts';
import { requireKnown, SECTION_TYPES } from './layout.ts';
import { SEGMENT_SECTIONS } from './names.ts';
import { type ObjectReads, readFooter, readSection } from './sections.ts';

/** What apply remembers of an effective write, to recognise its retries. */
export type RememberedId = Readonly<{
  recordId: string;
  position: RecordPosition;
  logTimeMs: number;
}>;

const KINDS = ['write', 'fence'] as const;
const ID_BYTES = 16;

/** Every entry of an archive object, in log order. */
export async function readArchive(
  ports: Readonly<{ objects: ObjectReads }>,
  ref: ArchiveRef,
): Promise<ArchiveEntry[]> {
  const bytes = await readArchiveSection(ports.objects, ref, 'archive');
  return bytes === undefined ? [] : decodeArchive(bytes, `archive of ${ref.key}`);
}

/** The ids of the effective writes of an archive object, in log order. */
export async function readArchiveIds(
  ports: Readonly<{ objects: ObjectReads }>,
  ref: ArchiveRef,
): Promise<RememberedId[]> {
  const bytes = await readArchiveSection(ports.objects, ref, 'archive-ids');
  return bytes === undefined ? [] : decodeArchiveIds(bytes, `archive ids of ${ref.key}`);
}

async function readArchiveSection(
  objects: ObjectReads,
  ref: ArchiveRef,
  name: 'archive' | 'archive-ids',
): Promise<Uint8Array | undefined> {
  const footer = await readFooter(objects, ref);
  requireKnown(footer, SEGMENT_SECTIONS);
  const section = footer.sections.get(name);
  if (section === undefined || section.type !== SECTION_TYPES[name]) return undefined;
  return await readSection(objects, ref.key, section);
}

export function encodeArchive(entries: readonly ArchiveEntry[]): Uint8Array {
  const writer = new ByteWriter(64 * entries.length + 16);
  writer.varint(entries.length);
  for (const entry of entries) {
    writeId(writer, entry.recordId);
    writer.u8(KINDS.indexOf(entry.kind)).u8(VERDICTS.indexOf(entry.verdict));
    writePosition(writer, entry.position);
    writePosition(writer, entry.previous);
    writer.varint(entry.logTimeMs).varint(entry.fenceNumber).varint(entry.epoch);
    writer.varint(entry.schemaVersion).varint(entry.rows).varint(entry.tombstones);
    if (entry.body === undefined) writer.u8(0);
    else writer.u8(1).bytes(entry.body);
  }
  return writer.finish();
}

/** @throws StoreError `DATA_CORRUPT` for whatever is no archive */
export function decodeArchive(bytes: Uint8Array, what: string): ArchiveEntry[] {
  const reader = new ByteReader(bytes, what);
  const count = readU32(reader, 'entry count');
  const entries: ArchiveEntry[] = [];
  for (let index = 0; index < count; index++) entries.push(readEntry(reader));
  reader.end();
  return entries;
}

function readEntry(reader: ByteReader): ArchiveEntry {
  const recordId = toHex(reader.raw(ID_BYTES));
  const kind = KINDS[reader.u8()] ?? reader.fail('an unknown kind of record');
  const verdict = VERDICTS[reader.u8()] ?? reader.fail('an unknown verdict');
  const entry = {
    recordId,
    kind,
    verdict,
    position: readRecordPosition(reader),
    previous: readRecordPosition(reader),
    logTimeMs: reader.varint(),
    fenceNumber: reader.varint(),
    epoch: reader.varint(),
    schemaVersion: reader.varint(),
    rows: reader.varint(),
    tombstones: reader.varint(),
  };
  const hasBody = reader.u8();
  if (hasBody > 1) reader.fail('an unknown flag');
  return hasBody === 1 ? { ...entry, body: new Uint8Array(reader.bytes()) } : entry;
}

export function encodeArchiveIds(entries: readonly ArchiveEntry[]): Uint8Array {
  const effective = entries.filter(
    ({ kind, verdict }) => kind === 'write' && verdict === 'effective',
  );
  const writer = new ByteWriter(40 * effective.length + 16);
  writer.varint(effective.length);
  for (const { recordId, position, logTimeMs } of effective) {
    writeId(writer, recordId);
    writePosition(writer, position);
    writer.varint(logTimeMs);
  }
  return writer.finish();
}

export function decodeArchiveIds(bytes: Uint8Array, what: string): RememberedId[] {
  const reader = new ByteReader(bytes, what);
  const count = readU32(reader, 'id count');
  const ids: RememberedId[] = [];
  for (let index = 0; index < count; index++) {
    ids.push({
      recordId: toHex(reader.raw(ID_BYTES)),
      position: readRecordPosition(reader),
      logTimeMs: reader.varint(),
    });
  }
  reader.end();
  return ids;
}

function writeId(writer: ByteWriter, recordId: string): void {
  const bytes = fromHex(recordId);
  assert(bytes.length === ID_BYTES && toHex(bytes) === recordId, `record id ${recordId}`);
  writer.raw(bytes);
}
