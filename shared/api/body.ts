/**
 * From the bytes of a request to a checked value.
 *
 * The content type is not looked at: Milvus clients send JSON under any. Keys of the request and of
 * the objects its schema describes are matched without regard to case; keys of rows, of `params`-like
 * maps and of JSON values are the user's and keep theirs. Unknown keys are ignored, but for those of a
 * `strictObject`, as our own verbs have it: there a misspelling would pass in silence. A null counts as
 * left out, as in Go's decoder.
 */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import * as z from 'zod';
import { ERRORS, type ErrorCode, StoreError } from '#base/errors.ts';
import { type Json, parseJson } from '#base/json.ts';
import { bareObject } from '#base/json-read.ts';
import { LIMITS } from './names.ts';

const unzip = promisify(gunzip);

/** A body as API Gateway hands it over (payload format 2.0). */
export type WireBody = Readonly<{
  body?: string | undefined;
  isBase64Encoded?: boolean | undefined;
  /** The header `Content-Encoding`. */
  contentEncoding?: string | undefined;
}>;

/**
 * The text of a body: plain or base64, plain or gzip.
 *
 * @throws StoreError `MALFORMED_BODY` where it is empty or no UTF-8; `TOO_LARGE` above `bytesMax`,
 *   counted after decompression
 */
export async function readBody(
  wire: WireBody,
  bytesMax: number = LIMITS.bodyBytes,
): Promise<string> {
  const text = await bodyText(wire, bytesMax);
  if (text.trim() !== '') return text;
  throw new StoreError(
    'MALFORMED_BODY',
    'the request body is empty; send a JSON object, {} where there is nothing to say',
  );
}

async function bodyText(wire: WireBody, bytesMax: number): Promise<string> {
  const body = wire.body ?? '';
  const encoding = (wire.contentEncoding ?? 'identity').trim().toLowerCase();
  if (encoding !== 'identity' && encoding !== '' && encoding !== 'gzip') {
    const message = `Content-Encoding ${encoding.slice(0, 32)}: only gzip and identity are read`;
    throw new StoreError('MALFORMED_BODY', message);
  }
  if (wire.isBase64Encoded !== true && encoding !== 'gzip') {
    if (Buffer.byteLength(body) > bytesMax) throw tooLarge(bytesMax);
    return body;
  }
  const bytes = Buffer.from(body, wire.isBase64Encoded === true ? 'base64' : 'latin1');
  if (bytes.length > bytesMax) throw tooLarge(bytesMax);
  return decodeUtf8(encoding === 'gzip' ? await inflate(bytes, bytesMax) : bytes);
}

async function inflate(bytes: Uint8Array, bytesMax: number): Promise<Uint8Array> {
  if (bytes.length === 0) return bytes;
  try {
    return await unzip(bytes, { maxOutputLength: bytesMax });
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(bytesMax);
    throw new StoreError('MALFORMED_BODY', 'the body is no gzip stream', { cause });
  }
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    // A byte order mark is not JSON: it stays, and the parser names it.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new StoreError('MALFORMED_BODY', 'the body is not UTF-8 text', { cause });
  }
}

/** Says what to do instead, since the caller has rows to store. */
export const tooLarge = (bytesMax: number): StoreError =>
  new StoreError(
    'TOO_LARGE',
    `the request body, decompressed, exceeds ${bytesMax} bytes; send fewer rows per request, in several requests`,
  );

/**
 * Reads the text exactly (64-bit integers) and checks it against a request schema.
 *
 * @throws StoreError `MISSING_FIELD`, `MALFORMED_BODY` for a wrong JSON type or equal keys,
 *   `INVALID_ARGUMENT` for a key that a strict schema does not know, or the code under which a schema
 *   refused a value; the message opens with the field's path, such as
 *   `indexParams[0].fieldName`
 */
export function parseBody<S extends z.ZodType>(schema: S, text: string): z.output<S> {
  const body = parseJson(text);
  if (!isObject(body)) throw new StoreError('MALFORMED_BODY', 'expected a JSON object');
  const folded = foldKeys(schema, body, '');
  const parsed = schema.safeParse(folded);
  if (parsed.success) return parsed.data;
  throw requestError(parsed.error.issues[0], folded);
}

type Members = Readonly<Record<string, Json>>;

const isObject = (value: Json): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value with the keys that `schema` knows in the schema's spelling; others are left out or refused. */
function foldKeys(schema: z.ZodType, value: Json, path: string): Json {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodArray && Array.isArray(value)) {
    // The element of a ZodArray is a ZodType: the core type only says less.
    const element = inner.element as z.ZodType;
    return value.map((item: Json, index) => foldKeys(element, item, `${path}[${index}]`));
  }
  return inner instanceof z.ZodObject && isObject(value) ? foldObject(inner, value, path) : value;
}

function foldObject(schema: z.ZodObject, value: Members, path: string): Json {
  const spellings = spellingsOf(schema);
  const folded: Record<string, Json> = bareObject();
  for (const [key, member] of Object.entries(value)) {
    const name = spellings.get(key.toLowerCase());
    if (name === undefined && schema.def.catchall instanceof z.ZodNever) {
      throw unknownKey(memberOf(path, key.slice(0, UNKNOWN_CHARS_MAX)), spellings);
    }
    if (name === undefined || member === null) continue;
    const at = memberOf(path, name);
    if (name in folded) throw new StoreError('MALFORMED_BODY', `${at}: given twice`);
    // A shape's members are ZodTypes: the core type only says less.
    folded[name] = foldKeys(schema.shape[name] as z.ZodType, member, at);
  }
  return folded;
}

const memberOf = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);

/** Of a key that means nothing to us a message shows this much. */
const UNKNOWN_CHARS_MAX = 64;

const unknownKey = (at: string, spellings: ReadonlyMap<string, string>): StoreError =>
  new StoreError(
    'INVALID_ARGUMENT',
    `${at}: there is no such member; known are ${[...spellings.values()].join(', ')}`,
  );

/** Per object schema its keys by their lower-case form; schemas are constants, so this stays small. */
const SPELLINGS = new WeakMap<z.ZodObject, ReadonlyMap<string, string>>();

function spellingsOf(schema: z.ZodObject): ReadonlyMap<string, string> {
  const known = SPELLINGS.get(schema);
  if (known !== undefined) return known;
  const made = new Map(Object.keys(schema.shape).map((key) => [key.toLowerCase(), key]));
  SPELLINGS.set(schema, made);
  return made;
}

/** What an optional or defaulted schema wraps. */
function unwrap(schema: z.ZodType): z.ZodType {
  let inner = schema;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault) {
    // Wrappers wrap ZodTypes: the core type only says less.
    inner = inner.unwrap() as z.ZodType;
  }
  return inner;
}

function requestError(issue: z.core.$ZodIssue | undefined, body: Json): StoreError {
  if (issue === undefined) return new StoreError('INTERNAL', 'a refusal without an issue');
  const path = issue.path.reduce<string>(
    (text, step) =>
      typeof step === 'number' ? `${text}[${step}]` : `${text}${text && '.'}${String(step)}`,
    '',
  );
  if (valueAt(body, issue.path) === undefined) {
    return new StoreError('MISSING_FIELD', `${path} is required`);
  }
  const code = issue.code === 'custom' ? issue.params?.['code'] : undefined;
  const reason =
    issue.code === 'invalid_type'
      ? `expected ${issue.expected}, found ${kindOf(valueAt(body, issue.path))}`
      : issue.message;
  return new StoreError(isErrorCode(code) ? code : 'MALFORMED_BODY', `${path}: ${reason}`);
}

/** Zod would ask an object for its constructor, which may be any key that a client sends. */
function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value === 'bigint' ? 'number' : typeof value;
}

const isErrorCode = (code: unknown): code is ErrorCode =>
  typeof code === 'string' && Object.hasOwn(ERRORS, code);

function valueAt(body: Json, path: readonly PropertyKey[]): unknown {
  let value: unknown = body;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    // Reading a member of an object whose type is not known.
    value = (value as Record<PropertyKey, unknown>)[step];
  }
  return value;
}
