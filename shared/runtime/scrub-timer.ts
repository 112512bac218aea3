/** What the schedule of every hour starts: a round of scrub, as far as its time allows. */
import { HeldCuts } from '#maintain/held.ts';
import { type ScrubRound, scrubRound } from '#maintain/scrub-round.ts';
import type { AwsBase } from './aws-base.ts';
import type { TimerHandler } from './timer.ts';

/**
 * The last object that is begun may have 1 GiB: 14 s at a function's 75 MiB/s and 4 s of hashing; then
 * the shard's objects are listed and its row is written.
 */
const GIVE_UP_MS = 90_000;
/** More than 810 s at 75 MiB/s are; 24 such runs a day read 10 TB a week. */
const BYTES_MAX = 64 * 1024 ** 3;

export type ScrubEngine = Pick<AwsBase, 'ports' | 'catalog' | 'flush'>;

/** Reads again what was not read for a week, and proves it. */
export const scrubTimer =
  (engine: () => Promise<ScrubEngine>): TimerHandler<ScrubRound> =>
  async (_, context) => {
    const { ports, catalog, flush } = await engine();
    const untilMs = ports.clock.nowMs() + context.getRemainingTimeInMillis() - GIVE_UP_MS;
    const held = new HeldCuts({ ...ports, collections: catalog });
    try {
      return await scrubRound({ ...ports, held }, catalog, { bytesMax: BYTES_MAX, untilMs });
    } finally {
      flush();
    }
  };
