/**
 * Tokens: "at least this fresh", in every write reply and accepted by every read (I4).
 *
 * A token is opaque to clients: base64url of a version byte, the collection, the newest position
 * written per shard, and a checksum, so that a token that was cut or mistyped is refused instead of
 * being honoured by half. Normative text: docs/formats/token.md.
 */
import { assert } from '#base/assert.ts';
import { ByteReader, ByteWriter, crc32 } from '#base/bytes.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import { ORIGIN, type RecordPosition } from '#base/position.ts';
import { readRecordPosition, readU32, writePosition } from './position-codec.ts';

export type Token = Readonly<{
  collectionId: number;
  /** By shard. A shard that is missing asks for nothing; `ORIGIN` is the same as missing. */
  positions: ReadonlyMap<number, RecordPosition>;
}>;

const VERSION = 1;
const CRC_BYTES = 4;
/** 64 shards of at most 5 + 1 + 5 + 5 + 1 + 56 bytes are 4,672; in base64url 6,230 characters. */
export const TOKEN_CHARS_MAX = 8192;

export function encodeToken({ collectionId, positions }: Token): string {
  const known = [...positions].filter(([, position]) => position !== ORIGIN);
  const writer = new ByteWriter().u8(VERSION).varint(collectionId).varint(known.length);
  for (const [shard, position] of known.sort(([a], [b]) => a - b)) {
    writer.varint(shard);
    writePosition(writer, position);
  }
  writer.u32(crc32(writer.view()));
  const text = Buffer.from(writer.finish()).toString('base64url');
  assert(text.length <= TOKEN_CHARS_MAX, 'a token has a position for each of 64 shards at most');
  return text;
}

/** @throws StoreError `INVALID_ARGUMENT` for whatever {@link encodeToken} did not write */
export function decodeToken(text: string): Token {
  if (text.length > TOKEN_CHARS_MAX) refuse(`it has more than ${TOKEN_CHARS_MAX} characters`);
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
  if (Buffer.from(bytes).toString('base64url') !== text) refuse('it is not base64url');
  if (bytes.length <= CRC_BYTES) refuse('it is too short');
  const end = bytes.length - CRC_BYTES;
  const stored = new DataView(bytes.buffer).getUint32(end, true);
  if (stored !== crc32(bytes.subarray(0, end))) refuse('its checksum does not match');
  if (bytes[0] !== VERSION) refuse(`it has version ${bytes[0]}, this server knows ${VERSION}`);
  try {
    return readToken(new ByteReader(bytes.subarray(0, end), 'token'));
  } catch (error) {
    if (isStoreError(error, 'DATA_CORRUPT')) return refuse(error.message);
    throw error;
  }
}

/**
 * The token that asks for both: per shard the higher position.
 *
 * @throws StoreError `INVALID_ARGUMENT` where they belong to different collections
 */
export function mergeTokens(a: Token, b: Token): Token {
  if (a.collectionId !== b.collectionId) {
    throw new StoreError('INVALID_ARGUMENT', 'the tokens belong to different collections');
  }
  const positions = new Map(a.positions);
  for (const [shard, position] of b.positions) {
    const other = positions.get(shard);
    if (other === undefined || other < position) positions.set(shard, position);
  }
  return { collectionId: a.collectionId, positions };
}

function readToken(reader: ByteReader): Token {
  reader.u8();
  const collectionId = reader.varint();
  const positions = new Map<number, RecordPosition>();
  let last = -1;
  for (let left = reader.varint(); left > 0; left--) {
    const shard = readU32(reader, 'shard');
    if (shard <= last) reader.fail('shards out of order');
    last = shard;
    positions.set(shard, readRecordPosition(reader));
  }
  reader.end();
  return { collectionId, positions };
}

function refuse(why: string): never {
  throw new StoreError(
    'INVALID_ARGUMENT',
    `token: ${why}; pass the token of a write reply exactly as it came`,
  );
}
