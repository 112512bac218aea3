/** What many histories come to. */
import type { Outcome } from './history.ts';
import type { Tally } from './oracles/judge.ts';
import type { Violation } from './services.ts';

/** An outcome as plain data, for another process. */
export type Report = Readonly<{
  seed: number;
  violations: readonly Violation[];
  traceHash: string;
  operations: number;
  faults: number;
  kinds: readonly (readonly [string, number])[];
  events: number;
  tally: Tally;
  actors: number;
  counts: boolean;
}>;

/** Violations of one history that are told; the first says most. */
const TOLD_MAX = 20;

export const reportOf = ({ violations, faultsByKind, ...rest }: Outcome): Report => ({
  ...rest,
  violations: violations.slice(0, TOLD_MAX),
  kinds: [...faultsByKind],
});

/** What a hundred histories must show; a feature that never occurs is not tested. */
export const REQUIRED = [
  ...(['compactions', 'collections', 'voids', 'fences', 'retries', 'truncations'] as const),
  ...(['snapshots', 'clones', 'parked', 'setAside', 'expired'] as const),
] as const;

export class Totals {
  histories = 0;
  counted = 0;
  operations = 0;
  faults = 0;
  violated = 0;
  readonly kinds = new Map<string, number>();
  readonly tally = new Map<keyof Tally, number>();

  add({ operations, faults, kinds, tally, counts, violations }: Report): void {
    this.histories += 1;
    this.counted += counts ? 1 : 0;
    this.operations += operations;
    this.faults += faults;
    this.violated += violations.length > 0 ? 1 : 0;
    for (const [kind, count] of kinds) this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + count);
    for (const [name, count] of Object.entries(tally)) {
      // The entries of a tally are its own members.
      const own = name as keyof Tally;
      this.tally.set(own, (this.tally.get(own) ?? 0) + count);
    }
  }

  /** What did not occur though it must. */
  missing(): readonly string[] {
    return REQUIRED.filter((name) => (this.tally.get(name) ?? 0) === 0);
  }

  shown(): string {
    return [...this.tally].map(([name, count]) => `${count} ${name}`).join(', ');
  }

  faultsShown(): string {
    return [...this.kinds]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([kind, count]) => `${kind} ${count}`)
      .join(', ');
  }
}
