/** The door to this chapter: text in, predicate out. */
import type { CollectionSchema, JsonObject } from '#schema/field.ts';
import { bindPredicate } from './bind.ts';
import { parseExpression } from './parser.ts';
import type { Predicate } from './predicate.ts';

/**
 * Compiles a filter expression (Milvus's language; docs/filters.md) for a collection.
 *
 * Undefined stands for the empty or blank filter: every row. `exprParams` fills `{name}` variables.
 *
 * @throws StoreError
 *   - `INVALID_ARGUMENT` for a wrong expression; the message begins "failed to create query plan:
 *     cannot parse expression" and ends with the column
 *   - `UNSUPPORTED` for a construct of the grammar that is not evaluated; the message names it
 */
export function compileFilter(
  expression: string,
  schema: CollectionSchema,
  exprParams: JsonObject = {},
): Predicate | undefined {
  if (expression.trim() === '') return undefined;
  return bindPredicate({ expression, schema, params: exprParams }, parseExpression(expression));
}
