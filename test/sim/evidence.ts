/** What the clients of a history did and heard: the ground on which the oracles judge. */
import type { Key } from '#schema/column.ts';
import type { CollectionPlan } from './actors/collections.ts';

/**
 * - `done`: acknowledged.
 * - `none`: refused with the promise that nothing was written.
 * - `unknown`: everything else: no answer, an answer too late, or one that says so.
 */
export type WriteOutcome = 'done' | 'none' | 'unknown';

export type WriteOperation = Readonly<{
  client: string;
  collection: string;
  what: string;
  startMs: number;
  endMs: number;
  outcome: WriteOutcome;
  /** Code of the last refusal. */
  code: string | undefined;
  attempts: number;
  change: Change;
}>;

export type Change =
  /** Per key the value that names the write. Keys that the server generates are not known before. */
  | Readonly<{ kind: 'rows'; rows: ReadonlyMap<Key, bigint> }>
  | Readonly<{ kind: 'generated'; values: readonly bigint[]; ids: readonly Key[] }>
  | Readonly<{ kind: 'delete-keys'; keys: readonly Key[] }>
  | Readonly<{ kind: 'delete-some'; matches: (value: bigint) => boolean }>
  /** Everything in a collection of that name goes: by a drop or a truncation. */
  | Readonly<{ kind: 'empty' }>
  /** The collection begins, as a copy of what another held. */
  | Readonly<{ kind: 'copy' }>
  | Readonly<{ kind: 'snapshot'; name: string }>
  /** Changes no row: creates, flushes; and what must be refused. */
  | Readonly<{ kind: 'none' }>;

export type ReadOperation = Readonly<{
  client: string;
  collection: string;
  what: string;
  startMs: number;
  endMs: number;
  /** What was asked for and what was there; undefined: nothing. */
  seen: ReadonlyMap<Key, bigint | undefined>;
  /** Where the answer stands, by shard; undefined where there is no collection. */
  positions: Readonly<Record<string, string>> | undefined;
  /** Positions that the session had reached before. */
  reached: Readonly<Record<string, string>>;
}>;

export class Evidence {
  /** Collections that clients made as copies of others, in the order in which they asked. */
  readonly copies: CollectionPlan[] = [];
  readonly writes: WriteOperation[] = [];
  readonly reads: ReadOperation[] = [];
  /** Operations of clients, whatever came of them. */
  operations = 0;
  /** Attempts under a `RequestId` after the first. */
  retries = 0;
  /** Truncations that were acknowledged. */
  truncations = 0;
  /** What engines reported, by the event's name. */
  readonly events = new Map<string, number>();
  compactions = 0;
}
