/**
 * What rows may be there, by what their only writer was told.
 *
 * An acknowledged write is there until a later one of the same key. A write whose effect is unknown is
 * *open*: it took effect or will, once, wholly within a shard, or it never will. Until its function is
 * over and the log applied it may still do so, also after later acknowledged writes of the same key,
 * since its place in the order is where it reached the log. Once a read has shown its content, it did.
 * When the dust has settled (`settle`) what is there is what it is: nothing is open any more.
 */
import { shardOf } from '#schema/hash.ts';

/** The stamp of the row that is there; undefined for none. */
export type Content = number | undefined;
export type Row = Readonly<{ id: number; stamp: number; text: string; vector: readonly number[] }>;

type Open = Readonly<{ content: Content }>;
/** `parts`: those of its open writes, also where a read has shown their effect. */
type Known = { acked: Content; open: Open[]; parts: Part[] };
/**
 * One batch's keys in one shard, those whose content it would change. `pure` while nothing else was
 * written to any of them.
 */
type Part = {
  readonly name: string;
  readonly told: readonly number[];
  readonly content: Content;
  pure: boolean;
};

export class Oracle {
  readonly counts = { acknowledged: 0, refused: 0, unknown: 0, parts: 0 };
  lost = 0;
  resurrected = 0;
  torn = 0;
  /** The first few findings, as sentences. */
  readonly findings: string[] = [];
  readonly #shards: number;
  readonly #keys = new Map<number, Known>();
  #parts: Part[] = [];

  constructor(shards: number) {
    this.#shards = shards;
  }

  acknowledged(ids: readonly number[], content: Content): void {
    this.counts.acknowledged += 1;
    for (const id of ids) {
      const known = this.#known(id);
      known.acked = content;
      this.#mix(known);
    }
  }

  refused(): void {
    this.counts.refused += 1;
  }

  unknown(ids: readonly number[], content: Content, batch: number): void {
    this.counts.unknown += 1;
    for (const [name, own] of Map.groupBy(ids, (id) => shardOf(BigInt(id), this.#shards))) {
      const isPure = own.every((id) => this.#known(id).open.length === 0);
      const told = own.filter((id) => this.#known(id).acked !== content);
      const part = { name: `${batch}/${name}`, told, content, pure: isPure };
      for (const id of own) {
        const known = this.#known(id);
        this.#mix(known);
        known.open.push({ content });
        known.parts.push(part);
      }
      this.#parts.push(part);
    }
  }

  /** Keys that nothing open may change: a look at them is exact. */
  isOpen(id: number): boolean {
    return this.#known(id).open.length > 0;
  }

  /** A read of keys that nobody writes to meanwhile; `found` has the rows that it returned. */
  seen(ids: readonly number[], found: readonly Row[]): void {
    const rows = new Map(found.map((row) => [row.id, row]));
    if (rows.size !== found.length)
      this.#torn(`a read returned ${found.length - rows.size} keys twice`);
    for (const row of found) this.#checkRow(row);
    for (const id of ids) this.#see(id, rows.get(id)?.stamp);
  }

  /** All rows, when nothing is under way any more: what is there stays. */
  settle(found: readonly Row[]): void {
    const stamps = new Map(found.map(({ id, stamp }) => [id, stamp]));
    for (const { name, told, content, pure } of this.#parts) {
      if (!pure || told.length === 0) continue;
      this.counts.parts += 1;
      const effects = new Set(told.map((id) => stamps.get(id) === content));
      if (effects.size > 1) {
        const found = told.map((id) => `${id}: ${stamps.get(id)}, was ${this.#known(id).acked}`);
        this.#torn(`part ${name} of content ${content} took effect in part: ${found.join('; ')}`);
      }
    }
    this.seen([...this.#keys.keys()], found);
    for (const id of stamps.keys()) {
      if (!this.#keys.has(id)) this.#torn(`key ${id} was never written`);
    }
    for (const [id, known] of this.#keys) {
      known.acked = stamps.get(id);
      known.open = [];
      known.parts = [];
    }
    this.#parts = [];
  }

  #see(id: number, stamp: Content): void {
    const known = this.#known(id);
    if (stamp === known.acked) return;
    const open = known.open.find(({ content }) => content === stamp);
    if (open === undefined) {
      const possible = [known.acked, ...known.open.map(({ content }) => content)];
      const what = `key ${id}: found ${stamp}, possible ${possible.join(', ')}`;
      const isOld = stamp !== undefined && (known.acked === undefined || stamp < known.acked);
      if (isOld) this.resurrected += 1;
      else this.lost += 1;
      this.#find(what);
      return;
    }
    // It took effect, and its place in the order is behind what was acknowledged.
    known.acked = stamp;
    known.open = known.open.filter((other) => other !== open);
  }

  #checkRow(row: Row): void {
    if (isWhole(row)) return;
    this.#torn(`key ${row.id}: the row of stamp ${row.stamp} is not as it was written`);
  }

  /** Something else is written to the key: it tells no more of what was open before. */
  #mix(known: Known): void {
    for (const part of known.parts) part.pure = false;
    known.parts = [];
  }

  #torn(what: string): void {
    this.torn += 1;
    this.#find(what);
  }

  #find(what: string): void {
    if (this.findings.length < 20) this.findings.push(what);
  }

  #known(id: number): Known {
    const known = this.#keys.get(id) ?? { acked: undefined, open: [], parts: [] };
    this.#keys.set(id, known);
    return known;
  }
}

/** A few rows of an odd stamp together are too large to ride inline in a record. */
export const rowOf = (id: number, stamp: number): Row => ({
  id,
  stamp,
  text: `${stamp}/${id} `.repeat(stamp % 2 === 0 ? 1 : 250),
  vector: Array.from({ length: 8 }, (_, axis) => Math.fround(Math.sin(id * 8 + axis + stamp))),
});

/** A vector comes in as few digits as tell its float32 apart. */
export function isWhole(row: Row): boolean {
  const whole = rowOf(row.id, row.stamp);
  return (
    row.text === whole.text &&
    row.vector.length === whole.vector.length &&
    row.vector.every((value, axis) => Math.fround(value) === whole.vector[axis])
  );
}
