/** Work under a lease that is renewed while it lasts. */
import { acquireLease, type Lease, releaseLease, renewLease } from '#catalog/leases.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Table } from '#ports/table.ts';

/**
 * How long a worker that died keeps others waiting. Renewed at a third of it, so that two renewals
 * may fail; a conditional put every three seconds costs $0.005 for an hour of work.
 */
const LEASE_MS = 10_000;
const RENEW_MS = LEASE_MS / 3;

type LeasePorts = Readonly<{ table: Table; clock: Clock; entropy: Entropy }>;

/**
 * Runs `work` where nobody else holds the lease; undefined where somebody does. A lease that is lost
 * meanwhile stops nothing: the commit's compare-and-set sorts out two workers, the lease only spares
 * the second one's effort.
 */
export async function withLease<T>(
  ports: LeasePorts,
  name: string,
  work: () => Promise<T>,
): Promise<T | undefined> {
  const lease = await acquireLease(ports.table, ports.clock, ports.entropy, name, LEASE_MS);
  if (lease === undefined) return undefined;
  const done = new AbortController();
  const renewed = keepRenewing(ports, lease, done.signal);
  // It is awaited when the work is done; a failure before that must not count as one that nobody hears.
  renewed.catch(() => undefined);
  try {
    return await work();
  } finally {
    done.abort();
    const last = await renewed;
    if (last !== undefined) await releaseLease(ports.table, last);
  }
}

/** The lease as last renewed; undefined where it was lost. Ends when `done` is aborted. */
async function keepRenewing(
  { table, clock }: LeasePorts,
  lease: Lease,
  done: AbortSignal,
): Promise<Lease | undefined> {
  let current: Lease | undefined = lease;
  while (current !== undefined && !done.aborted) {
    try {
      await clock.sleep(RENEW_MS, done);
    } catch {
      // The sleep was cut short because the work is done.
      break;
    }
    current = await renewLease(table, clock, current, LEASE_MS);
  }
  return current;
}
