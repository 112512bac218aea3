/** Who may acknowledge writes: the region that holds the lease of the epoch, by any honest clock (I3). */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeTopology,
  encodeTopology,
  leaseValid,
  readTopology,
  TOPOLOGY_KEY,
  TOPOLOGY_MODES,
  type Topology,
} from '#catalog/topology.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { checkDamage, checkRoundTrip, checkTotality } from '../wal/codec-checks.ts';

const SKEW_MS = 500;
const topologies: fc.Arbitrary<Topology> = fc.record({
  rowVersion: fc.constant(5),
  epoch: fc.nat(0xffff_ffff),
  lease: fc.record({
    primary: fc.string(),
    expiresAtMs: fc.maxSafeNat(),
    mode: fc.constantFrom(...TOPOLOGY_MODES),
  }),
  members: fc.array(fc.record({ region: fc.string(), address: fc.string() }), { maxLength: 3 }),
});
const decode = (bytes: Uint8Array) => decodeTopology(bytes, 5);

test('a row comes back as it went', () => checkRoundTrip(topologies, encodeTopology, decode));
test('damage is refused', () => checkDamage(topologies, encodeTopology, decode));
test('decoding is total', () => checkTotality(topologies, encodeTopology, decode));

test('a deployment without a row is a single region: epoch 1, no lease', async () => {
  const topology = await readTopology(new MemoryTable());
  expect(topology).toEqual({ rowVersion: 0, epoch: 1, lease: undefined, members: [] });
  expect(leaseValid(topology, 'anywhere', 1, 0, SKEW_MS)).toBe(true);
  expect(leaseValid(topology, 'anywhere', 2, 0, SKEW_MS)).toBe(false);
  expect(() => encodeTopology(topology)).toThrow('has no topology row');
});

test('a row is read with its version', async () => {
  const table = new MemoryTable();
  const lease = { primary: 'eu', expiresAtMs: 9, mode: 'steady' as const };
  const members = [{ region: 'eu', address: 'http://eu' }];
  await table.put(TOPOLOGY_KEY, encodeTopology({ epoch: 2, lease, members }));
  expect(await readTopology(table)).toEqual({ rowVersion: 1, epoch: 2, lease, members });
});

test.each([
  { rule: 'the holder, in time', valid: true },
  { rule: 'another region', region: 'us', valid: false },
  { rule: 'an older epoch', epoch: 2, valid: false },
  { rule: 'a newer epoch', epoch: 4, valid: false },
  { rule: 'while promoting', mode: 'promoting' as const, valid: false },
  { rule: 'in time by more than the skew', nowMs: 9_499, valid: true },
  { rule: 'in time by the skew only', nowMs: 9_500, valid: false },
  { rule: 'too late', nowMs: 10_000, valid: false },
])(
  '$rule: $valid',
  ({ region = 'eu', epoch = 3, mode = 'steady' as const, nowMs = 1000, valid }) => {
    const lease = { primary: 'eu', expiresAtMs: 10_000, mode };
    const topology = { rowVersion: 1, epoch: 3, lease, members: [] };
    expect(leaseValid(topology, region, epoch, nowMs, SKEW_MS)).toBe(valid);
  },
);
