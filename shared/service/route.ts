/**
 * Route tables: `POST /v2/vectordb/entities/insert` -> a schema and a function. They know neither
 * Lambda nor HTTP libraries; `runtime/http.ts` serves them, and the OpenAPI document reads them.
 */
import type * as z from 'zod';
import { parseBody } from '#api/body.ts';
import type { Reply } from '#api/envelope.ts';
import { DEFAULT_DATABASE } from '#catalog/collection.ts';

/** What the headers of a request say, and who sent it. */
export type RequestContext = Readonly<{
  user: string;
  /** The path, e.g. `/v2/vectordb/entities/insert`. */
  route: string;
  /** The header `DB-Name`. */
  dbName?: string | undefined;
  /** The header `RequestId`, our idempotency key, with the hexadecimal hash of the body. */
  idempotency?: Readonly<{ requestId: string; bodyHash: string }> | undefined;
  /** `Accept-Type-Allow-Int64: false`: Int64 fields and returned ids travel as strings. */
  int64AsText: boolean;
  /** When the caller stops waiting, by the engine's clock. */
  deadlineMs: number;
  /** What the whole answer may take on its way; undefined where it has no bound. */
  replyBytesMax?: number | undefined;
}>;

export type Route = Readonly<{
  schema: z.ZodType;
  /** May a request that ran into its deadline have taken effect? */
  writes: boolean;
  /** Parses the text of the body and answers. @throws StoreError */
  answer: (text: string, context: RequestContext) => Promise<Reply>;
}>;

/** By method and path, in API Gateway's notation. */
export type Routes = Readonly<Record<string, Route>>;

type Handle<S extends z.ZodType> = (
  request: z.output<S>,
  context: RequestContext,
) => Promise<Reply>;

/** A route that changes nothing. */
export const readRoute = <S extends z.ZodType>(schema: S, handle: Handle<S>): Route => ({
  schema,
  writes: false,
  answer: async (text, context) => handle(parseBody(schema, text), context),
});

/** A route that changes something. */
export const writeRoute = <S extends z.ZodType>(schema: S, handle: Handle<S>): Route => ({
  ...readRoute(schema, handle),
  writes: true,
});

/** The database a request means: its own word, else the header's, else `default`. */
export const databaseOf = (
  request: Readonly<{ dbName?: string | undefined }>,
  context: Pick<RequestContext, 'dbName'>,
): string => request.dbName || context.dbName || DEFAULT_DATABASE;
