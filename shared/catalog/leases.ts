/**
 * Leases: one worker at a time, usually.
 *
 * A lease saves work, it never makes anything correct: clocks differ, workers freeze, and two of
 * them may believe in one lease. What they then do twice is sorted out by a compare-and-set.
 */
import { toHex } from '#base/bytes.ts';
import { isStoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Condition, RowKey, Table } from '#ports/table.ts';
import { openFrame, readFrame, sealFrame } from '#wal/frame.ts';

export type Lease = Readonly<{
  name: string;
  /** Random per acquisition. */
  holder: string;
  expiresAtMs: number;
  rowVersion: number;
}>;

const FORMAT = { magic: 'SLEA', version: 1 };
/** 64 random bits tell holders apart. */
const HOLDER_BYTES = 8;

/** What a table says that did not answer, or takes no more calls: whoever wants a lease goes without. */
const UNDECIDED = ['UNCERTAIN', 'OVERLOADED'] as const;

/** Twice what is asked for, so that clocks that differ by as much as a lease lasts do no harm. */
const LEFT_TIMES_MAX = 2;

const leaseKey = (name: string): RowKey => ({ partition: 'leases', sort: name });

/**
 * The lease of that name for `ttlMs`, or undefined where somebody else has it, was faster, or the
 * table did not say; an answer that was lost blocks the lease until it expires.
 *
 * @param name printable ASCII, e.g. `compact/c7-0`
 */
export async function acquireLease(
  table: Table,
  clock: Clock,
  entropy: Entropy,
  name: string,
  ttlMs: number,
): Promise<Lease | undefined> {
  const row = await table.get(leaseKey(name));
  if (row !== undefined) {
    const leftMs = decodeLease(row.value, name).expiresAtMs - clock.nowMs();
    // One with far more time left than anybody asks for is of a clock that was set back since.
    if (leftMs > 0 && leftMs <= LEFT_TIMES_MAX * ttlMs) return undefined;
  }
  const holder = toHex(entropy.bytes(HOLDER_BYTES));
  return write(table, name, holder, clock.nowMs() + ttlMs, row?.version ?? 'absent');
}

/** The lease with a new `ttlMs` from now, or undefined where it is lost. */
export const renewLease = (
  table: Table,
  clock: Clock,
  lease: Lease,
  ttlMs: number,
): Promise<Lease | undefined> =>
  write(table, lease.name, lease.holder, clock.nowMs() + ttlMs, lease.rowVersion);

/** Gives the lease back; where that fails it expires. */
export async function releaseLease(table: Table, lease: Lease): Promise<void> {
  try {
    await table.delete(leaseKey(lease.name), lease.rowVersion);
  } catch (error) {
    if (!isStoreError(error, ...UNDECIDED)) throw error;
  }
}

async function write(
  table: Table,
  name: string,
  holder: string,
  expiresAtMs: number,
  condition: Condition,
): Promise<Lease | undefined> {
  const value = sealFrame(openFrame(FORMAT, 64).string(holder).varint(expiresAtMs));
  try {
    const rowVersion = await table.put(leaseKey(name), value, condition);
    return rowVersion === undefined ? undefined : { name, holder, expiresAtMs, rowVersion };
  } catch (error) {
    if (isStoreError(error, ...UNDECIDED)) return undefined;
    throw error;
  }
}

function decodeLease(bytes: Uint8Array, name: string): Pick<Lease, 'holder' | 'expiresAtMs'> {
  const { reader } = readFrame(bytes, FORMAT, `lease ${name}`);
  const lease = { holder: reader.string(), expiresAtMs: reader.varint() };
  reader.end();
  return lease;
}
