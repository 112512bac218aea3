/**
 * Names and small values of requests: what they may look like, and how large they may be.
 *
 * A refusal carries the code of the error table that the caller shall see (`refuse`); without one,
 * `body.ts` takes a wrong JSON type for `MALFORMED_BODY`.
 */
import * as z from 'zod';
import type { ErrorCode } from '#base/errors.ts';

/** The Milvus server's defaults (API.md 3.3). */
export const LIMITS = {
  /** Characters of a collection, database, index or user name. */
  nameChars: 255,
  /** Bytes of a description. */
  descriptionBytes: 1024,
  /** `limit` and `limit + offset`: what one search or query may return or skip. */
  resultRows: 16_384,
  /** Query vectors of one search. */
  queryVectors: 16_384,
  /** Keys of one `get`, or `ids` of one search. */
  keys: 16_384,
  dimensions: 32_768,
  /** Decoded bytes of one request body. */
  bodyBytes: 64 * 1024 * 1024,
  /** Names in `outputFields` or `partitionNames`: a schema has 64 fields; the rest are dynamic keys. */
  listedNames: 1024,
} as const;

type RefuseContext = Pick<z.core.ParsePayload, 'issues'>;

/** Refuses `input` under `code`; the message must name what was expected. */
export function refuse(
  context: RefuseContext,
  code: ErrorCode,
  message: string,
  input: unknown,
): never {
  context.issues.push({ code: 'custom', message, input, params: { code } });
  return z.NEVER;
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const PARTITION_NAME = /^[A-Za-z0-9_][A-Za-z0-9_-]*$/;

function nameOf(what: string, pattern: RegExp, first: string, rest: string) {
  return z.string().transform((name, context) => {
    if (name === '') return refuse(context, 'MISSING_FIELD', `${what} name is empty`, name);
    const shown = name.slice(0, 64);
    const invalid = `Invalid ${what} name: ${shown}.`;
    if (name.length > LIMITS.nameChars) {
      const message = `${invalid} The length of a ${what} name must not exceed ${LIMITS.nameChars} characters`;
      return refuse(context, 'INVALID_ARGUMENT', message, name);
    }
    if (!pattern.test(name)) {
      const message = `${invalid} A ${what} name must start with ${first} and hold only ${rest}`;
      return refuse(context, 'INVALID_ARGUMENT', message, name);
    }
    return name;
  });
}

const plainName = (what: string) =>
  nameOf(what, NAME, 'a letter or underscore', 'letters, digits and underscores');

export const CollectionName = plainName('collection');
export const IndexName = plainName('index');
export const SnapshotName = plainName('snapshot');
export const PartitionName = nameOf(
  'partition',
  PARTITION_NAME,
  'a letter, digit or underscore',
  'letters, digits, underscores and hyphens',
);
/** A name that is looked up, not created: whatever does not exist is not found. */
export const KnownName = z.string().transform((name, context) => {
  if (name === '') return refuse(context, 'MISSING_FIELD', 'the name is empty', name);
  return name.length <= LIMITS.nameChars
    ? name
    : refuse(
        context,
        'INVALID_ARGUMENT',
        `a name has at most ${LIMITS.nameChars} characters`,
        name,
      );
});

/** Milvus's int32: a whole JSON number. Anything else is a wrong JSON type. */
export const Int = z.int32();

/** Free text of at most {@link LIMITS.descriptionBytes} bytes. */
export const Description = z
  .string()
  .transform((text, context) =>
    new TextEncoder().encode(text).length <= LIMITS.descriptionBytes
      ? text
      : refuse(
          context,
          'INVALID_ARGUMENT',
          `a description has at most ${LIMITS.descriptionBytes} bytes`,
          undefined,
        ),
  );

/** A map whose keys keep their case: `params`, `exprParams`, `searchParams`. */
export const JsonMap = z.unknown().transform((input, context): JsonMembers => {
  if (isMembers(input)) return input;
  return refuse(context, 'MALFORMED_BODY', 'expected an object', input);
});
export type JsonMembers = Readonly<Record<string, unknown>>;

const isMembers = (input: unknown): input is JsonMembers =>
  typeof input === 'object' && input !== null && !Array.isArray(input);

/** Names that a request lists, each a string. */
export const Names = z.array(z.string()).transform((names, context) => {
  if (names.length <= LIMITS.listedNames) return names;
  return refuse(context, 'INVALID_ARGUMENT', `at most ${LIMITS.listedNames} names`, undefined);
});

/** Which databases exist the catalog knows. */
export const DatabaseName = z.string();

/** What every request may carry. The header `DB-Name` stands in where `dbName` is left out. */
export const Scope = { dbName: DatabaseName.optional() } as const;
export const CollectionScope = { ...Scope, collectionName: KnownName } as const;
