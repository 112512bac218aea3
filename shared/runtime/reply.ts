/**
 * How an answer travels through a door that has a size: compressed where the client takes that and it
 * pays, and refused where it does not fit even so.
 */
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import { StoreError } from '#base/errors.ts';
import type { HttpResult } from './http.ts';

/**
 * `bytesMax`: of all that the function returns, as the JSON that Lambda carries. `gzipFromBytes`: what
 * is smaller is sent as it is.
 */
export type ReplyBounds = Readonly<{ bytesMax: number; gzipFromBytes: number }>;

/**
 * A character of a body takes at most six bytes in JSON (a control character as an escape); any other
 * UTF-16 unit at most three.
 */
const BYTES_PER_CHARACTER_MAX = 6;
/** Status, headers and the names of the members: some 400 bytes. */
const AROUND_BYTES = 2048;

const compress = promisify(gzip);

/** The answer as it is sent, or how large it would be. */
export type Packed =
  | Readonly<{ result: HttpResult; sizeBytes?: undefined }>
  | Readonly<{ result?: undefined; sizeBytes: number }>;

export async function packReply(
  result: HttpResult,
  acceptEncoding: string | undefined,
  bounds: ReplyBounds,
): Promise<Packed> {
  const isLarge = result.body.length >= bounds.gzipFromBytes;
  const headers = isLarge ? { ...result.headers, vary: 'Accept-Encoding' } : result.headers;
  if (!isLarge || !takesGzip(acceptEncoding)) return bounded({ ...result, headers }, bounds);
  // Numbers as text shrink to less than half at any level, and the fastest takes a third of the time.
  const bytes = await compress(result.body, { level: constants.Z_BEST_SPEED });
  return bounded(
    {
      statusCode: result.statusCode,
      headers: { ...headers, 'content-encoding': 'gzip' },
      body: bytes.toString('base64'),
      isBase64Encoded: true,
    },
    bounds,
  );
}

function bounded(result: HttpResult, { bytesMax }: ReplyBounds): Packed {
  if (result.body.length * BYTES_PER_CHARACTER_MAX + AROUND_BYTES <= bytesMax) return { result };
  const sizeBytes = Buffer.byteLength(JSON.stringify(result));
  return sizeBytes <= bytesMax ? { result } : { sizeBytes };
}

/** `gzip`, or any, unless its weight is zero. */
export function takesGzip(header: string | undefined): boolean {
  const weights = new Map(
    (header ?? '').split(',').map((part) => {
      const [name = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
      const weight = parameters.find((text) => text.startsWith('q='))?.slice(2);
      return [name, weight === undefined ? 1 : Number(weight)] as const;
    }),
  );
  return (weights.get('gzip') ?? weights.get('*') ?? 0) > 0;
}

/**
 * What is said instead of an answer that does not fit.
 *
 * @param wrote the answer was to a write, which is done: only its answer is lost
 */
export function replyTooLarge(sizeBytes: number, bytesMax: number, wrote: boolean): StoreError {
  const size = `the reply would have ${sizeBytes} bytes on its way, and ${bytesMax} fit`;
  return new StoreError(
    'TOO_LARGE',
    wrote
      ? `the write took effect, but ${size}; do not repeat it, and write fewer rows per request`
      : `${size}; name fewer outputFields (vectors are the largest), ask for a smaller limit and go on ` +
          'by key (a filter such as id > last) or offset, or send Accept-Encoding: gzip',
  );
}
