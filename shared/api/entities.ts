/**
 * entities/*: the rows.
 *
 * Shape and size only. What needs state (does the collection exist, do types and dimensions match)
 * is decided in `ingest/` and `query/`. Keys of rows and of JSON values keep their case.
 */
import * as z from 'zod';
import type { JsonObject } from '#base/json.ts';
import { CollectionScope, Int, JsonMap, LIMITS, Names, refuse } from './names.ts';
import { QueryVectors } from './vector.ts';

/** One loop, no schema node per row. The values are checked against the collection's schema later. */
const Rows = z.unknown().transform((input, context): readonly JsonObject[] => {
  if (!Array.isArray(input)) {
    return refuse(context, 'MALFORMED_BODY', 'expected an array of objects', input);
  }
  if (input.length === 0) {
    return refuse(context, 'INVALID_ROW', 'expected at least one row, found none', input);
  }
  const wrong = input.findIndex(
    (row) => typeof row !== 'object' || row === null || Array.isArray(row),
  );
  // parseJson made them; every element is an object.
  if (wrong === -1) return input as readonly JsonObject[];
  return refuse(context, 'MALFORMED_BODY', `row ${wrong} is not an object`, undefined);
});

export const InsertRequest = z.object({
  ...CollectionScope,
  partitionName: z.string().optional(),
  data: Rows,
});
export type InsertRequest = z.output<typeof InsertRequest>;

export const UpsertRequest = z.object({
  ...CollectionScope,
  partitionName: z.string().optional(),
  data: Rows,
  partialUpdate: z.boolean().default(false),
  fieldOps: z.array(z.unknown()).optional(),
});
export type UpsertRequest = z.output<typeof UpsertRequest>;

const RequiredFilter = z.string().transform((filter, context) => {
  if (filter.trim() !== '') return filter;
  return refuse(context, 'MISSING_FIELD', 'the filter is empty', filter);
});

export const DeleteRequest = z.object({
  ...CollectionScope,
  filter: RequiredFilter,
  partitionName: z.string().optional(),
  exprParams: JsonMap.optional(),
});
export type DeleteRequest = z.output<typeof DeleteRequest>;

/** A primary key as a client writes it; integers may be strings. */
export type RequestKey = string | number | bigint;

/** One key or several; a key of another JSON type is no key at all. */
const Keys = z.unknown().transform((input, context): readonly RequestKey[] => {
  const keys: readonly unknown[] = Array.isArray(input) ? input : [input];
  if (keys.length > LIMITS.keys) {
    return refuse(context, 'INVALID_ARGUMENT', `at most ${LIMITS.keys} keys`, undefined);
  }
  const wrong = keys.findIndex(
    (key) => typeof key !== 'string' && typeof key !== 'number' && typeof key !== 'bigint',
  );
  // Every element is one of the three types.
  if (wrong === -1) return keys as readonly RequestKey[];
  return refuse(context, 'INVALID_KEY', `key ${wrong} is neither integer nor string`, undefined);
});

/** Milliseconds; what is meant by a negative one nobody knows. */
const Staleness = z.unknown().transform((input, context): number => {
  if (typeof input !== 'number' && typeof input !== 'bigint') {
    return refuse(context, 'MALFORMED_BODY', 'expected a number', input);
  }
  if (input >= 0) return Number(input);
  return refuse(context, 'INVALID_ARGUMENT', `expected 0 or more, found ${input}`, input);
});

/** What every read may ask for (API.md 1.10). */
const ReadScope = {
  ...CollectionScope,
  consistencyLevel: z.string().optional(),
  token: z
    .union([z.string().transform((token) => [token]), z.array(z.string())], {
      error: 'expected a string or a list of strings',
    })
    .optional(),
  maxStalenessMs: Staleness.optional(),
  asOf: z.boolean().default(false),
} as const;

export const GetRequest = z.object({
  ...ReadScope,
  id: Keys,
  outputFields: Names.optional(),
  partitionName: z.string().optional(),
  partitionNames: Names.optional(),
});
export type GetRequest = z.output<typeof GetRequest>;

export const QueryRequest = z.object({
  ...ReadScope,
  filter: z.string().default(''),
  outputFields: Names.optional(),
  limit: Int.default(0),
  offset: Int.default(0),
  partitionNames: Names.optional(),
  exprParams: JsonMap.optional(),
  orderByFields: z.unknown().optional(),
  groupByFields: z.unknown().optional(),
});
export type QueryRequest = z.output<typeof QueryRequest>;

export const SearchRequest = z.object({
  ...ReadScope,
  data: QueryVectors.optional(),
  ids: Keys.optional(),
  annsField: z.string().optional(),
  filter: z.string().default(''),
  limit: Int.default(100),
  offset: Int.default(0),
  outputFields: Names.optional(),
  partitionNames: Names.optional(),
  searchParams: JsonMap.optional(),
  exprParams: JsonMap.optional(),
  explain: z.boolean().default(false),
  groupingField: z.string().optional(),
  groupSize: Int.optional(),
  strictGroupSize: z.boolean().optional(),
  functionScore: z.unknown().optional(),
  functionChains: z.unknown().optional(),
  searchAggregation: z.unknown().optional(),
  orderByFields: z.unknown().optional(),
});
export type SearchRequest = z.output<typeof SearchRequest>;
