/** Exact search: every allowed row is compared, the best k are kept. */
import type { Bitmap } from '#schema/column.ts';
import type { Metric } from '#schema/field.ts';
import { isHigherBetter, type Scorer } from './distance.ts';

/** Rows with their scores, nearest first, equal scores by row. */
export type Ranked = Readonly<{ rows: Uint32Array; scores: Float32Array }>;

/** Keeps the best k rows of any number offered, in a heap whose root is the worst of them. */
export class TopK {
  readonly #k: number;
  /** Scores turned so that smaller is nearer. */
  readonly #sign: number;
  readonly #costs: Float64Array;
  readonly #rows: Uint32Array;
  #size = 0;

  /** @param k at least 1 */
  constructor(k: number, metric: Metric) {
    this.#k = k;
    this.#sign = isHigherBetter(metric) ? -1 : 1;
    this.#costs = new Float64Array(k);
    this.#rows = new Uint32Array(k);
  }

  get size(): number {
    return this.#size;
  }

  /** Offers a row. The same row must not be offered twice. */
  offer(row: number, score: number): void {
    const cost = score * this.#sign;
    if (this.#size < this.#k) {
      this.#up(this.#size++, cost, row);
    } else if (cost < this.#costs[0]! || (cost === this.#costs[0]! && row < this.#rows[0]!)) {
      this.#down(0, cost, row, this.#size);
    }
  }

  /** The rows kept, nearest first; empties the heap. */
  finish(): Ranked {
    const rows = new Uint32Array(this.#size);
    const scores = new Float32Array(this.#size);
    for (let at = this.#size - 1; at >= 0; at--) {
      rows[at] = this.#rows[0]!;
      // Not -0 for a score of 0.
      scores[at] = this.#costs[0]! * this.#sign + 0;
      this.#down(0, this.#costs[at]!, this.#rows[at]!, at);
    }
    this.#size = 0;
    return { rows, scores };
  }

  #isWorse(a: number, cost: number, row: number): boolean {
    const other = this.#costs[a]!;
    return other > cost || (other === cost && this.#rows[a]! > row);
  }

  #up(from: number, cost: number, row: number): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#isWorse(parent, cost, row)) break;
      this.#costs[at] = this.#costs[parent]!;
      this.#rows[at] = this.#rows[parent]!;
      at = parent;
    }
    this.#costs[at] = cost;
    this.#rows[at] = row;
  }

  #down(from: number, cost: number, row: number, size: number): void {
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#isWorse(child + 1, this.#costs[child]!, this.#rows[child]!)) {
        child += 1;
      }
      if (!this.#isWorse(child, cost, row)) break;
      this.#costs[at] = this.#costs[child]!;
      this.#rows[at] = this.#rows[child]!;
      at = child;
    }
    this.#costs[at] = cost;
    this.#rows[at] = row;
  }
}

/** Which rows take part: those whose bit is set in every bitmap given. Bits are numbered by row. */
export type Allowed = readonly (Bitmap | undefined)[];

/**
 * Offers every allowed row of a run of vectors to `top`.
 *
 * @param values whole vectors, the first that of row `firstRow`
 */
export function scanExact(
  scorer: Scorer,
  values: Float32Array,
  firstRow: number,
  allowed: Allowed,
  top: Pick<TopK, 'offer'>,
): void {
  const { dim } = scorer;
  const maps = allowed.filter((map) => map !== undefined);
  const end = firstRow + values.length / dim;
  for (let row = firstRow; row < end; row++) {
    if ((row & 7) === 0 && row + 8 <= end && maps.some((map) => map[row >> 3] === 0)) {
      row += 7;
      continue;
    }
    if (maps.every((map) => ((map[row >> 3]! >> (row & 7)) & 1) === 1)) {
      top.offer(row, scorer.score(values, (row - firstRow) * dim));
    }
  }
}
