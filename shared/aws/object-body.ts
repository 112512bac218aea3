/** The answer to a GetObject: is it what was asked for, and did all of it arrive? */
import { Readable } from 'node:stream';
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { StoreError } from '#base/errors.ts';
import type { ByteRange } from '#ports/object-store.ts';

/** The object is fine as far as anybody knows; its bytes were cut off or changed on the way. */
export class BodyLost extends Error {
  override readonly name = 'BodyLost';
  /** The bytes are all here and do not give the checksum that S3 keeps. */
  readonly isMismatch: boolean;

  constructor(cause: unknown) {
    super('the body did not arrive as it was sent', { cause });
    this.isMismatch = cause instanceof Error && cause.message.startsWith('Checksum mismatch');
  }
}

/** `bytes=0-9`; never the last n bytes, which some S3 look-alikes get wrong. */
export const rangeHeader = ({ offset, length }: ByteRange): string =>
  `bytes=${offset}-${offset + length - 1}`;

/**
 * @param name how a message calls the object
 * @throws StoreError `DATA_CORRUPT` where the object ends before the range does
 * @throws BodyLost where another attempt may help
 */
export async function readBody(
  name: string,
  answer: GetObjectCommandOutput,
  range: ByteRange | undefined,
): Promise<Uint8Array> {
  const { Body: body, ContentLength: length } = answer;
  if (!(body instanceof Readable)) throw new StoreError('INTERNAL', `${name}: no readable body`);
  try {
    if (length === undefined) throw new BodyLost('an answer without a length');
    if (range !== undefined) checkRange(name, answer, range);
    return await fill(body, length);
  } finally {
    // A body that was not read to its end would keep its socket.
    body.destroy();
  }
}

function checkRange(name: string, answer: GetObjectCommandOutput, range: ByteRange): void {
  const told = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.ContentRange ?? '');
  const last = range.offset + range.length - 1;
  const expected = `bytes ${range.offset} to ${last + 1} were expected`;
  if (told === null) {
    throw new StoreError('DATA_CORRUPT', `${name} was answered without a range; ${expected}`);
  }
  const size = Number(told[3]);
  if (size <= last) throw endsEarly(name, size, range);
  const isExact = Number(told[1]) === range.offset && Number(told[2]) === last;
  if (!isExact || answer.ContentLength !== range.length) {
    const found = `bytes ${told[1]} to ${Number(told[2]) + 1}`;
    throw new StoreError('DATA_CORRUPT', `${name} was answered with ${found}; ${expected}`);
  }
}

/** @param size undefined where S3 said only that the range lies outside */
export function endsEarly(name: string, size: number | undefined, range: ByteRange): StoreError {
  const { offset, length } = range;
  const has = size === undefined ? 'ends before' : `has ${size} bytes;`;
  const message = `${name} ${has} bytes ${offset} to ${offset + length}`;
  return new StoreError('DATA_CORRUPT', `${message} ${size === undefined ? '' : 'were expected'}`);
}

async function fill(body: Readable, length: number): Promise<Uint8Array> {
  // Memory of its own that starts at an aligned address, so that columns can be read in place.
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
  let at = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if (at + chunk.length > length) throw new Error('more bytes than announced');
      bytes.set(chunk, at);
      at += chunk.length;
    }
  } catch (error) {
    throw new BodyLost(error);
  }
  if (at !== length) throw new BodyLost(`${at} of ${length} bytes`);
  return bytes;
}
