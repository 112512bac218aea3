/**
 * Payloads and answers of a function as JSON. Beyond what JSON has, bytes travel (as base64) and so
 * does `undefined`: as a missing key, also at the top. Everything else is refused here, where it can
 * be named, rather than changed on its way.
 */
import { StoreError } from '#base/errors.ts';

/** Lambda takes 6 MB (6,291,556 bytes) in and out of a synchronous call. */
export const PAYLOAD_BYTES_MAX = 6 * 1024 * 1024;

/** What we send is a few objects deep; what refers to itself has no end. */
const DEPTH_MAX = 64;

/** Keys that stand for what JSON lacks. An object of the caller's with only such a key is wrapped. */
const BYTES = '$bytes';
const PLAIN = '$plain';

export const encodePayload = (payload: unknown): string =>
  JSON.stringify(payload === undefined ? {} : { value: encode(payload, 0) });

/** Whether JSON is one that {@link encodePayload} made. */
export const isPayload = (json: unknown): json is Readonly<{ value?: unknown }> =>
  isObject(json) && Object.keys(json).every((key) => key === 'value');

export const decodePayload = (payload: Readonly<{ value?: unknown }>): unknown =>
  decode(payload.value);

type Plain = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Plain =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function encode(value: unknown, depth: number): unknown {
  if (depth > DEPTH_MAX) throw refused(`a value more than ${DEPTH_MAX} levels deep`);
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value;
    throw refused(`the number ${value}`);
  }
  if (Array.isArray(value)) {
    return value.map((each) => {
      if (each === undefined) throw refused('undefined in a list');
      return encode(each, depth + 1);
    });
  }
  if (value instanceof Uint8Array) {
    if (value.buffer instanceof SharedArrayBuffer) throw refused('memory made for sharing');
    return {
      [BYTES]: Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64'),
    };
  }
  if (typeof value !== 'object') throw refused(`a ${typeof value}`);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw refused(`an object of ${value.constructor?.name ?? 'a class'}`);
  }
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  const plain = Object.fromEntries(
    entries.map(([key, each]) => [key, encode(each, depth + 1)] as const),
  );
  return isMarked(plain) ? { [PLAIN]: plain } : plain;
}

function decode(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decode);
  if (!isObject(value)) return value;
  if (isMarked(value)) {
    const { [BYTES]: base64, [PLAIN]: plain } = value;
    if (typeof base64 === 'string') return new Uint8Array(Buffer.from(base64, 'base64'));
    if (isObject(plain)) return decodeEntries(plain);
  }
  return decodeEntries(value);
}

const decodeEntries = (value: Plain): Plain =>
  Object.fromEntries(Object.entries(value).map(([key, each]) => [key, decode(each)] as const));

function isMarked(value: Plain): boolean {
  const keys = Object.keys(value);
  return keys.length === 1 && (keys[0] === BYTES || keys[0] === PLAIN);
}

const refused = (what: string): StoreError =>
  new StoreError('INVALID_ARGUMENT', `${what} cannot travel to another machine as JSON`);
