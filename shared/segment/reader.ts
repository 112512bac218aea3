/** Reads a segment's object: each part when first asked for, through the cache, verified. */
import { ByteReader } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import type { Bitmap, Column, KeyColumn } from '#schema/column.ts';
import { decodeColumn } from '#schema/column-codec.ts';
import type { Field } from '#schema/field.ts';
import { emptyColumn, rowsOf } from '#schema/gather.ts';
import { decodeArchive } from './archive.ts';
import { columnBytes, type SectionCache } from './cache.ts';
import type { ArchiveEntry, SegmentEntry } from './entry.ts';
import { BLOCK_BYTES, type Footer, requireKnown, type Section } from './layout.ts';
import { SEGMENT_SECTIONS } from './names.ts';
import { type ObjectReads, readFooter, readSection, readSectionRange } from './sections.ts';
import type {
  KeyIndex,
  KeyRange,
  OnVectors,
  PositionRange,
  RowStamps,
  StampedTombstones,
  VectorSource,
} from './source.ts';
import { readStamps, stampCount } from './stamps.ts';
import { decodeTombstones, noTombstones } from './tombstones.ts';

/**
 * Objects up to here are read whole at the first touch: one GET of 1 MiB costs 27 ms + 14 ms from
 * S3, the six range reads that it replaces 27 ms each.
 */
const WHOLE_OBJECT_BYTES = 1024 * 1024;
/** Vectors are scanned in reads of about this size; two are in memory at a time. */
const CHUNK_BYTES = 8 * 1024 * 1024;
/** A vector column is kept whole only where four such columns fit the cache. */
const WHOLE_COLUMN_SHARE = 1 / 4;
/**
 * Scattered vectors are read this many at a time, each from its block or two: 32 x 256 KiB = 8 MiB in
 * flight, 16 MiB where a vector of 32,768 components straddles two.
 */
const ROWS_AT_ONCE = 32;

/** A segment, read on demand. Opening reads nothing. */
export function openSegment(
  ports: Readonly<{ objects: ObjectReads }>,
  entry: SegmentEntry,
  cache: SectionCache,
): SegmentReader {
  return new SegmentReader(ports.objects, entry, cache);
}

/** Stands for an immutable object; what it read lives in the cache, not here. */
export class SegmentReader implements VectorSource {
  readonly entry: SegmentEntry;
  readonly #objects: ObjectReads;
  readonly #cache: SectionCache;

  constructor(objects: ObjectReads, entry: SegmentEntry, cache: SectionCache) {
    this.entry = entry;
    this.#cache = cache;
    const wholeMax = Math.min(WHOLE_OBJECT_BYTES, cache.limits.sectionBytesMax);
    this.#objects = entry.sizeBytes > wholeMax ? objects : this.#whole(objects);
  }

  get id(): string {
    return this.entry.key;
  }
  get rows(): number {
    return this.entry.rows;
  }
  get tombstoneCount(): number {
    return this.entry.tombstones;
  }
  get keyRange(): KeyRange | undefined {
    return this.entry.keyRange;
  }
  get positionRange(): PositionRange | undefined {
    return this.entry.positionRange;
  }

  keys(): Promise<KeyIndex> {
    return this.#cached('keys', async () => {
      const footer = await this.#footer();
      const name = [...footer.sections.keys()].find((key) => key.startsWith('key-index/'));
      if (name === undefined) return this.#fail('no key index');
      const [column, order] = await Promise.all([
        this.#column(`column/${name.slice('key-index/'.length)}`),
        this.#u32s(name),
      ]);
      if (column?.type !== 'Int64' && column?.type !== 'VarChar') return this.#fail('no keys');
      if (!isPermutation(order)) this.#fail('a key index that is no permutation');
      // Narrowed by its type just above.
      const index: KeyIndex = { column: column as KeyColumn, order };
      return { value: index, sizeBytes: order.byteLength };
    });
  }

  stamps(): Promise<RowStamps> {
    return this.#cached('stamps', async () => {
      const bytes = await this.#bytes('stamps');
      const reader: ByteReader = new ByteReader(bytes, `stamps of ${this.id}`);
      const value = readStamps(reader);
      reader.end();
      if (stampCount(value) !== this.rows) this.#fail(`${stampCount(value)} stamps`);
      return { value, sizeBytes: bytes.length + value.records.length * 60 };
    });
  }

  tombstones(): Promise<StampedTombstones> {
    return this.#cached('tombstones', async () => {
      if (this.tombstoneCount === 0 && this.keyRange !== undefined) {
        const type = typeof this.keyRange.min === 'string' ? 'VarChar' : 'Int64';
        return { value: noTombstones(type), sizeBytes: 0 };
      }
      const bytes = await this.#bytes('tombstones');
      const value = decodeTombstones(bytes, `tombstones of ${this.id}`);
      if (value.count !== this.tombstoneCount) this.#fail(`${value.count} tombstones`);
      return { value, sizeBytes: bytes.length + value.count * 60 };
    });
  }

  partitions(): Promise<Uint32Array> {
    return this.#cached('partitions', async () => {
      const value = await this.#u32s('partitions');
      return { value, sizeBytes: value.byteLength };
    });
  }

  async column(field: Field): Promise<Column> {
    if (field.type !== 'FloatVector') {
      const column = await this.#column(`column/${field.id}`);
      if (column === undefined) return emptyColumn(field, this.rows);
      if (column.type !== field.type) this.#fail(`field ${field.id} is of type ${column.type}`);
      return column;
    }
    const section = await this.#vectors(field);
    if (section === undefined) return emptyColumn(field, this.rows);
    const [values, valid] = await Promise.all([
      this.#wholeVectors(section),
      this.vectorValidity(field),
    ]);
    const column = { type: 'FloatVector' as const, dim: dimOf(field), values };
    return valid === undefined ? column : { ...column, valid };
  }

  async vectorValidity(field: Field): Promise<Bitmap | undefined> {
    const footer = await this.#footer();
    if (!footer.sections.has(`vectors/${field.id}`)) return new Uint8Array((this.rows + 7) >> 3);
    if (!footer.sections.has(`validity/${field.id}`)) return undefined;
    return await this.#cached(`validity/${field.id}`, async () => {
      const value = await this.#bytes(`validity/${field.id}`);
      if (value.length !== (this.rows + 7) >> 3) this.#fail(`validity of ${value.length} bytes`);
      return { value, sizeBytes: value.length };
    });
  }

  async vectorsAt(field: Field, rows: Uint32Array): Promise<Float32Array> {
    const dim = dimOf(field);
    const out = new Float32Array(rows.length * dim);
    const section = await this.#vectors(field);
    if (section === undefined) return out;
    const whole = this.#cache.loadedSection(`${this.id}#${section.name}`);
    if (whole instanceof Float32Array) {
      rows.forEach((row, index) => {
        out.set(whole.subarray(row * dim, (row + 1) * dim), index * dim);
      });
      return out;
    }
    await this.#gatherBlocks(section, dim * 4, rows, new Uint8Array(out.buffer));
    return out;
  }

  /** Copies rows of `size` bytes out of the blocks that they touch, a few rows at a time. */
  async #gatherBlocks(
    section: Section,
    size: number,
    rows: Uint32Array,
    target: Uint8Array,
  ): Promise<void> {
    // In the order of rows, so that neighbours share their blocks.
    const slots = Uint32Array.from(rows, (_, slot) => slot);
    slots.sort((a, b) => (rows[a] ?? 0) - (rows[b] ?? 0));
    for (let from = 0; from < slots.length; from += ROWS_AT_ONCE) {
      const copies = Array.from(slots.subarray(from, from + ROWS_AT_ONCE), (slot) => {
        const place = target.subarray(slot * size, (slot + 1) * size);
        return this.#copyRow(section, rows[slot] ?? 0, place);
      });
      await Promise.all(copies);
    }
  }

  async #copyRow(section: Section, row: number, target: Uint8Array): Promise<void> {
    for (let done = 0; done < target.length; ) {
      const at = row * target.length + done;
      const from = at % BLOCK_BYTES;
      const block = await this.#block(section, Math.floor(at / BLOCK_BYTES));
      const piece = block.subarray(from, from + target.length - done);
      if (piece.length === 0) this.#fail(`there is no row ${row}`);
      target.set(piece, done);
      done += piece.length;
    }
  }

  async scanVectors(field: Field, onChunk: OnVectors): Promise<void> {
    const section = await this.#vectors(field);
    if (section === undefined || this.rows === 0) return;
    const dim = dimOf(field);
    const chunkRows = Math.max(1, Math.floor(CHUNK_BYTES / (dim * 4)));
    const read = this.#chunks(section, dim, chunkRows);
    let next = read(0);
    for (let row = 0; row < this.rows; row += chunkRows) {
      const values = await next;
      if (row + chunkRows < this.rows) {
        next = read(row + chunkRows);
        // A failed read ahead is reported when its turn comes, not as an unhandled rejection.
        next.catch(() => {});
      }
      await onChunk(values, row);
    }
  }

  /** Entries of the records that were folded into this segment; none from level 1 upwards. */
  async archive(): Promise<ArchiveEntry[]> {
    const footer = await this.#footer();
    if (!footer.sections.has('archive')) return [];
    return decodeArchive(await this.#bytes('archive'), `archive of ${this.id}`);
  }

  #chunks(
    section: Section,
    dim: number,
    chunkRows: number,
  ): (row: number) => Promise<Float32Array> {
    const share = this.#cache.limits.sectionBytesMax * WHOLE_COLUMN_SHARE;
    if (section.length <= share) {
      return async (row) =>
        (await this.#wholeVectors(section)).subarray(row * dim, (row + chunkRows) * dim);
    }
    return async (row) => {
      const rows = Math.min(chunkRows, this.rows - row);
      const range = [row * dim * 4, rows * dim * 4] as const;
      return asFloats(await readSectionRange(this.#objects, this.id, section, ...range));
    };
  }

  #wholeVectors(section: Section): Promise<Float32Array> {
    return this.#cached(section.name, async () => {
      const value = asFloats(await readSection(this.#objects, this.id, section));
      return { value, sizeBytes: value.byteLength };
    });
  }

  #block(section: Section, block: number): Promise<Uint8Array> {
    return this.#cached(`${section.name}@${block}`, async () => {
      const from = block * BLOCK_BYTES;
      const length = Math.min(BLOCK_BYTES, section.length - from);
      const value = await readSectionRange(this.#objects, this.id, section, from, length);
      return { value, sizeBytes: value.length };
    });
  }

  async #vectors(field: Field): Promise<Section | undefined> {
    const section = (await this.#footer()).sections.get(`vectors/${field.id}`);
    if (section === undefined) return undefined;
    const due = this.rows * dimOf(field) * 4;
    if (section.length !== due) {
      this.#fail(`section ${section.name} of ${section.length} bytes where ${due} are due`);
    }
    return section;
  }

  async #column(name: string): Promise<Column | undefined> {
    const footer = await this.#footer();
    if (!footer.sections.has(name)) return undefined;
    return await this.#cached(name, async () => {
      const value = decodeColumn(await this.#bytes(name), `${name} of ${this.id}`);
      if (rowsOf(value) !== this.rows) this.#fail(`${name} of ${rowsOf(value)} rows`);
      return { value, sizeBytes: columnBytes(value) };
    });
  }

  async #u32s(name: string): Promise<Uint32Array> {
    const bytes = await this.#bytes(name);
    if (bytes.length !== this.rows * 4) this.#fail(`section ${name} of ${bytes.length} bytes`);
    const { buffer, byteOffset } = aligned(bytes);
    return new Uint32Array(buffer, byteOffset, this.rows);
  }

  async #bytes(name: string): Promise<Uint8Array> {
    const section = (await this.#footer()).sections.get(name);
    if (section === undefined) return this.#fail(`no section ${name}`);
    return await readSection(this.#objects, this.id, section);
  }

  #footer(): Promise<Footer> {
    return this.#cached('footer', async () => {
      const value = await readFooter(this.#objects, this.entry);
      requireKnown(value, SEGMENT_SECTIONS);
      return { value, sizeBytes: this.entry.footerBytes + value.sections.size * 200 };
    });
  }

  #whole(objects: ObjectReads): ObjectReads {
    return {
      get: async (key, range) => {
        const bytes = await this.#cached('object', async () => {
          const value = await objects.get(key);
          const due = this.entry.sizeBytes;
          if (value.length !== due) this.#fail(`${value.length} bytes where ${due} are due`);
          return { value, sizeBytes: value.length };
        });
        const { offset, length } = range ?? { offset: 0, length: bytes.length };
        return bytes.subarray(offset, offset + length);
      },
    };
  }

  #cached<T extends object>(
    part: string,
    load: () => Promise<Readonly<{ value: T; sizeBytes: number }>>,
  ): Promise<T> {
    return this.#cache.section(`${this.id}#${part}`, load);
  }

  #fail(message: string): never {
    throw new StoreError('DATA_CORRUPT', `${this.id} of ${this.rows} rows: ${message}`);
  }
}

function dimOf(field: Field): number {
  if (field.dim !== undefined) return field.dim;
  throw new StoreError('INTERNAL', `field ${field.name} is no vector field`);
}

/** The bytes at a multiple of eight in memory, copied where they are not. */
const aligned = (bytes: Uint8Array): Uint8Array =>
  bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes);

function asFloats(bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, length } = aligned(bytes);
  return new Float32Array(buffer, byteOffset, length / 4);
}

function isPermutation(order: Uint32Array): boolean {
  const seen = new Uint8Array(order.length);
  for (const row of order) {
    if (row >= order.length || seen[row] === 1) return false;
    seen[row] = 1;
  }
  return true;
}
