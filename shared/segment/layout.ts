/**
 * The one container of data objects and graph objects: sections, and a directory behind them.
 *
 * Normative text: docs/formats/segment.md. A reader needs only the directory (*footer*), whose place
 * the manifest tells or the trailer at the object's end; sections are read alone, or by ranges of
 * checksummed blocks. Sections that are optional and unknown are skipped; unknown required ones and
 * newer versions are refused, so that a reader never misunderstands what it skips.
 */
import { assert } from '#base/assert.ts';
import { ByteReader, ByteWriter, bytesOf, crc32 } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';

export const FORMAT_VERSION = 1;
/** Sections start at cache lines, so that every typed view of one is aligned. */
export const SECTION_ALIGN = 64;
/**
 * One checksum each: reading 10 vectors of 768 dimensions scattered over a segment touches 2.5 MiB
 * at most, and the checksums of 1 GiB take 16 KiB of footer.
 */
export const BLOCK_BYTES = 256 * 1024;
export const HEADER_BYTES = 64;
export const TRAILER_BYTES = 32;
/** 64 fields of a collection with two sections each, 20 others, and room for 100 unknown ones. */
const SECTIONS_MAX = 256;
/** 16 KiB of checksums per GiB and 100 bytes per section; far above what is ever written. */
export const FOOTER_BYTES_MAX = 1024 * 1024;

const MAGIC = 'SternaC\n';
const FOOTER_MAGIC = 'SternaD\n';
const TRAILER_MAGIC = 'SternaE\n';
const REQUIRED = 1;

/** How a section's bytes are laid out. Never reused; unknown numbers may come from newer writers. */
export const SECTION_TYPES = {
  column: 1,
  float32: 2,
  uint32: 3,
  bitmap: 4,
  stamps: 5,
  tombstones: 6,
  archive: 7,
  'archive-ids': 8,
  stats: 9,
  fields: 10,
  hnswlib: 11,
  facts: 12,
} as const;
export type SectionType = keyof typeof SECTION_TYPES;

export type SectionPlan = Readonly<{
  /** Unique in its object; `column/101` is the column of field 101. */
  name: string;
  type: number;
  /** A reader that does not know a required section must not read the object. */
  required: boolean;
  length: number;
}>;

export type Section = SectionPlan &
  Readonly<{
    offset: number;
    /** One CRC-32 per {@link BLOCK_BYTES}. */
    blockCrcs: Uint32Array;
  }>;

/** The directory of one object. */
export type Footer = Readonly<{ key: string; sections: ReadonlyMap<string, Section> }>;

/** Where a footer lies. */
export type FooterPlace = Readonly<{ key: string; footerOffset: number; footerBytes: number }>;

/** What the manifest keeps: where the footer lies, and the checksum that ends it. */
export type FooterRef = FooterPlace & Readonly<{ footerCrc32: number }>;

/** An object whose bytes end as they should: all that opening it needs besides its content. */
export type SealedContainer = Readonly<{
  bytes: Uint8Array;
  footerOffset: number;
  footerBytes: number;
  footerCrc32: number;
}>;

/** An object being written: one buffer from the start, whose sections are filled in place. */
export type Container = Readonly<{
  /** The section's bytes, to be filled before {@link Container.seal}. */
  section(name: string): Uint8Array;
  /** Computes the checksums and writes the footer. Call it once. */
  seal(): SealedContainer;
}>;

/**
 * Lays out an object of the given sections. Nothing is copied later: large sections are read or
 * computed straight into the object.
 *
 * @param allocate makes the buffer, zeroed; a shared one lets a worker thread see it
 */
export function layContainer(
  plans: readonly SectionPlan[],
  allocate = (sizeBytes: number): Uint8Array => new Uint8Array(sizeBytes),
): Container {
  assert(plans.length <= SECTIONS_MAX, `at most ${SECTIONS_MAX} sections, not ${plans.length}`);
  const sections = placeSections(plans);
  const last = sections.at(-1);
  const footerOffset = last === undefined ? HEADER_BYTES : aligned(last.offset + last.length);
  const footerBytes = encodeFooter(sections).length;
  const bytes = allocate(footerOffset + footerBytes + TRAILER_BYTES);
  const byName = new Map(sections.map((section) => [section.name, section]));
  assert(byName.size === plans.length, 'section names are unique');
  return {
    section(name) {
      const section = byName.get(name);
      assert(section !== undefined, `the container has a section ${name}`);
      return bytes.subarray(section.offset, section.offset + section.length);
    },
    seal() {
      bytes.set(encodeHeader());
      for (const { offset, length, blockCrcs } of sections) {
        blockCrcs.set(crcBlocks(bytes.subarray(offset, offset + length)));
      }
      const footer = encodeFooter(sections);
      bytes.set(footer, footerOffset);
      bytes.set(encodeTrailer(footerOffset, footerBytes), footerOffset + footerBytes);
      return { bytes, footerOffset, footerBytes, footerCrc32: lastU32(footer, 'footer') };
    },
  };
}

const aligned = (offset: number): number => Math.ceil(offset / SECTION_ALIGN) * SECTION_ALIGN;

function placeSections(plans: readonly SectionPlan[]): Section[] {
  let offset = HEADER_BYTES;
  return plans.map((plan) => {
    const section = { ...plan, offset, blockCrcs: new Uint32Array(blocksOf(plan.length)) };
    offset = aligned(offset + plan.length);
    return section;
  });
}

export const blocksOf = (length: number): number => Math.ceil(length / BLOCK_BYTES);

function crcBlocks(bytes: Uint8Array): Uint32Array {
  const crcs = new Uint32Array(blocksOf(bytes.length));
  for (let block = 0; block < crcs.length; block++) {
    crcs[block] = crc32(bytes.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
  }
  return crcs;
}

function encodeHeader(): Uint8Array {
  return new ByteWriter(HEADER_BYTES).raw(ascii(MAGIC)).u32(FORMAT_VERSION).finish();
}

function encodeFooter(sections: readonly Section[]): Uint8Array {
  const writer = new ByteWriter();
  writer.raw(ascii(FOOTER_MAGIC)).u32(FORMAT_VERSION).u32(sections.length);
  for (const { name, type, required, offset, length, blockCrcs } of sections) {
    writer
      .string(name)
      .varint(type)
      .u8(required ? REQUIRED : 0);
    // Eight bytes each: the footer's size must not depend on what is filled in later.
    writer.f64(offset).f64(length).raw(bytesOf(blockCrcs));
  }
  return writer.u32(crc32(writer.view())).finish();
}

function encodeTrailer(footerOffset: number, footerBytes: number): Uint8Array {
  const writer = new ByteWriter(TRAILER_BYTES);
  writer.f64(footerOffset).u32(footerBytes).u32(FORMAT_VERSION).u32(0);
  return writer.u32(crc32(writer.view())).raw(ascii(TRAILER_MAGIC)).finish();
}

/**
 * Where the footer of an object lies, from the object's last {@link TRAILER_BYTES}.
 *
 * @throws StoreError `DATA_CORRUPT`; `FORMAT_TOO_NEW`
 */
export function decodeTrailer(key: string, sizeBytes: number, bytes: Uint8Array): FooterPlace {
  const reader = new ByteReader(bytes, `trailer of ${key}`);
  const footerOffset = reader.f64();
  const footerBytes = reader.u32();
  const version = reader.u32();
  const reserved = reader.u32();
  if (reader.u32() !== crc32(bytes.subarray(0, 20))) reader.fail('checksum does not match');
  if (!isMagic(reader.raw(8), TRAILER_MAGIC)) reader.fail('no trailer magic');
  reader.end();
  requireVersion(key, version);
  if (footerOffset + footerBytes + TRAILER_BYTES !== sizeBytes || reserved !== 0) {
    reader.fail(`the footer does not end before the trailer of ${sizeBytes} bytes`);
  }
  return { key, footerOffset, footerBytes };
}

/**
 * Reads the directory, checks that it is the one that the manifest names and that every section lies
 * before it.
 *
 * @throws StoreError `DATA_CORRUPT` naming the object; `FORMAT_TOO_NEW`
 */
export function decodeFooter(ref: FooterRef, bytes: Uint8Array): Footer {
  const { key, footerOffset, footerCrc32 } = ref;
  const what = `footer of ${key}`;
  if (bytes.length < 4) throw new StoreError('DATA_CORRUPT', `${what}: ${bytes.length} bytes`);
  const body = bytes.subarray(0, bytes.length - 4);
  const sum = lastU32(bytes, what);
  const reader = new ByteReader(body, what);
  if (sum !== crc32(body)) reader.fail('checksum does not match');
  if (sum !== footerCrc32) failAsAnother(key);
  if (!isMagic(reader.raw(8), FOOTER_MAGIC)) reader.fail('no footer magic');
  requireVersion(key, reader.u32());
  const count = reader.u32();
  if (count > SECTIONS_MAX) reader.fail(`${count} sections`);
  const sections = new Map<string, Section>();
  for (let index = 0; index < count; index++) {
    const section = decodeSection(reader, footerOffset);
    if (sections.has(section.name)) reader.fail(`section ${section.name} twice`);
    sections.set(section.name, section);
  }
  reader.end();
  return { key, sections };
}

/** @throws StoreError `DATA_CORRUPT`: the object is whole, but it is another one */
export function failAsAnother(key: string): never {
  throw new StoreError('DATA_CORRUPT', `${key} is not the object that the manifest names`);
}

const lastU32 = (bytes: Uint8Array, what: string): number =>
  new ByteReader(bytes.subarray(bytes.length - 4), what).u32();

function decodeSection(reader: ByteReader, end: number): Section {
  const name = reader.string();
  const type = reader.varint();
  const flags = reader.u8();
  const offset = reader.f64();
  const length = reader.f64();
  if (flags > REQUIRED) reader.fail(`section ${name} has unknown flags`);
  const placed =
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    length >= 0 &&
    offset >= HEADER_BYTES &&
    offset % SECTION_ALIGN === 0 &&
    offset + length <= end;
  if (!placed) reader.fail(`section ${name} lies outside of the object`);
  const crcs = new ByteReader(reader.raw(blocksOf(length) * 4), `checksums of ${name}`);
  const blockCrcs = Uint32Array.from({ length: blocksOf(length) }, () => crcs.u32());
  return { name, type, required: flags === REQUIRED, offset, length, blockCrcs };
}

/**
 * Refuses an object with a required section that this reader does not know.
 *
 * @param known types by the first step of a section's name
 * @throws StoreError `FORMAT_TOO_NEW`
 */
export function requireKnown(footer: Footer, known: Readonly<Record<string, SectionType>>): void {
  for (const { name, type, required } of footer.sections.values()) {
    const step = name.split('/', 1)[0] ?? '';
    const knownType = Object.hasOwn(known, step) ? known[step] : undefined;
    if (required && (knownType === undefined || SECTION_TYPES[knownType] !== type)) {
      const message = `${footer.key}: section ${name} (type ${type}) needs a newer Sterna`;
      throw new StoreError('FORMAT_TOO_NEW', message);
    }
  }
}

function requireVersion(key: string, version: number): void {
  if (version > FORMAT_VERSION) {
    throw new StoreError(
      'FORMAT_TOO_NEW',
      `${key} has format version ${version}; this Sterna reads up to ${FORMAT_VERSION}`,
    );
  }
  if (version === 0) throw new StoreError('DATA_CORRUPT', `${key} has format version 0`);
}

const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const isMagic = (bytes: Uint8Array, magic: string): boolean =>
  Buffer.compare(bytes, ascii(magic)) === 0;
