/**
 * Topology: which region writes, under which epoch, until when.
 *
 * One row of the global table per group of collections (one group, `default`). A deployment with a
 * single region has no row: epoch 1, no lease, whoever is asked writes. The first standby's joining
 * creates the row, with a higher epoch, and fences every shard, so that a writer that still believes
 * in no lease is void (DESIGN 4.7).
 */
import { StoreError } from '#base/errors.ts';
import type { RowKey, Table } from '#ports/table.ts';
import { nameCode, openFrame, readFrame, readName, sealFrame } from '#wal/frame.ts';
import { readU32 } from '#wal/position-codec.ts';

export type Topology = Readonly<{
  /** Version of the row, for a compare-and-set; 0 where there is none. */
  rowVersion: number;
  /** Raised by every promotion. */
  epoch: number;
  /** Undefined in a deployment with a single region, which needs none. */
  lease: RegionLease | undefined;
  members: readonly Member[];
}>;

/** The right to acknowledge writes under the topology's epoch. */
export type RegionLease = Readonly<{
  primary: string;
  expiresAtMs: number;
  mode: TopologyMode;
}>;

export type Member = Readonly<{ region: string; address: string }>;

/** `promoting`: the primary is chosen and must not write yet. */
export const TOPOLOGY_MODES = ['steady', 'promoting'] as const;
export type TopologyMode = (typeof TOPOLOGY_MODES)[number];

export const TOPOLOGY_KEY: RowKey = { partition: 'topology', sort: 'default' };
export const EPOCH_FIRST = 1;

const FORMAT = { magic: 'STOP', version: 1 };
/** A global table has at most three replicas; room for groups of regions beyond that. */
const MEMBERS_MAX = 16;

const SINGLE_REGION: Topology = {
  rowVersion: 0,
  epoch: EPOCH_FIRST,
  lease: undefined,
  members: [],
};

/** One consistent read. @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW` */
export async function readTopology(global: Table): Promise<Topology> {
  const row = await global.get(TOPOLOGY_KEY);
  return row === undefined ? SINGLE_REGION : decodeTopology(row.value, row.version);
}

/**
 * May `region` acknowledge writes that carry `epoch`, at `nowMs` by its own clock, which is off by
 * at most `skewMs` (I3)? Where there is no lease only the epoch is compared.
 */
export function leaseValid(
  { lease, epoch: current }: Topology,
  region: string,
  epoch: number,
  nowMs: number,
  skewMs: number,
): boolean {
  if (epoch !== current) return false;
  if (lease === undefined) return true;
  const { primary, mode, expiresAtMs } = lease;
  return primary === region && mode === 'steady' && nowMs + skewMs < expiresAtMs;
}

/** The row of a deployment with a lease. */
export function encodeTopology({
  epoch,
  lease,
  members,
}: Omit<Topology, 'rowVersion'>): Uint8Array {
  if (lease === undefined) {
    throw new StoreError('INTERNAL', 'a deployment without a lease has no topology row');
  }
  const writer = openFrame(FORMAT).varint(epoch).string(lease.primary).varint(lease.expiresAtMs);
  writer.u8(nameCode(TOPOLOGY_MODES, lease.mode)).varint(members.length);
  for (const { region, address } of members) writer.string(region).string(address);
  return sealFrame(writer);
}

export function decodeTopology(bytes: Uint8Array, rowVersion: number): Topology {
  const { reader } = readFrame(bytes, FORMAT, 'the topology row');
  const epoch = readU32(reader, 'epoch');
  const lease = {
    primary: reader.string(),
    expiresAtMs: reader.varint(),
    mode: readName(reader, TOPOLOGY_MODES, 'topology mode'),
  };
  const count = reader.varint();
  if (count > MEMBERS_MAX) reader.fail(`${count} members`);
  const members = Array.from({ length: count }, () => ({
    region: reader.string(),
    address: reader.string(),
  }));
  reader.end();
  return { rowVersion, epoch, lease, members };
}
