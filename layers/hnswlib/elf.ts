/**
 * What a shared library of 64 bits, little endian, asks of the machine that loads it: read from the
 * file itself, so that the checks need no binutils. Layouts as in the ELF specification and, for symbol
 * versions, in the Linux Standard Base (verneed, vernaux, versym).
 */

export type Elf = Readonly<{
  /** `e_machine`: 62 is x86-64, 183 is AArch64. */
  machine: number;
  /** Libraries that are loaded with it. */
  needed: readonly string[];
  /** Folders that it would search first (RPATH and RUNPATH). */
  searchPaths: readonly string[];
  /** Versioned interfaces that those libraries must have, as `GLIBC_2.29`. */
  versions: readonly Readonly<{ library: string; version: string }>[];
  /** Symbols that somebody must have, without a version: the program that loads it, usually. */
  open: readonly string[];
}>;

const SHT_DYNAMIC = 6;
const SHT_DYNSYM = 11;
const SHT_VERNEED = 0x6ffffffe;
const SHT_VERSYM = 0x6fffffff;
const DT_NEEDED = 1;
const DT_RPATH = 15;
const DT_RUNPATH = 29;
const ET_DYN = 3;
const STB_GLOBAL = 1;
const SHN_UNDEF = 0;
/** Index 0 is local, 1 global without a version; those above name an entry of verneed. */
const VERSIONS_FROM = 2;
/** The highest bit says that a version is not the default one. */
const VERSION_BITS = 0x7fff;

type Section = Readonly<{
  type: number;
  at: number;
  sizeBytes: number;
  link: number;
  info: number;
}>;

/** @throws RangeError or Error where the bytes are no such library */
export function readElf(bytes: Uint8Array): Elf {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== 0x7f454c46) throw new Error('not an ELF file');
  if (bytes[4] !== 2 || bytes[5] !== 1) throw new Error('not of 64 bits, little endian');
  if (view.getUint16(16, true) !== ET_DYN) throw new Error('not a shared library');
  const file = new ElfFile(view);
  return {
    machine: view.getUint16(18, true),
    needed: file.dynamic(DT_NEEDED),
    searchPaths: [...file.dynamic(DT_RPATH), ...file.dynamic(DT_RUNPATH)],
    versions: file.versions(),
    open: file.open(),
  };
}

class ElfFile {
  readonly #view: DataView;
  readonly #sections: readonly Section[];

  constructor(view: DataView) {
    this.#view = view;
    const [table, sizeBytes, count] = [this.#u64(40), this.#u16(58), this.#u16(60)];
    if (count === 0) throw new Error('a library without a section table');
    this.#sections = Array.from({ length: count }, (_, index) => {
      const at = table + index * sizeBytes;
      return {
        type: this.#u32(at + 4),
        at: this.#u64(at + 24),
        sizeBytes: this.#u64(at + 32),
        link: this.#u32(at + 40),
        info: this.#u32(at + 44),
      };
    });
  }

  dynamic(tag: number): string[] {
    const section = this.#section(SHT_DYNAMIC);
    return this.#entries(section, 16)
      .filter((at) => this.#u64(at) === tag)
      .map((at) => this.#text(section, this.#u64(at + 8)));
  }

  versions(): Elf['versions'] {
    const section = this.#section(SHT_VERNEED);
    const found: { library: string; version: string }[] = [];
    // `info` is the number of libraries; each has a chain of versions.
    for (let need = 0, at = section.at; need < section.info; need++) {
      const library = this.#text(section, this.#u32(at + 4));
      let aux = at + this.#u32(at + 8);
      for (let version = 0; version < this.#u16(at + 2); version++) {
        found.push({ library, version: this.#text(section, this.#u32(aux + 8)) });
        aux += this.#u32(aux + 12);
      }
      at += this.#u32(at + 12);
    }
    return found;
  }

  open(): string[] {
    const section = this.#section(SHT_DYNSYM);
    const versions = this.#section(SHT_VERSYM);
    return this.#entries(section, 24).flatMap((at, index) => {
      const binding = this.#view.getUint8(at + 4) >> 4;
      const version = this.#u16(versions.at + 2 * index) & VERSION_BITS;
      const isOpen =
        this.#u16(at + 6) === SHN_UNDEF && binding === STB_GLOBAL && version < VERSIONS_FROM;
      return isOpen ? [this.#text(section, this.#u32(at))] : [];
    });
  }

  #section(type: number): Section {
    const section = this.#sections.find((each) => each.type === type);
    if (section === undefined) throw new Error(`a library without section type ${type}`);
    return section;
  }

  #entries(section: Section, sizeBytes: number): number[] {
    const count = Math.floor(section.sizeBytes / sizeBytes);
    return Array.from({ length: count }, (_, index) => section.at + index * sizeBytes);
  }

  /** The text at an offset of the string table that belongs to a section. */
  #text(section: Section, offset: number): string {
    const strings = this.#sections[section.link];
    if (strings === undefined) throw new Error('a section without its strings');
    const from = strings.at + offset;
    let to = from;
    while (this.#view.getUint8(to) !== 0) to++;
    return new TextDecoder().decode(
      new Uint8Array(this.#view.buffer, this.#view.byteOffset + from, to - from),
    );
  }

  #u16(at: number): number {
    return this.#view.getUint16(at, true);
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  #u64(at: number): number {
    return Number(this.#view.getBigUint64(at, true));
  }
}
