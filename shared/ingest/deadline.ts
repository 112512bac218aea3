/**
 * Times that writer, log and manifest agree on (DESIGN 4.1, steps 6 and 7).
 */

/** A record that arrives later than this after its mint is void. */
export const DEADLINE_MS = 60_000;

/**
 * How far the clocks of two machines, or of a machine and the log, may be apart. Amazon's time
 * service keeps instances within a millisecond, an NTP-synchronised laptop within a tenth of a
 * second; five seconds leave a wide margin and cost a slow writer 5 of its 60 seconds.
 */
export const SKEW_MS = 5_000;
