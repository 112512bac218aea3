/**
 * Every way an operation can fail, and what the caller may conclude from it.
 *
 * `retry`  - can the same request succeed later, unchanged?
 * `effect` - did the write take place? `none` promises that it did not; `unknown` means that only a
 *            read can tell, and that a blind retry must be idempotent (same `RequestId`).
 *
 * How a code travels over HTTP (Milvus number, status, leading words) is decided in
 * `api/envelope.ts`, which does not compile while a code of this table lacks a decision.
 */
export const ERRORS = {
  /** A value is wrong: a name, a limit, a schema, a filter. */
  INVALID_ARGUMENT: { retry: 'never', effect: 'none' },
  /** A field's name in a schema is too long or holds a character that it may not. */
  INVALID_FIELD_NAME: { retry: 'never', effect: 'none' },
  /** The body is not JSON, or a value has the wrong JSON type. */
  MALFORMED_BODY: { retry: 'never', effect: 'none' },
  /** A required request field is missing. */
  MISSING_FIELD: { retry: 'never', effect: 'none' },
  /** A row does not fit the schema. */
  INVALID_ROW: { retry: 'never', effect: 'none' },
  /** A primary key in a request is not of the key field's type. */
  INVALID_KEY: { retry: 'never', effect: 'none' },
  /** A request or a value is larger than a limit. */
  TOO_LARGE: { retry: 'never', effect: 'none' },
  UNAUTHENTICATED: { retry: 'never', effect: 'none' },
  /** The old password in a change of passwords is not the user's, or there is no such user. */
  WRONG_PASSWORD: { retry: 'never', effect: 'none' },
  PERMISSION_DENIED: { retry: 'never', effect: 'none' },
  DATABASE_NOT_FOUND: { retry: 'never', effect: 'none' },
  COLLECTION_NOT_FOUND: { retry: 'never', effect: 'none' },
  COLLECTION_NOT_LOADED: { retry: 'never', effect: 'none' },
  PARTITION_NOT_FOUND: { retry: 'never', effect: 'none' },
  FIELD_NOT_FOUND: { retry: 'never', effect: 'none' },
  INDEX_NOT_FOUND: { retry: 'never', effect: 'none' },
  SNAPSHOT_NOT_FOUND: { retry: 'never', effect: 'none' },
  /** A snapshot that somebody pinned cannot be dropped. */
  SNAPSHOT_PINNED: { retry: 'later', effect: 'none' },
  /** The database holds as many collections as it may. */
  TOO_MANY_COLLECTIONS: { retry: 'never', effect: 'none' },
  ALREADY_EXISTS: { retry: 'never', effect: 'none' },
  /** The verb or construct is part of the Milvus surface and is not built. */
  UNSUPPORTED: { retry: 'never', effect: 'none' },
  /** Another region takes the writes. */
  NOT_PRIMARY: { retry: 'elsewhere', effect: 'none' },
  /** The tail or a queue is at its cap; nothing was written. */
  OVERLOADED: { retry: 'later', effect: 'none' },
  /** A fence is under way, or the catalog moved while the request was being prepared. */
  NOT_READY: { retry: 'later', effect: 'none' },
  /** A token or a staleness bound cannot be honoured here and now. */
  TOO_STALE: { retry: 'later', effect: 'none' },
  TIMEOUT: { retry: 'later', effect: 'none' },
  /** A port did not answer: whatever it was asked to do may have happened. */
  UNCERTAIN: { retry: 'later', effect: 'unknown' },
  /** A write was sent to the log and its fate is not known. */
  WRITE_UNCERTAIN: { retry: 'later', effect: 'unknown' },
  MANIFEST_CONTENDED: { retry: 'later', effect: 'unknown' },
  /** An object a manifest names is not there. */
  OBJECT_NOT_FOUND: { retry: 'never', effect: 'none' },
  /** Bytes do not match their checksum or their format. The message names the object. */
  DATA_CORRUPT: { retry: 'never', effect: 'none' },
  /** A format written by a newer Sterna. */
  FORMAT_TOO_NEW: { retry: 'never', effect: 'none' },
  /** The data directory is in use by another server, or is no data directory. */
  DIRECTORY_UNUSABLE: { retry: 'never', effect: 'none' },
  /**
   * The cloud refused what we asked of it: a permission, a bucket, stream or table that is not there,
   * credentials. An operator has to act; trying again does not help.
   */
  PLATFORM_REFUSED: { retry: 'never', effect: 'none' },
  /** A forwarded record does not follow the last one seen. */
  LOG_GAP: { retry: 'later', effect: 'none' },
  /** A bug: an assertion did not hold. */
  INTERNAL: { retry: 'never', effect: 'unknown' },
} as const satisfies Record<string, Advice>;

type Advice = Readonly<{ retry: 'never' | 'later' | 'elsewhere'; effect: 'none' | 'unknown' }>;

export type ErrorCode = keyof typeof ERRORS;

/** The only error class we throw on purpose. Anything else that escapes is a bug. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: ErrorCode;
  /** Facts for the reply, such as the primary's address. Never vectors, metadata or keys. */
  readonly details: Readonly<Record<string, string | number>>;

  constructor(
    code: ErrorCode,
    message: string,
    options?: { cause?: unknown; details?: Readonly<Record<string, string | number>> },
  ) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options?.details ?? {};
  }

  get advice(): Advice {
    return ERRORS[this.code];
  }
}

/** True if `error` is a StoreError, of the given code when one is given. */
export function isStoreError(error: unknown, ...codes: readonly ErrorCode[]): error is StoreError {
  return error instanceof StoreError && (codes.length === 0 || codes.includes(error.code));
}
