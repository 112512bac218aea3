/**
 * Segment entries and archive references as bytes: parts of the manifest, whose normative text is
 * docs/formats/manifest.md.
 *
 * Object keys are front-coded: each says how many bytes it shares with the key before it. The keys
 * of a shard share their folder and most of the head version, so that a key takes some 20 bytes.
 */
import { type ByteReader, type ByteWriter, fromUtf8, utf8 } from '#base/bytes.ts';
import type { Key } from '#schema/column.ts';
import type { ArchiveRef, AuxiliaryEntry, SegmentEntry } from '#segment/entry.ts';
import type { KeyRange, PositionRange } from '#segment/source.ts';
import { readRowPosition, readU32, writePosition } from '#wal/position-codec.ts';
import { readStats, writeStats } from './stats-codec.ts';

const FLAG_KEYS = 1;
const FLAG_POSITIONS = 2;
const FLAGS_KNOWN = FLAG_KEYS | FLAG_POSITIONS;
const KEY_INT64 = 0;
const KEY_VARCHAR = 1;
const FACT_NUMBER = 0;
const FACT_STRING = 1;

/** Writes keys, each against the one before. */
export class KeyWriter {
  readonly writer: ByteWriter;
  #last: Uint8Array = new Uint8Array(0);

  constructor(writer: ByteWriter) {
    this.writer = writer;
  }

  key(key: string): void {
    const bytes = utf8(key);
    let shared = 0;
    while (shared < bytes.length && bytes[shared] === this.#last[shared]) shared += 1;
    this.writer.varint(shared).bytes(bytes.subarray(shared));
    this.#last = bytes;
  }
}

/** Reads what {@link KeyWriter} wrote. */
export class KeyReader {
  readonly reader: ByteReader;
  #last: Uint8Array = new Uint8Array(0);

  constructor(reader: ByteReader) {
    this.reader = reader;
  }

  key(): string {
    const shared = this.reader.varint();
    const rest = this.reader.bytes();
    if (shared > this.#last.length) this.reader.fail(`a key that shares ${shared} bytes`);
    const bytes = new Uint8Array(shared + rest.length);
    bytes.set(this.#last.subarray(0, shared));
    bytes.set(rest, shared);
    this.#last = bytes;
    try {
      return fromUtf8(bytes);
    } catch {
      return this.reader.fail('a key that is not UTF-8');
    }
  }
}

export function writeSegment(keys: KeyWriter, entry: SegmentEntry): void {
  const { writer } = keys;
  keys.key(entry.key);
  writer.varint(entry.level).varint(entry.sizeBytes);
  writer.varint(entry.footerOffset).varint(entry.footerBytes).u32(entry.footerCrc32);
  writer.varint(entry.rows).varint(entry.tombstones);
  writer.varint(entry.logTimeRangeMs.min).varint(entry.logTimeRangeMs.max);
  const { keyRange, positionRange } = entry;
  writer.u8(
    (keyRange === undefined ? 0 : FLAG_KEYS) | (positionRange === undefined ? 0 : FLAG_POSITIONS),
  );
  if (keyRange !== undefined) {
    writeKey(writer, keyRange.min);
    writeKey(writer, keyRange.max);
  }
  if (positionRange !== undefined) {
    writePosition(writer, positionRange.min);
    writePosition(writer, positionRange.max);
  }
  writeStats(writer, entry.stats);
  writer.varint(entry.auxiliary.length);
  for (const auxiliary of entry.auxiliary) writeAuxiliary(keys, auxiliary);
}

export function readSegment(keys: KeyReader): SegmentEntry {
  const { reader } = keys;
  const key = keys.key();
  const facts = {
    level: reader.varint(),
    sizeBytes: reader.varint(),
    footerOffset: reader.varint(),
    footerBytes: reader.varint(),
    footerCrc32: reader.u32(),
    rows: readU32(reader, 'row count'),
    tombstones: readU32(reader, 'tombstone count'),
    logTimeRangeMs: { min: reader.varint(), max: reader.varint() },
  };
  const flags = reader.u8();
  if ((flags & ~FLAGS_KNOWN) !== 0) reader.fail(`unknown segment flags ${flags}`);
  const keyRange: KeyRange | undefined =
    (flags & FLAG_KEYS) === 0 ? undefined : { min: readKey(reader), max: readKey(reader) };
  const positionRange: PositionRange | undefined =
    (flags & FLAG_POSITIONS) === 0
      ? undefined
      : { min: readRowPosition(reader), max: readRowPosition(reader) };
  const stats = readStats(reader);
  const auxiliary = readMany(reader, () => readAuxiliary(keys));
  return { key, ...facts, keyRange, positionRange, stats, auxiliary };
}

export function writeArchiveRef(keys: KeyWriter, archive: ArchiveRef): void {
  keys.key(archive.key);
  const { writer } = keys;
  writer.varint(archive.footerOffset).varint(archive.footerBytes).u32(archive.footerCrc32);
  writer.varint(archive.logTimeMs);
}

export const readArchiveRef = (keys: KeyReader): ArchiveRef => ({
  key: keys.key(),
  footerOffset: keys.reader.varint(),
  footerBytes: keys.reader.varint(),
  footerCrc32: keys.reader.u32(),
  logTimeMs: keys.reader.varint(),
});

/** As many as the next varint says; each takes a byte at least, so none is read in vain. */
export function readMany<T>(reader: ByteReader, read: () => T): T[] {
  const count = reader.varint();
  if (count > reader.remaining) reader.fail(`${count} entries cannot fit what follows`);
  return Array.from({ length: count }, read);
}

export function writeKey(writer: ByteWriter, key: Key): void {
  if (typeof key === 'bigint') writer.u8(KEY_INT64).i64(key);
  else writer.u8(KEY_VARCHAR).string(key);
}

export function readKey(reader: ByteReader): Key {
  const kind = reader.u8();
  if (kind === KEY_INT64) return reader.i64();
  if (kind !== KEY_VARCHAR) reader.fail(`unknown key kind ${kind}`);
  return reader.string();
}

function writeAuxiliary(keys: KeyWriter, entry: AuxiliaryEntry): void {
  const { writer } = keys;
  writer.string(entry.kind).varint(entry.fieldId);
  keys.key(entry.key);
  writer.varint(entry.sizeBytes).u32(entry.footerCrc32);
  const facts = Object.entries(entry.facts);
  writer.varint(facts.length);
  for (const [name, value] of facts) {
    writer.string(name);
    if (typeof value === 'number') writer.u8(FACT_NUMBER).f64(value);
    else writer.u8(FACT_STRING).string(value);
  }
}

function readAuxiliary(keys: KeyReader): AuxiliaryEntry {
  const { reader } = keys;
  const kind = reader.string();
  const fieldId = reader.varint();
  const key = keys.key();
  const sizeBytes = reader.varint();
  const footerCrc32 = reader.u32();
  const facts = readMany(reader, () => [reader.string(), readFact(reader)] as const);
  return { kind, fieldId, key, sizeBytes, footerCrc32, facts: Object.fromEntries(facts) };
}

function readFact(reader: ByteReader): string | number {
  const kind = reader.u8();
  if (kind === FACT_NUMBER) return reader.f64();
  if (kind !== FACT_STRING) reader.fail(`unknown fact kind ${kind}`);
  return reader.string();
}
