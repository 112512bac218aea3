/**
 * An actor: somebody who does something to the database until the history is over. Adding one means
 * writing `act` and naming it in `cast.ts`.
 */

import type { Schedule } from '#sim/schedule.ts';
import type { Weather } from '#sim/weather.ts';
import type { Client } from '../client.ts';
import type { Evidence, ReadOperation, WriteOperation } from '../evidence.ts';
import type { Fleet } from '../fleet.ts';
import type { World } from '../services.ts';

/** What all actors of a history share. */
export type Stage = Readonly<{
  seed: string;
  schedule: Schedule;
  world: World;
  weather: Weather;
  fleet: Fleet;
  evidence: Evidence;
  /** Waits for the next turn of a client; false where the history has had its operations. */
  turn: (client: Client) => Promise<boolean>;
  /** True once the clients are done: whoever works in the background ends as well. */
  isOver: () => boolean;
  /** How much longer whoever works in the background waits between two pieces of work: much, in a pause. */
  pace: () => number;
  /** A number that names one write of one row, and no other. */
  nextValue: () => bigint;
}>;

export type Actor = Readonly<{
  kind: string;
  /** Clients count operations and end by themselves; the others work until the stage is over. */
  isClient: boolean;
  act: (stage: Stage, client: Client) => Promise<void>;
}>;

/** What a client remembers between its requests, as one that uses tokens does. */
export type Session = { token: string | undefined; reached: Record<string, string> };

export const newSession = (): Session => ({ token: undefined, reached: {} });

/** Notes a write that is over. */
export function noteWrite(stage: Stage, operation: Omit<WriteOperation, 'endMs'>): void {
  stage.evidence.writes.push({ ...operation, endMs: stage.schedule.nowMs() });
}

export function noteRead(stage: Stage, operation: Omit<ReadOperation, 'endMs'>): void {
  stage.evidence.reads.push({ ...operation, endMs: stage.schedule.nowMs() });
}
