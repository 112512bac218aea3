/**
 * The check *after* the append (DESIGN 4.1, steps 7 and 8): may this write be acknowledged?
 *
 * Everything that could have voided the record while its writer slept leaves a trace that one of
 * these consistent reads sees, because each of them is changed *before* the record that voids: the
 * gate before its fence, the topology before a promotion's fences, the attempt row before the next
 * attempt's record. So what passes here stood in the log before any of them, and in time.
 */
import { StoreError } from '#base/errors.ts';
import { leaseValid, readTopology, type Topology } from '#catalog/topology.ts';
import type { Clock } from '#ports/clock.ts';
import type { Table } from '#ports/table.ts';
import { type Gate, readGate } from '#wal/gate.ts';
import type { WalRecord } from '#wal/record.ts';
import type { ShardId } from '#wal/shard.ts';
import { SKEW_MS } from './deadline.ts';
import { type Attempt, isLatestAttempt } from './idempotency.ts';

export type CheckPorts = Readonly<{
  table: Table;
  global: Table;
  clock: Clock;
  /** This region's name, as the topology has it; a deployment with a single region has none. */
  region?: string | undefined;
}>;

/** Why the write must not be acknowledged as it stands; undefined where it may. */
export async function findObstacle(
  ports: CheckPorts,
  shard: ShardId,
  record: WalRecord,
  lease: boolean,
  attempt: Attempt | undefined,
): Promise<string | undefined> {
  const [{ gate }, leased, latest] = await Promise.all([
    readGate(ports.table, shard),
    lease ? holdsLease(ports, record.epoch) : true,
    attempt === undefined ? true : isLatestAttempt(ports.global, attempt),
  ]);
  if (gate.number !== record.fenceNumber) {
    return `the gate was raised from ${record.fenceNumber} to ${gate.number}`;
  }
  if (!leased) return `the lease of epoch ${record.epoch} is over`;
  if (!latest) return 'a later attempt of the request has begun';
  // Last, since the reads took their time.
  if (ports.clock.nowMs() + SKEW_MS >= record.deadlineMs) return 'the deadline is too near';
  return undefined;
}

/** Whether this region may acknowledge writes of `epoch`, now and for the skew to come. */
export async function holdsLease(
  { global, clock, region }: CheckPorts,
  epoch: number,
): Promise<boolean> {
  const topology = await readTopology(global);
  return leaseValid(topology, region ?? '', epoch, clock.nowMs(), SKEW_MS);
}

/**
 * Steps 2 and 3: the gate as just read fits what the request was validated against.
 *
 * @throws StoreError
 *   - `NOT_PRIMARY` with the primary's address
 *   - `COLLECTION_NOT_FOUND` where the shard is dropped
 *   - `NOT_READY` where it is sealed, or its schema is not the one the rows were checked against:
 *     read the collection again and start over
 */
export async function refuseUnfit(
  ports: CheckPorts,
  gate: Gate,
  schemaVersion: number,
): Promise<void> {
  if (gate.state === 'dropped') {
    throw new StoreError('COLLECTION_NOT_FOUND', 'the collection has been dropped');
  }
  if (gate.state === 'sealed') {
    throw new StoreError('NOT_READY', 'the shard is sealed for a switchover; try again');
  }
  if (gate.schemaVersion !== schemaVersion) {
    throw new StoreError(
      'NOT_READY',
      `the schema changed from version ${schemaVersion} to ${gate.schemaVersion} meanwhile; try again`,
    );
  }
  if (!gate.lease) return;
  const topology = await readTopology(ports.global);
  if (leaseValid(topology, ports.region ?? '', gate.epoch, ports.clock.nowMs(), SKEW_MS)) return;
  throw notPrimary(topology, ports.region);
}

function notPrimary({ lease, members }: Topology, region: string | undefined): StoreError {
  const primary = lease?.primary ?? '';
  const address = members.find((member) => member.region === primary)?.address;
  if (primary === region) {
    return new StoreError('NOT_READY', 'the lease of this region is being renewed; try again');
  }
  return new StoreError('NOT_PRIMARY', `this region is a standby; region ${primary} takes writes`, {
    details: address === undefined ? {} : { primary: address },
  });
}
