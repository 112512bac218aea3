/** What the golden files of the WAL chapter hold: every field of every format, with telling values. */
import type { Column } from '#schema/column.ts';
import { decodeFenceBody, encodeFenceBody } from '#wal/fence.ts';
import type { Gate } from '#wal/gate.ts';
import { decodeGate, encodeGate } from '#wal/gate-codec.ts';
import { decodeParked, encodeParked, type Parked } from '#wal/parked.ts';
import { type Aside, decodeAside, encodeAside } from '#wal/parked-aside.ts';
import { decodeParkedEntry, encodeParkedEntry, type ParkedEntry } from '#wal/parked-entries.ts';
import { decodePayload, encodePayload, type Payload } from '#wal/payload.ts';
import type { FenceBody, WalRecord } from '#wal/record.ts';
import { decodeRecord, encodeRecord } from '#wal/record-codec.ts';
import { decodeTailEntry, encodeTailEntry, type TailEntry } from '#wal/tail.ts';
import { decodeToken, encodeToken, type Token } from '#wal/token.ts';

export type Golden = Readonly<{
  /** What the file holds. */
  sample: unknown;
  /** The sample in the version that is written now; undefined for files of older versions. */
  encode: (() => Uint8Array) | undefined;
  decode: (bytes: Uint8Array) => unknown;
}>;

const ids = ['00112233445566778899aabbccddeeff', 'ffeeddccbbaa99887766554433221100'];
const [firstId = '', secondId = ''] = ids;
const shard = { collectionId: 4503599627370497, shard: 15 };
/** A sequence as Kinesis gives them. */
const longPosition = '000000020000000356' + '49590338271490256608559692538361571095921575989136588898';
const shortPosition = '00000001000000010212';

const inlineWrite: WalRecord = {
  recordId: firstId,
  ...shard,
  deadlineMs: 1_700_000_060_000,
  epoch: 3,
  fenceNumber: 129,
  schemaVersion: 2,
  body: {
    kind: 'write',
    rows: 2,
    tombstones: 1,
    payload: { at: 'inline', bytes: Uint8Array.of(0, 1, 127, 128, 255) },
  },
};

const forwardedWrite: WalRecord = {
  ...inlineWrite,
  body: {
    kind: 'write',
    rows: 1000,
    tombstones: 0,
    payload: {
      at: 'object',
      key: 'collections/4503599627370497/15/payload/01700000000000-0123456789abcdef',
      sizeBytes: 1_048_576,
      crc32: 0xdeadbeef,
    },
  },
  origin: {
    position: longPosition,
    previous: shortPosition,
    logTimeMs: 1_700_000_000_123,
    verdict: 'duplicate',
  },
};

const fence: FenceBody = { kind: 'fence', action: 'promote', generation: 300, state: 'sealed' };

const forwardedFence: WalRecord = {
  ...inlineWrite,
  recordId: secondId,
  body: fence,
  origin: { position: shortPosition, previous: '', logTimeMs: 0, verdict: 'void' },
};

const gate: Gate = {
  number: 300,
  epoch: 3,
  generation: 2,
  lease: true,
  schemaVersion: 4,
  shardMapVersion: 1,
  state: 'sealed',
  underWay: { action: 'seal', number: 300, recordId: firstId },
  past: [
    { action: 'schema', number: 298, recordId: secondId },
    { action: 'unseal', number: 299, recordId: firstId },
  ],
};

const tailEntry: TailEntry = {
  position: longPosition,
  fenceNumber: 129,
  recordId: firstId,
  schemaVersion: 2,
  arrivalMs: 1_700_000_000_050,
  rows: 2,
  tombstones: 1,
  payload: { at: 'inline', bytes: Uint8Array.of(9, 8, 7) },
};

const token: Token = {
  collectionId: shard.collectionId,
  positions: new Map([
    [0, shortPosition],
    [15, longPosition],
  ]),
};

const parked: Parked = {
  isParked: true,
  sequence: '49590338271490256608559692538361571095921575989136588898',
  code: 'OBJECT_NOT_FOUND',
  reason: 'no object "a/b"',
  sinceMs: 1_700_000_000_123,
  through: '49590338271490256608559692538361571095921575989136589000',
  entries: 300,
  attempts: 7,
  nextReplayMs: 1_700_000_900_123,
};

/** One that goes on, and had failed whatever the record. */
const unparked: Parked = { ...parked, isParked: false, sequence: undefined, through: '12' };

const parkedEntry: ParkedEntry = {
  arrivalMs: 1_700_000_000_123,
  data: { at: 'inline', bytes: Uint8Array.of(0, 1, 127, 128, 255) },
};

const largeEntry: ParkedEntry = {
  arrivalMs: 1_700_000_000_123,
  data: {
    at: 'object',
    key: 'collections/4503599627370497/15/park/12',
    sizeBytes: 1_048_576,
    crc32: 0xdeadbeef,
  },
};

const aside: Aside = {
  state: 'void',
  sequence: '12',
  position: shortPosition,
  arrivalMs: 1_700_000_000_123,
  setAsideMs: 1_700_000_900_123,
  code: 'DATA_CORRUPT',
  reason: 'a checksum',
  wasVisible: true,
  recordBytes: 300,
  payloadBytes: 1_048_576,
  recordId: firstId,
  rows: 1000,
  tombstones: 1,
  schemaVersion: 2,
};

/** Of bytes that were no record. */
const blankAside: Aside = {
  ...aside,
  state: 'copied',
  wasVisible: false,
  payloadBytes: undefined,
  recordId: undefined,
  rows: 0,
  tombstones: 0,
  schemaVersion: 0,
};

const columns: readonly (readonly [number, Column])[] = [
  [100, { type: 'Int64', values: BigInt64Array.of(-(2n ** 63n), 7n, 2n ** 63n - 1n) }],
  [101, { type: 'Bool', values: Uint8Array.of(1, 0, 1), valid: Uint8Array.of(0b101) }],
  [102, { type: 'Int8', values: Int8Array.of(-128, 0, 127) }],
  [103, { type: 'Int16', values: Int16Array.of(-32768, 0, 32767) }],
  [104, { type: 'Int32', values: Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1) }],
  [105, { type: 'Float', values: Float32Array.of(-1.5, 0, 3.25) }],
  [106, { type: 'Double', values: Float64Array.of(-1.1, 0, 1e300) }],
  [107, { type: 'VarChar', dictionary: ['tern', 'Küste 🐦', ''], codes: Uint32Array.of(1, 0, 2) }],
  [
    108,
    {
      type: 'JSON',
      offsets: Uint32Array.of(0, 7, 9, 13),
      bytes: new TextEncoder().encode('{"a":1}[]null'),
    },
  ],
  [109, { type: 'FloatVector', dim: 2, values: Float32Array.of(1, 2, -3, 4, 0.5, -0.25) }],
];

const payload: Payload = {
  schemaVersion: 2,
  rows: { count: 3, columns: new Map(columns), partitions: Uint32Array.of(1, 1, 70_000) },
  tombstones: {
    keys: { type: 'Int64', values: BigInt64Array.of(5n, 6n, -7n) },
    bounds: [undefined, `${longPosition}00000102`, `${shortPosition}00000000`],
  },
};

const onePartition: Payload = {
  schemaVersion: 1,
  rows: {
    count: 2,
    columns: new Map<number, Column>([
      [100, { type: 'VarChar', dictionary: ['a', 'b'], codes: Uint32Array.of(0, 1) }],
    ]),
    partitions: Uint32Array.of(5, 5),
  },
  tombstones: {
    keys: { type: 'VarChar', dictionary: ['gone'], codes: Uint32Array.of(0) },
    bounds: [undefined],
  },
};

const text = (string: string): Uint8Array => new TextEncoder().encode(string);

export const GOLDEN: Readonly<Record<string, Golden>> = {
  'record-v1-inline.bin': {
    sample: inlineWrite,
    encode: () => encodeRecord(inlineWrite),
    decode: (bytes) => decodeRecord(bytes),
  },
  'record-v1-forwarded.bin': {
    sample: forwardedWrite,
    encode: () => encodeRecord(forwardedWrite),
    decode: (bytes) => decodeRecord(bytes),
  },
  'record-v1-fence.bin': {
    sample: forwardedFence,
    encode: () => encodeRecord(forwardedFence),
    decode: (bytes) => decodeRecord(bytes),
  },
  'record-fence-body-v1.bin': {
    sample: fence,
    encode: () => encodeFenceBody(fence),
    decode: (bytes) => decodeFenceBody(bytes, 'a fence'),
  },
  'record-gate-v1.bin': {
    sample: gate,
    encode: () => encodeGate(gate),
    decode: (bytes) => decodeGate(bytes, 'a gate'),
  },
  'record-tail-v1.bin': {
    sample: tailEntry,
    encode: () => encodeTailEntry(tailEntry),
    decode: (bytes) => decodeTailEntry(bytes, longPosition, 'a tail row'),
  },
  'record-parked-v1.bin': {
    sample: parked,
    encode: () => encodeParked(parked),
    decode: (bytes) => decodeParked(bytes, 'a parked row'),
  },
  'record-parked-v1-open.bin': {
    sample: unparked,
    encode: () => encodeParked(unparked),
    decode: (bytes) => decodeParked(bytes, 'a parked row'),
  },
  'record-parked-entry-v1.bin': {
    sample: parkedEntry,
    encode: () => encodeParkedEntry(parkedEntry),
    decode: (bytes) => decodeParkedEntry(bytes, 'an entry row'),
  },
  'record-parked-entry-v1-object.bin': {
    sample: largeEntry,
    encode: () => encodeParkedEntry(largeEntry),
    decode: (bytes) => decodeParkedEntry(bytes, 'an entry row'),
  },
  'record-aside-v1.bin': {
    sample: aside,
    encode: () => encodeAside(aside),
    decode: (bytes) => decodeAside(bytes, '12', 'an aside row'),
  },
  'record-aside-v1-blank.bin': {
    sample: blankAside,
    encode: () => encodeAside(blankAside),
    decode: (bytes) => decodeAside(bytes, '12', 'an aside row'),
  },
  'record-token-v1.txt': {
    sample: token,
    encode: () => text(encodeToken(token)),
    decode: (bytes) => decodeToken(new TextDecoder().decode(bytes)),
  },
  'payload-v1.bin': {
    sample: payload,
    encode: () => encodePayload(payload),
    decode: (bytes) => decodePayload(bytes, 'a payload'),
  },
  'payload-v1-one-partition.bin': {
    sample: onePartition,
    encode: () => encodePayload(onePartition),
    decode: (bytes) => decodePayload(bytes, 'a payload'),
  },
};
