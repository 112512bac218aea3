/**
 * The body of a fence as bytes: inside a WAL record, and alone in the archive, which keeps the body
 * of every effective fence.
 *
 *     version    u8      1
 *     action     u8      index into FENCE_ACTIONS
 *     state      u8      index into SHARD_STATES
 *     generation varint
 *
 * It has no checksum of its own: record and archive section have theirs.
 */
import { ByteReader, ByteWriter } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import { nameCode, readName } from './frame.ts';
import { readU32 } from './position-codec.ts';
import { FENCE_ACTIONS, type FenceBody, SHARD_STATES } from './record.ts';

const VERSION = 1;
const BYTES_TYPICAL = 8;

export function encodeFenceBody({ action, state, generation }: FenceBody): Uint8Array {
  return new ByteWriter(BYTES_TYPICAL)
    .u8(VERSION)
    .u8(nameCode(FENCE_ACTIONS, action))
    .u8(nameCode(SHARD_STATES, state))
    .varint(generation)
    .finish();
}

/** @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW` */
export function decodeFenceBody(bytes: Uint8Array, what: string): FenceBody {
  const reader = new ByteReader(bytes, what);
  const version = reader.u8();
  if (version === 0) reader.fail('fence version 0');
  if (version > VERSION) {
    throw new StoreError(
      'FORMAT_TOO_NEW',
      `${what}: fence version ${version}, this Sterna reads up to ${VERSION}`,
    );
  }
  const action = readName(reader, FENCE_ACTIONS, 'fence action');
  const state = readName(reader, SHARD_STATES, 'shard state');
  const generation = readU32(reader, 'generation');
  reader.end();
  return { kind: 'fence', action, generation, state };
}
