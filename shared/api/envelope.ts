/**
 * How answers and errors travel: the Milvus envelope, plus what our error table knows.
 *
 * Every business error is HTTP 200 with a non-zero `code`. Beside `code` and `message` stand `retry`
 * and `effect`, so that a client needs no list of codes to behave well (I12).
 */
import { ERRORS, type ErrorCode, StoreError } from '#base/errors.ts';
import { type JsonOut, stringifyJson } from '#base/json.ts';

/** `lead` opens the message, `tail` ends it; Milvus's clients and tests look for these words. */
type Wire = Readonly<{ code: number; status: number; lead?: string; tail?: string }>;

export const WIRES = {
  INVALID_ARGUMENT: { code: 1100, status: 200, tail: 'invalid parameter' },
  INVALID_FIELD_NAME: { code: 1701, status: 200, lead: 'field name invalid' },
  MALFORMED_BODY: { code: 1801, status: 200, lead: 'can only accept json format request' },
  MISSING_FIELD: { code: 1802, status: 200, lead: 'missing required parameters' },
  INVALID_ROW: { code: 1804, status: 200, lead: 'fail to deal the insert data' },
  INVALID_KEY: { code: 1806, status: 200, lead: 'please check the primary key and its type' },
  TOO_LARGE: { code: 1102, status: 200, lead: 'parameter too large' },
  UNAUTHENTICATED: { code: 1800, status: 401, lead: "user hasn't authenticated" },
  WRONG_PASSWORD: { code: 1400, status: 200, tail: 'not authenticated' },
  PERMISSION_DENIED: { code: 1401, status: 403, lead: 'privilege not permitted' },
  DATABASE_NOT_FOUND: { code: 800, status: 200, lead: 'database not found' },
  COLLECTION_NOT_FOUND: { code: 100, status: 200, lead: "can't find collection" },
  COLLECTION_NOT_LOADED: { code: 101, status: 200, lead: 'collection not loaded' },
  TOO_MANY_COLLECTIONS: {
    code: 102,
    status: 200,
    lead: 'exceeded the limit number of collections',
  },
  PARTITION_NOT_FOUND: { code: 200, status: 200, lead: 'partition not found' },
  FIELD_NOT_FOUND: { code: 1700, status: 200, lead: 'field not found' },
  INDEX_NOT_FOUND: { code: 700, status: 200, lead: 'index not found' },
  SNAPSHOT_NOT_FOUND: { code: 2600, status: 200, lead: 'snapshot not found' },
  SNAPSHOT_PINNED: { code: 2601, status: 200, lead: 'snapshot pinned' },
  ALREADY_EXISTS: { code: 1100, status: 200, tail: 'invalid parameter' },
  UNSUPPORTED: { code: 3000, status: 200, lead: 'unsupported operation' },
  NOT_PRIMARY: { code: 108, status: 200, lead: 'collection in standby mode' },
  OVERLOADED: { code: 8, status: 200, lead: 'request is rejected, retry later' },
  NOT_READY: { code: 1, status: 200, lead: 'service not ready' },
  TOO_STALE: { code: 1, status: 200, lead: 'service not ready' },
  TIMEOUT: { code: 10_001, status: 408, lead: 'request timeout' },
  UNCERTAIN: { code: 2, status: 200, lead: 'service unavailable' },
  WRITE_UNCERTAIN: { code: 2, status: 200, lead: 'service unavailable' },
  MANIFEST_CONTENDED: { code: 2, status: 200, lead: 'service unavailable' },
  OBJECT_NOT_FOUND: { code: 1000, status: 200, lead: 'key not found' },
  DATA_CORRUPT: { code: 1009, status: 200, lead: 'object integrity check failed' },
  FORMAT_TOO_NEW: { code: 65_535, status: 200 },
  DIRECTORY_UNUSABLE: { code: 65_535, status: 200 },
  PLATFORM_REFUSED: { code: 65_535, status: 200 },
  LOG_GAP: { code: 1, status: 200, lead: 'service not ready' },
  INTERNAL: { code: 500, status: 500, lead: 'internal error' },
} as const satisfies Record<ErrorCode, Wire>;

export type Advice = (typeof ERRORS)[ErrorCode];

/** Fields of a successful answer beside `code`: `data`, `cost`, `topks`, `token`, ... */
export type Reply = Readonly<{ data: JsonOut; [field: string]: JsonOut | undefined }>;

export type HttpReply = Readonly<{ statusCode: number; body: string }>;

export const successReply = (reply: Reply): HttpReply => ({
  statusCode: 200,
  body: stringifyJson({ code: 0, ...reply }),
});

/**
 * The envelope of any failure. What is no StoreError is a bug: its text stays in the log, and the
 * caller is told under which request id to look.
 *
 * @param effect overrides the table where the caller knows more, such as a deadline that passed
 *   while a write was under way
 */
export function errorReply(
  error: unknown,
  facts: Readonly<{ requestId?: string; effect?: Advice['effect'] }> = {},
): HttpReply {
  const known = error instanceof StoreError ? error : bug(facts.requestId);
  const wire: Wire = WIRES[known.code];
  const advice = ERRORS[known.code];
  const primary = known.details['primary'];
  return {
    statusCode: wire.status,
    body: stringifyJson({
      code: wire.code,
      message: wireMessage(wire, known.message),
      retry: advice.retry,
      effect: facts.effect ?? advice.effect,
      primary: typeof primary === 'string' ? primary : undefined,
    }),
  };
}

const bug = (requestId: string | undefined): StoreError =>
  new StoreError(
    'INTERNAL',
    requestId === undefined
      ? 'the log has the details'
      : `the log has the details under request ${requestId}`,
  );

/** Leading and ending words are added where the message does not carry them already. */
export function wireMessage(wire: Wire, message: string): string {
  const opened =
    wire.lead === undefined || message.startsWith(wire.lead) ? message : `${wire.lead}: ${message}`;
  return wire.tail === undefined || opened.includes(wire.tail) ? opened : `${opened}: ${wire.tail}`;
}
